//! Kernels without reductions: lanes and tails, broadcasts, padding, dtypes, updates in place.

mod common;

use common::{B, Builder, at, check, check_values, inputs, load, number, padded, store};
use kiln_ir::kernel::{Access, Statement};
use kiln_ir::{Binary, Comparison, DType, Dim, Expr, Unary};

/// `h = max(x·w + b, 0)` with a broadcast bias, for an extent that is no multiple of the lanes.
fn bias_relu(rows: Dim, columns: usize) -> Builder {
    let mut k = Builder::new("bias_relu");
    let (n, c) = (k.axis("n", rows), k.axis("c", columns));
    let x = k.read("x", vec![rows, columns.into()]);
    let w = k.read("w", [] as [Dim; 0]);
    let b = k.read("b", [columns]);
    let h = k.write("h", vec![rows, columns.into()]);
    let product = Expr::binary(Binary::Mul, load(x, [at(n), at(c)]), load(w, []));
    let sum = Expr::binary(Binary::Add, product, load(b, [at(c)]));
    let value = Expr::binary(Binary::Max, sum, number(0.0));
    k.body(&[n, c], vec![store(h, [at(n), at(c)], value)]).thread(&[n]).vector(&[c]);
    k
}

#[test]
fn every_extent_around_the_lanes() {
    for columns in [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 19, 31, 33, 100] {
        check(&bias_relu(Dim::fixed(5), columns).0, 1);
    }
}

#[test]
fn the_batch_is_known_at_launch() {
    for batch in [1, 2, 5] {
        check(&bias_relu(B, 10).0, batch);
    }
}

#[test]
fn items_are_vector_elements_or_rows() {
    let mut k = Builder::new("flat");
    let i = k.axis("i", 103);
    let x = k.tensor("x", Access::Update, DType::F32, [103]);
    let g = k.read("g", [103]);
    let step = Expr::binary(Binary::Mul, number(0.1), load(g, [at(i)]));
    let value = Expr::binary(Binary::Sub, load(x, [at(i)]), step);
    k.body(&[i], vec![store(x, [at(i)], value)]).thread(&[i]).vector(&[i]);
    check(&k.0, 1);

    let mut k = Builder::new("three_thread_axes");
    let (a, b, c) = (k.axis("a", B), k.axis("b", 3), k.axis("c", 5));
    let x = k.read("x", vec![B, 3.into(), 5.into()]);
    let y = k.write("y", vec![5.into(), Dim::fixed(3), Dim::fixed(4)]);
    let value = Expr::unary(Unary::Neg, load(x, [at(a), at(b), at(c)]));
    k.body(&[a, b, c], vec![store(y, [at(c), at(b), at(a)], value)]).thread(&[a, b, c]).vector(&[c]);
    check(&k.0, 4);
}

#[test]
fn nan_goes_through_maximum_and_minimum() {
    let mut k = Builder::new("extremes");
    let i = k.axis("i", 9);
    let (x, y) = (k.read("x", [9]), k.read("y", [9]));
    let (a, b, c) = (k.write("a", [9]), k.write("b", [9]), k.write("c", [9]));
    let (lx, ly) = (load(x, [at(i)]), load(y, [at(i)]));
    let statements = vec![
        store(a, [at(i)], Expr::binary(Binary::Max, lx.clone(), ly.clone())),
        store(b, [at(i)], Expr::binary(Binary::Min, lx.clone(), ly)),
        store(c, [at(i)], Expr::binary(Binary::Max, number(0.5), lx)),
    ];
    k.body(&[i], statements).thread(&[i]).vector(&[i]);
    let mut values = inputs(&k.0, 1);
    for (at, value) in [(0, f64::NAN), (3, f64::INFINITY), (4, f64::NAN), (8, f64::NAN)] {
        values[0].data[at] = value;
    }
    for (at, value) in [(1, f64::NAN), (4, f64::NAN), (5, f64::NEG_INFINITY), (7, f64::NAN)] {
        values[1].data[at] = value;
    }
    check_values(&k.0, &values, 1, 0.0);
}

