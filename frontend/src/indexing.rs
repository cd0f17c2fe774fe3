//! Elements by index: gathers here, and in the files beside what scatters, sorts, runs along an axis, and takes parts by subscript.
//!
//! Indices are integers; one that is out of range stops the step with its position, its value and the bound. As in PyTorch, they are not
//! negative here, except in subscripts and `take_along_dim`.

mod embedding;
mod order;
mod scatter;
mod subscript;

pub use embedding::EmbeddingOptions;
pub use scatter::Reduce;
pub use subscript::{At, NewAxis, TensorIndex};

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim, Number, Shape, Type};

use crate::Tensor;

impl Tensor {
    /// `result[.., i, ..] = self[.., index[.., i, ..], ..]` on `axis`; on the other axes the index may be shorter.
    #[track_caller]
    pub fn gather(self, axis: i64, index: Tensor) -> Tensor {
        if self.rank() == 0 || index.rank() == 0 {
            return self.lifted().gather(axis, index.lifted()).in_shape(index.shape());
        }
        let Some(axis) = self.axis("gather", axis) else { return Tensor::poison() };
        let x = self.cut_to("gather", &index, axis);
        x.gather_as("gather", axis, index)
    }

    /// [`Tensor::gather`] of tensors that broadcast against each other on the other axes; without an axis, of both in one row. Negative indices count
    /// from the end.
    #[track_caller]
    pub fn take_along_dim(self, indices: Tensor, axis: impl Into<Option<i64>>) -> Tensor {
        let Some(axis) = axis.into() else {
            return self.reshape([-1]).take_along_dim(indices.reshape([-1]), 0);
        };
        let Some(axis) = self.axis("take_along_dim", axis) else { return Tensor::poison() };
        let bound = vec![self.shape().0[axis]];
        let indices = Tensor::apply_as("take_along_dim", ops::CheckIndex { bound }, &[indices.as_index()]);
        if indices.value().is_none() || self.rank() != indices.rank() {
            return self.gather_as("take_along_dim", axis, indices);
        }
        // Where extents do not broadcast, `gather` says so. The axis itself takes no part.
        let (mut x, mut index) = (self.shape(), indices.shape());
        for at in (0..x.rank()).filter(|&at| at != axis) {
            let wide = if x.0[at] == Dim::ONE { index.0[at] } else { x.0[at] };
            (x.0[at], index.0[at]) = (wide, if index.0[at] == Dim::ONE { wide } else { index.0[at] });
        }
        self.broadcast(&x).gather_as("take_along_dim", axis, indices.broadcast(&index))
    }

    /// The slices of `axis` that `index`, of one axis, names.
    #[track_caller]
    pub fn index_select(self, axis: i64, index: Tensor) -> Tensor {
        if self.rank() == 0 {
            return self.lifted().index_select(axis, index).in_shape(Shape::SCALAR);
        }
        let index = index.lifted();
        let Some(axis) = self.axis("index_select", axis) else { return Tensor::poison() };
        if index.value().is_none() {
            return index;
        }
        if index.rank() != 1 {
            let message = format!("index_select needs an index with one axis, found {}", index.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        let mut shape = self.shape();
        shape.0[axis] = index.shape().0[0];
        let mut ones = vec![Dim::ONE; shape.rank()];
        ones[axis] = shape.0[axis];
        let line = index.shaped("index_select", ones);
        self.gather_as("index_select", axis, line.broadcast(&shape))
    }

    /// The rows of `self`, `[rows, features]`, that `index` of any shape names: `[.., features]` (PyTorch's `F.embedding`).
    #[track_caller]
    pub fn embedding(self, index: Tensor) -> Tensor {
        if self.value().is_none() || index.value().is_none() {
            return Tensor::poison();
        }
        if self.rank() != 2 {
            let message = format!("embedding needs a weight [rows, features], found {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        let (count, features) = (index.shape().count(), self.shape().0[1]);
        let mut shape = index.shape().0;
        shape.push(features);
        let column = index.shaped("embedding", vec![count, Dim::ONE]);
        let rows = self.gather_as("embedding", 0, column.broadcast(&Shape(vec![count, features])));
        rows.shaped("embedding", shape)
    }

    /// 1 where the last position is the label, 0 elsewhere: `i64[.., classes]`. A label outside `0..classes` stops the step; labels without
    /// classes are K0105. No gradient.
    #[track_caller]
    pub fn one_hot(self, classes: usize) -> Tensor {
        if classes == 0 && self.value().is_some() && self.shape().count() != Dim::fixed(0) {
            let message = format!("one_hot needs at least one class for its labels: found 0 for {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        self.is_class("one_hot", classes).to(DType::I64)
    }

    /// Where the last position is the label: [`Tensor::one_hot`] as `bool`, which the loss `method` chooses by.
    #[track_caller]
    pub(crate) fn is_class(self, method: &str, classes: usize) -> Tensor {
        Tensor::apply_as(method, ops::OneHot { classes, checked: true }, &[self])
    }

    #[track_caller]
    fn gather_as(self, method: &str, axis: usize, index: Tensor) -> Tensor {
        Tensor::apply_as(method, ops::Gather { axis }, &[self, index.as_index()])
    }

    /// Without what lies beyond the extents of `index`, on every axis but one.
    #[track_caller]
    fn cut_to(self, method: &str, index: &Tensor, axis: usize) -> Tensor {
        if index.value().is_none() || self.rank() != index.rank() {
            return self;
        }
        let mut result = self;
        for (at, (own, wanted)) in self.shape().0.into_iter().zip(index.shape().0).enumerate() {
            if at != axis && !own.batch && !wanted.batch && wanted.factor < own.factor {
                let slice = ops::Slice { axis: at, start: 0, length: wanted.factor, step: 1 };
                result = Tensor::apply_as(method, slice, &[result]);
            }
        }
        result
    }

    /// A number as a tensor of one element: PyTorch finds elements of both alike.
    #[track_caller]
    fn lifted(self) -> Tensor {
        if self.value().is_some() && self.rank() == 0 { self.in_shape([Dim::ONE]) } else { self }
    }

    /// Indices of a narrower dtype in `i64`.
    #[track_caller]
    fn as_index(self) -> Tensor {
        if self.dtype() == DType::I32 { self.to(DType::I64) } else { self }
    }

    /// The same elements in a shape of the same count.
    #[track_caller]
    fn shaped(self, method: &str, shape: Vec<Dim>) -> Tensor {
        if self.shape().0 == shape { self } else { Tensor::apply_as(method, ops::Reshape { shape }, &[self]) }
    }
}

/// One number everywhere.
#[track_caller]
fn filled(method: &str, value: f64, ty: &Type) -> Tensor {
    let full = ops::Full { value: Number::new(value), dtype: ty.dtype, shape: ty.shape.0.clone() };
    Tensor::apply_as(method, full, &[])
}
