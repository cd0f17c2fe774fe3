//! The conformance runner: a directory of cases that PyTorch computed, against what Kiln computes.
//!
//! The directory holds `programs/<name>/` (a model, and what training it for some steps gives), `operators/<op>.json` and
//! `tables/*.json`. Everything in it is counted: what the runner cannot express yet is `unsupported`, and is printed as such.

mod backend;
mod compare;
mod functions;
mod interpreter;
mod jit;
mod models;
mod operators;
mod optimizer;
mod program;
mod recipe;
mod report;
mod runner;
mod tables;
mod tensors;

use std::io::Write;
use std::path::Path;

pub use backend::{Backend, Batch, Engine, EngineError};
pub use compare::{Checks, Tolerance};
pub use jit::{Elements, value_of};
pub use operators::operators;
pub use program::{FunctionCase, ProgramFile, ProgramFolder, Run};
pub use report::{Outcome, Summary, Tally};
pub use runner::programs;
pub use tables::tables;
pub use tensors::{ReadError, TensorFile};

/// How the cases are run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// What runs them.
    pub backend: Backend,
    /// Only so many steps of each training program, and then neither its final weights nor its evaluation.
    pub steps: Option<usize>,
    /// Only the program, operator or table of this name.
    pub only: Option<String>,
}

impl Options {
    /// Whether a file or folder of cases takes part.
    fn selects(&self, path: &Path) -> bool {
        self.only.as_ref().is_none_or(|only| path.file_stem().is_some_and(|name| name == only.as_str()))
    }
}

/// Runs everything in `directory`, writes one line per item to `out`, and the totals last.
///
/// # Errors
/// When a file is missing or damaged, or `out` cannot be written. A case that fails is no error.
pub fn run(directory: &Path, options: &Options, out: &mut dyn Write) -> Result<Summary, ReadError> {
    let mut summary = Summary::default();
    (summary.operators, summary.errors) = operators(&directory.join("operators"), options, out)?;
    summary.tables = tables(&directory.join("tables"), options, out)?;
    summary.programs = programs(&directory.join("programs"), options, out)?;
    writeln!(out, "{summary}").map_err(ReadError::Output)?;
    Ok(summary)
}
