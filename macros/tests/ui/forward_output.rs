extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln_macros::model;

#[model]
struct A;

#[model]
impl A {
    fn forward(&self, x: Tensor) {
        let _ = x;
    }
}

#[model]
struct B;

#[model]
impl B {
    fn forward(&self, x: Tensor) -> Result<Tensor, ()> {
        Ok(x)
    }
}

#[model]
struct C;

#[model]
impl C {
    fn forward<'a>(&self, x: &'a Tensor) -> &'a Tensor {
        x
    }
}

#[model]
struct D;

#[model]
impl D {
    fn forward(&self, x: Tensor) -> impl Clone {
        x
    }
}

fn main() {}
