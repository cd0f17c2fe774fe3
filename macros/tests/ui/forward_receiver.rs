extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln_macros::model;

#[model]
struct A;

#[model]
impl A {
    fn forward(x: Tensor) -> Tensor {
        x
    }
}

#[model]
struct B;

#[model]
impl B {
    fn forward(&mut self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
struct C;

#[model]
impl C {
    fn forward(self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
struct D;

#[model]
impl D {
    fn forward(self: std::rc::Rc<Self>, x: Tensor) -> Tensor {
        x
    }
}

fn main() {}
