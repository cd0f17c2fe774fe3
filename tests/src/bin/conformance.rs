//! `conformance DIR`: checks Kiln against a directory of cases that PyTorch computed. Exit status 1 if one fails, or if there is none.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use kiln_tests::conformance::{self, Backend, Options};

/// Checks Kiln against a directory of conformance cases.
#[derive(Parser)]
struct Arguments {
    /// Evaluate with the reference interpreter instead of compiled code.
    #[arg(long)]
    interpreter: bool,
    /// Only the first steps of each training program.
    #[arg(long)]
    steps: Option<usize>,
    /// Only the program, operator or table of this name.
    #[arg(long)]
    only: Option<String>,
    /// The directory: `programs/`, `operators/`, `tables/`.
    directory: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { interpreter, steps, only, directory } = Arguments::parse();
    let backend = if interpreter { Backend::Interpreter } else { Backend::Jit };
    let options = Options { backend, steps, only };
    match conformance::run(&directory, &options, &mut io::stdout().lock()) {
        // A directory or a name that is mistyped must not read as success.
        Ok(summary) if summary.total() == 0 => {
            eprintln!("conformance: {} holds no such cases", directory.display());
            ExitCode::FAILURE
        }
        Ok(summary) if summary.failed() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}
