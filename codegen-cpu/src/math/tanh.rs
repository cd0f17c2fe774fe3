//! `tanh x = E / (E + 2)` with `E = e^2x - 1`, which is taken before the 1 of the exponential's series has rounded the rest away: with
//! `2x = n ln 2 + r`, `E = 2^n · (e^r - 1) + (2^n - 1)`. So one formula is exact enough near 0 and far from it.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::Lane;
use super::exp::reduced;
use crate::ops::select;

/// From here on the result is 1.
const GREATEST: f32 = 10.0;

/// The hyperbolic tangent; at most 4 ulp.
pub(crate) fn tanh(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    let mut lane = Lane::of(b, x);
    let (magnitude, sign) = lane.split_sign(x);
    // NaN is not greater, and goes through to the result.
    let greatest = lane.number(GREATEST);
    let is_far = lane.b.ins().fcmp(FloatCC::LessThan, greatest, magnitude);
    let magnitude = select(lane.b, is_far, greatest, magnitude);

    let twice = lane.add(magnitude, magnitude);
    let (series, n) = reduced(&mut lane, twice);
    let power = lane.power_of_two(n);
    let (one, two) = (lane.number(1.0), lane.number(2.0));
    let rest = lane.b.ins().fsub(power, one);
    let e = lane.mul_add(power, series, rest);
    let denominator = lane.add(e, two);
    let y = lane.b.ins().fdiv(e, denominator);
    lane.with_sign(y, sign)
}
