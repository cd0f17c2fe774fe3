//! Kernels of every kind that the passes make, written by hand.

mod build;
mod serial;

use build::*;
use kiln_ir::kernel::Statement;
use kiln_ir::{Atom, Binary, Comparison, DType, Dim, Expr, Index, Kernel, Monoid, Unary};

pub const MAX_BATCH: usize = 64;
const F: DType = DType::F32;

/// Every kernel, in the order of this file; a golden file has the kernel's name.
pub fn all() -> Vec<Kernel> {
    let written = vec![
        gelu_scale(),
        bias_relu(),
        softmax_cross_entropy(),
        log_softmax(),
        max_pool(),
        padded_max_pool(),
        conv_bias_relu(),
        conv_weight_gradient(),
        conv_data_gradient(),
        linear_bias(),
        linear_naive(),
        bias_gradient(),
        mean_loss(),
        sgd_momentum(),
        normalize_in_place(),
        one_hot(),
        embedding(),
        argmax_rows(),
        split_copy(),
        integer_statistics(),
        flip_and_fold(),
        odd_names(),
        batched_matmul(),
        wide_relu(),
        dropout(),
    ];
    written.into_iter().chain(serial::all()).collect()
}

/// A pointwise chain with most functions of one value.
fn gelu_scale() -> Kernel {
    let mut k = Build::new("gelu_scale", 20);
    let (x, scale) = (k.read("x", F, &[B, d(120)]), k.read("scale", F, &[]));
    let y = k.write("y", F, &[B, d(120)]);
    let [n, c] = k.axes([("n", B), ("c", d(120))]);
    let h = k.local("h", F);
    let inner = Expr::unary(Unary::Erf, mul(l(h), f32(std::f64::consts::FRAC_1_SQRT_2)));
    let gelu = mul(mul(f32(0.5), l(h)), add(f32(1.0), inner));
    let small = Expr::compare(Comparison::Lt, Expr::unary(Unary::Abs, l(h)), f32(1e-8));
    let value = Expr::select(small, Expr::unary(Unary::Neg, l(h)), gelu);
    k.body([each(
        &[n, c],
        [Statement::Let(h, mul(load(x, at(&[n, c])), load(scale, []))), store(y, at(&[n, c]), value)],
    )])
}

/// A mask of random numbers that is computed where it is used.
fn dropout() -> Kernel {
    let mut k = Build::new("dropout", 45);
    let (seed, step) = (k.read("seed", DType::I64, &[]), k.read("step", DType::I64, &[]));
    let x = k.read("x", F, &[B, d(120)]);
    let y = k.write("y", F, &[B, d(120)]);
    let [n, c] = k.axes([("n", B), ("c", d(120))]);
    let word = k.local("word", DType::I32);
    let first = mul(load(step, []), Expr::number(2.0_f64.powi(32), DType::I64));
    let random = Expr::Random {
        bits: 24,
        seed: Box::new(load(seed, [])),
        stream: Box::new(add(first, Expr::number(3.0, DType::I64))),
        position: Box::new(Expr::Index(Index::axis(n).times(120).plus(&Index::axis(c)))),
    };
    let kept = Expr::compare(Comparison::Ge, l(word), Expr::number(8_388_608.0, DType::I32));
    let value = Expr::select(kept, mul(load(x, at(&[n, c])), f32(2.0)), f32(0.0));
    k.body([each(&[n, c], [Statement::Let(word, random), store(y, at(&[n, c]), value)])])
}

fn bias_relu() -> Kernel {
    let mut k = Build::new("bias_relu", 21);
    let shape = [B, d(6), d(28), d(28)];
    let (x, b, h) = (k.read("x", F, &shape), k.read("b", F, &[d(6)]), k.write("h", F, &shape));
    let axes = k.axes([("n", B), ("c", d(6)), ("oh", d(28)), ("ow", d(28))]);
    let value = max(add(load(x, at(&axes)), load(b, at(&axes[1..2]))), f32(0.0));
    k.body([each(&axes, [store(h, at(&axes), value)])])
}

