//! Contractions around the micro-kernel: all transposes, tiles that do not divide, convolutions in all three directions,
//! epilogues, and the plain loops that other dtypes fall back to.

mod common;

use common::{B, Builder, at, check, load, number, padded, reduce, store};
use kiln_codegen_cpu::scratch_bytes;
use kiln_ir::kernel::{Access, Kernel, Statement};
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, LocalId, Monoid, TensorId};

fn product(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Mul, a, b)
}

/// `c[i, j] = Σ_k a·b`, with either operand transposed in memory.
struct MatMul {
    k: Builder,
    axes: [AxisId; 3],
    sum: LocalId,
    c: TensorId,
}

fn matmul(dtype: DType, m: Dim, n: usize, k: Dim, a_transposed: bool, b_transposed: bool) -> MatMul {
    let mut b = Builder::new("matmul");
    let axes = [b.axis("i", m), b.axis("j", n), b.axis("k", k)];
    let [i, j, p] = axes;
    let a_shape = if a_transposed { vec![k, m] } else { vec![m, k] };
    let b_shape = if b_transposed { vec![n.into(), k] } else { vec![k, n.into()] };
    let a = b.tensor("a", Access::Read, dtype, a_shape);
    let w = b.tensor("b", Access::Read, dtype, b_shape);
    // Halves are summed in f32.
    let wide = if dtype.is_half() { DType::F32 } else { dtype };
    let factor = |x: Expr| if dtype == wide { x } else { Expr::cast(wide, x) };
    let c = b.tensor("c", Access::Write, wide, vec![m, n.into()]);
    let sum = b.local("sum", wide);
    let a_index = if a_transposed { [at(p), at(i)] } else { [at(i), at(p)] };
    let b_index = if b_transposed { [at(j), at(p)] } else { [at(p), at(j)] };
    let statements = vec![
        reduce(&[p], sum, Monoid::Sum, product(factor(load(a, a_index)), factor(load(w, b_index)))),
        store(c, [at(i), at(j)], Expr::Local(sum)),
    ];
    b.body(&[i, j], statements).vector(&[j]);
    MatMul { k: b, axes, sum, c }
}

#[test]
fn all_transposes_packed_or_not() {
    for (a_transposed, b_transposed) in [(false, false), (false, true), (true, false), (true, true)] {
        for (pack_a, pack_b) in [(false, false), (true, true)] {
            for (m, n, k) in [(7, 33, 19), (16, 16, 16), (1, 5, 40), (30, 1, 3), (37, 20, 51)] {
                for tiles in [(4, 16, 8), (64, 64, 64), (1, 1, 1)] {
                    let mut held = matmul(DType::F32, m.into(), n, Dim::fixed(k), a_transposed, b_transposed);
                    let [i, j, p] = held.axes;
                    let contract = held.k.contract(&[(i, tiles.0)], &[(j, tiles.1)], &[(p, tiles.2)]);
                    (contract.pack_a, contract.pack_b) = (pack_a, pack_b);
                    check(&held.k.0, 1);
                }
            }
        }
    }
}

/// Of bf16 in pairs, of which an odd last one has a zero; of f16 through f32.
#[test]
fn halves_in_all_transposes() {
    for dtype in [DType::BF16, DType::F16] {
        for (a_transposed, b_transposed) in [(false, false), (false, true), (true, false), (true, true)] {
            for pack_a in [false, true] {
                for (m, n, k) in [(7, 33, 20), (16, 16, 16), (1, 5, 40), (30, 1, 4), (37, 20, 51), (18, 40, 2)] {
                    for tiles in [(4, 16, 8), (64, 64, 64), (3, 7, 6), (1, 1, 1)] {
                        let mut held = matmul(dtype, m.into(), n, Dim::fixed(k), a_transposed, b_transposed);
                        let [i, j, p] = held.axes;
                        let contract = held.k.contract(&[(i, tiles.0)], &[(j, tiles.1)], &[(p, tiles.2)]);
                        (contract.pack_a, contract.pack_b) = (pack_a, true);
                        check(&held.k.0, 1);
                    }
                }
            }
        }
    }
}

