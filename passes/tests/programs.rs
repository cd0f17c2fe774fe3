//! Whole train steps: the program computes what the graph does, in as few kernels as it should.

mod common;
mod networks;

use common::{check, launches};
use networks::{batch_norm_step, lenet_step, mlp_step, softmax_step};

#[test]
fn mlp_trains() {
    let program = check(&mlp_step());
    println!("{program}");
    println!("{:#?}", launches(&program));
}

#[test]
fn softmax_is_one_kernel() {
    let program = check(&softmax_step());
    println!("{program}");
}

#[test]
fn lenet_trains() {
    let program = check(&lenet_step(3));
    println!("{program}");
    println!("{:#?}", launches(&program));
}

#[test]
fn batch_norm_trains() {
    let program = check(&batch_norm_step());
    println!("{program}");
}

#[test]
fn full_lenet_is_small() {
    let graph = networks::full_lenet_step(64);
    let program = kiln_passes::program::run("lenet", vec![("train_step".to_owned(), graph)]);
    println!("{program}");
}
