//! Reductions: contiguous, strided, windowed, several results at once, and the checks of gathered indices.

mod common;

use common::{B, Builder, at, check, check_values, inputs, load, noise, number, padded, reduce, store};
use kiln_ir::interpret::Value;
use kiln_ir::kernel::{Access, Kernel, Reduction, Statement};
use kiln_ir::{Binary, Comparison, DType, Dim, Expr, Monoid, Unary};

const MONOIDS: [Monoid; 5] = [Monoid::Sum, Monoid::Product, Monoid::Max, Monoid::Min, Monoid::ArgMax];

/// Rows (or columns) of a matrix reduced.
fn matrix(monoid: Monoid, dtype: DType, rows: usize, columns: usize, over_rows: bool) -> Builder {
    let mut k = Builder::new("matrix");
    let (r, c) = (k.axis("r", rows), k.axis("c", columns));
    let x = k.tensor("x", Access::Read, dtype, [rows, columns]);
    let (kept, summed) = if over_rows { (c, r) } else { (r, c) };
    let result = if monoid == Monoid::ArgMax { DType::I64 } else { dtype };
    let extent = if over_rows { columns } else { rows };
    let y = k.tensor("y", Access::Write, result, [extent]);
    let local = k.local("acc", result);
    let statements =
        vec![reduce(&[summed], local, monoid, load(x, [at(r), at(c)])), store(y, [at(kept)], Expr::Local(local))];
    // Over rows, the kept axis runs in lanes with the loop inside.
    k.body(&[kept], statements).thread(&[kept]).vector(&[c]);
    k
}

#[test]
fn every_monoid_over_rows_and_columns() {
    for monoid in MONOIDS {
        for dtype in [DType::F32, DType::F64, DType::I64, DType::I32] {
            for columns in [1, 3, 4, 6, 15, 16, 37, 70] {
                check(&matrix(monoid, dtype, 5, columns, false).0, 1);
                check(&matrix(monoid, dtype, columns, 9, true).0, 1);
            }
        }
    }
    for monoid in [Monoid::Max, Monoid::Min, Monoid::ArgMax] {
        check(&matrix(monoid, DType::U8, 5, 19, false).0, 1);
        check(&matrix(monoid, DType::Bool, 5, 19, true).0, 1);
    }
}

#[test]
fn nan_is_the_greatest() {
    for monoid in [Monoid::Max, Monoid::Min, Monoid::ArgMax, Monoid::Sum] {
        for over_rows in [false, true] {
            let kernel = matrix(monoid, DType::F32, 6, 22, over_rows).0;
            let mut values = inputs(&kernel, 1);
            for (at, value) in
                [(3, f64::NAN), (9, f64::NAN), (25, f64::INFINITY), (70, f64::NEG_INFINITY), (87, f64::NAN)]
            {
                values[0].data[at] = value;
            }
            values[0].data[44..66].fill(0.25);
            values[0].data[110..].fill(f64::NEG_INFINITY);
            check_values(&kernel, &values, 1, 1e-6);
        }
    }
}

/// `log_softmax` and its `argmax` by rows: several statements under one loop.
fn softmax(rows: Dim, columns: usize) -> Kernel {
    let mut k = Builder::new("softmax");
    let n = k.axis("n", rows);
    let axes: Vec<_> = (0..3).map(|at| k.axis(&format!("c{at}"), columns)).collect();
    let x = k.read("x", vec![rows, columns.into()]);
    let y = k.write("y", vec![rows, columns.into()]);
    let best = k.tensor("best", Access::Write, DType::I64, vec![rows]);
    let (max, sum, log) = (k.local("max", DType::F32), k.local("sum", DType::F32), k.local("log", DType::F32));
    let (place, count) = (k.local("place", DType::I64), k.local("count", DType::F32));
    let shifted = |c| Expr::binary(Binary::Sub, load(x, [at(n), at(c)]), Expr::Local(max));
    let is_low = Expr::compare(Comparison::Lt, load(x, [at(n), at(axes[1])]), number(0.0));
    let statements = vec![
        Statement::Reduce {
            axes: vec![axes[0]],
            lets: Vec::new(),
            results: vec![
                Reduction { local: max, monoid: Monoid::Max, value: load(x, [at(n), at(axes[0])]) },
                Reduction { local: place, monoid: Monoid::ArgMax, value: load(x, [at(n), at(axes[0])]) },
            ],
        },
        Statement::Reduce {
            axes: vec![axes[1]],
            lets: vec![],
            results: vec![
                Reduction { local: sum, monoid: Monoid::Sum, value: Expr::unary(Unary::Exp, shifted(axes[1])) },
                Reduction { local: count, monoid: Monoid::Sum, value: Expr::cast(DType::F32, is_low) },
            ],
        },
        Statement::Let(log, Expr::unary(Unary::Log, Expr::Local(sum))),
        Statement::For(
            vec![axes[2]],
            vec![store(
                y,
                [at(n), at(axes[2])],
                Expr::binary(
                    Binary::Add,
                    Expr::binary(Binary::Sub, shifted(axes[2]), Expr::Local(log)),
                    Expr::Local(count),
                ),
            )],
        ),
        store(best, [at(n)], Expr::Local(place)),
    ];
    k.body(&[n], statements).thread(&[n]).vector(&axes);
    k.0
}