/// A weight gradient over a batch of rows: the pairs are of neighbouring rows of one sample.
#[test]
fn pairs_stay_within_a_sample() {
    for (batch, rows) in [(1, 6), (3, 4), (5, 2), (4, 3), (3, 7), (2, 1)] {
        let mut b = Builder::new("weight_grad");
        let (o, c) = (b.axis("o", 18), b.axis("c", 35));
        let (n, t) = (b.axis("n", B), b.axis("t", rows));
        let g = b.tensor("g", Access::Read, DType::BF16, vec![B, rows.into(), 18.into()]);
        let x = b.tensor("x", Access::Read, DType::BF16, vec![B, rows.into(), 35.into()]);
        let (w, sum) = (b.write("w", [18, 35]), b.local("sum", DType::F32));
        let factor = |tensor, axis| Expr::cast(DType::F32, load(tensor, [at(n), at(t), at(axis)]));
        let statements = vec![
            reduce(&[n, t], sum, Monoid::Sum, product(factor(g, o), factor(x, c))),
            store(w, [at(o), at(c)], Expr::Local(sum)),
        ];
        b.body(&[o, c], statements).vector(&[c]);
        let contract = b.contract(&[(o, 8)], &[(c, 16)], &[(n, 2), (t, rows)]);
        (contract.pack_a, contract.pack_b) = (true, true);
        check(&b.0, batch);
    }
}

#[test]
fn items_are_rows_of_the_batch() {
    for batch in [1, 5, 9] {
        let mut held = matmul(DType::F32, B, 20, 12.into(), false, true);
        let [i, j, p] = held.axes;
        held.k.contract(&[(i, 4)], &[(j, 16)], &[(p, 12)]).pack_b = true;
        held.k.thread(&[i]);
        check(&held.k.0, batch);
    }
    // A weight gradient: the batch is summed, in tiles.
    for batch in [1, 5, 9] {
        let mut held = matmul(DType::F32, 10.into(), 20, B, true, false);
        let [i, j, p] = held.axes;
        held.k.contract(&[(i, 4)], &[(j, 20)], &[(p, 4)]);
        held.k.thread(&[i]);
        check(&held.k.0, batch);
    }
}

#[test]
fn an_epilogue_runs_on_the_tile() {
    let mut held = matmul(DType::F32, B, 18, 12.into(), false, false);
    let [i, j, p] = held.axes;
    let bias = held.k.read("bias", [18]);
    let (h, mask) =
        (held.k.write("h", vec![B, 18.into()]), held.k.tensor("mask", Access::Write, DType::Bool, vec![B, 18.into()]));
    let pre = held.k.local("pre", DType::F32);
    if let Statement::For(_, body) = &mut held.k.0.body[0] {
        let biased = Expr::binary(Binary::Add, Expr::Local(held.sum), load(bias, [at(j)]));
        let positive = Expr::compare(kiln_ir::Comparison::Gt, Expr::Local(pre), number(0.0));
        body.insert(1, Statement::Let(pre, biased));
        body.push(store(h, [at(i), at(j)], Expr::binary(Binary::Max, Expr::Local(pre), number(0.0))));
        body.push(store(mask, [at(i), at(j)], positive));
    }
    assert_eq!(held.c, TensorId(2));
    held.k.contract(&[(i, 4)], &[(j, 16)], &[(p, 5)]);
    held.k.thread(&[i]);
    check(&held.k.0, 7);
}

/// Extents of a convolution.
#[derive(Clone, Copy)]
struct Conv {
    channels: usize,
    filters: usize,
    size: usize,
    window: usize,
    stride: i64,
    padding: i64,
}

impl Conv {
    fn out(self) -> usize {
        (self.size + 2 * self.padding as usize - self.window) / self.stride as usize + 1
    }
}

/// Image, filters and result, as `[n, c, h, w]`, `[oc, c, kh, kw]` and `[n, oc, oh, ow]`.
fn shapes(conv: Conv) -> [Vec<Dim>; 3] {
    let Conv { channels, filters, size, window, .. } = conv;
    [
        vec![B, channels.into(), size.into(), size.into()],
        [filters, channels, window, window].map(Dim::fixed).to_vec(),
        vec![B, filters.into(), conv.out().into(), conv.out().into()],
    ]
}

const CONVS: [Conv; 4] = [
    Conv { channels: 1, filters: 6, size: 12, window: 5, stride: 1, padding: 2 },
    Conv { channels: 3, filters: 4, size: 9, window: 3, stride: 2, padding: 1 },
    Conv { channels: 5, filters: 7, size: 6, window: 1, stride: 1, padding: 0 },
    Conv { channels: 2, filters: 3, size: 7, window: 3, stride: 1, padding: 0 },
];

