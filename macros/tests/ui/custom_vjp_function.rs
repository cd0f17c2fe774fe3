extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln_macros::custom_vjp;

struct Layer(Tensor);

impl Layer {
    #[custom_vjp(backward = backward)]
    fn method(&self, x: Tensor) -> Tensor {
        x * self.0
    }
}

#[custom_vjp]
fn no_backward(x: Tensor) -> Tensor {
    x
}

#[custom_vjp(backwards = backward)]
fn unknown_key(x: Tensor) -> Tensor {
    x
}

#[custom_vjp(backward = backward)]
fn no_tensor(x: f64) -> Tensor {
    Tensor::full(x, kiln::DType::F32)
}

#[custom_vjp(backward = backward)]
fn a_list(x: Tensor, others: &[Tensor]) -> Tensor {
    x + others[0]
}

#[custom_vjp(backward = backward)]
fn no_result(x: Tensor) {}

#[custom_vjp(backward = backward)]
struct NoFunction;

fn main() {}
