//! `conformance DIR`: checks Kiln against a directory of cases that PyTorch computed. Exit status 1 if one fails, or if there is none.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use kiln::{Algorithm, Selection};
use kiln_tests::conformance::{self, Backend, Options};

/// Checks Kiln against a directory of conformance cases.
#[derive(Parser)]
struct Arguments {
    /// Evaluate with the reference interpreter instead of compiled code.
    #[arg(long)]
    interpreter: bool,
    /// Compute every convolution with this algorithm, where it is possible.
    #[arg(long, conflicts_with = "interpreter")]
    algorithm: Option<Named>,
    /// Only the first steps of each training program.
    #[arg(long)]
    steps: Option<usize>,
    /// Only the program, operator or table of this name.
    #[arg(long)]
    only: Option<String>,
    /// The directory: `programs/`, `operators/`, `tables/`.
    directory: PathBuf,
}

/// The algorithms of convolutions.
#[derive(Clone, Copy, ValueEnum)]
enum Named {
    /// Sums of products over channels and taps.
    Direct,
    /// Winograd's F(2x2, 3x3).
    Winograd2,
    /// Winograd's F(4x4, 3x3).
    Winograd4,
}

fn main() -> ExitCode {
    let Arguments { interpreter, algorithm, steps, only, directory } = Arguments::parse();
    let selection = algorithm.map_or(Selection::default(), |algorithm| {
        Selection::Forced(match algorithm {
            Named::Direct => Algorithm::Direct,
            Named::Winograd2 => Algorithm::Winograd(2),
            Named::Winograd4 => Algorithm::Winograd(4),
        })
    });
    let backend = if interpreter { Backend::Interpreter } else { Backend::Jit(selection) };
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