fn forward(conv: Conv, tile_rows: usize, thread_filters: bool) -> Kernel {
    let mut b = Builder::new("conv");
    let [x_shape, w_shape, y_shape] = shapes(conv);
    let (n, oc) = (b.axis("n", B), b.axis("oc", conv.filters));
    let (oh, ow) = (b.axis("oh", conv.out()), b.axis("ow", conv.out()));
    let (c, kh, kw) = (b.axis("c", conv.channels), b.axis("kh", conv.window), b.axis("kw", conv.window));
    let (x, w, bias) = (b.read("x", x_shape), b.read("w", w_shape), b.read("bias", [conv.filters]));
    let y = b.write("y", y_shape);
    let sum = b.local("sum", DType::F32);
    let across = |o, k| at(o).times(conv.stride).plus(&at(k)).shifted(-conv.padding);
    let image = padded(x, [at(n), at(c), across(oh, kh), across(ow, kw)], 0.0);
    let value = Expr::binary(Binary::Add, Expr::Local(sum), load(bias, [at(oc)]));
    let statements = vec![
        reduce(&[c, kh, kw], sum, Monoid::Sum, product(image, load(w, [at(oc), at(c), at(kh), at(kw)]))),
        store(y, [at(n), at(oc), at(oh), at(ow)], Expr::binary(Binary::Max, value, number(0.0))),
    ];
    b.body(&[n, oc, oh, ow], statements).thread(&[n]).vector(&[ow]);
    let rows = if thread_filters { 3 } else { conv.filters };
    let k_sizes = [(c, conv.channels), (kh, conv.window), (kw, conv.window)];
    let contract = b.contract(&[(oc, rows)], &[(oh, tile_rows), (ow, conv.out())], &k_sizes);
    contract.pack_b = true;
    contract.a_factor = 1;
    b.0
}

#[test]
fn convolutions_forward() {
    for conv in CONVS {
        for tile_rows in [1, 3, 100] {
            check(&forward(conv, tile_rows, false), 2);
            check(&forward(conv, tile_rows, true), 3);
        }
    }
}

#[test]
fn convolutions_backward_to_the_image() {
    for conv in CONVS {
        let mut b = Builder::new("conv_d_x");
        let [x_shape, w_shape, y_shape] = shapes(conv);
        let (n, c) = (b.axis("n", B), b.axis("c", conv.channels));
        let (h, w) = (b.axis("h", conv.size), b.axis("w", conv.size));
        let (oc, kh, kw) = (b.axis("oc", conv.filters), b.axis("kh", conv.window), b.axis("kw", conv.window));
        let (dy, weight) = (b.read("dy", y_shape), b.read("w", w_shape));
        let dx = b.write("dx", x_shape);
        let sum = b.local("sum", DType::F32);
        let back = |p, k| at(p).shifted(conv.padding).plus(&at(k).times(-1)).exact_div(conv.stride);
        let gradient = padded(dy, [at(n), at(oc), back(h, kh), back(w, kw)], 0.0);
        let statements = vec![
            reduce(&[oc, kh, kw], sum, Monoid::Sum, product(load(weight, [at(oc), at(c), at(kh), at(kw)]), gradient)),
            store(dx, [at(n), at(c), at(h), at(w)], Expr::Local(sum)),
        ];
        b.body(&[n, c, h, w], statements).thread(&[n]).vector(&[w]);
        let k_sizes = [(oc, conv.filters), (kh, conv.window), (kw, conv.window)];
        b.contract(&[(c, 4)], &[(h, conv.size), (w, conv.size)], &k_sizes).pack_b = true;
        check(&b.0, 2);
    }
}

