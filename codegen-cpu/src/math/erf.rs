//! `erf`: `x + x·P(x²)` near 0, `1 - e^Q(|x|)` elsewhere. Source: N. Juffa, "Efficient faithfully-rounded erff()"
//! (public domain), whose minimax coefficients these are; the multiply-adds round twice here.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::{Lane, exp};
use crate::ops::select;

const NEAR: [f32; 6] =
    [-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_25e-1, -3.761_253_4e-1, 1.283_791_7e-1];
const FAR: [f32; 7] =
    [-1.728_534_7e-5, 3.831_971_3e-4, -3.883_964_4e-3, 2.425_462_2e-2, -1.067_778_8e-1, -6.348_467e-1, -1.287_175_1e-1];

/// The error function; at most 4 ulp.
pub(crate) fn erf(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    let mut lane = Lane::of(b, x);
    let (magnitude, sign) = lane.split_sign(x);
    let square = lane.mul(x, x);
    let tail = lane.polynomial(square, &NEAR);
    let near = lane.mul_add(tail, x, x);

    // Past 4 the result is 1; the polynomial would turn around and overflow.
    let limit = lane.number(4.0);
    let beyond = lane.b.ins().fcmp(FloatCC::LessThan, limit, magnitude);
    let t = select(lane.b, beyond, limit, magnitude);
    let exponent = lane.polynomial(t, &FAR);
    let exponent = lane.mul(exponent, t);
    let exponent = lane.b.ins().fsub(exponent, t);
    let power = exp(lane.b, exponent);
    let one = lane.number(1.0);
    let far = lane.b.ins().fsub(one, power);
    let far = lane.with_sign(far, sign);

    let border = lane.number(0.927_734_4);
    let is_far = lane.b.ins().fcmp(FloatCC::LessThan, border, magnitude);
    select(lane.b, is_far, far, near)
}