#[test]
fn a_row_softmax() {
    for columns in [1, 5, 10, 33, 100] {
        check(&softmax(B, columns), 3);
    }
}

/// Max or sum over windows of a padded image.
fn pool(monoid: Monoid, stride: i64, unrolled: bool) -> Kernel {
    let mut k = Builder::new("pool");
    let axes = ["n", "c", "oh", "ow"].into_iter().zip([B, 3.into(), 5.into(), 7.into()]);
    let axes: Vec<_> = axes.map(|(name, extent)| k.axis(name, extent)).collect();
    let (kh, kw) = (k.axis("kh", 3), k.axis("kw", 3));
    let (height, width) = (5 * stride as usize, 7 * stride as usize);
    let x = k.read("x", vec![B, 3.into(), height.into(), width.into()]);
    let y = k.write("y", vec![B, 3.into(), Dim::fixed(5), Dim::fixed(7)]);
    let &[n, c, oh, ow] = axes.as_slice() else { unreachable!() };
    let index =
        [at(n), at(c), at(oh).times(stride).plus(&at(kh)).shifted(-1), at(ow).times(stride).plus(&at(kw)).shifted(-1)];
    let fill = if monoid == Monoid::Max { f64::NEG_INFINITY } else { 0.0 };
    let acc = k.local("acc", DType::F32);
    let statements = vec![
        reduce(&[kh, kw], acc, monoid, padded(x, index, fill)),
        store(y, [at(n), at(c), at(oh), at(ow)], Expr::Local(acc)),
    ];
    k.body(&axes, statements).thread(&[n, c]).vector(&[ow]);
    if unrolled {
        k.unroll(&[kh, kw]);
    }
    k.0
}

#[test]
fn windows_with_padding() {
    for monoid in [Monoid::Max, Monoid::Sum] {
        for stride in [1, 2] {
            for unrolled in [false, true] {
                check(&pool(monoid, stride, unrolled), 2);
            }
        }
    }
}

#[test]
fn a_padded_reduction_in_lanes() {
    // A depthwise filter along the row: the guards move with the vector axis.
    let mut k = Builder::new("filter");
    let (n, o, t) = (k.axis("n", 3), k.axis("o", 9), k.axis("t", 40));
    let (x, w, y) = (k.read("x", [3, 30]), k.read("w", [40]), k.write("y", [3, 9]));
    let acc = k.local("acc", DType::F32);
    let index = [at(n), at(t).plus(&at(o)).shifted(-11)];
    let product = Expr::binary(Binary::Mul, padded(x, index, 0.0), load(w, [at(t)]));
    let statements = vec![reduce(&[t], acc, Monoid::Sum, product), store(y, [at(n), at(o)], Expr::Local(acc))];
    k.body(&[n, o], statements).thread(&[n]).vector(&[t]);
    check(&k.0, 1);
}

#[test]
fn several_axes_and_a_symbolic_one() {
    // Batch norm's statistics: over n, h, w for each channel.
    for vector in [false, true] {
        let mut k = Builder::new("statistics");
        let (c, n, h, w) = (k.axis("c", 5), k.axis("n", B), k.axis("h", 3), k.axis("w", 7));
        let x = k.read("x", vec![B, 5.into(), 3.into(), 7.into()]);
        let (mean, square) = (k.write("mean", [5]), k.write("square", [5]));
        let (sum, squares) = (k.local("sum", DType::F32), k.local("squares", DType::F32));
        let value = k.local("value", DType::F32);
        let product = Expr::binary(Binary::Mul, Expr::Local(value), Expr::Local(value));
        let count = Expr::cast(DType::F32, Expr::Extent(Dim { factor: 21, batch: true }));
        let statements = vec![
            Statement::Reduce {
                axes: vec![n, h, w],
                lets: vec![(value, load(x, [at(n), at(c), at(h), at(w)]))],
                results: vec![
                    Reduction { local: sum, monoid: Monoid::Sum, value: Expr::Local(value) },
                    Reduction { local: squares, monoid: Monoid::Sum, value: product },
                ],
            },
            store(mean, [at(c)], Expr::binary(Binary::Div, Expr::Local(sum), count)),
            store(square, [at(c)], Expr::Local(squares)),
        ];
        k.body(&[c], statements).thread(&[c]);
        if vector {
            k.vector(&[w]);
        }
        check(&k.0, 4);
    }
}

