//! Reductions, and what is made of them. No axes means all axes, as in PyTorch; a tensor without axes takes 0 and -1 for axes, and reduces
//! to itself.
//!
//! PyTorch's `dtype` argument is a conversion before the call: `x.to(dtype).sum(..)`. Half precision is summed up, and composed functions are
//! computed, in `f32`.

mod extremes;
mod norms;
mod softmax;
mod statistics;

use kiln_ir::{DType, Dim, ops};

use crate::Tensor;

/// The ops, over axes that are resolved already. There is nothing to do over none.
macro_rules! over {
    ($($method:ident => $op:ident;)*) => {
        impl Tensor {$(
            #[track_caller]
            pub(crate) fn $method(self, axes: &[usize], keep: bool) -> Tensor {
                if axes.is_empty() { self } else { Tensor::apply(ops::$op { axes: axes.to_vec(), keep }, &[self]) }
            }
        )*}
    };
}

over! {
    sum_over => Sum;
    max_over => Amax;
    min_over => Amin;
    argmax_over => Argmax;
}

impl Tensor {
    /// `Σ x` over axes; 0 over nothing. Integers and truth values are summed as `i64`.
    ///
    /// An axis that does not exist is K0104, one that is named twice K0105. Gradient: `g` repeated.
    #[track_caller]
    pub fn sum(self, axes: &[i64], keep: bool) -> Tensor {
        let Some(axes) = self.axes("sum", axes) else { return Tensor::poison() };
        let x = if self.dtype().is_float() { self } else { self.to(DType::I64) };
        x.sum_over(&axes, keep)
    }

    /// The sum of all elements.
    #[track_caller]
    pub fn sum_all(self) -> Tensor {
        self.sum(&[], false)
    }

    /// `Σ x / count` over axes; over the batch axis it divides by the true count. NaN over nothing.
    ///
    /// Floating dtypes (K0103); an axis that does not exist is K0104, one that is named twice K0105. Gradient: `g / count` repeated.
    #[track_caller]
    pub fn mean(self, axes: &[i64], keep: bool) -> Tensor {
        let Some(axes) = self.floating_axes("mean", axes) else { return Tensor::poison() };
        let x = self.wide();
        (x.sum_over(&axes, keep) / x.count(&axes)).to(self.dtype())
    }

    /// The mean of all elements.
    #[track_caller]
    pub fn mean_all(self) -> Tensor {
        self.mean(&[], false)
    }

    /// How many elements are not zero, as `i64`. NaN is not zero. No gradient.
    #[track_caller]
    pub fn count_nonzero(self, axes: &[i64]) -> Tensor {
        match self.axes("count_nonzero", axes) {
            Some(axes) => self.to_bool().to(DType::I64).sum_over(&axes, false),
            None => Tensor::poison(),
        }
    }

    /// Whether all elements are not zero, `bool`; `u8` of `u8`, as in PyTorch. True over nothing. No gradient.
    #[track_caller]
    pub fn all(self, axes: &[i64], keep: bool) -> Tensor {
        match self.axes("all", axes) {
            Some(axes) => self.truths().min_over(&axes, keep).to(self.truth_dtype()),
            None => Tensor::poison(),
        }
    }

    /// Whether any element is not zero, `bool`; `u8` of `u8`, as in PyTorch. False over nothing. No gradient.
    #[track_caller]
    pub fn any(self, axes: &[i64], keep: bool) -> Tensor {
        match self.axes("any", axes) {
            Some(axes) => self.truths().max_over(&axes, keep).to(self.truth_dtype()),
            None => Tensor::poison(),
        }
    }

    /// 1 for what is not zero: what maxima and minima of truth values are taken of.
    #[track_caller]
    fn truths(self) -> Tensor {
        self.to_bool().to(DType::U8)
    }

    fn truth_dtype(self) -> DType {
        if self.dtype() == DType::U8 { DType::U8 } else { DType::Bool }
    }

    /// The number of elements along axes, at run time.
    #[track_caller]
    pub(crate) fn count(self, axes: &[usize]) -> Tensor {
        let shape = self.shape();
        let dims: Vec<Dim> = axes.iter().map(|&axis| shape.0[axis]).collect();
        let dtype = if self.dtype().is_float() { self.dtype() } else { DType::F32 };
        Tensor::extent(&dims, dtype)
    }

    /// The axes of a reduction of real numbers.
    #[track_caller]
    pub(crate) fn floating_axes(self, op: &str, axes: &[i64]) -> Option<Vec<usize>> {
        if !self.is_floating(op) {
            return None;
        }
        self.axes(op, axes)
    }
}
