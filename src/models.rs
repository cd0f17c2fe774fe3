//! The models that the `kiln` command knows by name: those of the benchmarks and of the examples.

pub mod mlp;

#[path = "../examples/digits/model.rs"]
pub mod digits;
#[path = "../examples/mnist/src/model.rs"]
pub mod lenet;

use crate::command::Model;

/// Every model, by name.
pub fn all() -> Vec<Model> {
    vec![Model::new("mlp", mlp::mlp), Model::new("lenet", lenet::lenet), Model::new("digits", digits::digits)]
}
