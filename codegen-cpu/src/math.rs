//! Elementary functions on `f32`, as Cranelift operations: no library call, and the same bits in a scalar as in a lane.
//!
//! No fused multiply-add is used, so that results do not depend on the machine either. Greatest errors against the exact value,
//! as `tests/math.rs` checks them: `exp`, `log` 2 ulp; `tanh`, `erf`, `atan`, `sin`, `cos` 4 ulp. Infinities, NaN and denormals go
//! as in libm.

mod atan;
mod erf;
mod exp;
pub(crate) mod half;
mod log;
mod tanh;
mod trigonometry;

use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FunctionBuilder;

pub(crate) use atan::atan;
pub(crate) use erf::erf;
pub(crate) use exp::exp;
pub(crate) use log::log;
pub(crate) use tanh::tanh;
pub(crate) use trigonometry::{FAR, cos, sin};

use crate::ops::{bitcast, bits_type, f32_constant, i32_constant};

/// The lowest four bytes of a function: literals and bit tricks at the width of one operand.
struct Lane<'e, 'a> {
    b: &'e mut FunctionBuilder<'a>,
    ty: Type,
}

impl<'e, 'a> Lane<'e, 'a> {
    fn of(b: &'e mut FunctionBuilder<'a>, x: Value) -> Lane<'e, 'a> {
        let ty = b.func.dfg.value_type(x);
        Lane { b, ty }
    }

    fn number(&mut self, value: f32) -> Value {
        f32_constant(self.b, self.ty, value)
    }

    fn int(&mut self, value: i32) -> Value {
        i32_constant(self.b, bits_type(self.ty), value)
    }

    fn bits(&mut self, x: Value) -> Value {
        bitcast(self.b, bits_type(self.ty), x)
    }

    fn float(&mut self, x: Value) -> Value {
        bitcast(self.b, self.ty, x)
    }

    fn add(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().fadd(x, y)
    }

    fn mul(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().fmul(x, y)
    }

    /// `x·y + z`, rounded twice.
    fn mul_add(&mut self, x: Value, y: Value, z: Value) -> Value {
        let product = self.mul(x, y);
        self.add(product, z)
    }

    /// Horner's rule, the highest coefficient first.
    fn polynomial(&mut self, x: Value, coefficients: &[f32]) -> Value {
        let (first, rest) = coefficients.split_first().expect("a polynomial has a coefficient");
        let first = self.number(*first);
        rest.iter().fold(first, |sum, &coefficient| {
            let coefficient = self.number(coefficient);
            self.mul_add(sum, x, coefficient)
        })
    }

    /// The nearest integer as a float and as an integer, for `|x| < 2^22`: adding 1.5·2^23 leaves no bits for a fraction.
    fn round(&mut self, x: Value) -> (Value, Value) {
        const MAGIC: f32 = 12_582_912.0;
        let magic = self.number(MAGIC);
        let shifted = self.add(x, magic);
        let whole = self.b.ins().fsub(shifted, magic);
        let (bits, zero) = (self.bits(shifted), self.int(MAGIC.to_bits() as i32));
        (whole, self.b.ins().isub(bits, zero))
    }

    /// `2^n` for an integer n in the range of normal exponents.
    fn power_of_two(&mut self, n: Value) -> Value {
        let bias = self.int(127);
        let biased = self.b.ins().iadd(n, bias);
        let bits = self.b.ins().ishl_imm_u(biased, 23);
        self.float(bits)
    }

    /// `|x|`, and the sign bit of x alone.
    fn split_sign(&mut self, x: Value) -> (Value, Value) {
        let bits = self.bits(x);
        let sign_bit = self.int(i32::MIN);
        let sign = self.b.ins().band(bits, sign_bit);
        (self.b.ins().fabs(x), sign)
    }

    /// A non-negative number with a sign bit put on.
    fn with_sign(&mut self, x: Value, sign: Value) -> Value {
        let bits = self.bits(x);
        let bits = self.b.ins().bor(bits, sign);
        self.float(bits)
    }
}
