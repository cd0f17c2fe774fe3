//! Element types as they lie in the arena, and single elements as `f64`.

use std::fmt;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// Byte.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

/// A Rust type through which tensors can be viewed: every bit pattern is a value of it.
pub trait Element: Copy + sealed::Sealed + 'static {
    /// The element types that lie in memory as this type does: `u16` holds the bits of both half types.
    const VIEWS: &'static [ElementType];
}

impl ElementType {
    /// Size of one element.
    pub const fn size_bytes(self) -> u64 {
        match self {
            ElementType::F64 | ElementType::I64 => 8,
            ElementType::F32 | ElementType::I32 => 4,
            ElementType::F16 | ElementType::BF16 => 2,
            ElementType::U8 | ElementType::Bool => 1,
        }
    }

    /// The name used in messages and IR: "f32".
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::F64 => "f64",
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
            ElementType::BF16 => "bf16",
            ElementType::I64 => "i64",
            ElementType::I32 => "i32",
            ElementType::U8 => "u8",
            ElementType::Bool => "bool",
        }
    }

    /// Writes `value`, rounded to this type, over the bytes of one element.
    pub fn write_f64(self, value: f64, bytes: &mut [u8]) {
        match self {
            ElementType::F64 => bytes.copy_from_slice(&value.to_ne_bytes()),
            ElementType::F32 => bytes.copy_from_slice(&(value as f32).to_ne_bytes()),
            ElementType::F16 => bytes.copy_from_slice(&f16_bits(value as f32).to_ne_bytes()),
            ElementType::BF16 => bytes.copy_from_slice(&bf16_bits(value as f32).to_ne_bytes()),
            ElementType::I64 => bytes.copy_from_slice(&(value as i64).to_ne_bytes()),
            ElementType::I32 => bytes.copy_from_slice(&(value as i32).to_ne_bytes()),
            ElementType::U8 => bytes[0] = value as u8,
            ElementType::Bool => bytes[0] = u8::from(value != 0.0),
        }
    }

    /// Reads the first element of `bytes`; `None` if there is none.
    pub fn read_f64(self, bytes: &[u8]) -> Option<f64> {
        Some(match self {
            ElementType::F64 => f64::from_ne_bytes(*bytes.first_chunk()?),
            ElementType::F32 => f32::from_ne_bytes(*bytes.first_chunk()?).into(),
            ElementType::F16 => f16_value(u16::from_ne_bytes(*bytes.first_chunk()?)),
            ElementType::BF16 => f32::from_bits(u32::from(u16::from_ne_bytes(*bytes.first_chunk()?)) << 16).into(),
            ElementType::I64 => i64::from_ne_bytes(*bytes.first_chunk()?) as f64,
            ElementType::I32 => i32::from_ne_bytes(*bytes.first_chunk()?).into(),
            ElementType::U8 | ElementType::Bool => (*bytes.first()?).into(),
        })
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Element for f64 {
    const VIEWS: &'static [ElementType] = &[ElementType::F64];
}
impl Element for f32 {
    const VIEWS: &'static [ElementType] = &[ElementType::F32];
}
impl Element for u16 {
    const VIEWS: &'static [ElementType] = &[ElementType::F16, ElementType::BF16];
}
impl Element for i64 {
    const VIEWS: &'static [ElementType] = &[ElementType::I64];
}
impl Element for i32 {
    const VIEWS: &'static [ElementType] = &[ElementType::I32];
}
impl Element for u8 {
    const VIEWS: &'static [ElementType] = &[ElementType::U8, ElementType::Bool];
}

mod sealed {
    /// Keeps `Element` to the types below: a type with invalid bit patterns would make views unsound.
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for f32 {}
    impl Sealed for u16 {}
    impl Sealed for i64 {}
    impl Sealed for i32 {}
    impl Sealed for u8 {}
}

/// Rounds to the nearest bfloat16, ties to even.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// Rounds to the nearest binary16, ties to even.
fn f16_bits(value: f32) -> u16 {
    let sign = ((value.to_bits() >> 16) & 0x8000) as u16;
    let magnitude = value.to_bits() & 0x7FFF_FFFF;
    let rounded = match magnitude {
        // NaN.
        0x7F80_0001.. => 0x7E00,
        // From 65520 on, the nearest binary16 is infinity.
        0x477F_F000.. => 0x7C00,
        // Normal: rebias the exponent (127 - 15 = 112), round away 13 bits of the significand.
        0x3880_0000.. => ((magnitude - (112 << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13) as u16,
        // Subnormal: a multiple of 2^-24; scaling by a power of two is exact.
        _ => (f32::from_bits(magnitude) * 16_777_216.0).round_ties_even() as u16,
    };
    sign | rounded
}

fn f16_value(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1F);
    let fraction = f64::from(bits & 0x3FF);
    sign * match exponent {
        0 => fraction * (-24f64).exp2(),
        0x1F if fraction == 0.0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => (1024.0 + fraction) * f64::from(exponent - 25).exp2(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_survives_a_round_trip() {
        for bits in 0..=u16::MAX {
            let value = f16_value(bits);
            if !value.is_nan() {
                assert_eq!(f16_bits(value as f32), bits, "{value}");
            }
        }
    }

    #[test]
    fn half_types_round_to_nearest_even() {
        assert_eq!(f16_bits(1.0 + 1.0 / 2048.0), 0x3C00);
        assert_eq!(f16_bits(1.0 + 3.0 / 2048.0), 0x3C02);
        assert_eq!(f16_bits(65519.0), 0x7BFF);
        assert_eq!(f16_bits(65520.0), 0x7C00);
        assert_eq!(f16_bits(-1e-8), 0x8000);
        assert_eq!(bf16_bits(1.0 + 1.0 / 256.0), 0x3F80);
        assert_eq!(bf16_bits(1.0 + 3.0 / 256.0), 0x3F82);
        assert!(f32::from_bits(u32::from(bf16_bits(f32::NAN)) << 16).is_nan());
    }

    #[test]
    fn written_elements_read_back() {
        use ElementType::*;
        for element in [F64, F32, F16, BF16, I64, I32, U8] {
            let mut bytes = [0; 8];
            let bytes = &mut bytes[..element.size_bytes() as usize];
            element.write_f64(96.0, bytes);
            assert_eq!(element.read_f64(bytes), Some(96.0), "{element}");
            assert_eq!(element.read_f64(&[]), None, "{element}");
        }
    }
}
