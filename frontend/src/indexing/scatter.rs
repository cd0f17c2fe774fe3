//! Scatters: elements put to computed places, in the order of the index whatever the number of threads.

use kiln_ir::DType;
use kiln_ir::Shape;
use kiln_ir::ops::{self, Combine};

use super::filled;
use crate::Tensor;
use crate::scalar::Operand;

/// How [`Tensor::scatter_reduce`] joins elements: PyTorch's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduce {
    /// The sum.
    Sum,
    /// The product.
    Prod,
    /// The sum divided by the count.
    Mean,
    /// The greatest.
    Amax,
    /// The smallest.
    Amin,
}

impl Tensor {
    /// `self` with `src[.., i, ..]` put to `[.., index[.., i, ..], ..]` on `axis`. Where several come to one place, the last stays.
    #[track_caller]
    pub fn scatter(self, axis: i64, index: Tensor, src: impl Operand) -> Tensor {
        let src = src.like(self);
        self.scatter_as("scatter", axis, index, src, Combine::Replace)
    }

    /// `self` with `src[.., i, ..]` added at `[.., index[.., i, ..], ..]` on `axis`, in the order of `i` whatever the number of threads.
    #[track_caller]
    pub fn scatter_add(self, axis: i64, index: Tensor, src: impl Operand) -> Tensor {
        let src = src.like(self);
        self.scatter_as("scatter_add", axis, index, src, Combine::Add)
    }

    /// `self` with `src[.., i, ..]` joined to what is at `[.., index[.., i, ..], ..]` on `axis`. Without `include_self` what is there counts
    /// only where nothing comes.
    #[track_caller]
    pub fn scatter_reduce(
        self,
        axis: i64,
        index: Tensor,
        src: impl Operand,
        reduce: Reduce,
        include_self: bool,
    ) -> Tensor {
        let src = src.like(self);
        let method = "scatter_reduce";
        let (combine, identity) = match reduce {
            Reduce::Sum | Reduce::Mean => (Combine::Add, 0.0),
            Reduce::Prod => (Combine::Multiply, 1.0),
            Reduce::Amax => (Combine::Amax, lowest(self.dtype())),
            Reduce::Amin => (Combine::Amin, highest(self.dtype())),
        };
        let fill = Tensor::full(identity, self.dtype());
        let base = if include_self { self } else { self.scatter_as(method, axis, index, fill, Combine::Replace) };
        let joined = base.scatter_as(method, axis, index, src, combine);
        if reduce != Reduce::Mean || joined.value().is_none() {
            return joined;
        }
        let own = filled(method, f64::from(u8::from(include_self)), &self.ty());
        let one = Tensor::full(1.0, self.dtype());
        let count = own.scatter_as(method, axis, index, one, Combine::Add);
        joined / count.maximum(one)
    }

    #[track_caller]
    pub(crate) fn scatter_as(self, method: &str, axis: i64, index: Tensor, src: Tensor, combine: Combine) -> Tensor {
        let (Some(_), Some(_)) = (index.value(), src.value()) else { return Tensor::poison() };
        if self.rank() == 0 {
            let lifted = self.lifted().scatter_as(method, axis, index.lifted(), src.lifted(), combine);
            return lifted.in_shape(Shape::SCALAR);
        }
        let index = index.lifted();
        let Some(axis) = self.axis(method, axis) else { return Tensor::poison() };
        let src = if src.rank() == 0 { src.broadcast(&index.shape()) } else { src.cut_to(method, &index, self.rank()) };
        // Half types do not hold long sums and products; those of truth values are counts, and true where they are not 0.
        let sums = matches!(combine, Combine::Add | Combine::Multiply);
        let dtype = self.dtype();
        let wide = match dtype {
            DType::F16 | DType::BF16 if sums => DType::F32,
            DType::Bool if sums => DType::I64,
            dtype => dtype,
        };
        let src = if src.dtype() == dtype { src.to(wide) } else { src };
        self.to(wide).scatter_block(method, index.as_index(), src, ops::Scatter { axis, combine }).to(dtype)
    }

    /// The scatter in the front part of every axis on which the index is shorter; what lies beyond stays.
    #[track_caller]
    fn scatter_block(self, method: &str, index: Tensor, src: Tensor, scatter: ops::Scatter) -> Tensor {
        let (own, wanted) = (self.shape().0, index.shape().0);
        let shorter = |&at: &usize| {
            at != scatter.axis && !own[at].batch && !wanted[at].batch && wanted[at].factor < own[at].factor
        };
        let axis = if own.len() == wanted.len() { (0..own.len()).find(shorter) } else { None };
        let Some(axis) = axis else { return Tensor::apply_as(method, scatter, &[self, index, src]) };
        let (length, extent) = (wanted[axis].factor, own[axis].factor);
        let front = Tensor::apply_as(method, ops::Slice { axis, start: 0, length, step: 1 }, &[self]);
        let rest = ops::Slice { axis, start: length, length: extent - length, step: 1 };
        let rest = Tensor::apply_as(method, rest, &[self]);
        let front = front.scatter_block(method, index, src, scatter);
        Tensor::apply_as(method, ops::Concat { axis }, &[front, rest])
    }
}

/// What is below every number of a dtype.
fn lowest(dtype: DType) -> f64 {
    match dtype {
        DType::Bool | DType::U8 => 0.0,
        DType::I32 => f64::from(i32::MIN),
        DType::I64 => i64::MIN as f64,
        _ => f64::NEG_INFINITY,
    }
}

/// What is above every number of a dtype.
fn highest(dtype: DType) -> f64 {
    match dtype {
        DType::Bool => 1.0,
        DType::U8 => f64::from(u8::MAX),
        DType::I32 => f64::from(i32::MAX),
        DType::I64 => i64::MAX as f64,
        _ => f64::INFINITY,
    }
}
