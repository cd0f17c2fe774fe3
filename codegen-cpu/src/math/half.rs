//! `f16` and `bf16`: 16 bits in memory, and in registers the `f32` of the same value, each operation's result rounded. The conversions
//! are integer operations, so that they ask nothing of the processor, and round to nearest, ties to even.
//! Source: F. Giesen, "Float→half variants" (public domain).

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;
use kiln_ir::DType;

use super::Lane;
use crate::ops::select;

/// Infinity of `f16`, and the quiet NaN of each.
const F16_INFINITY: i32 = 0x7C00;
const F16_NAN: i32 = 0x7E00;
const BF16_NAN: i32 = 0x7FC0;
/// What the exponents of `f32` and `f16` differ by.
const REBIAS: i32 = 127 - 15;

/// The nearest value of a half dtype.
pub(crate) fn round(b: &mut FunctionBuilder<'_>, dtype: DType, x: Value) -> Value {
    let bits = encode(b, dtype, x);
    decode(b, dtype, bits)
}

/// The 16 bits of the nearest value of a half dtype, in a 32-bit integer.
pub(crate) fn encode(b: &mut FunctionBuilder<'_>, dtype: DType, x: Value) -> Value {
    let mut lane = Lane::of(b, x);
    match dtype {
        DType::F16 => encode_f16(&mut lane, x),
        _ => encode_bf16(&mut lane, x),
    }
}

/// The value of 16 bits in a 32-bit integer.
pub(crate) fn decode(b: &mut FunctionBuilder<'_>, dtype: DType, bits: Value) -> Value {
    let held = b.func.dfg.value_type(bits);
    let ty = if held.is_vector() { types::F32X4 } else { types::F32 };
    let mut lane = Lane { b, ty };
    match dtype {
        DType::F16 => decode_f16(&mut lane, bits),
        _ => {
            let bits = lane.b.ins().ishl_imm_u(bits, 16);
            lane.float(bits)
        }
    }
}

fn encode_f16(lane: &mut Lane<'_, '_>, x: Value) -> Value {
    let (magnitude, sign) = lane.split_sign(x);
    let bits = lane.bits(magnitude);

    // A normal number: half a unit less one, and one more where the last bit is odd, carry into what is kept.
    let odd = lane.b.ins().ushr_imm_u(bits, 13);
    let one = lane.int(1);
    let odd = lane.b.ins().band(odd, one);
    let shift = lane.int(0xFFF - (REBIAS << 23));
    let normal = lane.b.ins().iadd(bits, shift);
    let normal = lane.b.ins().iadd(normal, odd);
    let normal = lane.b.ins().ushr_imm_u(normal, 13);

    // A denormal number: beside 0.5, the unit of f32 is that of f16's denormals.
    let (beside, least_normal) = (lane.number(0.5), lane.number(6.103_515_6e-5));
    let sum = lane.add(magnitude, beside);
    let (sum, beside) = (lane.bits(sum), lane.bits(beside));
    let denormal = lane.b.ins().isub(sum, beside);
    let is_denormal = lane.b.ins().fcmp(FloatCC::LessThan, magnitude, least_normal);
    let finite = select(lane.b, is_denormal, denormal, normal);

    let (infinity, nan, beyond) = (lane.int(F16_INFINITY), lane.int(F16_NAN), lane.number(65_536.0));
    let is_number = lane.b.ins().fcmp(FloatCC::Equal, x, x);
    let infinite = select(lane.b, is_number, infinity, nan);
    let is_finite = lane.b.ins().fcmp(FloatCC::LessThan, magnitude, beyond);
    let rounded = select(lane.b, is_finite, finite, infinite);
    let sign = lane.b.ins().ushr_imm_u(sign, 16);
    lane.b.ins().bor(rounded, sign)
}

fn decode_f16(lane: &mut Lane<'_, '_>, bits: Value) -> Value {
    let (sign_bit, rest) = (lane.int(0x8000), lane.int(0x7FFF));
    let (sign, magnitude) = (lane.b.ins().band(bits, sign_bit), lane.b.ins().band(bits, rest));
    let sign = lane.b.ins().ishl_imm_u(sign, 16);
    // In the place of an f32's bits the number is too small by the exponents' difference, denormal or not.
    let placed = lane.b.ins().ishl_imm_u(magnitude, 13);
    let placed = lane.float(placed);
    let scale = lane.number(f32::from_bits(((127 + REBIAS) << 23) as u32));
    let scaled = lane.mul(placed, scale);
    let scaled = lane.bits(scaled);
    // Infinity and NaN have all bits of the exponent.
    let (exponent, last_finite) = (lane.int(0x7F80_0000), lane.int(F16_INFINITY - 1));
    let special = lane.b.ins().bor(scaled, exponent);
    let is_special = lane.b.ins().icmp(IntCC::SignedGreaterThan, magnitude, last_finite);
    let value = select(lane.b, is_special, special, scaled);
    let value = lane.b.ins().bor(value, sign);
    lane.float(value)
}

fn encode_bf16(lane: &mut Lane<'_, '_>, x: Value) -> Value {
    let bits = lane.bits(x);
    let odd = lane.b.ins().ushr_imm_u(bits, 16);
    let (one, half) = (lane.int(1), lane.int(0x7FFF));
    let odd = lane.b.ins().band(odd, one);
    let rounded = lane.b.ins().iadd(bits, half);
    let rounded = lane.b.ins().iadd(rounded, odd);
    let rounded = lane.b.ins().ushr_imm_u(rounded, 16);
    let nan = lane.int(BF16_NAN);
    let is_number = lane.b.ins().fcmp(FloatCC::Equal, x, x);
    select(lane.b, is_number, rounded, nan)
}