#[test]
fn lanes_around_a_reduction_in_lanes() {
    // Both axes are scheduled: an item in the tail must add up as it would in a lane.
    let mut k = Builder::new("both");
    let (c, n) = (k.axis("c", 23), k.axis("n", 50));
    let (x, y) = (k.read("x", [23, 50]), k.write("y", [23]));
    let acc = k.local("acc", DType::F32);
    let statements = vec![reduce(&[n], acc, Monoid::Sum, load(x, [at(c), at(n)])), store(y, [at(c)], Expr::Local(acc))];
    k.body(&[c], statements).thread(&[c]).vector(&[c, n]);
    check(&k.0, 1);
}

#[test]
fn a_scalar_result_has_one_item() {
    let mut k = Builder::new("mean");
    let (n, c) = (k.axis("n", B), k.axis("c", 10));
    let x = k.read("x", vec![B, 10.into()]);
    let y = k.write("y", [] as [Dim; 0]);
    let acc = k.local("acc", DType::F32);
    let statements = vec![reduce(&[n, c], acc, Monoid::Sum, load(x, [at(n), at(c)])), store(y, [], Expr::Local(acc))];
    k.body(&[], statements).vector(&[c]);
    check(&k.0, 6);
}

/// `y[n] = -x[n, label[n]]`: the gather of cross entropy.
fn gather(vector: bool) -> Kernel {
    let mut k = Builder::new("gather");
    let n = k.axis("n", B);
    let x = k.read("x", vec![B, 10.into()]);
    let label = k.tensor("label", Access::Read, DType::I64, vec![B]);
    let y = k.write("y", vec![B]);
    let class = Expr::check(load(label, [at(n)]), Dim::fixed(10));
    let class = kiln_ir::Index::atom(kiln_ir::Atom::Value(Box::new(class)));
    k.body(&[n], vec![store(y, [at(n)], Expr::unary(Unary::Neg, load(x, [at(n), class])))]).thread(&[n]);
    if vector {
        k.vector(&[n]);
    }
    k.0
}

#[test]
fn gathers_use_checked_indices() {
    check(&gather(false), 13);
    check(&gather(true), 13);
}

#[test]
fn a_bad_index_is_reported_and_not_followed() {
    use kiln_codegen_cpu::{Options, jit};
    use kiln_runtime::abi::{FaultCell, KernelContext};
    for vector in [false, true] {
        let kernel = gather(vector);
        let compiled = jit(common::program_of(&kernel), Options::default()).expect("the kernel compiles");
        let mut x: Vec<f32> = noise(130, 1).into_iter().map(|x| x as f32).collect();
        let mut labels: Vec<i64> = vec![3; 13];
        labels[6] = 10;
        let mut y = vec![0f32; 13];
        let cell = FaultCell::default();
        let context = KernelContext::new(13, std::ptr::null_mut(), &cell);
        let buffers = [x.as_mut_ptr().cast(), labels.as_mut_ptr().cast(), y.as_mut_ptr().cast::<u8>()];
        // SAFETY: three buffers of the kernel's sizes.
        unsafe { compiled.kernels()[0](&context, buffers.as_ptr(), 0, 13) };
        let text = format!("{cell:?}");
        for part in ["code: 1", "position: 6", "value: 10", "bound: 10"] {
            assert!(text.contains(part), "{text} has no {part}");
        }
        assert_eq!(y[5], -x[53]);
        assert_eq!(y[6], -x[60], "class 0 stands in");
    }
}

#[test]
fn a_one_hot_gradient() {
    // d[n, c] = p[n, c] - (c == label[n]).
    let mut k = Builder::new("one_hot");
    let (n, c) = (k.axis("n", B), k.axis("c", 10));
    let p = k.read("p", vec![B, 10.into()]);
    let label = k.tensor("label", Access::Read, DType::I64, vec![B]);
    let d = k.write("d", vec![B, 10.into()]);
    let hot = Expr::compare(Comparison::Eq, load(label, [at(n)]), Expr::Index(at(c)));
    let value = Expr::binary(Binary::Sub, load(p, [at(n), at(c)]), Expr::cast(DType::F32, hot));
    k.body(&[n, c], vec![store(d, [at(n), at(c)], value)]).thread(&[n]).vector(&[c]);
    check(&k.0, 5);
    let labels = Value::new(DType::I64, vec![2], vec![0.0, 9.0]).expect("two labels");
    let mut values = inputs(&k.0, 2);
    values[1] = labels;
    let found = check_values(&k.0, &values, 2, 1e-6);
    assert_eq!(found[2].data[0], f64::from(values[0].data[0] as f32 - 1.0));
}
