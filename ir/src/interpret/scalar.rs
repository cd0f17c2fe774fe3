//! Scalars and what each node of an expression does to them.
//!
//! Integers are `i64` wrapped to their dtype, so that 64-bit arithmetic inside an expression is exact; floats are `f64`, rounded as
//! the [`Precision`] says. `bool` is the integer 0 or 1.

use super::{InterpretError, Precision, erf};
use crate::{Binary, Comparison, DType, Monoid, Unary};

/// One value with its dtype.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar {
    /// Of an integer dtype or `bool`.
    Integer(i64, DType),
    /// Of a floating dtype.
    Float(f64, DType),
}

use Scalar::{Float, Integer};

impl Scalar {
    /// The number as an element of a dtype, converted as [`Scalar::cast`] does.
    pub fn new(value: f64, dtype: DType, precision: Precision) -> Scalar {
        Float(value, DType::F64).cast(dtype, precision)
    }

    /// An `i64`.
    pub fn index(value: i64) -> Scalar {
        Integer(value, DType::I64)
    }

    /// A `bool`.
    pub fn truth(value: bool) -> Scalar {
        Integer(i64::from(value), DType::Bool)
    }

    /// The dtype.
    pub fn dtype(self) -> DType {
        match self {
            Integer(_, dtype) | Float(_, dtype) => dtype,
        }
    }

    /// The number; integers beyond 2^53 may be rounded.
    pub fn to_f64(self) -> f64 {
        match self {
            Integer(value, _) => value as f64,
            Float(value, _) => value,
        }
    }

    /// The number, which an element of a [`super::Value`] must hold exactly.
    pub fn to_element(self) -> Result<f64, InterpretError> {
        match self {
            Integer(value, _) if i128::from(value) != value as f64 as i128 => {
                Err(InterpretError::IntegerTooLarge(value))
            }
            _ => Ok(self.to_f64()),
        }
    }

    /// The integer; `node` names what needs it.
    pub fn to_i64(self, node: &'static str) -> Result<i64, InterpretError> {
        match self {
            Integer(value, _) => Ok(value),
            Float(_, found) => Err(InterpretError::WrongDType { node, needs: "an integer", found }),
        }
    }

    /// The truth value; `node` names what needs it.
    pub fn to_bool(self, node: &'static str) -> Result<bool, InterpretError> {
        match self {
            Integer(value, DType::Bool) => Ok(value != 0),
            _ => Err(InterpretError::WrongDType { node, needs: "a bool", found: self.dtype() }),
        }
    }

    /// The value in another dtype. Floats to integers truncate towards zero and saturate, NaN gives 0; integers wrap; anything to
    /// `bool` is `!= 0`, so NaN is true.
    pub fn cast(self, dtype: DType, precision: Precision) -> Scalar {
        match (self, dtype) {
            (Integer(value, _), DType::Bool) => Scalar::truth(value != 0),
            (Float(value, _), DType::Bool) => Scalar::truth(value != 0.0),
            (Integer(value, _), _) if dtype.is_integer() => Integer(wrap(value, dtype), dtype),
            // Through f64, an i64 would be rounded twice.
            (Integer(value, _), DType::F32) if precision == Precision::Declared => {
                Float(f64::from(value as f32), dtype)
            }
            (Integer(value, _), _) => Float(precision.round(value as f64, dtype), dtype),
            (Float(value, _), DType::U8) => Integer(i64::from(value as u8), dtype),
            (Float(value, _), DType::I32) => Integer(i64::from(value as i32), dtype),
            (Float(value, _), DType::I64) => Integer(value as i64, dtype),
            (Float(value, _), _) => Float(precision.round(value, dtype), dtype),
        }
    }
}

/// A function of one value.
pub fn unary(op: Unary, x: Scalar, precision: Precision) -> Result<Scalar, InterpretError> {
    let wrong = |needs| Err(InterpretError::WrongDType { node: op.name(), needs, found: x.dtype() });
    match x {
        Integer(value, dtype) => match op {
            Unary::Not if dtype == DType::Bool => Ok(Scalar::truth(value == 0)),
            Unary::Not => wrong("a bool"),
            Unary::Neg => Ok(Integer(wrap(value.wrapping_neg(), dtype), dtype)),
            Unary::Abs => Ok(Integer(wrap(value.wrapping_abs(), dtype), dtype)),
            _ if op.is_rounding() => Ok(x),
            _ => wrong("a float"),
        },
        Float(value, dtype) => {
            let result = match op {
                Unary::Neg => -value,
                Unary::Abs => value.abs(),
                Unary::Exp => value.exp(),
                Unary::Log => value.ln(),
                Unary::Sqrt => value.sqrt(),
                Unary::Tanh => value.tanh(),
                Unary::Erf => erf(value),
                Unary::Sin => value.sin(),
                Unary::Cos => value.cos(),
                Unary::Atan => value.atan(),
                Unary::Floor => value.floor(),
                Unary::Ceil => value.ceil(),
                Unary::Trunc => value.trunc(),
                Unary::Round => value.round_ties_even(),
                Unary::Not => return wrong("a bool"),
            };
            Ok(Float(precision.round(result, dtype), dtype))
        }
    }
}