#[test]
fn convolutions_backward_to_the_filters() {
    for conv in CONVS {
        for (batch_tile, pack_a) in [(1, false), (2, false), (2, true)] {
            let mut b = Builder::new("conv_d_w");
            let [x_shape, w_shape, y_shape] = shapes(conv);
            let (oc, c) = (b.axis("oc", conv.filters), b.axis("c", conv.channels));
            let (kh, kw) = (b.axis("kh", conv.window), b.axis("kw", conv.window));
            let (n, oh, ow) = (b.axis("n", B), b.axis("oh", conv.out()), b.axis("ow", conv.out()));
            let (dy, x) = (b.read("dy", y_shape), b.read("x", x_shape));
            let dw = b.write("dw", w_shape);
            let sum = b.local("sum", DType::F32);
            let across = |o, k| at(o).times(conv.stride).plus(&at(k)).shifted(-conv.padding);
            let image = padded(x, [at(n), at(c), across(oh, kh), across(ow, kw)], 0.0);
            let statements = vec![
                reduce(&[n, oh, ow], sum, Monoid::Sum, product(load(dy, [at(n), at(oc), at(oh), at(ow)]), image)),
                store(dw, [at(oc), at(c), at(kh), at(kw)], Expr::Local(sum)),
            ];
            b.body(&[oc, c, kh, kw], statements).thread(&[c]).vector(&[kw]);
            let k_sizes = [(n, batch_tile), (oh, conv.out()), (ow, conv.out())];
            let contract = b.contract(&[(oc, 4)], &[(kh, conv.window), (kw, conv.window)], &k_sizes);
            (contract.pack_a, contract.pack_b) = (pack_a, true);
            check(&b.0, 3);
        }
    }
}

#[test]
fn tiles_that_leave_rows_unevenly_spaced() {
    // The second of two axes of a side has a short tile: rows past it are computed and not read.
    let mut b = Builder::new("ragged");
    let (i0, i1, j0, j1, p) = (b.axis("i0", 3), b.axis("i1", 7), b.axis("j0", 4), b.axis("j1", 5), b.axis("p", 9));
    let (x, w, y) = (b.read("x", [3, 7, 9]), b.read("w", [9, 4, 5]), b.write("y", [3, 7, 4, 5]));
    let sum = b.local("sum", DType::F32);
    let factors = product(load(x, [at(i0), at(i1), at(p)]), load(w, [at(p), at(j0), at(j1)]));
    let statements =
        vec![reduce(&[p], sum, Monoid::Sum, factors), store(y, [at(i0), at(i1), at(j0), at(j1)], Expr::Local(sum))];
    b.body(&[i0, i1, j0, j1], statements).vector(&[j1]);
    b.contract(&[(i0, 2), (i1, 3)], &[(j0, 3), (j1, 4)], &[(p, 4)]);
    check(&b.0, 1);
}

#[test]
fn what_stays_in_place_takes_no_scratch() {
    let scratch = |pack_b: bool| {
        let mut held = matmul(DType::F32, 8.into(), 16, 16.into(), false, false);
        let [i, j, p] = held.axes;
        held.k.contract(&[(i, 8)], &[(j, 16)], &[(p, 16)]).pack_b = pack_b;
        scratch_bytes(&held.k.0)
    };
    assert_eq!(scratch(false), 0, "operands and output are used where they lie");
    assert_eq!(scratch(true), 16 * 32 * 4, "a panel has 32 columns");
}

#[test]
fn other_dtypes_run_as_plain_loops() {
    let mut held = matmul(DType::F64, 5.into(), 6, 7.into(), false, true);
    let [i, j, p] = held.axes;
    held.k.contract(&[(i, 8)], &[(j, 16)], &[(p, 16)]);
    held.k.thread(&[i]);
    assert_eq!(scratch_bytes(&held.k.0), 0);
    check(&held.k.0, 1);
}

#[test]
fn any_tile_sizes_give_the_same_sums() {
    // Tiles of every axis at random, also where they leave rows unevenly spaced or split the summed axes.
    let sizes = common::noise(8 * 60, 11);
    for (at, sizes) in sizes.chunks(8).enumerate() {
        let mut kernel = forward(CONVS[at % CONVS.len()], 3, false);
        let pick = |x: f64| 1 + ((x + 1.0) * 4.0) as usize;
        let contract = kernel.schedule.contracts.first_mut().expect("the kernel has a contraction");
        let tiles = contract.m.iter_mut().chain(&mut contract.n).chain(&mut contract.k);
        for (tile, &size) in tiles.zip(sizes) {
            tile.size = pick(size);
        }
        contract.pack_a = sizes[6] > 0.0;
        contract.pack_b = sizes[7] > -0.5;
        check(&kernel, 2);
    }
}
