//! The symbolic tensor: a handle to a value of the trace, with PyTorch's methods.
//!
//! It has a type and no elements. Every method adds an op to the open trace, at the line of the caller. A mistake gives a tensor without
//! a value, whose every use is silent; the trace reports the mistake itself.

use std::panic::Location;

use kiln_ir::{Code, DType, Diagnostic, Dim, Op, Shape, Type, ValueId};

use crate::trace;

/// A value of the open trace.
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    trace: u64,
    value: Option<ValueId>,
}

/// An extent in a shape that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// This extent.
    Dim(Dim),
    /// `-1`: whatever the element count leaves.
    Rest,
    /// Some other negative number, which is a mistake.
    Negative(i64),
}

impl From<i64> for Size {
    fn from(size: i64) -> Size {
        match size {
            -1 => Size::Rest,
            size => usize::try_from(size).map_or(Size::Negative(size), |size| Size::Dim(Dim::fixed(size))),
        }
    }
}

impl From<i32> for Size {
    fn from(size: i32) -> Size {
        Size::from(i64::from(size))
    }
}

impl From<usize> for Size {
    fn from(size: usize) -> Size {
        Size::Dim(Dim::fixed(size))
    }
}

impl From<Dim> for Size {
    fn from(dim: Dim) -> Size {
        Size::Dim(dim)
    }
}

/// Sizes that are asked for: an array, a slice or a vector of numbers, of extents such as [`BATCH`](crate::BATCH), or of both as [`Size`].
pub trait Sizes {
    /// The sizes.
    fn sizes(&self) -> Vec<Size>;
}

macro_rules! lists {
    ($(($($generics:tt)*) $ty:ty;)*) => {$(
        impl<S: Into<Size> + Copy, $($generics)*> Sizes for $ty {
            fn sizes(&self) -> Vec<Size> {
                self.iter().map(|&size| size.into()).collect()
            }
        }
    )*};
}

lists! {
    (const N: usize) [S; N];
    (const N: usize) &[S; N];
    () &[S];
    () Vec<S>;
    () &Vec<S>;
}

impl Tensor {
    pub(crate) fn new(trace: u64, value: Option<ValueId>) -> Tensor {
        Tensor { trace, value }
    }

    /// A tensor that a mistake left without a value.
    pub(crate) const fn poison() -> Tensor {
        Tensor { trace: 0, value: None }
    }

    pub(crate) fn value(self) -> Option<ValueId> {
        self.value
    }

    /// Whether it is a value of the trace of this number.
    pub(crate) fn is_of(self, trace: u64) -> bool {
        self.trace == trace
    }

    /// The type; `f32[]` for a tensor that a mistake left without one.
    pub fn ty(self) -> Type {
        let ty = self.value.and_then(|value| trace::with(|trace| trace.graph.ty(value).clone()));
        ty.unwrap_or_else(|| Type::scalar(DType::F32))
    }

    /// The dtype.
    pub fn dtype(self) -> DType {
        self.ty().dtype
    }

    /// The shape.
    pub fn shape(self) -> Shape {
        self.ty().shape
    }

    /// The number of axes.
    pub fn rank(self) -> usize {
        self.ty().rank()
    }

    /// The extent of an axis; negative numbers count from the end. 1 for a tensor without a value.
    #[track_caller]
    pub fn size(self, axis: i64) -> Dim {
        match self.axis("size", axis) {
            Some(axis) => self.ty().dim(axis),
            None => Dim::ONE,
        }
    }

    /// [`Tensor::rank`] under PyTorch's name.
    pub fn dim(self) -> usize {
        self.rank()
    }

    /// [`Tensor::rank`] under NumPy's name.
    pub fn ndim(self) -> usize {
        self.rank()
    }

    /// The number of elements.
    pub fn numel(self) -> Dim {
        self.shape().count()
    }

    /// Bytes of one element.
    pub fn element_size(self) -> usize {
        self.dtype().size_bytes()
    }

    /// Whether the elements are floating.
    pub fn is_floating_point(self) -> bool {
        self.dtype().is_float()
    }

    /// `true`: a tensor here is a value. It has no strides of its own, and the compiler chooses how it is stored, so that what PyTorch does
    /// only to contiguous tensors is possible always.
    pub fn is_contiguous(self) -> bool {
        true
    }

