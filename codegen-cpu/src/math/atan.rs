//! `atan`: `|x|` above tan 3π/8 or tan π/8 is turned by a right angle or half of one, then a polynomial in x².
//! Source: Cephes `atanf.c` (S. Moshier).

use std::f32::consts::{FRAC_PI_2, FRAC_PI_4};

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::Lane;
use crate::ops::select;

const TAN_3_PI_8: f32 = 2.414_213_6;
const TAN_PI_8: f32 = 0.414_213_57;
const COEFFICIENTS: [f32; 4] = [8.053_744_6e-2, -1.387_768_5e-1, 1.997_771_1e-1, -3.333_295e-1];

/// The inverse tangent, in `[-π/2, π/2]`; at most 3 ulp.
pub(crate) fn atan(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    let mut lane = Lane::of(b, x);
    let (magnitude, sign) = lane.split_sign(x);
    let (steep, middle) = (lane.number(TAN_3_PI_8), lane.number(TAN_PI_8));
    let is_steep = lane.b.ins().fcmp(FloatCC::LessThan, steep, magnitude);
    let is_middle = lane.b.ins().fcmp(FloatCC::LessThan, middle, magnitude);

    // atan x = π/2 + atan(-1 / x) = π/4 + atan((x - 1) / (x + 1)): one division, by 1 where there is none to make.
    let (zero, one, minus_one) = (lane.number(0.0), lane.number(1.0), lane.number(-1.0));
    let (below, above) = (lane.add(magnitude, minus_one), lane.add(magnitude, one));
    let numerator = select(lane.b, is_middle, below, magnitude);
    let numerator = select(lane.b, is_steep, minus_one, numerator);
    let denominator = select(lane.b, is_middle, above, one);
    let denominator = select(lane.b, is_steep, magnitude, denominator);
    let (right, half) = (lane.number(FRAC_PI_2), lane.number(FRAC_PI_4));
    let turn = select(lane.b, is_middle, half, zero);
    let turn = select(lane.b, is_steep, right, turn);

    let r = lane.b.ins().fdiv(numerator, denominator);
    let square = lane.mul(r, r);
    let tail = lane.polynomial(square, &COEFFICIENTS);
    let tail = lane.mul(tail, square);
    let angle = lane.mul_add(tail, r, r);
    let angle = lane.add(turn, angle);
    lane.with_sign(angle, sign)
}
