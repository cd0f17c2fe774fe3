//! Loops in AVX-512, where the processor has it: every length of the last step, every operation that such loops know, more values than
//! registers, and that what they do not know is left to loops of four lanes. `check` compares the bits with those of 128-bit vectors.

mod common;

use common::{B, Builder, at, check, check_values, load, number, padded, reduce, store};
use kiln_codegen_cpu::{Options, assembly};
use kiln_ir::kernel::{Access, Reduction, Statement};
use kiln_ir::{Atom, AxisId, Binary, Comparison, DType, Expr, Index, Monoid, Unary};

/// How many loops of a kernel became wide, or `None` on a processor without such loops.
fn wide_functions(k: &Builder) -> Option<usize> {
    let text = assembly(&k.0, Options::default()).expect("the kernel compiles");
    has_wide_loops().then(|| text.matches("wide function").count())
}

fn has_wide_loops() -> bool {
    #[cfg(all(target_arch = "x86_64", unix))]
    return is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("bmi2");
    #[cfg(not(all(target_arch = "x86_64", unix)))]
    false
}

/// The kernel is right, and as many of its loops are wide as are expected.
fn check_wide(k: &Builder, batch: usize, expected: usize) {
    check(&k.0, batch);
    if let Some(found) = wide_functions(k) {
        assert_eq!(found, expected, "wide functions of `{}`", k.0.name);
    }
}

/// `y[i] = value(x[i])` over one axis.
fn map(length: usize, value: impl Fn(Expr) -> Expr) -> Builder {
    let mut k = Builder::new("map");
    let i = k.axis("i", length);
    let (x, y) = (k.read("x", [length]), k.write("y", [length]));
    k.body(&[i], vec![store(y, [at(i)], value(load(x, [at(i)])))]).thread(&[i]).vector(&[i]);
    k
}

#[test]
fn every_length_of_the_last_step() {
    for length in 32..=97 {
        check_wide(
            &map(length, |x| Expr::binary(Binary::Add, x.clone(), Expr::binary(Binary::Mul, x, number(3.0)))),
            1,
            1,
        );
        // A length that is known inside a loop.
        let mut k = Builder::new("rows");
        let (n, i) = (k.axis("n", B), k.axis("i", length));
        let (x, y) =
            (k.read("x", vec![B, length.into()]), k.tensor("y", Access::Update, DType::F32, vec![B, length.into()]));
        let sum = Expr::binary(Binary::Sub, load(y, [at(n), at(i)]), load(x, [at(n), at(i)]));
        k.body(&[n, i], vec![store(y, [at(n), at(i)], sum)]).thread(&[n]).vector(&[i]);
        check_wide(&k, 3, 1);
    }
}

#[test]
fn short_loops_have_four_lanes() {
    check_wide(&map(31, |x| x), 1, 0);
}

#[test]
fn every_operation() {
    let length = 75;
    let mut k = Builder::new("operations");
    let i = k.axis("i", length);
    let (x, z) = (k.read("x", [length]), k.read("z", [length]));
    let count = k.tensor("count", Access::Read, DType::I32, [length]);
    let scale = k.read("scale", [1]);
    let here = || load(x, [at(i)]);
    let other = || load(z, [at(i)]);
    let whole = || load(count, [at(i)]);
    let integer = |value: f64| Expr::number(value, DType::I32);
    let less = || Expr::compare(Comparison::Lt, here(), other());
    let few = || Expr::compare(Comparison::Le, whole(), integer(4.0));
    let mut values: Vec<(DType, Expr)> = vec![
        (DType::F32, Expr::binary(Binary::Div, here(), Expr::binary(Binary::Add, other(), number(3.0)))),
        (DType::F32, Expr::binary(Binary::Sub, number(1.0), here())),
        (DType::F32, Expr::binary(Binary::Mul, load(scale, [at(i).times(0)]), here())),
        (DType::F32, Expr::binary(Binary::Max, here(), other())),
        (DType::F32, Expr::binary(Binary::Min, here(), number(0.25))),
        (DType::F32, Expr::select(less(), here(), number(0.0))),
        (DType::F32, Expr::select(Expr::binary(Binary::And, less(), few()), here(), other())),
        (
            DType::F32,
            Expr::select(Expr::binary(Binary::Or, less(), Expr::unary(Unary::Not, few())), other(), number(9.0)),
        ),
        (DType::F32, Expr::cast(DType::F32, less())),
        (DType::F32, Expr::cast(DType::F32, whole())),
        (DType::F32, Expr::unary(Unary::Sqrt, Expr::unary(Unary::Abs, here()))),
        (DType::I32, Expr::binary(Binary::Mul, whole(), integer(-7.0))),
        (DType::I32, Expr::binary(Binary::Sub, integer(3.0), whole())),
        (DType::I32, Expr::binary(Binary::Max, whole(), integer(5.0))),
    ];
    for comparison in [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge] {
        values.push((DType::F32, Expr::select(Expr::compare(comparison, here(), other()), number(1.0), number(2.0))));
        values.push((
            DType::I32,
            Expr::select(Expr::compare(comparison, whole(), integer(4.0)), integer(1.0), integer(2.0)),
        ));
    }
    for op in [Unary::Neg, Unary::Exp, Unary::Tanh, Unary::Erf, Unary::Atan] {
        values.push((DType::F32, Expr::unary(op, here())));
    }
    values.push((DType::F32, Expr::unary(Unary::Log, Expr::binary(Binary::Add, here(), number(1.5)))));
    let statements = values.into_iter().enumerate().map(|(number, (dtype, value))| {
        let y = k.tensor(&format!("y{number}"), Access::Write, dtype, [length]);
        store(y, [at(i)], value)
    });
    let statements: Vec<Statement> = statements.collect();
    k.body(&[i], statements).thread(&[i]).vector(&[i]);
    check_wide(&k, 1, 1);
    // NaN and infinities go the same ways.
    let mut values = common::inputs(&k.0, 1);
    for (place, value) in [(2, f64::NAN), (31, f64::INFINITY), (40, f64::NEG_INFINITY), (74, f64::NAN)] {
        values[0].data[place] = value;
        values[1].data[place / 2] = value;
    }
    check_values(&k.0, &values, 1, 2e-6);
}

