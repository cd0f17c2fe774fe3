//! Elementwise functions that are composed of ops.

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic};

use crate::Tensor;
use crate::arithmetic::{broadcast_apply, broadcast_shape, common_dtype, promote};
use crate::scalar::{Operand, Scalar};
use crate::words::words;

words! {
    /// How [`Tensor::div_with`] rounds.
    pub enum Rounding: "rounding mode" {
        /// Towards zero, as C divides integers.
        Trunc = "trunc",
        /// Towards minus infinity, as Python's `//`.
        Floor = "floor",
    }
}

/// Elements of `a` where `condition` holds, of `b` elsewhere: `torch.where`, whose operands may be numbers.
///
/// Shapes: broadcast. Dtypes: `bool`, and two that promote. Errors: K0101, K0103. Gradients: `g` where the operand was taken.
#[track_caller]
pub fn where_(condition: Tensor, a: impl Operand, b: impl Operand + Copy) -> Tensor {
    // A number beside a number is of the lowest kind: what the other one brings decides.
    let nothing = Tensor::full(0.0, DType::Bool);
    let a = a.like(b.like(nothing));
    let b = b.like(a);
    a.where_self(condition, b)
}

/// [`Tensor::clamp`] as a function.
#[track_caller]
pub fn clamp<T: Operand>(input: Tensor, low: Option<T>, high: Option<T>) -> Tensor {
    input.clamp(low, high)
}

