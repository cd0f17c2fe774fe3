//! `e^x = 2^n · e^r` with `n = round(x / ln 2)` and `|r| ≤ ln 2 / 2`. Source: Cephes `expf.c` (S. Moshier).

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::Lane;
use crate::ops::select;

/// Below this the result is less than half the least denormal.
const LEAST: f32 = -104.0;
/// Above this the result is infinite.
const GREATEST: f32 = 89.0;
/// ln 2 in two parts; the first has few enough bits that `n · LN_2_HIGH` is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const COEFFICIENTS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];

/// e^x; at most 2 ulp.
pub(crate) fn exp(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    let mut lane = Lane::of(b, x);
    let (least, greatest) = (lane.number(LEAST), lane.number(GREATEST));
    // What is 0 in the end is computed as e^0: a product that underflows costs a hundred cycles, and the -∞ of an attention mask are many. NaN
    // counts as not less, and goes through to the result.
    let zero = lane.number(0.0);
    let is_positive = lane.b.ins().fcmp(FloatCC::UnorderedOrGreaterThanOrEqual, x, least);
    let x = select(lane.b, is_positive, x, zero);
    let high = lane.b.ins().fcmp(FloatCC::LessThan, greatest, x);
    let x = select(lane.b, high, greatest, x);

    let (series, n) = reduced(&mut lane, x);
    let one = lane.number(1.0);
    let y = lane.add(series, one);

    // 2^n leaves the normal exponents at both ends, so it is multiplied in as two factors.
    let half = lane.b.ins().sshr_imm_u(n, 1);
    let rest = lane.b.ins().isub(n, half);
    let (half, rest) = (lane.power_of_two(half), lane.power_of_two(rest));
    let y = lane.mul(y, half);
    let y = lane.mul(y, rest);
    select(lane.b, is_positive, y, zero)
}

/// `e^r - 1` and `n`, where `x = n ln 2 + r`.
pub(super) fn reduced(lane: &mut Lane<'_, '_>, x: Value) -> (Value, Value) {
    let inverse = lane.number(std::f32::consts::LOG2_E);
    let scaled = lane.mul(x, inverse);
    let (whole, n) = lane.round(scaled);
    let (high, low) = (lane.number(-LN_2_HIGH), lane.number(-LN_2_LOW));
    let r = lane.mul_add(whole, high, x);
    let r = lane.mul_add(whole, low, r);
    let square = lane.mul(r, r);
    let tail = lane.polynomial(r, &COEFFICIENTS);
    (lane.mul_add(tail, square, r), n)
}
