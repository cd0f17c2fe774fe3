//! The `kiln` command for this crate's own model: `cargo run -p mnist --example kiln -- dump lenet --stage kernel`.

use std::process::ExitCode;

use kiln::command::{Model, run};

#[path = "../src/model.rs"]
mod model;

fn main() -> ExitCode {
    run(vec![Model::new("lenet", model::lenet)])
}
