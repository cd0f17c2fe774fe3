//! Exponentials that are normalised along an axis. All subtract the maximum first, so that nothing overflows; the maximum has no gradient
//! since it cancels.

use crate::Tensor;

impl Tensor {
    /// `e^x / Σ e^x` along an axis, computed from differences to the maximum. A row of `-inf` is NaN, a single one exactly 0.
    ///
    /// Floating dtypes (K0103); an axis that does not exist is K0104. Gradient: `y·(g - Σ g·y)`.
    #[track_caller]
    pub fn softmax(self, axis: i64) -> Tensor {
        let Some(axes) = self.floating_axes("softmax", &[axis]) else { return Tensor::poison() };
        let exponentials = self.below_maximum(&axes).exp();
        (exponentials / exponentials.sum_over(&axes, true)).to(self.dtype())
    }

    /// `log softmax(x)` along an axis, by `x - max - log Σ e^(x - max)`. Dtypes and errors as [`Tensor::softmax`]'s. Gradient: `g - e^y·Σ g`.
    #[track_caller]
    pub fn log_softmax(self, axis: i64) -> Tensor {
        let Some(axes) = self.floating_axes("log_softmax", &[axis]) else { return Tensor::poison() };
        let shifted = self.below_maximum(&axes);
        (shifted - shifted.exp().sum_over(&axes, true).log()).to(self.dtype())
    }

    /// The softmax of `-x`.
    #[track_caller]
    pub fn softmin(self, axis: i64) -> Tensor {
        match self.floating_axes("softmin", &[axis]) {
            Some(_) => (-self).softmax(axis),
            None => Tensor::poison(),
        }
    }

    /// `log Σ e^x` over axes. An infinite maximum is the result; nothing at all gives `-inf`. Integers become `f32`.
    ///
    /// An axis that does not exist is K0104, one that is named twice K0105. Gradient: `g·e^(x - y)`.
    #[track_caller]
    pub fn logsumexp(self, axes: &[i64], keep: bool) -> Tensor {
        let Some(axes) = self.axes("logsumexp", axes) else { return Tensor::poison() };
        let x = self.to_float();
        let wide = x.wide();
        let maximum = wide.max_over(&axes, true).detach();
        let maximum = maximum.where_self(maximum.abs().lt(f64::INFINITY), 0.0);
        let sum = (wide - maximum).exp().sum_over(&axes, keep);
        (sum.log() + maximum.in_shape(sum.shape())).to(x.dtype())
    }

    #[track_caller]
    fn below_maximum(self, axes: &[usize]) -> Tensor {
        let x = self.wide();
        x - x.max_over(axes, true).detach()
    }
}