/// `y[n, i] = x[n + dn, f·i + s·n + d | 7]`; with a slant the padding moves from row to row.
fn shifted(extent: usize, positions: usize, factor: i64, slant: i64, shift: i64, row_shift: i64) -> Builder {
    let mut k = Builder::new("shifted");
    let (n, i) = (k.axis("n", 4), k.axis("i", positions));
    let (x, y) = (k.read("x", [4, extent]), k.write("y", [4, positions]));
    let index = [at(n).shifted(row_shift), at(i).times(factor).plus(&at(n).times(slant)).shifted(shift)];
    k.body(&[n, i], vec![store(y, [at(n), at(i)], padded(x, index, 7.0))]).thread(&[n]).vector(&[i]);
    k
}

#[test]
fn padding_on_every_side() {
    for factor in [-3, -1, 1, 2, 3] {
        for shift in [-40, -5, -2, 0, 1, 6, 30, 90] {
            for row_shift in [-1, 0, 2] {
                for slant in [0, 1, -7] {
                    check(&shifted(29, 37, factor, slant, shift, row_shift).0, 1);
                }
            }
        }
    }
    check(&shifted(1, 3, 1, 0, -1, 0).0, 1);
}

#[test]
fn exact_division_fills_between() {
    // The gradient of a strided access: x[(i + 3 - 2r) / 2 where exact].
    for (offset, by) in [(0, 2), (3, 2), (-1, 3), (5, 4)] {
        let mut k = Builder::new("exact");
        let (n, i) = (k.axis("n", 3), k.axis("i", 21));
        let (x, y) = (k.read("x", [3, 10]), k.write("y", [3, 21]));
        let index = [at(n), at(i).shifted(offset).exact_div(by)];
        k.body(&[n, i], vec![store(y, [at(n), at(i)], padded(x, index, 0.0))]).thread(&[n]).vector(&[i]);
        check(&k.0, 1);
    }
    // The same along an outer axis: rows of fill.
    let mut k = Builder::new("exact_rows");
    let (n, i) = (k.axis("n", 7), k.axis("i", 21));
    let (x, y) = (k.read("x", [4, 21]), k.write("y", [7, 21]));
    let index = [at(n).shifted(-1).exact_div(2), at(i)];
    k.body(&[n, i], vec![store(y, [at(n), at(i)], padded(x, index, -1.0))]).thread(&[n]).vector(&[i]);
    check(&k.0, 1);
}

#[test]
fn reshapes_divide_and_take_remainders() {
    for (rows, columns) in [(6, 8), (7, 9)] {
        let mut k = Builder::new("reshape");
        let i = k.axis("i", rows * columns);
        let (x, y) = (k.read("x", [rows, columns]), k.write("y", [rows * columns]));
        let index = [at(i).div(columns as i64), at(i).rem(columns as i64)];
        k.body(&[i], vec![store(y, [at(i)], load(x, index))]).thread(&[i]).vector(&[i]);
        check(&k.0, 1);
        // Negative positions round down.
        let mut k = Builder::new("negative");
        let i = k.axis("i", 20);
        let (x, y) = (k.read("x", [40]), k.write("y", [20]));
        let shifted = at(i).shifted(-11);
        let index = shifted.div(3).plus(&shifted.rem(3)).plus(&shifted.div(4)).shifted(12);
        k.body(&[i], vec![store(y, [at(i)], load(x, [index]))]).thread(&[i]).vector(&[i]);
        check(&k.0, 1);
    }
}

