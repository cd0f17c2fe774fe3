extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln::autograd::Saved;
use kiln_macros::custom_vjp;

#[custom_vjp(backward = of_one)]
fn product(a: Tensor, b: Tensor) -> Tensor {
    a * b
}

fn of_one(saved: Saved<1>, cotangent: Tensor) -> [Tensor; 2] {
    [saved.inputs[0] * cotangent; 2]
}

#[custom_vjp(backward = one_gradient)]
fn sum(a: Tensor, b: Tensor) -> Tensor {
    a + b
}

fn one_gradient(_: Saved<2>, cotangent: Tensor) -> Tensor {
    cotangent
}

#[custom_vjp(backward = without_scale)]
fn scaled(x: Tensor, scale: f64) -> Tensor {
    x * scale
}

fn without_scale(_: Saved<1>, cotangent: Tensor) -> Tensor {
    cotangent
}

#[custom_vjp(backward = of_a_number)]
fn number(x: Tensor) -> usize {
    x.rank()
}

fn of_a_number(_: Saved<1, usize>, _: usize) -> Option<Tensor> {
    None
}

fn main() {}
