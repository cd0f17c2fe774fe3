//! How far or alike vectors are.

use kiln_ir::{Code, Diagnostic};

use crate::Tensor;
use crate::arithmetic::broadcast_shape;

/// Options of [`Tensor::normalize`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Normalize {
    /// Which norm.
    pub p: f64,
    /// The axis that holds the vectors.
    pub axis: i64,
    /// The least divisor.
    pub eps: f64,
}

impl Default for Normalize {
    fn default() -> Normalize {
        Normalize { p: 2.0, axis: 1, eps: 1e-12 }
    }
}

/// Options of [`Tensor::pairwise_distance`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PairwiseDistance {
    /// Which norm.
    pub p: f64,
    /// What is added to each difference.
    pub eps: f64,
    /// Whether the axis stays, with extent 1.
    pub keep: bool,
}

impl Default for PairwiseDistance {
    fn default() -> PairwiseDistance {
        PairwiseDistance { p: 2.0, eps: 1e-6, keep: false }
    }
}

impl Tensor {
    /// `x/max(‖x‖_p, eps)` along an axis.
    ///
    /// Errors: K0104. Gradient: also through the norm, where that is at least `eps`.
    #[track_caller]
    pub fn normalize(self, options: Normalize) -> Tensor {
        let vectors = self.at_least_one_axis();
        if !self.is_floating("normalize") || vectors.axis("normalize", options.axis).is_none() {
            return Tensor::poison();
        }
        let norm = vectors.vector_norm(options.p, &[options.axis], true);
        let unit = vectors / norm.clamp(Some(options.eps), None);
        unit.reshape(self.shape().0)
    }

    /// The cosine of the angle of two vectors along an axis: `Σ x1/max(‖x1‖, eps) · x2/max(‖x2‖, eps)`.
    ///
    /// Shapes: broadcast; the axis counts in the common shape. Errors: K0101, K0104, K0105. Gradients: for both; they pass through the bound (PyTorch).
    #[track_caller]
    pub fn cosine_similarity(self, other: Tensor, axis: i64, eps: f64) -> Tensor {
        if eps < 0.0 {
            let message = format!("cosine_similarity needs an eps that is not negative: found {eps}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let (a, b) = (self.to_float().at_least_one_axis(), other.to_float().at_least_one_axis());
        let Some(shape) = broadcast_shape("cosine_similarity", &[a, b]) else { return Tensor::poison() };
        let (a, b) = (a.broadcast(&shape), b.broadcast(&shape));
        if a.axis("cosine_similarity", axis).is_none() {
            return Tensor::poison();
        }
        let a = a / a.vector_norm(2.0, &[axis], true).at_least(eps);
        let b = b / b.vector_norm(2.0, &[axis], true).at_least(eps);
        let cosine = (a * b).sum(&[axis], false);
        if self.rank() == 0 && other.rank() == 0 { cosine.reshape([0_usize; 0]) } else { cosine }
    }

    /// `‖x1 - x2 + eps‖_p` along the last axis.
    ///
    /// Shapes: broadcast. Errors: K0101, K0104. Gradients: for both.
    #[track_caller]
    pub fn pairwise_distance(self, other: Tensor, options: PairwiseDistance) -> Tensor {
        if !self.is_number("pairwise_distance") || !other.is_number("pairwise_distance") {
            return Tensor::poison();
        }
        let (a, b) = (self.to_float(), other.to_float());
        let Some(shape) = broadcast_shape("pairwise_distance", &[a, b]) else { return Tensor::poison() };
        let difference = a.broadcast(&shape) - b.broadcast(&shape) + options.eps;
        if difference.axis("pairwise_distance", -1).is_none() {
            return Tensor::poison();
        }
        difference.vector_norm(options.p, &[-1], options.keep)
    }

    /// `max(x, bound)`, whose gradient is `g` on both sides of the bound: a floor that PyTorch puts under a norm or a variance without recording it.
    #[track_caller]
    pub(crate) fn at_least(self, bound: f64) -> Tensor {
        let raised = self - self.detach() + bound;
        raised.where_self(self.lt(bound), self)
    }

    /// `max(x, 0)` with PyTorch's gradient of `clamp_min`, `g` at 0 too.
    #[track_caller]
    pub(crate) fn positive_part(self) -> Tensor {
        self.clamp(Some(0.0), None)
    }

    /// One number as a vector of one.
    #[track_caller]
    fn at_least_one_axis(self) -> Tensor {
        if self.rank() == 0 { self.reshape([1]) } else { self }
    }
}
