//! Losses that put things in order: margins between scores, similarities and distances.

use kiln_ir::{Code, Diagnostic};

use super::{Reduction, aligned, refused};
use crate::Tensor;
use crate::arithmetic::broadcast_shape;
use crate::distances::PairwiseDistance;

/// `x` where the target is 1, `max(0, margin - x)` where it is -1: for distances of pairs that are alike or not.
///
/// Shapes: broadcast. Errors: K0101. Gradient: for the input.
#[track_caller]
pub fn hinge_embedding_loss_with(input: Tensor, target: Tensor, margin: f64, reduction: Reduction) -> Tensor {
    let Some([x, y]) = aligned("hinge_embedding_loss", [input, target]) else { return Tensor::poison() };
    // Other targets count for both, as in PyTorch.
    let alike = x.where_self(y.ne(-1), 0);
    let unlike = (margin - x).positive_part().where_self(y.ne(1), 0);
    reduction.of(alike + unlike)
}

/// `max(0, margin - y·(x1 - x2))`: the first should be greater where `y` is 1, the second where it is -1.
///
/// Shapes: of one rank, and they broadcast. Errors: K0101, K0102. Gradients: for all three.
#[track_caller]
pub fn margin_ranking_loss_with(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: f64,
    reduction: Reduction,
) -> Tensor {
    if !same_rank("margin_ranking_loss", [input1, input2, target])
        || !input1.is_number("margin_ranking_loss")
        || !input2.is_number("margin_ranking_loss")
    {
        return Tensor::poison();
    }
    let Some([a, b, y]) = aligned("margin_ranking_loss", [input1, input2, target]) else { return Tensor::poison() };
    reduction.of((margin - y * (a - b)).positive_part())
}

/// `1 - cos(x1, x2)` where the target is 1, `max(0, cos(x1, x2) - margin)` where it is -1.
///
/// Shapes: `[batch, features]` with a target `[batch]`, or `[features]` with one of rank 0. The squares of both norms are raised by 1e-12.
/// Errors: K0101, K0102. Gradients: for both inputs.
#[track_caller]
pub fn cosine_embedding_loss_with(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: f64,
    reduction: Reduction,
) -> Tensor {
    const EPS: f64 = 1e-12;
    let Some([a, b]) = aligned("cosine_embedding_loss", [input1, input2]) else { return Tensor::poison() };
    if target.value().is_none() {
        return target;
    }
    if target.rank() > 1 || [input1, input2].iter().any(|input| input.rank() != target.rank() + 1) {
        let requirement = "inputs [batch, features] and a target [batch], or [features] and []";
        let message =
            format!("cosine_embedding_loss needs {requirement}: {}, {} and {}", input1.ty(), input2.ty(), target.ty());
        return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
    }
    let squares = (a.square().sum(&[-1], false) + EPS) * (b.square().sum(&[-1], false) + EPS);
    let cosine = (a * b).sum(&[-1], false) / squares.sqrt();
    let Some(shape) = broadcast_shape("cosine_embedding_loss", &[cosine, target]) else { return Tensor::poison() };
    let (cosine, y) = (cosine.broadcast(&shape), target.broadcast(&shape));
    let alike = (1.0 - cosine).where_self(y.eq(1), 0);
    reduction.of((cosine - margin).positive_part().where_self(y.eq(-1), alike))
}

/// Options of [`triplet_margin_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct TripletMargin {
    /// How much farther the negative should be, above 0.
    pub margin: f64,
    /// The norm of the distances.
    pub p: f64,
    /// What is added to each difference.
    pub eps: f64,
    /// Whether the negative is also compared with the positive, and the lesser distance counts.
    pub swap: bool,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for TripletMargin {
    fn default() -> TripletMargin {
        TripletMargin { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

/// `max(0, d(a, p) - d(a, n) + margin)` with [`Tensor::pairwise_distance`] as `d`.
///
/// Shapes: of one rank, and they broadcast; the last axis holds the features. Errors: K0101, K0102; K0105 for a margin that is not positive. Gradients: for all
/// three.
///
/// Source: Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural networks".
#[track_caller]
pub fn triplet_margin_loss_with(anchor: Tensor, positive: Tensor, negative: Tensor, options: TripletMargin) -> Tensor {
    let TripletMargin { margin, p, eps, swap, reduction } = options;
    if margin <= 0.0 {
        return refused("triplet_margin_loss", "a positive margin", margin);
    }
    if !same_rank("triplet_margin_loss", [anchor, positive, negative]) {
        return Tensor::poison();
    }
    let Some([a, p_, n]) = aligned("triplet_margin_loss", [anchor, positive, negative]) else {
        return Tensor::poison();
    };
    let measure = PairwiseDistance { p, eps, keep: false };
    let near = a.pairwise_distance(p_, measure);
    let mut far = a.pairwise_distance(n, measure);
    if swap {
        far = far.minimum(p_.pairwise_distance(n, measure));
    }
    reduction.of((near - far + margin).positive_part())
}

/// `log(1 + e^(-y·x))` for targets of 1 and -1.
///
/// Shapes: broadcast. Errors: K0101. Gradients: for both.
#[track_caller]
pub fn soft_margin_loss_with(input: Tensor, target: Tensor, reduction: Reduction) -> Tensor {
    let Some([x, y]) = aligned("soft_margin_loss", [input, target]) else { return Tensor::poison() };
    if x.shape() != input.shape() {
        let message =
            format!("soft_margin_loss needs a target that broadcasts to its input: {} and {}", input.ty(), target.ty());
        return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    if !input.is_floating("soft_margin_loss") {
        return Tensor::poison();
    }
    reduction.of(-(x * y).logsigmoid().to(input.dtype()))
}

/// Whether all have one number of axes; a mistake is noted.
#[track_caller]
fn same_rank(op: &str, tensors: [Tensor; 3]) -> bool {
    let known = tensors.iter().all(|tensor| tensor.value().is_some());
    if known && tensors.iter().any(|tensor| tensor.rank() != tensors[0].rank()) {
        let shapes = tensors.map(|tensor| tensor.shape().to_string()).join(", ");
        let message = format!("{op} needs tensors of one rank: {shapes}");
        Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        return false;
    }
    known
}
