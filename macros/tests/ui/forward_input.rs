extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln_macros::model;

#[model]
struct A;

#[model]
impl A {
    fn forward(&self) -> Tensor {
        unreachable!()
    }
}

#[model]
struct B;

#[model]
impl B {
    fn forward(&self, (a, _b): (Tensor, Tensor)) -> Tensor {
        a
    }
}

#[model]
struct C;

#[model]
impl C {
    fn forward(&self, x: impl Into<Tensor>) -> Tensor {
        x.into()
    }
}

#[model]
struct D;

#[model]
impl D {
    fn forward(&self, x: Tensor, _: usize) -> Tensor {
        x
    }
}

fn main() {}
