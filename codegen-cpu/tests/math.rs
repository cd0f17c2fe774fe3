//! The elementary functions in lanes and alone: greatest error in units in the last place, special values, equal bits. Functions of
//! the op table that are formulas over others are compiled from the table.

mod common;

use common::{Builder, at, load, program_of, run, store};
use kiln_codegen_cpu::{Options, jit};
use kiln_ir::interpret::{Value, erf};
use kiln_ir::ops::*;
use kiln_ir::{DType, Expr, Type, Unary};

/// f(x) by compiled code, in lanes or one at a time.
fn compiled(value: &Expr, x: &[f32], lanes: bool) -> Vec<f32> {
    let mut k = Builder::new("function");
    let i = k.axis("i", x.len());
    let (_, output) = (k.read("x", [x.len()]), k.write("y", [x.len()]));
    k.body(&[i], vec![store(output, [at(i)], value.clone())]).thread(&[i]);
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

/// The function of the only operand of a kernel over one axis.
fn unary(op: Unary) -> Expr {
    Expr::unary(op, operand())
}

fn operand() -> Expr {
    load(kiln_ir::TensorId(0), [at(kiln_ir::AxisId(0))])
}

/// The same of an op of the table; further operands are this number.
fn formula(op: impl Into<Op>, others: &[f64]) -> Expr {
    let ty = Type::new(DType::F32, [1]);
    let body = op.into().body(&vec![ty.clone(); 1 + others.len()], &ty).expect("the op has a formula");
    numbers(&body.value, others)
}

fn numbers(expr: &Expr, others: &[f64]) -> Expr {
    match expr {
        Expr::Load(load) if load.tensor.0 > 0 => Expr::number(others[load.tensor.0 as usize - 1], DType::F32),
        _ => expr.map_operands(&mut |x| numbers(x, others)),
    }
}

fn check(name: &str, value: &Expr, exact: impl Fn(f64) -> f64, low: f32, high: f32, bound: f64) {
    const COUNT: usize = 200_003;
    let mut x: Vec<f32> = (0..COUNT).map(|at| low + (high - low) * (at as f32 / (COUNT - 1) as f32)).collect();
    // Every magnitude of float as well.
    x.extend(
        (0..=u16::MAX).map(|at| f32::from_bits(u32::from(at) << 16 | 0x1234)).filter(|x| (low..=high).contains(x)),
    );
    x.extend([0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-40, f32::MAX, f32::MIN]);
    let lanes = compiled(value, &x, true);
    let alone = compiled(value, &x, false);
    let mut worst = (0.0, 0.0);
    for ((&x, &y), &scalar) in x.iter().zip(&lanes).zip(&alone) {
        assert!(
            y.to_bits() == scalar.to_bits() || y.is_nan() && scalar.is_nan(),
            "{name}({x}): {y} in lanes, {scalar} alone"
        );
        let exact = exact(f64::from(x));
        let zero = x == 0.0 && exact == 0.0;
        assert!(!zero || y.to_bits() == (exact as f32).to_bits(), "{name}({x:?}) is {y:?}, not {exact:?}");
        let error = error_ulp(y, exact);
        if error > worst.0 {
            worst = (error, x);
        }
    }
    println!("{name} on [{low}, {high}]: {:.3} ulp at {}", worst.0, worst.1);
    assert!(worst.0 <= bound, "{name}({}) is off by {} ulp", worst.1, worst.0);
}

#[test]
fn exp_within_2_ulp() {
    check("exp", &unary(Unary::Exp), f64::exp, -110.0, 95.0, 2.0);
    check("exp", &unary(Unary::Exp), f64::exp, -1.0, 1.0, 2.0);
}

#[test]
fn log_within_2_ulp() {
    check("log", &unary(Unary::Log), f64::ln, -1.0, 10.0, 2.0);
    check("log", &unary(Unary::Log), f64::ln, 1e-38, 1e30, 2.0);
    check("log", &unary(Unary::Log), f64::ln, 0.0, 1e-37, 2.0);
}

#[test]
fn tanh_within_4_ulp() {
    check("tanh", &unary(Unary::Tanh), f64::tanh, -10.0, 10.0, 4.0);
    check("tanh", &unary(Unary::Tanh), f64::tanh, -0.7, 0.7, 4.0);
}

#[test]
fn erf_within_4_ulp() {
    check("erf", &unary(Unary::Erf), erf, -5.0, 5.0, 4.0);
    check("erf", &unary(Unary::Erf), erf, -1.0, 1.0, 4.0);
}

#[test]
fn atan_within_4_ulp() {
    check("atan", &unary(Unary::Atan), f64::atan, -10.0, 10.0, 4.0);
    check("atan", &unary(Unary::Atan), f64::atan, f32::MIN, f32::MAX, 4.0);
}

#[test]
fn sin_and_cos_within_4_ulp() {
    for high in [10.0, 1e5, 1e7, f32::MAX] {
        check("sin", &unary(Unary::Sin), f64::sin, -high, high, 4.0);
        check("cos", &unary(Unary::Cos), f64::cos, -high, high, 4.0);
    }
}

#[test]
fn rounding_is_exact() {
    for high in [4.0, 1e8] {
        check("floor", &unary(Unary::Floor), f64::floor, -high, high, 0.0);
        check("ceil", &unary(Unary::Ceil), f64::ceil, -high, high, 0.0);
        check("trunc", &unary(Unary::Trunc), f64::trunc, -high, high, 0.0);
        check("round", &unary(Unary::Round), f64::round_ties_even, -high, high, 0.0);
    }
    let ties = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5];
    assert_eq!(compiled(&unary(Unary::Round), &ties, true), [-2.0, -2.0, 0.0, 0.0, 2.0, 2.0]);
}