/// Rows of ten: one thread a row.
fn softmax_cross_entropy() -> Kernel {
    let mut k = Build::new("softmax_cross_entropy", 30);
    let (x, label) = (k.read("logits", F, &[B, d(10)]), k.read("label", DType::I64, &[B]));
    let (loss, dx) = (k.write("loss", F, &[B]), k.write("d_logits", F, &[B, d(10)]));
    let [n, c, c2, c3] = k.axes([("n", B), ("c", d(10)), ("c_sum", d(10)), ("c_grad", d(10))]);
    let target = k.local("target", DType::I64);
    let (top, total, p) = (k.local("top", F), k.local("total", F), k.local("p", F));
    let exp = |axis| Expr::unary(Unary::Exp, sub(load(x, at(&[n, axis])), l(top)));
    let at_target = load(x, [i(n), Index::atom(Atom::Value(Box::new(l(target))))]);
    let hit = Expr::compare(Comparison::Eq, Expr::Index(i(c3)), l(target));
    let per_sample = div(sub(l(p), Expr::cast(F, hit)), Expr::cast(F, Expr::Extent(B)));
    k.body([each(
        &[n],
        [
            Statement::Let(target, Expr::check(load(label, at(&[n])), d(10))),
            reduce(&[c], [(top, Monoid::Max, load(x, at(&[n, c])))]),
            reduce(&[c2], [(total, Monoid::Sum, exp(c2))]),
            store(loss, at(&[n]), sub(add(Expr::unary(Unary::Log, l(total)), l(top)), at_target)),
            each(&[c3], [Statement::Let(p, div(exp(c3), l(total))), store(dx, at(&[n, c3]), per_sample)]),
        ],
    )])
}

/// Rows of a thousand: one block a row.
fn log_softmax() -> Kernel {
    let mut k = Build::new("log_softmax", 31);
    let (x, y) = (k.read("x", F, &[B, d(1000)]), k.write("y", F, &[B, d(1000)]));
    let [n, c, c2, c3] = k.axes([("n", B), ("c", d(1000)), ("c_sum", d(1000)), ("c_out", d(1000))]);
    let (top, total, shift) = (k.local("top", F), k.local("total", F), k.local("shift", F));
    let exp = Expr::unary(Unary::Exp, sub(load(x, at(&[n, c2])), l(top)));
    k.body([each(
        &[n],
        [
            reduce(&[c], [(top, Monoid::Max, load(x, at(&[n, c])))]),
            reduce(&[c2], [(total, Monoid::Sum, exp)]),
            Statement::Let(shift, add(l(top), Expr::unary(Unary::Log, l(total)))),
            each(&[c3], [store(y, at(&[n, c3]), sub(load(x, at(&[n, c3])), l(shift)))]),
        ],
    )])
}

fn max_pool() -> Kernel {
    let mut k = Build::new("max_pool", 22);
    let x = k.read("x", F, &[B, d(6), d(28), d(28)]);
    let shape = [B, d(6), d(14), d(14)];
    let (y, where_) = (k.write("y", F, &shape), k.write("argmax", DType::I64, &shape));
    let [n, c, oh, ow, kh, kw] =
        k.axes([("n", B), ("c", d(6)), ("oh", d(14)), ("ow", d(14)), ("kh", d(2)), ("kw", d(2))]);
    let (best, position) = (k.local("best", F), k.local("position", DType::I64));
    let value = load(x, [i(n), i(c), i(oh).times(2).plus(&i(kh)), i(ow).times(2).plus(&i(kw))]);
    let outer = [n, c, oh, ow];
    k.0.schedule.unroll = vec![kh, kw];
    k.body([each(
        &outer,
        [
            reduce(&[kh, kw], [(best, Monoid::Max, value.clone()), (position, Monoid::ArgMax, value)]),
            store(y, at(&outer), l(best)),
            store(where_, at(&outer), l(position)),
        ],
    )])
}

fn padded_max_pool() -> Kernel {
    let mut k = Build::new("padded_max_pool", 23);
    let (x, y) = (k.read("x", F, &[B, d(64), d(7), d(7)]), k.write("y", F, &[B, d(64), d(4), d(4)]));
    let [n, c, oh, ow, kh, kw] =
        k.axes([("n", B), ("c", d(64)), ("oh", d(4)), ("ow", d(4)), ("kh", d(3)), ("kw", d(3))]);
    let best = k.local("best", F);
    let window = |o, w| i(o).times(2).plus(&i(w)).shifted(-1);
    let value = load_or(x, [i(n), i(c), window(oh, kh), window(ow, kw)], f64::NEG_INFINITY);
    let outer = [n, c, oh, ow];
    k.body([each(&outer, [reduce(&[kh, kw], [(best, Monoid::Max, value)]), store(y, at(&outer), l(best))])])
}

