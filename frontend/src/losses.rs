//! Losses.

use kiln_ir::{Code, DType, Diagnostic};

use crate::Tensor;

/// Cross-entropy of logits `[batch, classes]` with labels `i64[batch]`, averaged over the batch: PyTorch's `F.cross_entropy`.
///
/// Per sample `-log_softmax(logits)[label]`; a label outside `0..classes` stops the step with the label and the bound.
#[track_caller]
pub fn cross_entropy(logits: Tensor, labels: Tensor) -> Tensor {
    nll_loss(logits.log_softmax(-1), labels)
}

/// `-log_probabilities[label]`, averaged over the batch; log_probabilities: `[batch, classes]`, labels: `i64[batch]`.
#[track_caller]
pub fn nll_loss(log_probabilities: Tensor, labels: Tensor) -> Tensor {
    let (Some(_), Some(_)) = (log_probabilities.value(), labels.value()) else { return Tensor::poison() };
    let (x, y) = (log_probabilities.ty(), labels.ty());
    if x.rank() != 2 || y.rank() != 1 || x.dim(0) != y.dim(0) {
        let message = format!("cross_entropy needs logits [batch, classes] and labels [batch]: {x} and {y}");
        return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    if y.dtype != DType::I64 {
        let message = format!("cross_entropy needs labels i64[batch], the numbers of the classes: found {y}");
        return Tensor::mistake(
            Diagnostic::new(Code::DTypeMismatch, message).help("convert them with `.to(DType::I64)`"),
        );
    }
    let chosen = labels.one_hot(x.dim(1).factor);
    let picked = log_probabilities.where_self(chosen, 0.0);
    -picked.sum(&[-1], false).mean_all()
}

/// The mean of squared differences.
#[track_caller]
pub fn mse_loss(input: Tensor, target: Tensor) -> Tensor {
    (input - target).square().mean_all()
}
