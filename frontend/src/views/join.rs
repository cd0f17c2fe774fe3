//! Several tensors as one.

use kiln_ir::{Code, Diagnostic, Dim, Op, ops};

use crate::Tensor;
use crate::arithmetic::wider;

/// The tensors one after another along an axis: `torch.cat`.
///
/// Shapes: equal except on the axis (K0101, K0104); a vector without elements fits everywhere, as in PyTorch. Dtypes: promoted. No tensors are
/// K0105, tensors without axes K0102, the batch axis K0109. Gradients: the parts of `g`.
#[track_caller]
pub fn cat(tensors: &[Tensor], axis: i64) -> Tensor {
    if tensors.iter().any(|tensor| tensor.value().is_none()) {
        return Tensor::poison();
    }
    if let Some(position) = tensors.iter().position(|tensor| tensor.rank() == 0) {
        let message = format!("cat needs tensors with axes: tensor {position} is {}", tensors[position].ty());
        return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message).help("use `stack`"));
    }
    let is_legacy = |tensor: &&Tensor| tensor.shape().0 == [Dim::fixed(0)];
    let parts: Vec<Tensor> = tensors.iter().filter(|tensor| !is_legacy(tensor)).copied().collect();
    let parts = if parts.is_empty() { tensors } else { &parts };
    let Some(dtype) = tensors.iter().map(|tensor| tensor.dtype()).reduce(wider) else {
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, "cat needs at least one tensor"));
    };
    let Some(axis) = parts[0].axis("cat", axis) else { return Tensor::poison() };
    let mut operands = Vec::with_capacity(parts.len());
    for part in parts {
        operands.push(part.to(dtype));
    }
    join("cat", axis, &operands)
}

/// The tensors along a new axis: `torch.stack`.
///
/// Shapes: equal (K0101). Dtypes: promoted. No tensors are K0105, a place that the new axis cannot have K0104. Gradients: the parts of `g`.
#[track_caller]
pub fn stack(tensors: &[Tensor], axis: i64) -> Tensor {
    if tensors.iter().any(|tensor| tensor.value().is_none()) {
        return Tensor::poison();
    }
    let Some(dtype) = tensors.iter().map(|tensor| tensor.dtype()).reduce(wider) else {
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, "stack needs at least one tensor"));
    };
    let Some(axis) = tensors[0].new_axis("stack", axis) else { return Tensor::poison() };
    let first = tensors[0].shape();
    let mut operands = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        if tensor.shape() != first {
            let message = format!("stack needs equal shapes: {first} and {}", tensor.shape());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        operands.push(tensor.to(dtype).unsqueeze(axis as i64));
    }
    join("stack", axis, &operands)
}

/// One tensor alone is itself, also along the batch axis.
#[track_caller]
fn join(method: &str, axis: usize, operands: &[Tensor]) -> Tensor {
    match operands {
        [one] => *one,
        _ => Tensor::apply_as(method, Op::from(ops::Concat { axis }), operands),
    }
}
