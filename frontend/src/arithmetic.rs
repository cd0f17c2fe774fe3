//! Elementwise methods and operators, with PyTorch's broadcasting and promotion made explicit: what is recorded are `expand`, `cast` and
//! an op over equal types.

use std::ops::{Add, Div, Mul, Neg, Sub};

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim, Number, Op, Shape};

use crate::Tensor;

macro_rules! unary {
    ($($(#[$meta:meta])* $method:ident => $op:ident;)*) => {
        impl Tensor {$(
            $(#[$meta])*
            #[track_caller]
            pub fn $method(self) -> Tensor {
                Tensor::apply_as(stringify!($method), ops::$op {}, &[self])
            }
        )*}
    };
}

unary! {
    /// `e^x`.
    exp => Exp;
    /// Natural logarithm.
    log => Log;
    /// Square root.
    sqrt => Sqrt;
    /// Hyperbolic tangent.
    tanh => Tanh;
    /// The error function.
    erf => Erf;
    /// Sine of radians.
    sin => Sin;
    /// Cosine of radians.
    cos => Cos;
    /// `|x|`.
    abs => Abs;
    /// `max(x, 0)`.
    relu => Relu;
    /// `1 / (1 + e^-x)`.
    sigmoid => Sigmoid;
    /// The value without its gradient.
    detach => Detach;
    /// Logical negation of a `bool` tensor.
    logical_not => Not;
}

macro_rules! binary {
    ($($(#[$meta:meta])* $method:ident => $op:ident;)*) => {
        impl Tensor {$(
            $(#[$meta])*
            #[track_caller]
            pub fn $method(self, other: impl Operand) -> Tensor {
                let other = other.like(self);
                broadcast_apply(ops::$op {}, self, other)
            }
        )*}
    };
}

binary! {
    /// The greater, elementwise; NaN if either is.
    maximum => Maximum;
    /// The smaller, elementwise; NaN if either is.
    minimum => Minimum;
    /// This to the power of `other`.
    pow => Pow;
    /// `self == other`, a `bool` tensor.
    eq => Eq;
    /// `self != other`.
    ne => Ne;
    /// `self < other`.
    lt => Lt;
    /// `self <= other`.
    le => Le;
    /// `self > other`.
    gt => Gt;
    /// `self >= other`.
    ge => Ge;
    /// Both of two `bool` tensors.
    logical_and => And;
    /// Either of two `bool` tensors.
    logical_or => Or;
}

/// The right-hand side of an elementwise op: a tensor or a number.
pub trait Operand {
    /// The tensor; a number takes the dtype of `other`, as in PyTorch.
    #[track_caller]
    fn like(self, other: Tensor) -> Tensor;
}

impl Operand for Tensor {
    fn like(self, _: Tensor) -> Tensor {
        self
    }
}

impl Operand for f64 {
    #[track_caller]
    fn like(self, other: Tensor) -> Tensor {
        let dtype = other.dtype();
        let dtype = if dtype.is_float() || self.fract() == 0.0 { dtype } else { DType::F32 };
        Tensor::full(self, dtype)
    }
}

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

        impl $trait<Tensor> for f64 {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                let this = self.like(other);
                broadcast_apply(ops::$op {}, this, other)
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
    /// One number, as a tensor of rank 0 that broadcasts.
    #[track_caller]
    pub fn full(value: f64, dtype: DType) -> Tensor {
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

    /// `x²`.
    #[track_caller]
    pub fn square(self) -> Tensor {
        self * self
    }

    /// Elements of `self` where `condition` holds, of `other` elsewhere.
    #[track_caller]
    pub fn where_self(self, condition: Tensor, other: impl Operand) -> Tensor {
        let other = other.like(self);
        let (a, b) = promote(self, other);
        let Some(shape) = broadcast_shape("where", &[condition, a, b]) else { return Tensor::poison() };
        Tensor::apply(ops::Where {}, &[condition.broadcast(&shape), a.broadcast(&shape), b.broadcast(&shape)])
    }

    /// `x·Φ(x)` with the exact normal distribution; PyTorch's `gelu(approximate="none")`.
    #[track_caller]
    pub fn gelu(self) -> Tensor {
        self * 0.5 * ((self * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// The tensor in a shape that it broadcasts to.
    #[track_caller]
    pub(crate) fn broadcast(self, shape: &Shape) -> Tensor {
        if &self.shape() == shape { self } else { Tensor::apply(ops::Expand { shape: shape.0.clone() }, &[self]) }
    }
}

/// Promotes, broadcasts and applies.
#[track_caller]
fn broadcast_apply(op: impl Into<Op>, a: Tensor, b: Tensor) -> Tensor {
    let op = op.into();
    if a.value().is_none() || b.value().is_none() {
        return Tensor::poison();
    }
    let (a, b) = promote(a, b);
    let Some(shape) = broadcast_shape(op.name(), &[a, b]) else { return Tensor::poison() };
    Tensor::apply(op, &[a.broadcast(&shape), b.broadcast(&shape)])
}

/// Both in one dtype: the wider one, where a tensor without axes gives way within its kind, as in PyTorch.
#[track_caller]
fn promote(a: Tensor, b: Tensor) -> (Tensor, Tensor) {
    let (x, y) = (a.ty(), b.ty());
    let gives_way = |scalar: &kiln_ir::Type, other: &kiln_ir::Type| {
        scalar.rank() == 0 && other.rank() > 0 && (other.dtype.is_float() || scalar.dtype.is_integer())
    };
    let dtype = match (gives_way(&x, &y), gives_way(&y, &x)) {
        (true, _) => y.dtype,
        (_, true) => x.dtype,
        _ => wider(x.dtype, y.dtype),
    };
    (a.to(dtype), b.to(dtype))
}

/// PyTorch's promotion of two dtypes: the two halves meet in f32.
fn wider(a: DType, b: DType) -> DType {
    match (a, b) {
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        _ => a.max(b),
    }
}

/// NumPy's rule: trailing axes are equal or 1.
#[track_caller]
fn broadcast_shape(op: &str, operands: &[Tensor]) -> Option<Shape> {
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