/// An implicit GEMM: rows are channels, columns are the batch's pixels.
fn conv_bias_relu() -> Kernel {
    let mut k = Build::new("conv_bias_relu", 14);
    let (x, w) = (k.read("x", F, &[B, d(6), d(14), d(14)]), k.read("w", F, &[d(16), d(6), d(5), d(5)]));
    let (b, h) = (k.read("b", F, &[d(16)]), k.write("h", F, &[B, d(16), d(14), d(14)]));
    let [n, oc, oh, ow] = k.axes([("n", B), ("oc", d(16)), ("oh", d(14)), ("ow", d(14))]);
    let [c, kh, kw] = k.axes([("c", d(6)), ("kh", d(5)), ("kw", d(5))]);
    let acc = k.local("acc", F);
    let window = |o, w| i(o).plus(&i(w)).shifted(-2);
    let value = mul(load_or(x, [i(n), i(c), window(oh, kh), window(ow, kw)], 0.0), load(w, at(&[oc, c, kh, kw])));
    k.0.schedule.thread = vec![n];
    k.contract(&[oc], &[oh, ow], &[c, kh, kw], 1);
    let relu = max(add(l(acc), load(b, at(&[oc]))), f32(0.0));
    k.body([each(
        &[n, oc, oh, ow],
        [reduce(&[c, kh, kw], [(acc, Monoid::Sum, value)]), store(h, at(&[n, oc, oh, ow]), relu)],
    )])
}

/// Few results, each a long sum over the batch: one block a result.
fn conv_weight_gradient() -> Kernel {
    let mut k = Build::new("conv_weight_gradient", 14);
    let (x, dh) = (k.read("x", F, &[B, d(1), d(28), d(28)]), k.read("d_h", F, &[B, d(6), d(28), d(28)]));
    let dw = k.write("d_w", F, &[d(6), d(1), d(5), d(5)]);
    let [oc, c, kh, kw] = k.axes([("oc", d(6)), ("c", d(1)), ("kh", d(5)), ("kw", d(5))]);
    let [n, oh, ow] = k.axes([("n", B), ("oh", d(28)), ("ow", d(28))]);
    let sum = k.local("sum", F);
    let window = |o, w| i(o).plus(&i(w)).shifted(-2);
    let value = mul(load(dh, at(&[n, oc, oh, ow])), load_or(x, [i(n), i(c), window(oh, kh), window(ow, kw)], 0.0));
    k.contract(&[oc], &[c, kh, kw], &[n, oh, ow], 0);
    let outer = [oc, c, kh, kw];
    k.body([each(&outer, [reduce(&[n, oh, ow], [(sum, Monoid::Sum, value)]), store(dw, at(&outer), l(sum))])])
}

/// A stride of two, backwards: the divisions must be exact.
fn conv_data_gradient() -> Kernel {
    let mut k = Build::new("conv_data_gradient", 15);
    let (dy, w) = (k.read("d_y", F, &[B, d(8), d(7), d(7)]), k.read("w", F, &[d(8), d(4), d(3), d(3)]));
    let dx = k.write("d_x", F, &[B, d(4), d(14), d(14)]);
    let [n, c, ih, iw] = k.axes([("n", B), ("c", d(4)), ("ih", d(14)), ("iw", d(14))]);
    let [oc, kh, kw] = k.axes([("oc", d(8)), ("kh", d(3)), ("kw", d(3))]);
    let sum = k.local("sum", F);
    let source = |o, w| i(o).plus(&i(w).times(-1)).shifted(1).exact_div(2);
    let value = mul(load_or(dy, [i(n), i(oc), source(ih, kh), source(iw, kw)], 0.0), load(w, at(&[oc, c, kh, kw])));
    let outer = [n, c, ih, iw];
    k.body([each(&outer, [reduce(&[oc, kh, kw], [(sum, Monoid::Sum, value)]), store(dx, at(&outer), l(sum))])])
}

