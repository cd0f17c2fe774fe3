//! Tensors of the interpreter, and how results are rounded.

use half::{bf16, f16};

use super::{InterpretError, Scalar};
use crate::{DType, Shape, Type};

/// Whether floats are rounded to their dtype. Integers always wrap as their dtype.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// Floats stay `f64` whatever their dtype: for gradient checks, and for the value that rounding errs from.
    Exact,
    /// The result of every scalar operation is rounded to its dtype, to nearest, ties to even. The combination of a float reduction
    /// is rounded once, at its end.
    Declared,
}

/// A tensor, row-major. `f64` holds the values of every dtype exactly, except integers beyond 2^53: storing one of those that it
/// cannot hold is an error.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// The dtype that the elements have in the program.
    pub dtype: DType,
    /// The extents.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

/// The mark of an element that holds no value yet: a quiet NaN that no computation makes. Loading it is an error, so it never
/// takes part in arithmetic.
pub(super) const UNSET: f64 = f64::from_bits(UNSET_BITS);

const UNSET_BITS: u64 = 0x7ff8_dead_dead_de00;

/// The mark of a byte inside an element of this many bytes, which is no element either.
pub(super) const fn tail(size_bytes: usize) -> f64 {
    f64::from_bits(UNSET_BITS + size_bytes as u64)
}

/// Whether this is a mark and not a number.
pub(super) const fn is_unset(value: f64) -> bool {
    value.to_bits() & !0xff == UNSET_BITS
}

impl Precision {
    /// A value as an element of a dtype; integers are the caller's.
    pub fn round(self, value: f64, dtype: DType) -> f64 {
        match (self, dtype) {
            (Precision::Exact, _) => value,
            (Precision::Declared, DType::F32) => f64::from(value as f32),
            // Not `f16::from_f64`, which rounds twice on some machines and drops low bits on others.
            (Precision::Declared, DType::F16) => {
                round_to(value, f16::MANTISSA_DIGITS as i32, f16::MIN_EXP, f16::MAX.to_f64())
            }
            (Precision::Declared, DType::BF16) => {
                round_to(value, bf16::MANTISSA_DIGITS as i32, bf16::MIN_EXP, bf16::MAX.to_f64())
            }
            (Precision::Declared, _) => value,
        }
    }
}

impl Value {
    /// A tensor of these elements, which are as many as the shape says.
    pub fn new(dtype: DType, shape: Vec<usize>, data: Vec<f64>) -> Result<Value, InterpretError> {
        let expected = shape.iter().product();
        if data.len() != expected {
            let what = format!("elements of a tensor of shape {shape:?}");
            return Err(InterpretError::WrongCount { what, expected, found: data.len() });
        }
        Ok(Value { dtype, shape, data })
    }

    /// A tensor of one value everywhere.
    pub fn filled(dtype: DType, shape: Vec<usize>, value: f64) -> Value {
        let count = shape.iter().product();
        Value { dtype, shape, data: vec![value; count] }
    }

    /// A tensor of rank 0.
    pub fn scalar(dtype: DType, value: f64) -> Value {
        Value::filled(dtype, Vec::new(), value)
    }

    /// A tensor of this type whose elements hold nothing yet: to be stored, not loaded.
    pub fn unset(ty: &Type, batch: usize) -> Value {
        Value::filled(ty.dtype, ty.shape.at(batch), UNSET)
    }

    /// The same tensor with its elements as their dtype holds them: integers truncated and wrapped, floats rounded as `precision` says.
    pub fn rounded(&self, precision: Precision) -> Value {
        let round =
            |&value: &f64| if is_unset(value) { value } else { Scalar::new(value, self.dtype, precision).to_f64() };
        Value { dtype: self.dtype, shape: self.shape.clone(), data: self.data.iter().map(round).collect() }
    }

    /// Fails unless dtype and shape are those of `ty` at this batch size.
    pub fn require(&self, name: &str, ty: &Type, batch: usize) -> Result<(), InterpretError> {
        if self.dtype == ty.dtype && self.shape == ty.shape.at(batch) {
            return Ok(());
        }
        let text = |dtype: DType, shape: &[usize]| Type::new(dtype, Shape::from(shape)).to_string();
        Err(InterpretError::WrongTensor {
            name: name.to_owned(),
            expected: text(ty.dtype, &ty.shape.at(batch)),
            found: text(self.dtype, &self.shape),
        })
    }
}

/// The nearest multiple of the unit in the last place, ties to even. `digits` counts the hidden bit, and the smallest normal is
/// `2^(min_exponent - 1)`, below which the unit no longer shrinks. Both scalings are exact: they are by a power of two within `f64`'s range.
fn round_to(value: f64, digits: i32, min_exponent: i32, max: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    // The exponent e of 2^e ≤ |value| < 2^(e+1); subnormal f64 are far below any half's unit.
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let unit = 2f64.powi(exponent.max(min_exponent - 1) - (digits - 1));
    let rounded = (value / unit).round_ties_even() * unit;
    if rounded.abs() > max { f64::INFINITY.copysign(value) } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_as_the_half_crate_rounds_single_precision() {
        // Steps through single precision by a large prime, so that all exponents and many mantissas occur.
        for bits in (0..u32::MAX).step_by(65_537) {
            let single = f32::from_bits(bits);
            if single.is_nan() {
                continue;
            }
            let value = f64::from(single);
            assert_eq!(Precision::Declared.round(value, DType::F16), f16::from_f32(single).to_f64(), "{single:e}");
            assert_eq!(Precision::Declared.round(value, DType::BF16), bf16::from_f32(single).to_f64(), "{single:e}");
        }
    }

    #[test]
    fn rounding_sees_every_bit_once() {
        // Just above a tie of f16: rounding through f32 first would make it the tie, and then even.
        let above = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(Precision::Declared.round(above, DType::F16), 1.0 + 2f64.powi(-10));
        assert_eq!(Precision::Declared.round(0.1, DType::F32), f64::from(0.1f32));
        assert_eq!(Precision::Exact.round(0.1, DType::BF16), 0.1);
        assert_eq!(Precision::Declared.round(65_520.0, DType::F16), f64::INFINITY);
        assert_eq!(Precision::Declared.round(65_519.0, DType::F16), 65_504.0);
    }

    #[test]
    fn elements_are_as_many_as_the_shape_says() {
        assert!(Value::new(DType::F32, vec![2, 3], vec![0.0; 5]).is_err());
        assert!(Value::new(DType::F32, vec![], vec![1.0]).is_ok());
    }

    #[test]
    fn rounding_a_tensor_wraps_integers() {
        let value = Value::new(DType::U8, vec![3], vec![256.0, -1.0, 3.7]).unwrap();
        // From a float, as `to(uint8)` of values in range, and saturating outside.
        assert_eq!(value.rounded(Precision::Exact).data, [255.0, 0.0, 3.0]);
    }
}