#[test]
fn dtypes_mix_in_one_vector_loop() {
    let mut k = Builder::new("mixed");
    let i = k.axis("i", 27);
    let mask = k.tensor("mask", Access::Read, DType::Bool, [27]);
    let byte = k.tensor("byte", Access::Read, DType::U8, [27]);
    let label = k.tensor("label", Access::Read, DType::I64, [27]);
    let count = k.tensor("count", Access::Read, DType::I32, [27]);
    let wide = k.tensor("wide", Access::Read, DType::F64, [27]);
    let x = k.read("x", [27]);
    let here = || [at(i)];
    let cast = |to, e| Expr::cast(to, e);
    let outputs = [
        (DType::F32, Expr::select(load(mask, here()), load(x, here()), number(2.0))),
        (DType::F32, cast(DType::F32, load(byte, here()))),
        (DType::F32, cast(DType::F32, load(label, here()))),
        (DType::F64, Expr::binary(Binary::Mul, load(wide, here()), cast(DType::F64, load(x, here())))),
        (DType::F32, cast(DType::F32, load(wide, here()))),
        (DType::I32, Expr::binary(Binary::Mul, load(count, here()), Expr::number(3.0, DType::I32))),
        (DType::F32, cast(DType::F32, load(count, here()))),
        (DType::I64, Expr::binary(Binary::Add, load(label, here()), Expr::Index(at(i)))),
        (DType::I64, Expr::binary(Binary::Div, load(label, here()), Expr::number(-3.0, DType::I64))),
        (DType::Bool, Expr::compare(Comparison::Lt, load(x, here()), number(0.25))),
        (DType::F32, {
            let is_label = Expr::compare(Comparison::Eq, load(label, here()), Expr::Index(at(i).rem(5)));
            let is_small = Expr::compare(Comparison::Le, load(x, here()), number(0.5));
            cast(DType::F32, Expr::binary(Binary::And, is_small, Expr::unary(Unary::Not, is_label)))
        }),
        (DType::F64, {
            let is_small = Expr::compare(Comparison::Le, load(x, here()), number(0.5));
            Expr::select(is_small, load(wide, here()), Expr::number(1.5, DType::F64))
        }),
        (DType::F64, Expr::unary(Unary::Exp, load(wide, here()))),
        (
            DType::U8,
            cast(DType::U8, Expr::binary(Binary::Mul, Expr::unary(Unary::Abs, load(x, here())), number(200.0))),
        ),
        (DType::I32, cast(DType::I32, Expr::binary(Binary::Mul, load(x, here()), number(20.0)))),
        (DType::I64, Expr::binary(Binary::Rem, load(label, here()), Expr::number(-3.0, DType::I64))),
        (DType::I32, Expr::binary(Binary::Pow, load(count, here()), Expr::number(13.0, DType::I32))),
        (DType::I64, {
            let below = Expr::binary(Binary::Sub, load(label, here()), Expr::number(5.0, DType::I64));
            Expr::binary(Binary::Pow, below.clone(), below)
        }),
        (DType::U8, Expr::binary(Binary::Rem, load(byte, here()), Expr::number(3.0, DType::U8))),
        (DType::U8, Expr::unary(Unary::Round, load(byte, here()))),
        (DType::F64, Expr::binary(Binary::Rem, load(wide, here()), Expr::number(0.3, DType::F64))),
        (DType::F64, Expr::unary(Unary::Atan, load(wide, here()))),
        (DType::F64, Expr::unary(Unary::Round, load(wide, here()))),
        (DType::F32, Expr::unary(Unary::Floor, Expr::binary(Binary::Mul, load(x, here()), number(4.0)))),
    ];
    let mut statements: Vec<Statement> = Vec::new();
    for (at_output, (dtype, value)) in outputs.into_iter().enumerate() {
        let y = k.tensor(&format!("y{at_output}"), Access::Write, dtype, [27]);
        statements.push(store(y, here(), value));
    }
    k.body(&[i], statements).thread(&[i]).vector(&[i]);
    check(&k.0, 1);
    for lanes in [2, 8, 16] {
        k.0.schedule.vector[0].lanes = lanes;
        check(&k.0, 1);
    }
}

#[test]
fn a_limit_cuts_the_last_part_of_a_split_axis() {
    let mut k = Builder::new("split");
    let (outer, inner) = (k.axis("outer", 4), k.axis("inner", 10));
    let position = at(outer).times(10).plus(&at(inner));
    k.0.axes[inner.0 as usize].limit = Some((position.clone(), Dim::fixed(33)));
    let (x, y) = (k.read("x", [33]), k.write("y", [33]));
    let value = Expr::unary(Unary::Exp, load(x, [position.clone()]));
    k.body(&[outer, inner], vec![store(y, [position], value)]).thread(&[outer]).vector(&[inner]);
    check(&k.0, 1);
}

#[test]
fn unrolled_axes_are_written_out() {
    let mut k = Builder::new("unrolled");
    let (i, j) = (k.axis("i", 6), k.axis("j", 3));
    let (x, y) = (k.read("x", [6, 3]), k.write("y", [3, 6]));
    let index = [at(i), at(j).times(-1).shifted(2)];
    k.body(&[i, j], vec![store(y, [at(j), at(i)], load(x, index))]).thread(&[i]).vector(&[i]).unroll(&[j]);
    let text = kiln_codegen_cpu::clif(&k.0, kiln_codegen_cpu::Options::default()).expect("compiles");
    assert!(text.contains("f32x4"), "the axis around an unrolled one runs in lanes");
    check(&k.0, 1);
}
