//! `sin` and `cos` of an `f32`, computed in `f64` one lane at a time: positional encodings are the only use in training. Two words
//! of π/2 in double precision keep every digit up to [`FAR`]; beyond, `scalar.rs` calls the runtime instead.
//! Source of the polynomials: FreeBSD msun `k_sinf.c` and `k_cosf.c`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;

const SIN: [f64; 4] =
    [2.718_311_493_989_822e-6, -1.983_933_483_609_663_2e-4, 8.333_329_385_889_463e-3, -1.666_666_664_162_654_6e-1];
const COS: [f64; 4] =
    [2.439_044_879_627_741_5e-5, -1.388_676_377_460_993e-3, 4.166_662_332_373_906e-2, -4.999_999_972_510_31e-1];
/// Up to here the multiple of π/2 has at most 20 bits, and its product with the first word of π/2 is exact.
pub(crate) const FAR: f32 = 1_048_576.0;
/// The first 33 bits of π/2, and the rest.
const HALF_PI_HIGH: f64 = 1.570_796_310_901_641_8;
const HALF_PI_LOW: f64 = 1.589_325_477_352_819_6e-8;
/// 1.5·2^52: adding it rounds to an integer.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// The sine of a scalar up to [`FAR`], radians; at most 1 ulp.
pub(crate) fn sin(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    quarter_turns(b, x, 0)
}

/// The cosine of a scalar up to [`FAR`], radians; at most 1 ulp.
pub(crate) fn cos(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    quarter_turns(b, x, 1)
}

/// `sin(x + turns·π/2)`.
fn quarter_turns(b: &mut FunctionBuilder<'_>, x: Value, turns: i64) -> Value {
    let x = b.ins().fpromote(types::F64, x);
    let (inverse, magic) = (b.ins().f64const(std::f64::consts::FRAC_2_PI), b.ins().f64const(MAGIC));
    let scaled = b.ins().fmul(x, inverse);
    let shifted = b.ins().fadd(scaled, magic);
    let n = b.ins().fsub(shifted, magic);
    let bits = b.ins().bitcast(types::I64, cranelift_codegen::ir::MemFlagsData::new(), shifted);
    let quadrant = b.ins().iadd_imm_s(bits, turns);

    let (high, low) = (b.ins().f64const(HALF_PI_HIGH), b.ins().f64const(HALF_PI_LOW));
    let (high, low) = (b.ins().fmul(n, high), b.ins().fmul(n, low));
    let r = b.ins().fsub(x, high);
    let r = b.ins().fsub(r, low);

    let square = b.ins().fmul(r, r);
    let sine = polynomial(b, square, &SIN);
    let sine = b.ins().fmul(sine, square);
    let cosine = polynomial(b, square, &COS);
    let cosine = b.ins().fmul(cosine, square);
    let one = b.ins().f64const(1.0);
    // A product, so that -0 keeps its sign.
    let sine = b.ins().fadd(sine, one);
    let sine = b.ins().fmul(sine, r);
    let cosine = b.ins().fadd(cosine, one);

    let odd = b.ins().band_imm_s(quadrant, 1);
    let y = b.ins().select(odd, cosine, sine);
    let negated = b.ins().fneg(y);
    let second_half = b.ins().band_imm_s(quadrant, 2);
    let is_negative = b.ins().icmp_imm_s(IntCC::NotEqual, second_half, 0);
    let y = b.ins().select(is_negative, negated, y);
    b.ins().fdemote(types::F32, y)
}

fn polynomial(b: &mut FunctionBuilder<'_>, x: Value, coefficients: &[f64]) -> Value {
    let (first, rest) = coefficients.split_first().expect("a polynomial has a coefficient");
    let first = b.ins().f64const(*first);
    rest.iter().fold(first, |sum, &coefficient| {
        let coefficient = b.ins().f64const(coefficient);
        let product = b.ins().fmul(sum, x);
        b.ins().fadd(product, coefficient)
    })
}
