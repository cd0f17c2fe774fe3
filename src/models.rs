//! The models that the `kiln` command knows by name: those of the benchmarks and of the examples.

pub mod gpt;
pub mod mlp;
pub mod resnet;
pub mod unet;

#[path = "../examples/digits/model.rs"]
pub mod digits;
#[path = "../examples/mnist/src/model.rs"]
pub mod lenet;

use crate::command::{Draw, Model};

/// Every model, by name, and what its benchmark feeds it.
pub fn all() -> Vec<Model> {
    vec![
        Model::new("mlp", mlp::mlp).fed(&[Draw::Normal, Draw::Below(10)]),
        Model::new("lenet", lenet::lenet).fed(&[Draw::Normal, Draw::Below(10)]),
        Model::new("digits", digits::digits).fed(&[Draw::Normal, Draw::Below(10)]),
        Model::new("resnet18", resnet::resnet18).fed(&[Draw::Normal, Draw::Below(10)]),
        Model::new("resnet50", resnet::resnet50).fed(&[Draw::Normal, Draw::Below(1000)]),
        Model::new("resnet50_infer", resnet::resnet50_infer).fed(&[Draw::Normal]),
        Model::new("unet", unet::unet).fed(&[Draw::Normal, Draw::Coin]),
        Model::new("gpt", gpt::gpt).fed(&[Draw::Below(65), Draw::Below(65)]),
    ]
}
