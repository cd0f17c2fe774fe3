//! Elementwise methods and operators, with PyTorch's broadcasting and promotion made explicit: what is recorded are `expand`, `cast` and
//! an op over equal types.

use std::ops::{Add, Div, Mul, Neg, Sub};

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim, Number, Op, Shape};

use crate::Tensor;
use crate::scalar::Operand;

/// The methods of the rows of the op table that say how they are called.
macro_rules! methods {
    ($($form:ident $op:ident $text:literal $method:ident;)*) => {
        impl Tensor {
            $(methods! { @$form $op $text $method })*
        }
    };
    (@unary $op:ident $text:literal $method:ident) => {
        #[doc = concat!("Elementwise [`", $text, "`](ops::", stringify!($op), "): its formula and gradient stand there.")]
        #[track_caller]
        pub fn $method(self) -> Tensor {
            Tensor::apply_as(stringify!($method), ops::$op {}, &[self])
        }
    };
    (@float $op:ident $text:literal $method:ident) => {
        #[doc = concat!("Elementwise [`", $text, "`](ops::", stringify!($op), "): its formula and gradient stand there. Integers become `f32`.")]
        #[track_caller]
        pub fn $method(self) -> Tensor {
            Tensor::apply_as(stringify!($method), ops::$op {}, &[self.to_float()])
        }
    };
    (@binary $op:ident $text:literal $method:ident) => {
        #[doc = concat!("Elementwise [`", $text, "`](ops::", stringify!($op), ") with a tensor or a number: its formula and gradients stand there.")]
        #[track_caller]
        pub fn $method(self, other: impl Operand) -> Tensor {
            let other = other.like(self);
            broadcast_apply(ops::$op {}, self, other)
        }
    };
    (@real $op:ident $text:literal $method:ident) => {
        #[doc = concat!("Elementwise [`", $text, "`](ops::", stringify!($op), ") with a tensor or a number: its formula and gradients stand there. Integers become `f32`.")]
        #[track_caller]
        pub fn $method(self, other: impl Operand) -> Tensor {
            let other = other.like(self);
            let (this, other) = promote(self, other);
            broadcast_apply(ops::$op {}, this.to_float(), other.to_float())
        }
    };
}

kiln_ir::op_rows!(methods);

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl<T: Operand> $trait<T> for Tensor {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                let other = other.like(self);
                broadcast_apply(ops::$op {}, self, other)
            }
        }

        operators! { @number $trait $method f64 i64 }
    )*};
    (@number $trait:ident $method:ident $($number:ty)*) => {$(
        impl $trait<Tensor> for $number {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.like(other).$method(other)
            }
        }
    )*};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl Neg for Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::apply(ops::Neg {}, &[self])
    }
}

impl Tensor {
    /// One number, as a tensor of rank 0 that broadcasts. For integers it is cut to one, as C converts it; for `bool` it is whether it is not 0.
    #[track_caller]
    pub fn full(value: f64, dtype: DType) -> Tensor {
        let value = match dtype {
            DType::Bool => f64::from(u8::from(value != 0.0)),
            _ if dtype.is_integer() => value.trunc(),
            _ => value,
        };
        Tensor::apply(ops::Full { value: Number::new(value), dtype, shape: Vec::new() }, &[])
    }

    /// An element count at run time, in a dtype: what a mean divides by.
    #[track_caller]
    pub fn extent(dims: &[Dim], dtype: DType) -> Tensor {
        Tensor::apply(ops::Extent { extent: dims.to_vec(), dtype }, &[])
    }

    /// Conversion to a dtype.
    #[track_caller]
    pub fn to(self, dtype: DType) -> Tensor {
        if self.dtype() == dtype { self } else { Tensor::apply(ops::Cast { dtype }, &[self]) }
    }

    /// The tensor itself, or its integers or truth values as `f32`: what functions of real numbers compute with.
    #[track_caller]
    pub(crate) fn to_float(self) -> Tensor {
        if self.dtype().is_float() { self } else { self.to(DType::F32) }
    }

