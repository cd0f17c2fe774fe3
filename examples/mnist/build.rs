//! Compiles the model while the crate is built: a mistake in it is a build error at its line.

#[path = "src/model.rs"]
mod model;

fn main() {
    println!("cargo::rerun-if-changed=src/model.rs");
    kiln::build(&model::lenet());
}