#[test]
fn halves_are_read_and_written() {
    for dtype in [DType::F16, DType::BF16] {
        for length in [32, 47, 64, 81] {
            let mut k = Builder::new("halves");
            let i = k.axis("i", length);
            let x = k.tensor("x", Access::Read, dtype, [length]);
            let (y, z) = (k.tensor("y", Access::Write, dtype, [length]), k.write("z", [length]));
            let here = load(x, [at(i)]);
            let wide = Expr::cast(DType::F32, here.clone());
            let statements = vec![
                store(y, [at(i)], Expr::binary(Binary::Mul, here.clone(), here)),
                store(z, [at(i)], Expr::binary(Binary::Add, wide, number(1.0))),
            ];
            k.body(&[i], statements).thread(&[i]).vector(&[i]);
            // The interpreter does not round here; `halves.rs` compares every rounding.
            check_values(&k.0, &common::inputs(&k.0, 1), 1, 5e-3);
            assert!(wide_functions(&k).is_none_or(|found| found == 1), "{dtype:?}");
        }
    }
}

#[test]
fn more_values_than_registers() {
    // Every value is needed to the end: `y_n = x_n · (x_0 + x_1 + ...)`.
    let (count, length) = (45, 83);
    let mut k = Builder::new("many");
    let i = k.axis("i", length);
    let inputs: Vec<_> = (0..count).map(|n| k.read(&format!("x{n}"), [length])).collect();
    let outputs: Vec<_> = (0..count).map(|n| k.write(&format!("y{n}"), [length])).collect();
    let held: Vec<_> = (0..count).map(|n| k.local(&format!("h{n}"), DType::F32)).collect();
    let sum = k.local("sum", DType::F32);
    let mut statements: Vec<Statement> =
        inputs.iter().zip(&held).map(|(&x, &local)| Statement::Let(local, load(x, [at(i)]))).collect();
    let total = held.iter().map(|&local| Expr::Local(local)).reduce(|sum, x| Expr::binary(Binary::Add, sum, x));
    statements.push(Statement::Let(sum, total.expect("there are values")));
    statements.extend(
        outputs
            .iter()
            .zip(&held)
            .map(|(&y, &local)| store(y, [at(i)], Expr::binary(Binary::Mul, Expr::Local(local), Expr::Local(sum)))),
    );
    k.body(&[i], statements).thread(&[i]).vector(&[i]);
    check_wide(&k, 1, 1);
}