fn linear_bias() -> Kernel {
    linear("linear_bias", 84, 120, true)
}

/// The same product without a contraction in its schedule.
fn linear_naive() -> Kernel {
    linear("linear_naive", 512, 120, false)
}

fn linear(name: &str, outputs: usize, inputs: usize, contract: bool) -> Kernel {
    let mut k = Build::new(name, 16);
    let (x, w) = (k.read("x", F, &[B, d(inputs)]), k.read("w", F, &[d(outputs), d(inputs)]));
    let (b, y) = (k.read("b", F, &[d(outputs)]), k.write("y", F, &[B, d(outputs)]));
    let [n, o, j] = k.axes([("n", B), ("o", d(outputs)), ("j", d(inputs))]);
    let sum = k.local("sum", F);
    let value = mul(load(x, at(&[n, j])), load(w, at(&[o, j])));
    if contract {
        k.0.schedule.thread = vec![n];
        k.contract(&[n], &[o], &[j], 0);
    }
    k.body([each(
        &[n, o],
        [reduce(&[j], [(sum, Monoid::Sum, value)]), store(y, at(&[n, o]), add(l(sum), load(b, at(&[o]))))],
    )])
}

fn bias_gradient() -> Kernel {
    let mut k = Build::new("bias_gradient", 14);
    let (dh, db) = (k.read("d_h", F, &[B, d(6), d(28), d(28)]), k.write("d_b", F, &[d(6)]));
    let [c, n, oh, ow] = k.axes([("c", d(6)), ("n", B), ("oh", d(28)), ("ow", d(28))]);
    let sum = k.local("sum", F);
    let value = load(dh, at(&[n, c, oh, ow]));
    k.body([each(&[c], [reduce(&[n, oh, ow], [(sum, Monoid::Sum, value)]), store(db, at(&[c]), l(sum))])])
}

/// A kernel of one value, without an outermost axis.
fn mean_loss() -> Kernel {
    let mut k = Build::new("mean_loss", 33);
    let (losses, loss) = (k.read("losses", F, &[B]), k.write("loss", F, &[]));
    let n = k.axis("n", B);
    let sum = k.local("sum", F);
    let mean = div(l(sum), Expr::cast(F, Expr::Extent(B)));
    k.body([each(&[], [reduce(&[n], [(sum, Monoid::Sum, load(losses, at(&[n])))]), store(loss, [], mean)])])
}

fn sgd_momentum() -> Kernel {
    let mut k = Build::new("sgd_momentum", 40);
    let shape = [d(16), d(6), d(5), d(5)];
    let (g, rate) = (k.read("d_w", F, &shape), k.read("learning_rate", F, &[]));
    let (w, v) = (k.update("conv2.weight", F, &shape), k.update("conv2.weight.momentum", F, &shape));
    let axes = k.axes([("oc", d(16)), ("c", d(6)), ("kh", d(5)), ("kw", d(5))]);
    let speed = k.local("speed", F);
    k.body([each(
        &axes,
        [
            Statement::Let(speed, add(mul(f32(0.9), load(v, at(&axes))), load(g, at(&axes)))),
            store(v, at(&axes), l(speed)),
            store(w, at(&axes), sub(load(w, at(&axes)), mul(load(rate, []), l(speed)))),
        ],
    )])
}

/// A block that reads a row and then overwrites it.
fn normalize_in_place() -> Kernel {
    let mut k = Build::new("normalize_in_place", 41);
    let x = k.update("x", F, &[B, d(300)]);
    let [n, c, c2] = k.axes([("n", B), ("c", d(300)), ("c_out", d(300))]);
    let (squares, scale) = (k.local("squares", F), k.local("scale", F));
    let value = load(x, at(&[n, c]));
    let root = Expr::unary(Unary::Sqrt, add(div(l(squares), f32(300.0)), f32(1e-5)));
    k.body([each(
        &[n],
        [
            reduce(&[c], [(squares, Monoid::Sum, mul(value.clone(), value))]),
            Statement::Let(scale, div(f32(1.0), root)),
            each(&[c2], [store(x, at(&[n, c2]), mul(load(x, at(&[n, c2])), l(scale)))]),
        ],
    )])
}