#[test]
fn remainders_are_exact() {
    let numbers = [0.75, -0.75, 3.0, -1e-3, 1e20, f64::INFINITY, f64::NAN, 0.0];
    for b in numbers.map(|b| f64::from(b as f32)) {
        check("fmod", &formula(Fmod {}, &[b]), |a| a % b, -100.0, 100.0, 0.0);
        let python = |a: f64| {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { f64::from((rest + b) as f32) } else { rest }
        };
        check("remainder", &formula(Remainder {}, &[b]), python, -100.0, 100.0, 0.0);
    }
}

type Row = (&'static str, Expr, fn(f64) -> f64, [f32; 2]);

#[test]
fn formulas_within_4_ulp() {
    const HUGE: [f32; 2] = [f32::MIN, f32::MAX];
    let rows: [Row; 24] = [
        ("exp2", formula(Exp2 {}, &[]), f64::exp2, [-155.0, 130.0]),
        ("expm1", formula(Expm1 {}, &[]), f64::exp_m1, [-110.0, 95.0]),
        ("expm1", formula(Expm1 {}, &[]), f64::exp_m1, [-1.0, 1.0]),
        ("log2", formula(Log2 {}, &[]), f64::log2, [0.0, 10.0]),
        ("log2", formula(Log2 {}, &[]), f64::log2, HUGE),
        ("log1p", formula(Log1p {}, &[]), f64::ln_1p, [-1.5, 1.5]),
        ("log1p", formula(Log1p {}, &[]), f64::ln_1p, [-1e-6, 1e-6]),
        ("log1p", formula(Log1p {}, &[]), f64::ln_1p, HUGE),
        ("rsqrt", formula(Rsqrt {}, &[]), |x| 1.0 / x.sqrt(), [-1.0, 1e9]),
        ("tan", formula(Tan {}, &[]), f64::tan, [-10.0, 10.0]),
        ("tan", formula(Tan {}, &[]), f64::tan, HUGE),
        ("asin", formula(Asin {}, &[]), f64::asin, [-1.1, 1.1]),
        ("acos", formula(Acos {}, &[]), f64::acos, [-1.1, 1.1]),
        ("sinh", formula(Sinh {}, &[]), f64::sinh, [-92.0, 92.0]),
        ("sinh", formula(Sinh {}, &[]), f64::sinh, [-1.0, 1.0]),
        ("cosh", formula(Cosh {}, &[]), f64::cosh, [-92.0, 92.0]),
        ("cosh", formula(Cosh {}, &[]), f64::cosh, [-1.0, 1.0]),
        ("sigmoid", formula(Sigmoid {}, &[]), |x| 1.0 / (1.0 + (-x).exp()), [-85.0, 20.0]),
        ("atan2(y, 1)", formula(Atan2 {}, &[1.0]), |y| y.atan2(1.0), HUGE),
        ("atan2(y, -3)", formula(Atan2 {}, &[-3.0]), |y| y.atan2(-3.0), [-10.0, 10.0]),
        ("atan2(y, -0)", formula(Atan2 {}, &[-0.0]), |y| y.atan2(-0.0), [-10.0, 10.0]),
        ("atan2(y, 0)", formula(Atan2 {}, &[0.0]), |y| y.atan2(0.0), [-10.0, 10.0]),
        ("atan2(y, -inf)", formula(Atan2 {}, &[f64::NEG_INFINITY]), |y| y.atan2(f64::NEG_INFINITY), [-10.0, 10.0]),
        ("atan2(y, nan)", formula(Atan2 {}, &[f64::NAN]), |y| y.atan2(f64::NAN), [-10.0, 10.0]),
    ];
    for (name, value, exact, [low, high]) in rows {
        check(name, &value, exact, low, high, 4.0);
    }
}