#[test]
fn sums_over_lanes() {
    for length in 32..=97 {
        let mut k = Builder::new("sums");
        let (n, i) = (k.axis("n", 3), k.axis("i", length));
        let x = k.read("x", [3, length]);
        let here = || load(x, [at(n), at(i)]);
        let monoids = [Monoid::Sum, Monoid::Product, Monoid::Max, Monoid::Min];
        let locals: Vec<_> = monoids.iter().map(|_| k.local("r", DType::F32)).collect();
        let results = monoids.iter().zip(&locals).map(|(&monoid, &local)| Reduction { local, monoid, value: here() });
        let mut statements = vec![Statement::Reduce { axes: vec![i], lets: Vec::new(), results: results.collect() }];
        for (number, &local) in locals.iter().enumerate() {
            let y = k.write(&format!("y{number}"), [3]);
            statements.push(store(y, [at(n)], Expr::Local(local)));
        }
        k.body(&[n], statements).thread(&[n]).vector(&[i]);
        check_wide(&k, 1, 1);
    }
    // The sums go round an outer axis.
    let mut k = Builder::new("rows_of_sums");
    let (n, j, i) = (k.axis("n", 2), k.axis("j", 5), k.axis("i", 70));
    let (x, y) = (k.read("x", [2, 5, 70]), k.write("y", [2]));
    let sum = k.local("sum", DType::F32);
    let statements =
        vec![reduce(&[j, i], sum, Monoid::Sum, load(x, [at(n), at(j), at(i)])), store(y, [at(n)], Expr::Local(sum))];
    k.body(&[n], statements).thread(&[n]).vector(&[i]);
    check_wide(&k, 1, 1);
}

#[test]
fn each_lane_has_a_sum_of_its_own() {
    for columns in [32, 33, 63, 64, 65, 79, 80, 127, 128, 150] {
        let mut k = Builder::new("columns");
        let (c, r) = (k.axis("c", columns), k.axis("r", 7));
        let (x, y) = (k.read("x", [7, columns]), k.write("y", [columns]));
        let (sum, most) = (k.local("sum", DType::F32), k.local("most", DType::F32));
        let here = || load(x, [at(r), at(c)]);
        let results = vec![
            Reduction { local: sum, monoid: Monoid::Sum, value: here() },
            Reduction { local: most, monoid: Monoid::Max, value: here() },
        ];
        let statements = vec![
            Statement::Reduce { axes: vec![r], lets: Vec::new(), results },
            store(y, [at(c)], Expr::binary(Binary::Mul, Expr::Local(sum), Expr::Local(most))),
        ];
        k.body(&[c], statements).thread(&[c]).vector(&[c]);
        check(&k.0, 1);
        if let Some(found) = wide_functions(&k) {
            assert!(found > 0, "{columns} columns");
        }
    }
}

#[test]
fn guards_of_other_axes_become_conditions() {
    for (row_shift, shift) in [(-1, 0), (2, 0), (-1, -3), (1, 5)] {
        let mut k = Builder::new("padding");
        let (n, i) = (k.axis("n", 6), k.axis("i", 70));
        let (x, y) = (k.read("x", [6, 70]), k.write("y", [6, 70]));
        let index = [at(n).shifted(row_shift), at(i).shifted(shift)];
        k.body(&[n, i], vec![store(y, [at(n), at(i)], padded(x, index, 7.0))]).thread(&[n]).vector(&[i]);
        check(&k.0, 1);
        if let Some(found) = wide_functions(&k) {
            assert!(found > 0, "{row_shift} {shift}");
        }
    }
}

#[test]
fn what_differs_from_lane_to_lane_is_left_to_four() {
    let length = 70;
    // Two elements apart, a table, positions, bytes, 64-bit numbers.
    let gathered: [fn(&mut Builder, AxisId, usize) -> Expr; 5] = [
        |k, i, length| {
            let x = k.read("x", [2 * length]);
            load(x, [at(i).times(2)])
        },
        |k, i, length| {
            let (x, places) = (k.read("x", [10]), k.tensor("places", Access::Read, DType::I64, [length]));
            let place = Expr::Check(Box::new(load(places, [at(i)])), 10.into(), "gather".into());
            load(x, [Index::atom(Atom::Value(Box::new(place)))])
        },
        |_, i, _| Expr::cast(DType::F32, Expr::Index(at(i))),
        |k, i, length| {
            let x = k.tensor("x", Access::Read, DType::U8, [length]);
            Expr::cast(DType::F32, load(x, [at(i)]))
        },
        |k, i, length| {
            let x = k.tensor("x", Access::Read, DType::F64, [length]);
            Expr::cast(DType::F32, load(x, [at(i)]))
        },
    ];
    for value in gathered {
        let mut k = Builder::new("four");
        let i = k.axis("i", length);
        let value = value(&mut k, i, length);
        let y = k.write("y", [length]);
        k.body(&[i], vec![store(y, [at(i)], value)]).thread(&[i]).vector(&[i]);
        check(&k.0, 1);
        if let Some(found) = wide_functions(&k) {
            assert_eq!(found, 0, "{}", k.0);
        }
    }
}
