//! Variance and standard deviation.

use crate::Tensor;

impl Tensor {
    /// `Σ (x - mean)² / max(0, count - correction)` over axes: correction 1 is PyTorch's default, 0 the population's variance. NaN over
    /// nothing, and with correction 1 over a single element.
    ///
    /// Floating dtypes (K0103); an axis that does not exist is K0104, one that is named twice K0105. Gradient: `g·2·(x - mean)/(count -
    /// correction)`. Numerics: the mean comes first, so that nothing cancels.
    #[track_caller]
    pub fn var(self, axes: &[i64], correction: f64, keep: bool) -> Tensor {
        self.moments("var", axes, correction, keep).0
    }

    /// The root of [`Tensor::var`]. Gradient: that of the variance by `g / (2·std)`, 0 where the deviation is 0 (PyTorch).
    #[track_caller]
    pub fn std(self, axes: &[i64], correction: f64, keep: bool) -> Tensor {
        self.std_moments("std", axes, correction, keep).0
    }

    /// [`Tensor::var`] and [`Tensor::mean`].
    #[track_caller]
    pub fn var_mean(self, axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor) {
        self.moments("var_mean", axes, correction, keep)
    }

    /// [`Tensor::std`] and [`Tensor::mean`].
    #[track_caller]
    pub fn std_mean(self, axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor) {
        self.std_moments("std_mean", axes, correction, keep)
    }

    #[track_caller]
    fn moments(self, op: &str, axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor) {
        let (variance, mean) = self.wide_moments(op, axes, correction, keep);
        (variance.to(self.dtype()), mean.to(self.dtype()))
    }

    #[track_caller]
    fn std_moments(self, op: &str, axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor) {
        let (variance, mean) = self.wide_moments(op, axes, correction, keep);
        (variance.root().to(self.dtype()), mean.to(self.dtype()))
    }

    #[track_caller]
    fn wide_moments(self, op: &str, axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor) {
        let Some(axes) = self.floating_axes(op, axes) else { return (Tensor::poison(), Tensor::poison()) };
        let x = self.wide();
        let count = x.count(&axes);
        let mean = x.sum_over(&axes, true) / count;
        let squares = (x - mean).square().sum_over(&axes, keep);
        let freedom = count - correction;
        let variance = squares / if correction > 0.0 { freedom.maximum(0.0) } else { freedom };
        (variance, mean.in_shape(variance.shape()))
    }

    /// The square root of what is never negative, with the gradient 0 at 0 that PyTorch gives deviations and norms.
    #[track_caller]
    pub(crate) fn root(self) -> Tensor {
        let positive = self.ne(0.0);
        self.where_self(positive, 1.0).sqrt().where_self(positive, 0.0)
    }
}
