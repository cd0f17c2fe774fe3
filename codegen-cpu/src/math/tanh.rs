//! `tanh`: a polynomial near 0, `1 - 2 / (e^2x + 1)` elsewhere. Source: Cephes `tanhf.c` (S. Moshier).

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::{Lane, exp};
use crate::ops::select;

const COEFFICIENTS: [f32; 5] = [-5.704_988_6e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1];

/// The hyperbolic tangent; at most 4 ulp.
pub(crate) fn tanh(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    let mut lane = Lane::of(b, x);
    let (magnitude, sign) = lane.split_sign(x);
    let square = lane.mul(magnitude, magnitude);
    let tail = lane.polynomial(square, &COEFFICIENTS);
    let tail = lane.mul(tail, square);
    let near = lane.mul_add(tail, magnitude, magnitude);

    let twice = lane.add(magnitude, magnitude);
    let power = exp(lane.b, twice);
    let (one, two) = (lane.number(1.0), lane.number(2.0));
    let denominator = lane.add(power, one);
    let quotient = lane.b.ins().fdiv(two, denominator);
    let far = lane.b.ins().fsub(one, quotient);

    let border = lane.number(0.625);
    let is_near = lane.b.ins().fcmp(FloatCC::LessThan, magnitude, border);
    let y = select(lane.b, is_near, near, far);
    lane.with_sign(y, sign)
}