/// A function of two values of one dtype.
pub fn binary(op: Binary, a: Scalar, b: Scalar, precision: Precision) -> Result<Scalar, InterpretError> {
    let wrong = |needs| Err(InterpretError::WrongDType { node: op.name(), needs, found: a.dtype() });
    match (a, b) {
        (Integer(a, dtype), Integer(b, right)) if dtype == right => {
            let result = match op {
                Binary::Add => a.wrapping_add(b),
                Binary::Sub => a.wrapping_sub(b),
                Binary::Mul => a.wrapping_mul(b),
                Binary::Div | Binary::Rem if b == 0 => return Err(InterpretError::DivisionByZero),
                Binary::Div => a.wrapping_div(b),
                Binary::Rem => a.wrapping_rem(b),
                Binary::Max => a.max(b),
                Binary::Min => a.min(b),
                Binary::Pow => power(a, b),
                Binary::And if dtype == DType::Bool => a & b,
                Binary::Or if dtype == DType::Bool => a | b,
                Binary::And | Binary::Or => return wrong("bools"),
            };
            Ok(Integer(wrap(result, dtype), dtype))
        }
        (Float(a, dtype), Float(b, right)) if dtype == right => {
            let result = match op {
                Binary::Add => a + b,
                Binary::Sub => a - b,
                Binary::Mul => a * b,
                Binary::Div => a / b,
                Binary::Rem => a % b,
                Binary::Max | Binary::Min if a.is_nan() || b.is_nan() => f64::NAN,
                Binary::Max => a.max(b),
                Binary::Min => a.min(b),
                Binary::Pow => a.powf(b),
                Binary::And | Binary::Or => return wrong("bools"),
            };
            Ok(Float(precision.round(result, dtype), dtype))
        }
        _ => Err(InterpretError::MixedDTypes { node: op.name(), left: a.dtype(), right: b.dtype() }),
    }
}

/// `base` to the power of `exponent`, wrapping. With a negative exponent it is rounded towards zero, and 0 for a base of 0.
fn power(mut base: i64, mut exponent: i64) -> i64 {
    if exponent < 0 {
        return match (base, exponent % 2) {
            (1, _) | (-1, 0) => 1,
            (-1, _) => -1,
            _ => 0,
        };
    }
    let mut result: i64 = 1;
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent /= 2;
    }
    result
}

/// A comparison of two values of one dtype.
pub fn compare(op: Comparison, a: Scalar, b: Scalar) -> Result<Scalar, InterpretError> {
    let order = match (a, b) {
        (Integer(a, left), Integer(b, right)) if left == right => Some(a.cmp(&b)),
        (Float(a, left), Float(b, right)) if left == right => a.partial_cmp(&b),
        _ => return Err(InterpretError::MixedDTypes { node: op.name(), left: a.dtype(), right: b.dtype() }),
    };
    // Without an order a side is NaN: then only `!=` holds.
    let holds = match op {
        Comparison::Eq => order.is_some_and(|order| order.is_eq()),
        Comparison::Ne => order.is_none_or(|order| order.is_ne()),
        Comparison::Lt => order.is_some_and(|order| order.is_lt()),
        Comparison::Le => order.is_some_and(|order| order.is_le()),
        Comparison::Gt => order.is_some_and(|order| order.is_gt()),
        Comparison::Ge => order.is_some_and(|order| order.is_ge()),
    };
    Ok(Scalar::truth(holds))
}

/// A reduction under way. Floats are combined in `f64` and rounded once, at the end.
#[derive(Clone, Copy, Debug)]
pub struct Accumulator {
    monoid: Monoid,
    /// The combination so far; of an `ArgMax` the greatest value so far, if any.
    held: Option<Scalar>,
    /// Of an `ArgMax`: where that is.
    position: i64,
}

impl Accumulator {
    /// Nothing combined yet, of values of this dtype.
    pub fn new(monoid: Monoid, dtype: DType) -> Accumulator {
        let identity = |float: f64, integer: i64| {
            if dtype.is_float() { Float(float, dtype) } else { Integer(integer, dtype) }
        };
        let (least, greatest) = range(dtype);
        let held = match monoid {
            Monoid::Sum => Some(identity(0.0, 0)),
            Monoid::Product => Some(identity(1.0, 1)),
            Monoid::Max => Some(identity(f64::NEG_INFINITY, least)),
            Monoid::Min => Some(identity(f64::INFINITY, greatest)),
            Monoid::ArgMax => None,
        };
        Accumulator { monoid, held, position: 0 }
    }

    /// Combines the value at a row-major position of the reduction's axes.
    pub fn add(&mut self, value: Scalar, position: i64) -> Result<(), InterpretError> {
        let op = match (self.monoid, self.held) {
            (Monoid::ArgMax, held) => {
                let is_nan = |x: Scalar| x.to_f64().is_nan();
                let above = match held {
                    None => true,
                    Some(held) if is_nan(held) || is_nan(value) => !is_nan(held),
                    Some(held) => compare(Comparison::Gt, value, held)?.to_bool("argmax")?,
                };
                if above {
                    (self.held, self.position) = (Some(value), position);
                }
                return Ok(());
            }
            (Monoid::Sum, _) => Binary::Add,
            (Monoid::Product, _) => Binary::Mul,
            (Monoid::Max, _) => Binary::Max,
            (Monoid::Min, _) => Binary::Min,
        };
        self.held = self.held.map(|held| binary(op, held, value, Precision::Exact)).transpose()?;
        Ok(())
    }

    /// The result; the position 0 for an `ArgMax` of nothing.
    pub fn finish(self, precision: Precision) -> Scalar {
        match (self.monoid, self.held) {
            (Monoid::ArgMax, _) | (_, None) => Scalar::index(self.position),
            (_, Some(held)) => held.cast(held.dtype(), precision),
        }
    }
}

/// The value as its dtype holds it, two's complement; sums of `bool`s stay truth values.
fn wrap(value: i64, dtype: DType) -> i64 {
    match dtype {
        DType::Bool => i64::from(value != 0),
        DType::U8 => i64::from(value as u8),
        DType::I32 => i64::from(value as i32),
        _ => value,
    }
}

/// The least and the greatest value of an integer dtype.
fn range(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::Bool => (0, 1),
        DType::U8 => (0, i64::from(u8::MAX)),
        DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}