fn one_hot() -> Kernel {
    let mut k = Build::new("one_hot", 34);
    let (label, y) = (k.read("label", DType::I64, &[B]), k.write("y", F, &[B, d(10)]));
    let [n, class] = k.axes([("n", B), ("class", d(10))]);
    let checked = Expr::check(load(label, at(&[n])), d(10));
    let hit = Expr::compare(Comparison::Eq, Expr::Index(i(class)), checked);
    k.body([each(&[n, class], [store(y, at(&[n, class]), Expr::cast(F, hit))])])
}

fn embedding() -> Kernel {
    let mut k = Build::new("embedding", 35);
    let (token, table) = (k.read("token", DType::I64, &[B, d(16)]), k.read("table", F, &[d(500), d(32)]));
    let y = k.write("y", F, &[B, d(16), d(32)]);
    let [n, t, c] = k.axes([("n", B), ("t", d(16)), ("c", d(32))]);
    let row = Expr::check(load(token, at(&[n, t])), d(500));
    let value = load(table, [Index::atom(Atom::Value(Box::new(row))), i(c)]);
    k.body([each(&[n, t, c], [store(y, at(&[n, t, c]), value)])])
}

/// The block's threads find the first greatest value together.
fn argmax_rows() -> Kernel {
    let mut k = Build::new("argmax_rows", 36);
    let (x, y) = (k.read("x", F, &[B, d(20), d(25)]), k.write("y", DType::I64, &[B]));
    let [n, row, column] = k.axes([("n", B), ("row", d(20)), ("column", d(25))]);
    let best = k.local("best", DType::I64);
    let value = load(x, at(&[n, row, column]));
    k.body([each(&[n], [reduce(&[row, column], [(best, Monoid::ArgMax, value)]), store(y, at(&[n]), l(best))])])
}

/// Axes that a CPU pass has split, with a short last piece.
fn split_copy() -> Kernel {
    let mut k = Build::new("split_copy", 37);
    let (x, y) = (k.read("x", F, &[B, d(28)]), k.write("y", F, &[B, d(28)]));
    let sum = k.write("sum", F, &[B, d(28)]);
    let [n, outer, inner] = k.axes([("n", B), ("c_outer", d(4)), ("c_inner", d(8))]);
    let [outer2, inner2] = k.axes([("k_outer", d(4)), ("k_inner", d(8))]);
    let c = i(outer).times(8).plus(&i(inner));
    let c2 = i(outer2).times(8).plus(&i(inner2));
    k.0.axes[inner.0 as usize].limit = Some((c.clone(), d(28)));
    k.0.axes[inner2.0 as usize].limit = Some((c2.clone(), d(28)));
    let total = k.local("total", F);
    k.0.schedule.thread = vec![n];
    k.body([each(
        &[n],
        [each(
            &[outer, inner],
            [
                reduce(&[outer2, inner2], [(total, Monoid::Sum, load(x, [i(n), c2]))]),
                store(y, [i(n), c.clone()], load(x, [i(n), c.clone()])),
                store(sum, [i(n), c], l(total)),
            ],
        )],
    )])
}

/// Integers, bytes, booleans and doubles; a kernel of several statements at the outermost level.
fn integer_statistics() -> Kernel {
    let mut k = Build::new("integer_statistics", 38);
    let (pixels, mask) = (k.read("pixels", DType::U8, &[B, d(64)]), k.read("mask", DType::Bool, &[B]));
    let mean = k.write("mean", DType::F64, &[]);
    let (bright, hash) = (k.write("bright", DType::Bool, &[B]), k.write("hash", DType::I32, &[B]));
    let [n, p, n2] = k.axes([("n", B), ("p", d(64)), ("n_out", B)]);
    let (total, least) = (k.local("total", DType::I64), k.local("least", DType::U8));
    let any = k.local("any", DType::Bool);
    let pixel = load(pixels, at(&[n, p]));
    let kept = Expr::select(load(mask, at(&[n])), pixel.clone(), Expr::number(0.0, DType::U8));
    let count = Expr::binary(Binary::Mul, Expr::Extent(Dim { factor: 64, batch: true }), Expr::number(1.0, DType::I64));
    let first = load(pixels, [i(n2), Index::constant(0)]);
    let both = Expr::binary(
        Binary::And,
        Expr::binary(Binary::Min, load(mask, at(&[n2])), l(any)),
        Expr::unary(Unary::Not, Expr::compare(Comparison::Le, first.clone(), l(least))),
    );
    let hashed = Expr::binary(
        Binary::Pow,
        Expr::unary(Unary::Neg, Expr::cast(DType::I32, first.clone())),
        Expr::number(3.0, DType::I32),
    );
    k.body([
        reduce(
            &[n, p],
            [
                (total, Monoid::Sum, Expr::cast(DType::I64, kept)),
                (least, Monoid::Min, pixel),
                (any, Monoid::Max, load(mask, at(&[n]))),
            ],
        ),
        store(mean, [], div(Expr::cast(DType::F64, l(total)), Expr::cast(DType::F64, count))),
        each(&[n2], [store(bright, at(&[n2]), both), store(hash, at(&[n2]), hashed)]),
    ])
}

