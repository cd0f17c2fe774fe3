//! What depends on the order of elements along an axis: running sums and products, sorting, and selection by rank.

use kiln_ir::ops::{self, Combine};
use kiln_ir::{Code, DType, Diagnostic, Number, Shape};

use super::filled;
use crate::Tensor;

impl Tensor {
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
        let mut result = if self.dtype().is_float() { self } else { self.to(DType::I64) };
        // From behind, so that the axes in front keep their numbers.
        for &axis in axes.iter().rev() {
            result = Tensor::apply(ops::Prod { axis, keep }, &[result]);
        }
        result
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
}
