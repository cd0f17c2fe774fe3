//! `log(x) = n · ln 2 + log(1 + f)` with `1 + f` in `[√½, √2)`. Source: Cephes `logf.c` (S. Moshier).

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::Lane;
use crate::ops::select;

const COEFFICIENTS: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// The natural logarithm; at most 2 ulp. `log(0) = -∞`, and NaN below 0.
pub(crate) fn log(b: &mut FunctionBuilder<'_>, input: Value) -> Value {
    let mut lane = Lane::of(b, input);
    // Denormals are scaled into the normal range.
    let (least_normal, scale) = (lane.number(f32::MIN_POSITIVE), lane.number(8_388_608.0));
    let denormal = lane.b.ins().fcmp(FloatCC::LessThan, input, least_normal);
    let scaled = lane.mul(input, scale);
    let x = select(lane.b, denormal, scaled, input);
    let (plain, shifted) = (lane.number(0.0), lane.number(-23.0));
    let exponent_shift = select(lane.b, denormal, shifted, plain);

    // x = m · 2^e with m in [√½, √2): the bits above √½'s count the exponent.
    const ROOT_HALF: i32 = 0x3F35_04F3;
    let bits = lane.bits(x);
    let root_half = lane.int(ROOT_HALF);
    let above = lane.b.ins().isub(bits, root_half);
    let e = lane.b.ins().sshr_imm_u(above, 23);
    let exponent_bits = lane.b.ins().ishl_imm_u(e, 23);
    let mantissa = lane.b.ins().isub(bits, exponent_bits);
    let m = lane.float(mantissa);
    let ty = lane.ty;
    let e = lane.b.ins().fcvt_from_sint(ty, e);
    let e = lane.add(e, exponent_shift);

    let minus_one = lane.number(-1.0);
    let f = lane.add(m, minus_one);
    let square = lane.mul(f, f);
    let cube = lane.mul(square, f);
    let tail = lane.polynomial(f, &COEFFICIENTS);
    let tail = lane.mul(tail, cube);
    let low = lane.number(LN_2_LOW);
    let tail = lane.mul_add(e, low, tail);
    let minus_half = lane.number(-0.5);
    let tail = lane.mul_add(square, minus_half, tail);
    let sum = lane.add(f, tail);
    let high = lane.number(LN_2_HIGH);
    let y = lane.mul_add(e, high, sum);

    let (zero, infinity) = (lane.number(0.0), lane.number(f32::INFINITY));
    let (minus_infinity, nan) = (lane.number(f32::NEG_INFINITY), lane.number(f32::NAN));
    // Infinity and NaN are their own logarithms.
    let finite = lane.b.ins().fcmp(FloatCC::LessThan, input, infinity);
    let y = select(lane.b, finite, y, input);
    let is_zero = lane.b.ins().fcmp(FloatCC::Equal, input, zero);
    let y = select(lane.b, is_zero, minus_infinity, y);
    let negative = lane.b.ins().fcmp(FloatCC::LessThan, input, zero);
    select(lane.b, negative, nan, y)
}