    /// Says that `method` needs a floating dtype, unless this tensor has one.
    #[track_caller]
    pub(crate) fn is_floating(self, method: &str) -> bool {
        if self.value().is_some() && !self.dtype().is_float() {
            let message = format!("{method} needs a floating dtype, found {}", self.ty());
            let help = "convert it with `.to(DType::F32)`";
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help(help));
            return false;
        }
        true
    }

    /// The tensor in the dtype in which half types are computed, for a method that needs a floating one.
    #[track_caller]
    pub(crate) fn floating(self, method: &str) -> Tensor {
        if self.is_floating(method) { self.wide() } else { Tensor::poison() }
    }

    /// Says that `method` needs numbers, unless this tensor holds some.
    #[track_caller]
    pub(crate) fn is_number(self, method: &str) -> bool {
        if self.value().is_some() && self.dtype() == DType::Bool {
            let message = format!("{method} needs numbers, found {}", self.ty());
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help("convert it with `.to(dtype)`"));
            return false;
        }
        true
    }

    /// Says that `method` needs tensors of one dtype, unless they have.
    #[track_caller]
    pub(crate) fn are_alike(method: &str, tensors: &[Tensor]) -> bool {
        let dtypes: Vec<DType> = tensors.iter().filter(|tensor| tensor.value().is_some()).map(|t| t.dtype()).collect();
        let other = dtypes.iter().find(|&&dtype| dtype != dtypes[0]);
        if let Some(other) = other {
            let message = format!("{method} needs equal dtypes: {} and {other}", dtypes[0]);
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help("convert one with `.to(dtype)`"));
        }
        other.is_none()
    }

    /// The dtype in which sums of this one are kept: half types as `f32`.
    #[track_caller]
    pub(crate) fn wide(self) -> Tensor {
        self.to(kiln_ir::accumulator(self.dtype()))
    }

    /// Whether each element is not zero.
    #[track_caller]
    pub fn to_bool(self) -> Tensor {
        self.to(DType::Bool)
    }

    /// `x²`; of truth values as `i64`.
    #[track_caller]
    pub fn square(self) -> Tensor {
        let x = if self.dtype() == DType::Bool { self.to(DType::I64) } else { self };
        x * x
    }

    /// Elements of `self` where `condition` holds, of `other` elsewhere.
    #[track_caller]
    pub fn where_self(self, condition: Tensor, other: impl Operand) -> Tensor {
        let other = other.like(self);
        let (a, b) = promote(self, other);
        let Some(shape) = broadcast_shape("where", &[condition, a, b]) else { return Tensor::poison() };
        Tensor::apply(ops::Where {}, &[condition.broadcast(&shape), a.broadcast(&shape), b.broadcast(&shape)])
    }

    /// The tensor in a shape that it broadcasts to.
    #[track_caller]
    pub(crate) fn broadcast(self, shape: &Shape) -> Tensor {
        self.broadcast_as("expand", shape)
    }

    /// [`Tensor::broadcast`] for a method that the user knows by another name.
    #[track_caller]
    pub(crate) fn broadcast_as(self, method: &str, shape: &Shape) -> Tensor {
        if &self.shape() == shape {
            return self;
        }
        Tensor::apply_as(method, ops::Expand { shape: shape.0.clone() }, &[self])
    }
}

/// Promotes, broadcasts and applies.
#[track_caller]
pub(crate) fn broadcast_apply(op: impl Into<Op>, a: Tensor, b: Tensor) -> Tensor {
    let op = op.into();
    if a.value().is_none() || b.value().is_none() {
        return Tensor::poison();
    }
    if matches!(op, Op::Sub(_)) && !(a.is_number("sub") && b.is_number("sub")) {
        return Tensor::poison();
    }
    let (a, b) = promote(a, b);
    let (method, op, dtype) = (op.name(), of_dtype(&op, a.dtype()), divided(&op, a.dtype()));
    let Some(shape) = broadcast_shape(method, &[a, b]) else { return Tensor::poison() };
    Tensor::apply_as(method, op, &[a.to(dtype).broadcast(&shape), b.to(dtype).broadcast(&shape)])
}

