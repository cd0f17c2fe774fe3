//! Methods that find elements by index or by order, and those that run along an axis.
//!
//! Indices are integers; one that is out of range stops the step with its position, its value and the bound. As in PyTorch, they are not
//! negative here.

use kiln_ir::ops::{self, Combine};
use kiln_ir::{Code, DType, Diagnostic, Dim, Number, Shape, Type};

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
        let put = |base: Tensor, value: f64, combine| {
            let value = Tensor::full(value, self.dtype());
            base.scatter_as(method, axis, index, value, combine)
        };
        let base = if include_self { self } else { put(self, identity, Combine::Replace) };
        let joined = base.scatter_as(method, axis, index, src, combine);
        if reduce != Reduce::Mean {
            return joined;
        }
        let own = Tensor::full(f64::from(u8::from(include_self)), self.dtype()).broadcast(&self.shape());
        let count = put(own, 1.0, Combine::Add);
        let one = Tensor::full(1.0, self.dtype());
        joined / count.maximum(one)
    }

    /// The running sum along an axis. Integers are summed in `i64`, half types in `f32`.
    #[track_caller]
    pub fn cumsum(self, axis: i64) -> Tensor {
        self.scan("cumsum", axis, |x, one, _| ([one, x], 0.0))
    }

    /// The running product along an axis. Integers are multiplied in `i64`, half types in `f32`. The gradient is right where elements are zero.
    #[track_caller]
    pub fn cumprod(self, axis: i64) -> Tensor {
        self.scan("cumprod", axis, |x, _, zero| ([x, zero], 1.0))
    }

    /// The product over axes; all of them when none is given. The gradient is right where elements are zero.
    #[track_caller]
    pub fn prod(self, axes: &[i64], keep: bool) -> Tensor {
        let Some(axes) = self.axes("prod", axes) else { return Tensor::poison() };
        let x = if self.dtype().is_float() { self } else { self.to(DType::I64) };
        // From behind, so that the axes in front keep their numbers.
        axes.iter().rev().fold(x, |x, &axis| Tensor::apply(ops::Prod { axis, keep }, &[x]))
    }

    /// 1 where the last position is the label, 0 elsewhere: `i64[.., classes]`. A label outside `0..classes` stops the step; labels without
    /// classes are K0105. No gradient.
    #[track_caller]
    pub fn one_hot(self, classes: usize) -> Tensor {
        if classes == 0 && self.value().is_some() && self.shape().count() != Dim::fixed(0) {
            let message = format!("one_hot needs at least one class for its labels: found 0 for {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        self.is_class(classes).to(DType::I64)
    }

    /// Where the last position is the label: [`Tensor::one_hot`] as `bool`, which a loss chooses by.
    #[track_caller]
    pub(crate) fn is_class(self, classes: usize) -> Tensor {
        Tensor::apply(ops::OneHot { classes, checked: true }, &[self])
    }

    /// The positions of the elements in sorted order, as `i64`. Equal elements keep their order; NaN is greater than every number.
    #[track_caller]
    pub fn argsort(self, axis: i64, descending: bool) -> Tensor {
        if self.rank() == 0 {
            return self.lifted().argsort(axis, descending).in_shape(Shape::SCALAR);
        }
        match self.axis("argsort", axis) {
            Some(axis) => self.order("argsort", axis, descending),
            None => Tensor::poison(),
        }
    }

    /// The elements in sorted order, and their positions.
    #[track_caller]
    pub fn sort(self, axis: i64, descending: bool) -> (Tensor, Tensor) {
        if self.rank() == 0 {
            let (values, order) = self.lifted().sort(axis, descending);
            return (values.in_shape(Shape::SCALAR), order.in_shape(Shape::SCALAR));
        }
        let Some(axis) = self.axis("sort", axis) else { return (Tensor::poison(), Tensor::poison()) };
        let order = self.order("sort", axis, descending);
        (self.gather_as("sort", axis, order), order)
    }

    /// The `k` greatest elements (or smallest) in order, and their positions.
    #[track_caller]
    pub fn topk(self, k: usize, axis: i64, largest: bool) -> (Tensor, Tensor) {
        if self.rank() == 0 {
            let (values, order) = self.lifted().topk(k, axis, largest);
            return if k == 1 {
                (values.in_shape(Shape::SCALAR), order.in_shape(Shape::SCALAR))
            } else {
                (values, order)
            };
        }
        let Some((axis, extent)) = self.fixed_axis("topk", axis) else { return (Tensor::poison(), Tensor::poison()) };
        if k > extent {
            let message = format!("topk needs k of at most {extent}, the extent of axis {axis}: found {k}");
            return (Tensor::mistake(Diagnostic::new(Code::BadArgument, message)), Tensor::poison());
        }
        if !self.is_number("topk") {
            return (Tensor::poison(), Tensor::poison());
        }
        let order = self.order("topk", axis, largest);
        let first = Tensor::apply_as("topk", ops::Slice { axis, start: 0, length: k, step: 1 }, &[order]);
        (self.gather_as("topk", axis, first), first)
    }

    /// The `k`-th smallest element, counted from 1, and its position.
    #[track_caller]
    pub fn kthvalue(self, k: usize, axis: i64, keep: bool) -> (Tensor, Tensor) {
        let Some(at) = self.axis("kthvalue", axis) else { return (Tensor::poison(), Tensor::poison()) };
        let Some(start) = k.checked_sub(1) else {
            let message = "kthvalue needs k of at least 1: found 0";
            return (Tensor::mistake(Diagnostic::new(Code::BadArgument, message)), Tensor::poison());
        };
        let order = self.order("kthvalue", at, false);
        let index = Tensor::apply_as("kthvalue", ops::Slice { axis: at, start, length: 1, step: 1 }, &[order]);
        self.picked("kthvalue", at, index, keep)
    }

    /// The median along an axis, of an even count the lower of the two in the middle, and its position. NaN if any element is.
    #[track_caller]
    pub fn median(self, axis: i64, keep: bool) -> (Tensor, Tensor) {
        let Some(at) = self.axis("median", axis) else { return (Tensor::poison(), Tensor::poison()) };
        let order = self.order("median", at, false);
        let start = self.shape().0[at].factor.saturating_sub(1) / 2;
        let middle = Tensor::apply_as("median", ops::Slice { axis: at, start, length: 1, step: 1 }, &[order]);
        if !self.dtype().is_float() {
            return self.picked("median", at, middle, keep);
        }
        let greatest = Tensor::apply_as("median", ops::Amax { axes: vec![at], keep: true }, &[self.detach()]);
        let first = Tensor::apply_as("median", ops::Argmax { axes: vec![at], keep: true }, &[self]);
        let has_nan = Tensor::apply_as("median", ops::Ne {}, &[greatest, greatest]);
        let index = Tensor::apply_as("median", ops::Where {}, &[has_nan, first, middle]);
        self.picked("median", at, index, keep)
    }

    /// The elements at `index`, which has extent 1 on the axis, and the index.
    #[track_caller]
    fn picked(self, method: &str, axis: usize, index: Tensor, keep: bool) -> (Tensor, Tensor) {
        let values = self.gather_as(method, axis, index);
        if keep || values.value().is_none() {
            return (values, index);
        }
        let mut shape = values.shape().0;
        shape.remove(axis);
        (values.shaped(method, shape.clone()), index.shaped(method, shape))
    }

    /// The positions in sorted order: each position scattered to its element's rank.
    #[track_caller]
    fn order(self, method: &str, axis: usize, descending: bool) -> Tensor {
        let x = if self.dtype() == DType::Bool { self.to(DType::U8) } else { self };
        let rank = Tensor::apply_as(method, ops::RankOf { axis, descending }, &[x]);
        if rank.value().is_none() {
            return rank;
        }
        let ty = rank.ty();
        let positions = ops::Iota { axis, dtype: ty.dtype, shape: ty.shape.0.clone() };
        let positions = Tensor::apply_as(method, positions, &[]);
        let base = filled(method, 0.0, &ty);
        Tensor::apply_as(method, ops::Scatter { axis, combine: Combine::Replace }, &[base, rank, positions])
    }

    /// A recurrence from the operands and the start that `terms` makes of the tensor, ones and zeros.
    #[track_caller]
    fn scan(self, method: &str, axis: i64, terms: fn(Tensor, Tensor, Tensor) -> ([Tensor; 2], f64)) -> Tensor {
        if self.rank() == 0 {
            return self.lifted().scan(method, axis, terms).in_shape(Shape::SCALAR);
        }
        let Some(axis) = self.axis(method, axis) else { return Tensor::poison() };
        let dtype = self.dtype();
        let kept = match dtype {
            DType::F16 | DType::BF16 => DType::F32,
            dtype if dtype.is_float() => dtype,
            _ => DType::I64,
        };
        let x = self.to(kept);
        let ty = x.ty();
        let (operands, start) = terms(x, filled(method, 1.0, &ty), filled(method, 0.0, &ty));
        let scan = ops::Scan { axis, reverse: false, start: Number::new(start) };
        let result = Tensor::apply_as(method, scan, &operands);
        if dtype.is_float() { result.to(dtype) } else { result }
    }

    #[track_caller]
    fn gather_as(self, method: &str, axis: usize, index: Tensor) -> Tensor {
        Tensor::apply_as(method, ops::Gather { axis }, &[self, index.as_index()])
    }

    #[track_caller]
    fn scatter_as(self, method: &str, axis: i64, index: Tensor, src: Tensor, combine: Combine) -> Tensor {
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
        let part = |start, length| Tensor::apply_as(method, ops::Slice { axis, start, length, step: 1 }, &[self]);
        let front = part(0, length).scatter_block(method, index, src, scatter);
        Tensor::apply_as(method, ops::Concat { axis }, &[front, part(length, extent - length)])
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

/// One number everywhere.
#[track_caller]
fn filled(method: &str, value: f64, ty: &Type) -> Tensor {
    let full = ops::Full { value: Number::new(value), dtype: ty.dtype, shape: ty.shape.0.clone() };
    Tensor::apply_as(method, full, &[])
}
