//! Norms of vectors, and how far or alike vectors are.

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
        if vectors.axis("normalize", options.axis).is_none() {
            return Tensor::poison();
        }
        let norm = vectors.to_float().norm_along(options.p, options.axis, true);
        let unit = vectors / norm.clamp(Some(options.eps), None);
        unit.reshape(self.shape().0)
    }

    /// The cosine of the angle of two vectors along an axis: `Σ x1/max(‖x1‖, eps) · x2/max(‖x2‖, eps)`.
    ///
    /// Shapes: broadcast; the axis counts in the common shape. Errors: K0101, K0104. Gradients: for both; they pass through the bound (PyTorch).
    #[track_caller]
    pub fn cosine_similarity(self, other: Tensor, axis: i64, eps: f64) -> Tensor {
        let (a, b) = (self.to_float().at_least_one_axis(), other.to_float().at_least_one_axis());
        let Some(shape) = broadcast_shape("cosine_similarity", &[a, b]) else { return Tensor::poison() };
        let (a, b) = (a.broadcast(&shape), b.broadcast(&shape));
        if a.axis("cosine_similarity", axis).is_none() {
            return Tensor::poison();
        }
        let a = a / a.norm_along(2.0, axis, true).at_least(eps);
        let b = b / b.norm_along(2.0, axis, true).at_least(eps);
        let cosine = (a * b).sum(&[axis], false);
        if self.rank() == 0 && other.rank() == 0 { cosine.reshape([0_usize; 0]) } else { cosine }
    }

    /// `‖x1 - x2 + eps‖_p` along the last axis.
    ///
    /// Shapes: broadcast. Errors: K0101, K0104. Gradients: for both.
    #[track_caller]
    pub fn pairwise_distance(self, other: Tensor, options: PairwiseDistance) -> Tensor {
        let (a, b) = (self.to_float(), other.to_float());
        let Some(shape) = broadcast_shape("pairwise_distance", &[a, b]) else { return Tensor::poison() };
        let difference = a.broadcast(&shape) - b.broadcast(&shape) + options.eps;
        if difference.axis("pairwise_distance", -1).is_none() {
            return Tensor::poison();
        }
        difference.norm_along(options.p, -1, options.keep)
    }

    /// `(Σ |x|^p)^(1/p)` along an axis; the number of elements that are not 0 for `p = 0`, extremes for infinities. The gradient is 0 where the norm is.
    ///
    /// Numerics: what has no derivative at 0 is computed at 1 there, and chosen away: an infinite derivative times a cotangent of 0 would be NaN.
    #[track_caller]
    pub(crate) fn norm_along(self, p: f64, axis: i64, keep: bool) -> Tensor {
        let magnitude = self.abs();
        if p == 0.0 {
            self.ne(0).to(self.dtype()).sum(&[axis], keep)
        } else if p == 1.0 {
            magnitude.sum(&[axis], keep)
        } else if p == f64::INFINITY {
            magnitude.amax(&[axis], keep)
        } else if p == f64::NEG_INFINITY {
            magnitude.amin(&[axis], keep)
        } else if p == 2.0 {
            let sum = self.square().sum(&[axis], keep);
            let none = sum.eq(0);
            sum.masked_fill(none, 1).sqrt().masked_fill(none, 0)
        } else {
            let nothing = self.eq(0);
            let power_of_zero = if p > 0.0 { 0.0 } else { f64::INFINITY };
            let powers = magnitude.masked_fill(nothing, 1).pow(p).masked_fill(nothing, power_of_zero);
            let sum = powers.sum(&[axis], keep);
            let none = sum.eq(power_of_zero);
            sum.masked_fill(none, 1).pow(1.0 / p).masked_fill(none, 0)
        }
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
