//! Reductions, and what is made of them. No axes means all axes, as in PyTorch.

use kiln_ir::{DType, Dim, ops};

use crate::Tensor;

macro_rules! reductions {
    ($($(#[$meta:meta])* $method:ident => $op:ident;)*) => {
        impl Tensor {$(
            $(#[$meta])*
            #[track_caller]
            pub fn $method(self, axes: &[i64], keep: bool) -> Tensor {
                match self.axes(stringify!($method), axes) {
                    Some(axes) => Tensor::apply(ops::$op { axes, keep }, &[self]),
                    None => Tensor::poison(),
                }
            }
        )*}
    };
}

reductions! {
    /// The sum over axes.
    sum => Sum;
    /// The maximum over axes.
    amax => Amax;
    /// The minimum over axes.
    amin => Amin;
}

impl Tensor {
    /// The mean over axes; over the batch axis it divides by the true count.
    #[track_caller]
    pub fn mean(self, axes: &[i64], keep: bool) -> Tensor {
        let Some(resolved) = self.axes("mean", axes) else { return Tensor::poison() };
        let sum = self.sum(axes, keep);
        sum / self.count(&resolved)
    }

    /// The mean of all elements.
    #[track_caller]
    pub fn mean_all(self) -> Tensor {
        self.mean(&[], false)
    }

    /// The sum of all elements.
    #[track_caller]
    pub fn sum_all(self) -> Tensor {
        self.sum(&[], false)
    }

    /// The variance over axes, divided by `count - correction`: 1 is PyTorch's default, 0 the population's.
    #[track_caller]
    pub fn var(self, axes: &[i64], correction: f64, keep: bool) -> Tensor {
        let Some(resolved) = self.axes("var", axes) else { return Tensor::poison() };
        let deviation = self - self.mean(axes, true);
        let squares = deviation.square().sum(axes, keep);
        squares / (self.count(&resolved) - correction)
    }

    /// The position of the first maximum on an axis, as `i64`.
    #[track_caller]
    pub fn argmax(self, axis: i64, keep: bool) -> Tensor {
        match self.axis("argmax", axis) {
            Some(axis) => Tensor::apply(ops::Argmax { axes: vec![axis], keep }, &[self]),
            None => Tensor::poison(),
        }
    }

    /// `log softmax(x)` along an axis, by `x - max - log Σ e^(x - max)`.
    #[track_caller]
    pub fn log_softmax(self, axis: i64) -> Tensor {
        if self.axis("log_softmax", axis).is_none() {
            return Tensor::poison();
        }
        let shifted = self - self.amax(&[axis], true).detach();
        shifted - shifted.exp().sum(&[axis], true).log()
    }

    /// `e^x / Σ e^x` along an axis, computed from differences to the maximum.
    #[track_caller]
    pub fn softmax(self, axis: i64) -> Tensor {
        if self.axis("softmax", axis).is_none() {
            return Tensor::poison();
        }
        let exponentials = (self - self.amax(&[axis], true).detach()).exp();
        exponentials / exponentials.sum(&[axis], true)
    }

    /// The number of elements along axes, at run time.
    #[track_caller]
    pub(crate) fn count(self, axes: &[usize]) -> Tensor {
        let shape = self.shape();
        let dims: Vec<Dim> = axes.iter().map(|&axis| shape.0[axis]).collect();
        let dtype = if self.dtype().is_float() { self.dtype() } else { DType::F32 };
        Tensor::extent(&dims, dtype)
    }
}
