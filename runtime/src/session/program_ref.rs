//! The two ways a program is owned.

use std::ops::Deref;
use std::sync::Arc;

use crate::abi::Program;

/// A program, linked into the binary or compiled in this process.
#[derive(Debug, Clone)]
pub enum ProgramRef {
    /// Generated ahead of time.
    Static(&'static Program),
    /// Compiled just in time, shared between sessions.
    Shared(Arc<Program>),
}

impl Deref for ProgramRef {
    type Target = Program;

    fn deref(&self) -> &Program {
        match self {
            ProgramRef::Static(program) => program,
            ProgramRef::Shared(program) => program,
        }
    }
}

impl From<&'static Program> for ProgramRef {
    fn from(program: &'static Program) -> ProgramRef {
        ProgramRef::Static(program)
    }
}

impl From<Arc<Program>> for ProgramRef {
    fn from(program: Arc<Program>) -> ProgramRef {
        ProgramRef::Shared(program)
    }
}
