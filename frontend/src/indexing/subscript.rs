//! `x[...]`: positions, ranges, new axes and index tensors, one for each axis, and the assignment to such a part.
//!
//! Positions and ranges are views. Index tensors follow NumPy's rules for advanced indexing: they broadcast against each other, and their axes stand
//! where the indexed axes were, or in front if those were not neighbours. As in PyTorch a single position is no index tensor.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use kiln_ir::{Code, DType, Diagnostic, Dim, Number, ops};

use crate::Tensor;
use crate::arithmetic::broadcast_shape;
use crate::scalar::Operand;

/// One item of a subscript. [`at!`](crate::at) makes them of what is written as in Python.
#[derive(Clone, PartialEq, Debug)]
pub enum At {
    /// One position, from the end if negative; the axis goes.
    Position(i64),
    /// `start:stop:step`, from the end if negative; what lies outside is left out.
    Range {
        /// The first position.
        start: Option<i64>,
        /// The position after the last.
        stop: Option<i64>,
        /// The distance, at least 1.
        step: i64,
    },
    /// `...`: every axis that no other item names.
    Rest,
    /// `None`: a new axis of extent 1.
    NewAxis,
    /// The positions that an integer tensor names, from the end if negative.
    Tensor(TensorIndex),
    /// The same, written out in a list.
    List(Vec<i64>),
}

/// A tensor as an item of a subscript.
#[derive(Clone, Copy, Debug)]
pub struct TensorIndex(Tensor);

impl PartialEq for TensorIndex {
    fn eq(&self, other: &TensorIndex) -> bool {
        self.0.value() == other.0.value()
    }
}

/// A new axis in a subscript: Python's `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewAxis;

/// The items of a subscript: `x.at(at![0, 1..3, .., NewAxis, -1])`. A number is a position, `1..3`, `1..` and `..3` are ranges, `0..` is Python's
/// `:`, `..` is its `...`; `At::Range` has a step.
#[macro_export]
macro_rules! at {
    ($($item:expr),* $(,)?) => { [$($crate::At::from($item)),*] };
}

macro_rules! items {
    ($($ty:ty: $item:ident => $at:expr;)*) => {$(
        impl From<$ty> for At {
            fn from($item: $ty) -> At {
                $at
            }
        }
    )*};
}

items! {
    i64: position => At::Position(position);
    i32: position => At::Position(position.into());
    Range<i64>: range => At::Range { start: Some(range.start), stop: Some(range.end), step: 1 };
    Range<i32>: range => At::Range { start: Some(range.start.into()), stop: Some(range.end.into()), step: 1 };
    RangeFrom<i64>: range => At::Range { start: Some(range.start), stop: None, step: 1 };
    RangeFrom<i32>: range => At::Range { start: Some(range.start.into()), stop: None, step: 1 };
    RangeTo<i64>: range => At::Range { start: None, stop: Some(range.end), step: 1 };
    RangeTo<i32>: range => At::Range { start: None, stop: Some(range.end.into()), step: 1 };
    RangeFull: _all => At::Rest;
    NewAxis: _axis => At::NewAxis;
    Tensor: index => At::Tensor(TensorIndex(index));
    Vec<i64>: list => At::List(list);
}

/// An axis that an index tensor stands for.
struct Indexed {
    axis: usize,
    index: Tensor,
}

impl Tensor {
    /// The part that a subscript names: `x[...]`.
    ///
    /// Errors: K0102 for more items than axes, K0103 for an index tensor that is not of integers, K0105 for a position out of range, a step below 1 and a second
    /// `..`; a value of an index tensor that is out of range stops the step. Gradient: `g` at the part, added where a position is named twice.
    #[track_caller]
    pub fn at(self, items: impl AsRef<[At]>) -> Tensor {
        let items = items.as_ref();
        let (mut x, mut axis, mut indexed) = (self, 0, Vec::new());
        let Some(rest) = self.axes_left(items) else { return Tensor::poison() };
        for item in items {
            match item {
                At::Position(position) => x = x.select(axis as i64, *position),
                At::Range { start, stop, step } => {
                    x = x.range(axis, [*start, *stop], *step);
                    axis += 1;
                }
                At::Rest => axis += rest,
                At::NewAxis => {
                    x = x.unsqueeze(axis as i64);
                    axis += 1;
                }
                At::Tensor(TensorIndex(index)) => {
                    indexed.push(Indexed { axis, index: *index });
                    axis += 1;
                }
                At::List(list) => {
                    let data = list.iter().map(|&position| Number::new(position as f64)).collect();
                    let constant = ops::Constant { dtype: DType::I64, shape: vec![Dim::fixed(list.len())], data };
                    indexed.push(Indexed { axis, index: Tensor::apply(constant, &[]) });
                    axis += 1;
                }
            }
            if x.value().is_none() {
                return x;
            }
        }
        if indexed.is_empty() { x } else { x.gathered(indexed) }
    }

