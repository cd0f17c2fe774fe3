//! The `kiln` command over the models of the benchmarks and examples.

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln::command::run(kiln::models::all())
}