    /// Makes the value an output of every entry point that computes it, under this name: after a run, `trainer.slot("name")` holds it. What a forward hook
    /// that stores its output is for. Changes no other result.
    ///
    /// Errors: K0107 for a second value of the name in one entry point.
    #[track_caller]
    pub fn tap(self, name: &str) -> Tensor {
        let location = Location::caller();
        if let Some(value) = self.value {
            trace::with(|trace| trace.tap(name, value, location));
        }
        self
    }

    /// Names the value in IR dumps.
    pub fn named(self, name: &str) -> Tensor {
        if let Some(value) = self.value {
            trace::with(|trace| trace.graph.rename(value, name));
        }
        self
    }

    /// Adds an op that goes by its own name.
    #[track_caller]
    pub(crate) fn apply(op: impl Into<Op>, operands: &[Tensor]) -> Tensor {
        let op = op.into();
        Tensor::apply_as(op.name(), op, operands)
    }

    /// Adds an op that the user knows as `method`.
    #[track_caller]
    pub(crate) fn apply_as(method: &str, op: impl Into<Op>, operands: &[Tensor]) -> Tensor {
        let location = Location::caller();
        let op = op.into();
        let apply = |trace: &mut trace::Trace| {
            let mut values = Vec::with_capacity(operands.len());
            for (position, operand) in operands.iter().enumerate() {
                let value = operand.value?;
                if operand.trace != trace.id {
                    trace.note_foreign(method, op.operand_name(position), location);
                    return None;
                }
                values.push(value);
            }
            let value = trace.apply(method, op, &values, location)?;
            Some(Tensor { trace: trace.id, value: Some(value) })
        };
        trace::with(apply).flatten().unwrap_or_else(Tensor::poison)
    }

    /// Notes a mistake at the caller's line, and gives the tensor that stands for it.
    #[track_caller]
    pub(crate) fn mistake(diagnostic: Diagnostic) -> Tensor {
        let location = Location::caller();
        trace::with(|trace| {
            let place = trace.place(location);
            trace.note(diagnostic.at(place));
        });
        Tensor::poison()
    }

    /// An axis number from either end; a mistake is noted. `None` for a tensor without a value.
    #[track_caller]
    pub(crate) fn axis(self, op: &str, axis: i64) -> Option<usize> {
        self.axis_below(op, axis, self.rank())
    }

    /// The same where PyTorch takes a tensor without axes for one with a single axis.
    #[track_caller]
    pub(crate) fn axis_or_scalar(self, op: &str, axis: i64) -> Option<usize> {
        self.axis_below(op, axis, self.rank().max(1))
    }

    #[track_caller]
    fn axis_below(self, op: &str, axis: i64, rank: usize) -> Option<usize> {
        self.value()?;
        let rank = rank as i64;
        if (-rank..rank).contains(&axis) {
            return Some(axis.rem_euclid(rank) as usize);
        }
        let message = format!("{op} needs an axis in {}..{rank}, the rank of {}: found {axis}", -rank, self.ty());
        Tensor::mistake(Diagnostic::new(Code::AxisOutOfRange, message));
        None
    }

    /// An axis number and the axis's extent, which must be a constant.
    #[track_caller]
    pub(crate) fn fixed_axis(self, op: &str, axis: i64) -> Option<(usize, usize)> {
        let axis = self.axis(op, axis)?;
        let ty = self.ty();
        if let Some(extent) = ty.dim(axis).as_fixed() {
            return Some((axis, extent));
        }
        let message = format!("{op} needs a constant extent on axis {axis}, found the batch axis of {ty}");
        Tensor::mistake(Diagnostic::new(Code::BatchAxis, message));
        None
    }

    /// Several axis numbers in ascending order; all axes when none is given. A tensor without axes has none, whatever is asked for.
    #[track_caller]
    pub(crate) fn axes(self, op: &str, axes: &[i64]) -> Option<Vec<usize>> {
        self.value()?;
        if axes.is_empty() {
            return Some((0..self.rank()).collect());
        }
        let mut resolved = Vec::with_capacity(axes.len());
        for &axis in axes {
            resolved.push(self.axis_or_scalar(op, axis)?);
        }
        resolved.sort_unstable();
        resolved.dedup();
        if resolved.len() < axes.len() {
            let message = format!("{op} needs distinct axes, found {axes:?}");
            Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
            return None;
        }
        resolved.truncate(self.rank());
        Some(resolved)
    }
}
