extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln_macros::model;

#[model]
struct A;

#[model]
impl A {
    async fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
struct B;

#[model]
impl B {
    unsafe fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
struct C;

#[model]
impl C {
    const fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
struct D;

#[model]
impl D {
    extern "C" fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

fn main() {}