impl Tensor {
    /// The tensor itself; a step in which one of its elements is not finite stops with this message and the caller's line. Stays in finished programs,
    /// unlike `Compiler::detect_anomaly`, and costs one pass over the tensor.
    ///
    /// Shapes: any. Gradient: that of the result.
    #[track_caller]
    pub fn assert_finite(self, message: &str) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        // Out of the range of a table of two rows, where an element is not finite. What the table holds is never negative, but nobody knows it before
        // the step, so that the look into it stays.
        let flat = self.detach().isfinite().logical_not().to(DType::I64).reshape([-1]) * 2;
        let count = flat.sum_all().reshape([1]);
        let table = crate::cat(&[count, count + 1], 0);
        let method = format!("assert_finite: {message}");
        let gather = ops::Gather { axis: 0 };
        let sound = Tensor::apply_as(&method, gather, &[table, flat]);
        self.where_self(sound.ge(0).reshape(self.shape().0), self.detach() * 0.0)
    }

    /// `a/b`, rounded as `mode` says; integers stay integers. Division by zero gives an infinity or NaN, of integers 0. No gradient.
    #[track_caller]
    pub fn div_with(self, other: impl Operand, mode: Rounding) -> Tensor {
        let other = other.like(self);
        let (Some(_), Some(_)) = (self.value(), other.value()) else { return Tensor::poison() };
        let (a, b) = promote(self.detach(), other.detach());
        let Some(shape) = broadcast_shape("div", &[a, b]) else { return Tensor::poison() };
        let (a, b) = (a.broadcast(&shape), b.broadcast(&shape));
        if !a.dtype().is_float() {
            let quotient = Tensor::apply(ops::Div {}, &[a, b]);
            return match mode {
                Rounding::Trunc => quotient,
                Rounding::Floor => {
                    let rest = a - quotient * b;
                    let below = rest.ne(0).logical_and(rest.lt(0).ne(b.lt(0)));
                    (quotient - 1).where_self(below, quotient)
                }
            };
        }
        match mode {
            Rounding::Trunc => (a / b).trunc(),
            Rounding::Floor => floor_quotient(a, b),
        }
    }

    /// The value at a bound where it lies beyond: `min(max(x, low), high)`; `high` where the bounds cross. NaN stays NaN.
    ///
    /// Shapes and dtypes: broadcast and promoted. Errors: K0105 without any bound. Gradient: `g` where `low <= x <= high`, and to a bound that is a tensor
    /// where it is the result.
    #[track_caller]
    pub fn clamp<T: Operand>(self, low: Option<T>, high: Option<T>) -> Tensor {
        if low.is_none() && high.is_none() {
            return Tensor::mistake(Diagnostic::new(
                Code::BadArgument,
                "clamp needs a lower bound, an upper one or both",
            ));
        }
        let mut result = self;
        if let Some(low) = low {
            let low = low.like(result);
            result = low.where_self(result.lt(low), result);
        }
        if let Some(high) = high {
            let high = high.like(result);
            result = high.where_self(result.gt(high), result);
        }
        result
    }

    /// `x + weight·(end - x)`. Tensors of one dtype (K0103). Gradients: for all three.
    #[track_caller]
    pub fn lerp(self, end: Tensor, weight: impl Operand) -> Tensor {
        let weight = weight.like(self);
        if !Tensor::are_alike("lerp", &[self, end, weight]) {
            return Tensor::poison();
        }
        let (x, end, weight) = (self.wide(), end.wide(), weight.wide());
        (x + (end - x) * weight).to(self.dtype())
    }

    /// `x + value·a·b`, where half types are rounded once. A floating `value` needs floating tensors (K0103). Gradients: for all three.
    #[track_caller]
    pub fn addcmul(self, a: Tensor, b: Tensor, value: impl Into<Scalar>) -> Tensor {
        let value = value.into();
        let Some(dtype) = self.sum_dtype("addcmul", [a, b], value) else { return Tensor::poison() };
        let (a, b) = (a.to(dtype).wide(), b.to(dtype).wide());
        self.plus(a * b, value, dtype)
    }

    /// `x + value·a/b`, where half types are rounded once. Floating tensors (K0103). Gradients: for all three.
    #[track_caller]
    pub fn addcdiv(self, a: Tensor, b: Tensor, value: impl Into<Scalar>) -> Tensor {
        if !(self.dtype().is_float() || a.is_floating("addcdiv") && b.is_floating("addcdiv")) {
            return Tensor::poison();
        }
        let value = value.into();
        let Some(dtype) = self.sum_dtype("addcdiv", [a, b], value) else { return Tensor::poison() };
        let (a, b) = (a.to(dtype).wide(), b.to(dtype).wide());
        self.plus(a / b, value, dtype)
    }

    /// The common dtype of this tensor and two factors, which must hold the number that they are multiplied by.
    #[track_caller]
    fn sum_dtype(self, method: &str, [a, b]: [Tensor; 2], value: Scalar) -> Option<DType> {
        let (Some(_), Some(_), Some(_)) = (self.value(), a.value(), b.value()) else { return None };
        let dtype = common_dtype(&[self, a, b]);
        if value.beside(dtype) != dtype {
            let message = format!("{method} needs a value that {dtype} holds: found {}", value.value());
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message));
            return None;
        }
        Some(dtype)
    }

    /// `x + value·part`, rounded once.
    #[track_caller]
    fn plus(self, part: Tensor, value: Scalar, dtype: DType) -> Tensor {
        let part = if value.value() == 1.0 { part } else { part * value };
        (self.to(part.dtype()) + part).to(dtype)
    }

    /// `value` where `mask` holds. The dtype stays; a number is converted to it, a tensor must have rank 0.
    ///
    /// Errors: K0101 if the mask does not broadcast to the tensor, K0102 for a value with axes, K0103 for a mask that is not `bool`. Gradients: `g` elsewhere; its sum
    /// over the mask to a value that is a tensor.
    #[track_caller]
    pub fn masked_fill(self, mask: Tensor, value: impl Operand) -> Tensor {
        let value = value.like(self);
        let (Some(_), Some(_), Some(_)) = (self.value(), mask.value(), value.value()) else { return Tensor::poison() };
        if value.rank() != 0 {
            let message = format!("masked_fill needs a value of rank 0: found {}", value.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        value.to(self.dtype()).where_self(mask, self)
    }

    /// Rounded to so many decimals, half to even; a negative number rounds to tens, hundreds, …. Integers are
    /// rounded to none (K0103). No gradient.
    #[track_caller]
    pub fn round_to(self, decimals: i32) -> Tensor {
        let scale = 10_f64.powi(decimals.abs());
        match decimals {
            0 => self.round(),
            _ if !self.is_floating("round") => Tensor::poison(),
            1.. => (self * scale).round() / scale,
            _ => (self / scale).round() * scale,
        }
    }

    /// Whether each element is NaN; never for integers. No gradient.
    #[track_caller]
    pub fn isnan(self) -> Tensor {
        self.ne(self)
    }

    /// Whether each element is an infinity; never for integers. No gradient.
    #[track_caller]
    pub fn isinf(self) -> Tensor {
        if self.dtype().is_float() { self.abs().eq(f64::INFINITY) } else { self.ne(self) }
    }

    /// Whether each element is neither an infinity nor NaN; always for integers. No gradient.
    #[track_caller]
    pub fn isfinite(self) -> Tensor {
        if self.dtype().is_float() { self.abs().lt(f64::INFINITY) } else { self.eq(self) }
    }

    /// `1/x`. Integers become `f32`.
    #[track_caller]
    pub fn reciprocal(self) -> Tensor {
        1.0 / self.to_float()
    }
}

/// Python's `//` of floats: the remainder is exact, so a quotient just below an integer does not round up to it.
///
/// Source: CPython, `float_divmod`.
#[track_caller]
fn floor_quotient(a: Tensor, b: Tensor) -> Tensor {
    let rest = a.fmod(b);
    let quotient = (a - rest) / b;
    let below = rest.ne(0).logical_and(rest.lt(0).ne(b.lt(0)));
    let quotient = (quotient - 1).where_self(below, quotient);
    let floor = quotient.floor();
    let floor = (floor + 1).where_self((quotient - floor).gt(0.5), floor);
    let by_zero = broadcast_apply(ops::Div {}, a, b);
    by_zero.where_self(b.eq(0), floor)
}
