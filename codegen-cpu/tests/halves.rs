//! `f16` and `bf16`: every conversion, and every operation rounded as the interpreter rounds it.

mod common;

use common::{Builder, at, load, noise, program_of, reduce, run, store};
use half::{bf16, f16};
use kiln_codegen_cpu::{Options, jit};
use kiln_ir::interpret::{Precision, Value, run_kernel};
use kiln_ir::kernel::{Access, Kernel};
use kiln_ir::{Binary, Comparison, DType, Expr, Monoid, Unary};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

/// The values after the kernel, by compiled code.
fn compiled(kernel: &Kernel, values: &[Value]) -> Vec<Value> {
    let options = Options { verify: true, ..Options::default() };
    let code = jit(program_of(kernel), options).expect("the kernel compiles");
    run(code.kernels()[0], kernel, values, 1, u64::MAX, true)
}

/// `y[i] = value(x[i])` for elements of one dtype each, in lanes or alone.
fn map(x: &Value, to: DType, lanes: bool, value: impl Fn(Expr) -> Expr) -> (Kernel, Vec<Value>) {
    let mut k = Builder::new("map");
    let i = k.axis("i", x.data.len());
    let input = k.tensor("x", Access::Read, x.dtype, [x.data.len()]);
    let output = k.tensor("y", Access::Write, to, [x.data.len()]);
    k.body(&[i], vec![store(output, [at(i)], value(load(input, [at(i)])))]).thread(&[i]);
    if lanes {
        k.vector(&[i]);
    }
    let result = Value::unset(&k.0.tensors[1].ty, 1);
    (k.0, vec![x.clone(), result])
}

fn value(dtype: DType, data: Vec<f64>) -> Value {
    Value::new(dtype, vec![data.len()], data).expect("one axis")
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

#[test]
fn every_half_is_read_and_written() {
    for (dtype, element) in [
        (DType::F16, (|bits| f16::from_bits(bits).to_f64()) as fn(u16) -> f64),
        (DType::BF16, |bits| bf16::from_bits(bits).to_f64()),
    ] {
        let x = value(dtype, (0..=u16::MAX).map(element).collect());
        for lanes in [false, true] {
            let (kernel, values) = map(&x, DType::F32, lanes, |x| Expr::cast(DType::F32, x));
            let wide = compiled(&kernel, &values).remove(1);
            let (kernel, values) = map(&wide, dtype, lanes, |x| Expr::cast(dtype, x));
            let back = compiled(&kernel, &values).remove(1);
            for (at, &x) in x.data.iter().enumerate() {
                assert!(
                    same(x, wide.data[at]) && same(x, back.data[at]),
                    "{x} became {}, {}",
                    wide.data[at],
                    back.data[at]
                );
            }
        }
    }
}

#[test]
fn single_precision_rounds_to_the_nearest_half() {
    // Steps through single precision by a large prime, and around the ties of each exponent.
    let mut bits: Vec<u32> = (0..u32::MAX).step_by(65_537).collect();
    for upper in (0..=0xFFFFu32).step_by(7) {
        bits.extend(
            [0x7FFF, 0x8000, 0x8001, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001].map(|low| upper << 16 | low),
        );
    }
    let x = value(DType::F32, bits.iter().map(|&bits| f64::from(f32::from_bits(bits))).collect());
    for dtype in HALVES {
        for lanes in [false, true] {
            let (kernel, values) = map(&x, dtype, lanes, |x| Expr::cast(dtype, x));
            let found = compiled(&kernel, &values).remove(1);
            for (&x, &found) in x.data.iter().zip(&found.data) {
                let expected = Precision::Declared.round(x, dtype);
                assert!(same(expected, found), "{x:e} is {found:e} in {dtype}, not {expected:e}");
            }
        }
    }
}

#[test]
fn every_operation_is_rounded() {
    for dtype in HALVES {
        let mut data = noise(1003, 5);
        data.extend([0.0, -0.0, 1e-7, -3e-5, 6e4, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.5, 2.5]);
        let x = value(dtype, data).rounded(Precision::Declared);
        let third = || Expr::number(1.0 / 3.0, dtype);
        let mut formulas: Vec<(String, Expr)> = Vec::new();
        let placeholder = || load(kiln_ir::TensorId(0), [at(kiln_ir::AxisId(0))]);
        for op in Unary::ALL.iter().filter(|op| **op != Unary::Not) {
            formulas.push((op.name().to_owned(), Expr::unary(*op, placeholder())));
        }
        for op in Binary::ALL.iter().filter(|op| !matches!(op, Binary::And | Binary::Or)) {
            formulas.push((op.name().to_owned(), Expr::binary(*op, placeholder(), third())));
        }
        let is_small = Expr::compare(Comparison::Lt, placeholder(), third());
        formulas.push(("select".to_owned(), Expr::select(is_small, placeholder() * third(), third())));
        for to in [DType::F64, DType::F32, DType::I64, DType::I32, DType::Bool] {
            formulas.push((format!("to {to}"), Expr::cast(dtype, Expr::cast(to, placeholder()))));
        }
        for (name, formula) in formulas {
            for lanes in [false, true] {
                let (kernel, mut values) = map(&x, dtype, lanes, |_| formula.clone());
                let found = compiled(&kernel, &values).remove(1);
                run_kernel(&kernel, &mut values, 1, Precision::Declared).expect("the interpreter runs the kernel");
                let exact = !name.starts_with(|c: char| c.is_alphabetic()) || name.starts_with("to ");
                for ((&x, &expected), &found) in x.data.iter().zip(&values[1].data).zip(&found.data) {
                    // A polynomial in `f32` may round to the neighbour.
                    let near = !exact
                        && (expected - found).abs() <= expected.abs() * if dtype == DType::F16 { 1e-3 } else { 8e-3 };
                    assert!(same(expected, found) || near, "{name} of {x} in {dtype}: {found}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn sums_are_rounded_once() {
    for dtype in HALVES {
        for (rows, columns, over_rows) in [(3, 517, false), (517, 5, true)] {
            let mut k = Builder::new("sums");
            let (i, j) = (k.axis("i", rows), k.axis("j", columns));
            let x = k.tensor("x", Access::Read, dtype, [rows, columns]);
            let (outer, inner, extent) = if over_rows { (j, i, columns) } else { (i, j, rows) };
            let y = k.tensor("y", Access::Write, dtype, [extent]);
            let z = k.tensor("z", Access::Write, dtype, [extent]);
            let (sum, most) = (k.local("sum", dtype), k.local("most", dtype));
            let element = || load(x, [at(i), at(j)]);
            k.body(
                &[outer],
                vec![
                    reduce(&[inner], sum, Monoid::Sum, element()),
                    reduce(&[inner], most, Monoid::Max, element()),
                    store(y, [at(outer)], Expr::Local(sum)),
                    store(z, [at(outer)], Expr::Local(most)),
                ],
            )
            .thread(&[outer]);
            for vector in [vec![], vec![j]] {
                k.vector(&vector);
                let data = noise(rows * columns, 3).into_iter().map(|x| x + 1.0).collect();
                let x = Value::new(dtype, vec![rows, columns], data).expect("two axes").rounded(Precision::Declared);
                let unset = |at: usize| Value::unset(&k.0.tensors[at].ty, 1);
                let mut values = vec![x, unset(1), unset(2)];
                let found = compiled(&k.0, &values);
                run_kernel(&k.0, &mut values, 1, Precision::Declared).expect("the interpreter runs the kernel");
                assert_eq!(found[1..], values[1..], "{dtype}");
            }
        }
    }
}
