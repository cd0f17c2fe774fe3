//! Whole derivatives, of the reverse mode: `torch.autograd.functional` and `torch.func`.

use kiln_ir::{Code, Diagnostic};

use super::{grad, vjp};
use crate::{Tensor, functional};

/// The Jacobian-vector product `Σ ∂output/∂input · tangent`, with a tangent of each input's type; it has the output's type.
///
/// The vector-Jacobian product is linear in its cotangent, and its derivative by that is this product: two passes of the reverse mode, of which
/// only what the result needs stays.
#[track_caller]
pub fn jvp(output: Tensor, inputs: &[Tensor], tangents: &[Tensor]) -> Tensor {
    if inputs.len() != tangents.len() {
        let message = format!("jvp needs a tangent for each input: {} for {}", tangents.len(), inputs.len());
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
    }
    let cotangent = functional::zeros_like(output);
    let mut sum = None;
    for (gradient, &tangent) in vjp(output, cotangent, inputs).into_iter().zip(tangents) {
        let product = (gradient * tangent).sum_all();
        sum = Some(sum.map_or(product, |sum: Tensor| sum + product));
    }
    let Some(sum) = sum else { return cotangent };
    grad(sum, &[cotangent])[0]
}

/// The Jacobian of an output of constant extents: `[..output, ..input]`. It takes one reverse pass an element of the output.
#[track_caller]
pub fn jacobian(output: Tensor, input: Tensor) -> Tensor {
    let Some(count) = output.numel().as_fixed() else {
        let message = format!("jacobian needs an output of constant extents, found {}", output.ty());
        return Tensor::mistake(Diagnostic::new(Code::BatchAxis, message));
    };
    let flat = output.reshape([-1]);
    let mut rows = Vec::with_capacity(count);
    for element in 0..count {
        rows.push(grad(flat.select(0, element as i64), &[input])[0]);
    }
    let sizes: Vec<_> = output.shape().0.into_iter().chain(input.shape().0).collect();
    functional::stack(&rows, 0).reshape(sizes)
}

/// The Hessian of an output of one element: `[..input, ..input]`. It takes one reverse pass an element of the input.
#[track_caller]
pub fn hessian(output: Tensor, input: Tensor) -> Tensor {
    jacobian(grad(output, &[input])[0], input)
}

/// The product of an output's Hessian with a vector of the input's type, without the Hessian: two reverse passes.
#[track_caller]
pub fn hvp(output: Tensor, input: Tensor, vector: Tensor) -> Tensor {
    vjp(grad(output, &[input])[0], vector, &[input])[0]
}
