//! What can stop the back end: a host that it cannot write for, or a mistake of its own.

use kiln_ir::Code;

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cranelift has no back end for this processor.
    #[error("no code generator for this processor: {0}")]
    Target(String),
    /// Cranelift refused a function, which is a mistake in this crate.
    #[error("bug in the CPU back end: kernel `{kernel}`: {message}")]
    Codegen {
        /// The kernel.
        kernel: String,
        /// Cranelift's words.
        message: String,
    },
    /// The object file or the executable memory could not be made.
    #[error("compiled kernels could not be placed: {0}")]
    Emission(String),
}

impl Error {
    /// The code that users see.
    pub fn code(&self) -> Code {
        Code::Emission
    }
}