/// Reversed and wrapped indices, with divisions of what may be negative.
fn flip_and_fold() -> Kernel {
    let mut k = Build::new("flip_and_fold", 39);
    let (x, y) = (k.read("x", F, &[B, d(12)]), k.write("y", F, &[B, d(12), d(2)]));
    let [n, c, side] = k.axes([("n", B), ("c", d(12)), ("side", d(2))]);
    let flipped = load(x, [i(n), i(c).times(-1).shifted(11)]);
    let rolled = load(x, [i(n), i(c).shifted(-5).rem(12)]);
    let crossed = i(c).plus(&i(side).times(-7));
    let halved = load_or(x, [i(n), crossed.div(4).plus(&crossed.rem(3))], f64::NAN);
    let position = Expr::cast(F, Expr::Index(i(n).times(12).plus(&i(c)).plus(&i(side).times(1_000_000_000_000))));
    let value = add(sub(flipped, rolled), Expr::binary(Binary::Pow, halved, position));
    k.body([each(&[n, c, side], [store(y, at(&[n, c, side]), value)])])
}

/// Names that C or this writer has for itself.
fn odd_names() -> Kernel {
    let mut k = Build::new("layer1.0.float", 42);
    let (x, b) = (k.read("0.weight", F, &[d(4), d(5)]), k.read("B", F, &[d(5)]));
    let y = k.write("float", F, &[d(4), d(5)]);
    let [position, exp] = k.axes([("position", d(4)), ("exp", d(5))]);
    let value = k.local("0_weight", F);
    k.body([each(
        &[position, exp],
        [
            Statement::Let(value, add(load(x, at(&[position, exp])), load(b, at(&[exp])))),
            store(y, at(&[position, exp]), Expr::unary(Unary::Exp, l(value))),
        ],
    )])
}

/// Attention's scores: the batch and the heads are outside of both matrices, in double precision.
fn batched_matmul() -> Kernel {
    let mut k = Build::new("batched_matmul", 43);
    let f = DType::F64;
    let (q, key) = (k.read("q", f, &[B, d(2), d(40), d(24)]), k.read("k", f, &[B, d(2), d(50), d(24)]));
    let s = k.write("s", f, &[B, d(2), d(40), d(50)]);
    let [n, h, row, column, depth] =
        k.axes([("n", B), ("h", d(2)), ("row", d(40)), ("column", d(50)), ("depth", d(24))]);
    let sum = k.local("sum", f);
    let value = mul(load(q, at(&[n, h, row, depth])), load(key, at(&[n, h, column, depth])));
    k.contract(&[row], &[column], &[depth], 0);
    let scale = Expr::number(0.20412414523193154, f);
    let outer = [n, h, row, column];
    k.body([each(&outer, [reduce(&[depth], [(sum, Monoid::Sum, value)]), store(s, at(&outer), mul(l(sum), scale))])])
}

/// More elements than `int` counts.
fn wide_relu() -> Kernel {
    let mut k = Build::new("wide_relu", 44);
    let shape = [B, d(3), d(4096), d(4096)];
    let (x, y) = (k.read("x", F, &shape), k.write("y", F, &shape));
    let axes = k.axes([("n", B), ("c", d(3)), ("h", d(4096)), ("w", d(4096))]);
    k.body([each(&axes, [store(y, at(&axes), max(load(x, at(&axes)), f32(0.0)))])])
}
