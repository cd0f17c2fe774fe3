//! Kernels with stages: scratch memory, contractions in it, loops around the stages, results over operands.

mod common;

use common::{B, Builder, at, check, check_values, inputs, load, reduce, store};
use kiln_codegen_cpu::scratch_bytes;
use kiln_ir::kernel::{Access, Statement};
use kiln_ir::verify::verify_kernel;
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, Monoid, Unary};

/// Extents of [`attention`].
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    columns: usize,
    depth: usize,
    tile: usize,
}

/// `softmax(q·kᵀ)·v` for each sample and each of three heads; only the first `threads` of these two axes are items.
fn attention(Shape { rows, columns, depth, tile }: Shape, threads: usize, pack: bool) -> Builder {
    let mut b = Builder::new("attention");
    let side = |length: usize| [B, 3.into(), Dim::fixed(length), Dim::fixed(depth)];
    let [q, k, v] = [("q", rows), ("k", columns), ("v", columns)].map(|(name, length)| b.read(name, side(length)));
    let y = b.write("y", side(rows));
    let scratch = |b: &mut Builder, name: &str| b.tensor(name, Access::Scratch, DType::F32, [rows, columns]);
    let (s, p) = (scratch(&mut b, "s"), scratch(&mut b, "p"));
    let mut axis = |name: &str, extent: Dim| b.axis(name, extent);
    let (n, c) = (axis("n", B), axis("c", 3.into()));
    let [i, i_2, i_3] = ["i", "i_2", "i_3"].map(|name| axis(name, rows.into()));
    let [j, j_2, j_3, j_4, j_5] = ["j", "j_2", "j_3", "j_4", "j_5"].map(|name| axis(name, columns.into()));
    let (d, e) = (axis("d", depth.into()), axis("e", depth.into()));
    let [score, most, sum, result] = ["score", "most", "sum", "result"].map(|name| b.local(name, DType::F32));

    let product = |x: Expr, y: Expr| Expr::binary(Binary::Mul, x, y);
    let row = |j: AxisId| {
        let here = load(s, [at(i_2), at(j)]);
        Expr::unary(Unary::Exp, Expr::binary(Binary::Sub, here, Expr::Local(most)))
    };
    let head = |tensor, row: AxisId, column: AxisId| load(tensor, [at(n), at(c), at(row), at(column)]);
    let scores = vec![
        reduce(&[d], score, Monoid::Sum, product(head(q, i, d), head(k, j, d))),
        store(s, [at(i), at(j)], Expr::Local(score)),
    ];
    let weights = vec![
        reduce(&[j_2], most, Monoid::Max, load(s, [at(i_2), at(j_2)])),
        reduce(&[j_3], sum, Monoid::Sum, row(j_3)),
        Statement::For(
            vec![j_4],
            vec![store(p, [at(i_2), at(j_4)], Expr::binary(Binary::Div, row(j_4), Expr::Local(sum)))],
        ),
    ];
    let results = vec![
        reduce(&[j_5], result, Monoid::Sum, product(load(p, [at(i_3), at(j_5)]), head(v, j_5, e))),
        store(y, [at(n), at(c), at(i_3), at(e)], Expr::Local(result)),
    ];
    let stages = vec![
        Statement::For(vec![i, j], scores),
        Statement::For(vec![i_2], weights),
        Statement::For(vec![i_3, e], results),
    ];
    b.body(&[n, c], stages).thread(&[n, c][..threads]).vector(&[j, j_2, j_3, j_4, e]);
    let first = b.contract(&[(i, tile)], &[(j, columns)], &[(d, depth)]);
    (first.pack_a, first.pack_b) = (pack, true);
    let second = b.contract(&[(i_3, tile)], &[(e, depth)], &[(j_5, columns)]);
    (second.pack_a, second.pack_b) = (pack, pack);
    b
}

#[test]
fn attention_in_every_form() {
    let shapes = [(9, 9, 5, 4), (33, 40, 8, 33), (1, 70, 16, 1), (17, 32, 64, 14)];
    for (rows, columns, depth, tile) in shapes {
        for threads in 0..=2 {
            for pack in [false, true] {
                let b = attention(Shape { rows, columns, depth, tile }, threads, pack);
                assert_eq!(verify_kernel(&b.0), Vec::new());
                check(&b.0, 2);
            }
        }
    }
}

#[test]
fn a_result_takes_the_place_of_an_operand() {
    // Packed operands live outside of the loops, so scores and weights are all that stages could share.
    let shape = Shape { rows: 32, columns: 48, depth: 16, tile: 32 };
    let strip = 32 * 48 * 4;
    let bytes = scratch_bytes(&attention(shape, 2, false).0);
    assert!((strip..2 * strip).contains(&bytes), "one strip and what is packed of K: {bytes}");
}

#[test]
fn what_is_read_beside_its_place_keeps_it() {
    // The second stage stores each row while later ones still read their neighbour.
    let mut b = Builder::new("neighbours");
    let (x, y) = (b.read("x", [B, 6.into(), 40.into()]), b.write("y", [B, 6.into(), 40.into()]));
    let scratch = |b: &mut Builder, name: &str, rows: usize| b.tensor(name, Access::Scratch, DType::F32, [rows, 40]);
    let (s, t) = (scratch(&mut b, "s", 6), scratch(&mut b, "t", 6));
    let mut axis = |name: &str, extent: Dim| b.axis(name, extent);
    let n = axis("n", B);
    let [i, i_2, i_3] = ["i", "i_2", "i_3"].map(|name| axis(name, 6.into()));
    let [j, j_2, j_3] = ["j", "j_2", "j_3"].map(|name| axis(name, 40.into()));
    let upside = at(i_2).times(-1).plus(&kiln_ir::Index::constant(5));
    let twice = Expr::binary(Binary::Add, load(s, [upside, at(j_2)]), load(s, [at(i_2), at(j_2)]));
    let stages = vec![
        Statement::For(vec![i, j], vec![store(s, [at(i), at(j)], load(x, [at(n), at(i), at(j)]))]),
        Statement::For(vec![i_2, j_2], vec![store(t, [at(i_2), at(j_2)], twice)]),
        Statement::For(vec![i_3, j_3], vec![store(y, [at(n), at(i_3), at(j_3)], load(t, [at(i_3), at(j_3)]))]),
    ];
    b.body(&[n], stages).thread(&[n]).vector(&[j, j_2, j_3]);
    assert_eq!(scratch_bytes(&b.0), 2 * 6 * 40 * 4, "both are kept");
    check_values(&b.0, &inputs(&b.0, 3), 3, 0.0);
}