    /// The tensor with `value` put to the part that a subscript names: what `x[...] = value` makes of `x`. Where a position is named twice, the last
    /// stays.
    ///
    /// Shapes: the value broadcasts to the part. Dtypes: it is converted. Errors: as [`Tensor::at`], and K0101. Gradients: `g` outside of the part, and the part of `g`.
    #[track_caller]
    pub fn put_at(self, items: impl AsRef<[At]>, value: impl Operand) -> Tensor {
        let value = value.like(self);
        let (Some(_), Some(_)) = (self.value(), value.value()) else { return Tensor::poison() };
        let shape = self.shape();
        let Some(count) = shape.count().as_fixed() else {
            let message = format!("put_at needs a tensor without a batch axis: found {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::BatchAxis, message));
        };
        let numbers = ops::Iota { axis: 0, dtype: DType::I64, shape: vec![Dim::fixed(count)] };
        let places = Tensor::apply(numbers, &[]).in_shape_of(self).at(items);
        let Some(joined) = broadcast_shape("put_at", &[places, value]) else { return Tensor::poison() };
        if joined != places.shape() {
            let message =
                format!("put_at needs a value that broadcasts to the part {}: found {}", places.shape(), value.shape());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let value = value.to(self.dtype()).broadcast(&joined);
        self.reshape([-1]).scatter(0, places.reshape([-1]), value.reshape([-1])).in_shape_of(self)
    }

    /// How many axes `..` stands for.
    #[track_caller]
    fn axes_left(self, items: &[At]) -> Option<usize> {
        self.value()?;
        let named = items.iter().filter(|item| !matches!(item, At::Rest | At::NewAxis)).count();
        if items.iter().filter(|item| **item == At::Rest).count() > 1 {
            Tensor::mistake(Diagnostic::new(Code::BadArgument, "at needs at most one `..`: found several"));
            return None;
        }
        let left = self.rank().checked_sub(named);
        if left.is_none() {
            let message = format!("at needs at most {} items, the rank of {}: found {named}", self.rank(), self.ty());
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        left
    }

    /// Python's `start:stop:step` on an axis.
    #[track_caller]
    fn range(self, axis: usize, bounds: [Option<i64>; 2], step: i64) -> Tensor {
        if step < 1 {
            let message = format!("at needs a step of at least 1: found {step}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message).help("`flip` turns an axis round"));
        }
        if matches!(bounds, [None | Some(0), None]) && step == 1 {
            return self;
        }
        let Some(extent) = self.shape().0[axis].as_fixed() else {
            let message =
                format!("at needs a constant extent to take a range of: axis {axis} of {} is the batch", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::BatchAxis, message));
        };
        let extent = extent as i64;
        let inside = |bound: i64| (if bound < 0 { bound + extent } else { bound }).clamp(0, extent);
        let (start, stop) = (inside(bounds[0].unwrap_or(0)), inside(bounds[1].unwrap_or(extent)));
        let length = (stop - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        let start = if length == 0 { 0 } else { start };
        let slice = ops::Slice { axis, start: start as usize, length: length as usize, step: step as usize };
        Tensor::apply_as("at", slice, &[self])
    }

    /// The elements at index tensors. The indexed axes become one, of which rows are taken.
    #[track_caller]
    fn gathered(self, indexed: Vec<Indexed>) -> Tensor {
        let mut tensors = Vec::new();
        for Indexed { index, .. } in &indexed {
            if index.value().is_some() && !matches!(index.dtype(), DType::U8 | DType::I32 | DType::I64) {
                let message = format!("at needs an index of integers: found {}", index.ty());
                let help = "a mask has no fixed number of positions; use `where_` or `masked_fill`";
                return Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help(help));
            }
            tensors.push(*index);
        }
        let Some(shape) = broadcast_shape("at", &tensors) else { return Tensor::poison() };
        let axes: Vec<usize> = indexed.iter().map(|one| one.axis).collect();
        let neighbours = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let (first, x) = if neighbours { (axes[0], self) } else { (0, self.with_in_front(&axes)) };
        let dims = x.shape().0;
        let extents = &dims[first..first + axes.len()];
        let mut flat: Option<Tensor> = None;
        for (index, extent) in tensors.into_iter().zip(extents) {
            let checked = ops::CheckIndex { bound: vec![*extent] };
            let index = Tensor::apply_as("index", checked, &[index.to(DType::I64)]).broadcast(&shape);
            flat = Some(match flat {
                None => index,
                Some(outer) => outer * extent.factor as i64 + index,
            });
        }
        let Some(flat) = flat else { return Tensor::poison() };
        let joined =
            [&dims[..first], &[kiln_ir::Shape(extents.to_vec()).count()], &dims[first + axes.len()..]].concat();
        let rows = x.in_shape(joined).index_select(first as i64, flat.reshape([-1]));
        let result = [&dims[..first], &shape.0, &dims[first + axes.len()..]].concat();
        rows.in_shape(result)
    }

    /// The axes of a list in front, in its order, and the others after them.
    #[track_caller]
    fn with_in_front(self, axes: &[usize]) -> Tensor {
        let others = (0..self.rank()).filter(|axis| !axes.contains(axis));
        let dims = axes.iter().copied().chain(others).collect();
        Tensor::apply_as("at", ops::Permute { dims }, &[self])
    }

    #[track_caller]
    fn in_shape_of(self, other: Tensor) -> Tensor {
        self.in_shape(other.shape().0)
    }
}