/// Sums and products of truth values are `or` and `and`.
fn of_dtype(op: &Op, dtype: DType) -> Op {
    match op {
        Op::Add(_) | Op::Maximum(_) if dtype == DType::Bool => ops::Or {}.into(),
        Op::Mul(_) | Op::Minimum(_) if dtype == DType::Bool => ops::And {}.into(),
        other => other.clone(),
    }
}

/// `/` is true division: integers become `f32`.
fn divided(op: &Op, dtype: DType) -> DType {
    if matches!(op, Op::Div(_)) && !dtype.is_float() { DType::F32 } else { dtype }
}

/// Both in their common dtype.
#[track_caller]
pub(crate) fn promote(a: Tensor, b: Tensor) -> (Tensor, Tensor) {
    let dtype = common_dtype(&[a, b]);
    (a.to(dtype), b.to(dtype))
}

/// The dtype of a result of all: the widest one, where tensors without axes count only if they are of a higher kind, as in PyTorch.
pub(crate) fn common_dtype(tensors: &[Tensor]) -> DType {
    let widest = |with_axes: bool| {
        let chosen = tensors.iter().filter(|tensor| (tensor.rank() > 0) == with_axes);
        chosen.map(|tensor| tensor.dtype()).reduce(wider)
    };
    let kind = |dtype: DType| (dtype != DType::Bool, dtype.is_float());
    match (widest(true), widest(false)) {
        (Some(full), Some(scalar)) if kind(scalar) > kind(full) => wider(full, scalar),
        (full, scalar) => full.or(scalar).unwrap_or(DType::F32),
    }
}

/// PyTorch's promotion of two dtypes: the two halves meet in f32.
pub(crate) fn wider(a: DType, b: DType) -> DType {
    match (a, b) {
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        _ => a.max(b),
    }
}

impl Tensor {
    /// Whether both elements are not zero, a `bool` tensor. Any dtypes; no gradient.
    #[track_caller]
    pub fn logical_and(self, other: impl Operand) -> Tensor {
        let other = other.like(self);
        broadcast_apply(ops::And {}, self.to_bool(), other.to_bool())
    }

    /// Whether either element is not zero, a `bool` tensor. Any dtypes; no gradient.
    #[track_caller]
    pub fn logical_or(self, other: impl Operand) -> Tensor {
        let other = other.like(self);
        broadcast_apply(ops::Or {}, self.to_bool(), other.to_bool())
    }

    /// Whether one element is not zero and the other is, a `bool` tensor. Any dtypes; no gradient.
    #[track_caller]
    pub fn logical_xor(self, other: impl Operand) -> Tensor {
        let other = other.like(self);
        broadcast_apply(ops::Ne {}, self.to_bool(), other.to_bool())
    }

    /// Whether each element is zero, a `bool` tensor. Any dtype; no gradient.
    #[track_caller]
    pub fn logical_not(self) -> Tensor {
        Tensor::apply_as("logical_not", ops::Not {}, &[self.to_bool()])
    }
}

/// NumPy's rule: trailing axes are equal or 1.
#[track_caller]
pub(crate) fn broadcast_shape(op: &str, operands: &[Tensor]) -> Option<Shape> {
    let mut shape = Shape::SCALAR;
    for operand in operands {
        operand.value()?;
        let other = operand.shape();
        let rank = shape.rank().max(other.rank());
        let at = |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(Dim::ONE, |i| shape.0[i]);
        let mut joined = Vec::with_capacity(rank);
        for axis in 0..rank {
            let (a, b) = (at(&shape, axis), at(&other, axis));
            if a != b && a != Dim::ONE && b != Dim::ONE {
                let message =
                    format!("{op} needs shapes that broadcast: {shape} and {other} differ on axis {axis}, {a} and {b}");
                Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
                return None;
            }
            joined.push(if a == Dim::ONE { b } else { a });
        }
        let joined = Shape(joined);
        if !joined.is_batch_leading() {
            let message = format!("{op} needs batch axes that line up: {shape} and {other} would make {joined}");
            let help = "give both the same axes, with `squeeze(axis)` or `unsqueeze(axis)`";
            Tensor::mistake(Diagnostic::new(Code::BatchAxis, message).help(help));
            return None;
        }
        shape = joined;
    }
    Some(shape)
}
