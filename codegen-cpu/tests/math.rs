//! The elementary functions in lanes and alone: greatest error in units in the last place, special values, equal bits.

mod common;

use common::{Builder, at, load, program_of, run, store};
use kiln_codegen_cpu::{Options, jit};
use kiln_ir::interpret::{Value, erf};
use kiln_ir::{DType, Expr, Unary};

/// f(x) by compiled code, in lanes or one at a time.
fn compiled(op: Unary, x: &[f32], lanes: bool) -> Vec<f32> {
    let mut k = Builder::new("function");
    let i = k.axis("i", x.len());
    let (input, output) = (k.read("x", [x.len()]), k.write("y", [x.len()]));
    k.body(&[i], vec![store(output, [at(i)], Expr::unary(op, load(input, [at(i)])))]).thread(&[i]);
    if lanes {
        k.vector(&[i]);
    }
    let code = jit(program_of(&k.0), Options::default()).expect("the kernel compiles");
    let values = x.iter().map(|&x| f64::from(x)).collect();
    let values = [
        Value::new(DType::F32, vec![x.len()], values).expect("as many as there are"),
        Value::filled(DType::F32, vec![x.len()], 0.0),
    ];
    run(code.kernels()[0], &k.0, &values, 1, u64::MAX, true)[1].data.iter().map(|&y| y as f32).collect()
}

/// The distance of `found` from `exact`, in units in the last place of the exact value.
fn error_ulp(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if nearest.is_nan() || nearest.is_infinite() {
        return if nearest.to_bits() == found.to_bits() || nearest.is_nan() && found.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let exponent = exact.abs().log2().floor().clamp(-126.0, 127.0);
    (f64::from(found) - exact).abs() / (exponent - 23.0).exp2()
}

fn check(op: Unary, exact: impl Fn(f64) -> f64, low: f32, high: f32, bound: f64) {
    const COUNT: usize = 200_003;
    let mut x: Vec<f32> = (0..COUNT).map(|at| low + (high - low) * (at as f32 / (COUNT - 1) as f32)).collect();
    // Every magnitude of float as well.
    x.extend(
        (0..=u16::MAX).map(|at| f32::from_bits(u32::from(at) << 16 | 0x1234)).filter(|x| (low..=high).contains(x)),
    );
    x.extend([0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-40, f32::MAX, f32::MIN]);
    if matches!(op, Unary::Sin | Unary::Cos) {
        x.retain(|x| x.is_nan() || x.is_infinite() || x.abs() < 1e6);
    }
    let lanes = compiled(op, &x, true);
    let alone = compiled(op, &x, false);
    let mut worst = (0.0, 0.0);
    for ((&x, &y), &scalar) in x.iter().zip(&lanes).zip(&alone) {
        assert!(
            y.to_bits() == scalar.to_bits() || y.is_nan() && scalar.is_nan(),
            "{op:?}({x}): {y} in lanes, {scalar} alone"
        );
        let error = error_ulp(y, exact(f64::from(x)));
        if error > worst.0 {
            worst = (error, x);
        }
    }
    println!("{op:?} on [{low}, {high}]: {:.3} ulp at {}", worst.0, worst.1);
    assert!(worst.0 <= bound, "{op:?}({}) is off by {} ulp", worst.1, worst.0);
}

#[test]
fn exp_within_2_ulp() {
    check(Unary::Exp, f64::exp, -110.0, 95.0, 2.0);
    check(Unary::Exp, f64::exp, -1.0, 1.0, 2.0);
}

#[test]
fn log_within_2_ulp() {
    check(Unary::Log, f64::ln, -1.0, 10.0, 2.0);
    check(Unary::Log, f64::ln, 1e-38, 1e30, 2.0);
    check(Unary::Log, f64::ln, 0.0, 1e-37, 2.0);
}

#[test]
fn tanh_within_4_ulp() {
    check(Unary::Tanh, f64::tanh, -10.0, 10.0, 4.0);
    check(Unary::Tanh, f64::tanh, -0.7, 0.7, 4.0);
}

#[test]
fn erf_within_4_ulp() {
    check(Unary::Erf, erf, -5.0, 5.0, 4.0);
    check(Unary::Erf, erf, -1.0, 1.0, 4.0);
}

#[test]
fn sin_and_cos_within_4_ulp() {
    for (low, high) in [(-10.0, 10.0), (-1e5, 1e5)] {
        check(Unary::Sin, f64::sin, low, high, 4.0);
        check(Unary::Cos, f64::cos, low, high, 4.0);
    }
}
