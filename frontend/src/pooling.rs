//! Pooling over windows of one, two or three spatial axes.

mod options;
mod windows;

pub use options::{AvgPool, MaxPool, OutputSize};
pub(crate) use windows::{adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool, max_pool_with_indices};

use crate::Tensor;

impl Tensor {
    /// The maximum of each window of `[batch, channels, l]`, or of one sample `[channels, l]`; NaN if any element is.
    ///
    /// An axis has `⌊(extent + 2·padding - dilation·(kernel - 1) - 1)/stride⌋ + 1` windows; with `ceil_mode` the quotient is rounded up,
    /// but no window begins beyond the input and its first padding. K0105 for numbers that do not fit. Gradient: to the first maximum of
    /// each window.
    #[track_caller]
    pub fn max_pool1d(self, pool: impl Into<MaxPool<1>>) -> Tensor {
        max_pool("max_pool1d", self, &pool.into())
    }

    /// [`Tensor::max_pool1d`] of `[batch, channels, h, w]`, or of one sample.
    #[track_caller]
    pub fn max_pool2d(self, pool: impl Into<MaxPool<2>>) -> Tensor {
        max_pool("max_pool2d", self, &pool.into())
    }

    /// [`Tensor::max_pool1d`] of `[batch, channels, d, h, w]`, or of one sample.
    #[track_caller]
    pub fn max_pool3d(self, pool: impl Into<MaxPool<3>>) -> Tensor {
        max_pool("max_pool3d", self, &pool.into())
    }

    /// [`Tensor::max_pool1d`], and where each maximum is: `i64` row-major positions in the sample's channel, without the padding.
    #[track_caller]
    pub fn max_pool1d_with_indices(self, pool: impl Into<MaxPool<1>>) -> (Tensor, Tensor) {
        max_pool_with_indices("max_pool1d", self, &pool.into())
    }

    /// [`Tensor::max_pool2d`], and where each maximum is: `i64` row-major positions in the sample's channel, without the padding.
    #[track_caller]
    pub fn max_pool2d_with_indices(self, pool: impl Into<MaxPool<2>>) -> (Tensor, Tensor) {
        max_pool_with_indices("max_pool2d", self, &pool.into())
    }

    /// [`Tensor::max_pool3d`], and where each maximum is: `i64` row-major positions in the sample's channel, without the padding.
    #[track_caller]
    pub fn max_pool3d_with_indices(self, pool: impl Into<MaxPool<3>>) -> (Tensor, Tensor) {
        max_pool_with_indices("max_pool3d", self, &pool.into())
    }

    /// The mean of each window of `[batch, channels, l]`, or of one sample `[channels, l]`; windows as of [`Tensor::max_pool1d`].
    ///
    /// The divisor is the number of elements inside the input and, with `count_include_pad`, its padding. K0105 for numbers that do not fit
    /// and a divisor of 0. Gradient: the cotangents of the windows that an element is in, over their divisors.
    #[track_caller]
    pub fn avg_pool1d(self, pool: impl Into<AvgPool<1>>) -> Tensor {
        avg_pool("avg_pool1d", self, &pool.into())
    }

    /// [`Tensor::avg_pool1d`] of `[batch, channels, h, w]`, or of one sample.
    #[track_caller]
    pub fn avg_pool2d(self, pool: impl Into<AvgPool<2>>) -> Tensor {
        avg_pool("avg_pool2d", self, &pool.into())
    }

    /// [`Tensor::avg_pool1d`] of `[batch, channels, d, h, w]`, or of one sample.
    #[track_caller]
    pub fn avg_pool3d(self, pool: impl Into<AvgPool<3>>) -> Tensor {
        avg_pool("avg_pool3d", self, &pool.into())
    }

    /// The mean of each of `output` windows that cover `[batch, channels, l]`, or one sample `[channels, l]`: from `⌊i·in/out⌋` to
    /// `⌈(i + 1)·in/out⌉`.
    #[track_caller]
    pub fn adaptive_avg_pool1d(self, output: impl Into<OutputSize<1>>) -> Tensor {
        adaptive_avg_pool("adaptive_avg_pool1d", self, output.into())
    }

    /// [`Tensor::adaptive_avg_pool1d`] of `[batch, channels, h, w]`, or of one sample.
    #[track_caller]
    pub fn adaptive_avg_pool2d(self, output: impl Into<OutputSize<2>>) -> Tensor {
        adaptive_avg_pool("adaptive_avg_pool2d", self, output.into())
    }

    /// [`Tensor::adaptive_avg_pool1d`] of `[batch, channels, d, h, w]`, or of one sample.
    #[track_caller]
    pub fn adaptive_avg_pool3d(self, output: impl Into<OutputSize<3>>) -> Tensor {
        adaptive_avg_pool("adaptive_avg_pool3d", self, output.into())
    }

    /// The maximum of each window of [`Tensor::adaptive_avg_pool1d`]; NaN if any element is. Gradient: to the first maximum.
    #[track_caller]
    pub fn adaptive_max_pool1d(self, output: impl Into<OutputSize<1>>) -> Tensor {
        adaptive_max_pool("adaptive_max_pool1d", self, output.into()).0
    }

    /// The maximum of each window of [`Tensor::adaptive_avg_pool2d`]; NaN if any element is. Gradient: to the first maximum.
    #[track_caller]
    pub fn adaptive_max_pool2d(self, output: impl Into<OutputSize<2>>) -> Tensor {
        adaptive_max_pool("adaptive_max_pool2d", self, output.into()).0
    }

    /// The maximum of each window of [`Tensor::adaptive_avg_pool3d`]; NaN if any element is. Gradient: to the first maximum.
    #[track_caller]
    pub fn adaptive_max_pool3d(self, output: impl Into<OutputSize<3>>) -> Tensor {
        adaptive_max_pool("adaptive_max_pool3d", self, output.into()).0
    }

    /// [`Tensor::adaptive_max_pool1d`], and where each maximum is: `i64` row-major positions in the sample's channel.
    #[track_caller]
    pub fn adaptive_max_pool1d_with_indices(self, output: impl Into<OutputSize<1>>) -> (Tensor, Tensor) {
        adaptive_max_pool("adaptive_max_pool1d", self, output.into())
    }

    /// [`Tensor::adaptive_max_pool2d`], and where each maximum is: `i64` row-major positions in the sample's channel.
    #[track_caller]
    pub fn adaptive_max_pool2d_with_indices(self, output: impl Into<OutputSize<2>>) -> (Tensor, Tensor) {
        adaptive_max_pool("adaptive_max_pool2d", self, output.into())
    }

    /// [`Tensor::adaptive_max_pool3d`], and where each maximum is: `i64` row-major positions in the sample's channel.
    #[track_caller]
    pub fn adaptive_max_pool3d_with_indices(self, output: impl Into<OutputSize<3>>) -> (Tensor, Tensor) {
        adaptive_max_pool("adaptive_max_pool3d", self, output.into())
    }
}
