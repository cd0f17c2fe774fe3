//! Splits axes that are read through an exact division, so that the division is decided when the kernel is compiled.
//!
//! The gradient of a window of stride s reads `(i + p - k) /! s`: for most taps `k` there is no such position. With `i = s·q + r` and both
//! `r` and `k` written out, `(s·q + r + p - k) /! s` is `q + (r + p - k) /! s`, and only the taps that exist are left.

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::statements::for_each_expr;
use kiln_ir::{Atom, AxisId, Expr, Index};

use super::rewrite;

/// More copies of a loop body than this are not written out.
const MAX_COPIES: usize = 64;

/// Splits what can be split. Contractions are left alone: they are packed, and zeros cost them little.
pub fn run(kernel: &mut Kernel) {
    let [Statement::For(shared, inner)] = kernel.body.as_slice() else { return };
    let Some(Statement::Reduce { axes: taps, results, .. }) = inner.first() else { return };
    if results.iter().any(|result| matches!(result.value, Expr::Binary(kiln_ir::Binary::Mul, ..))) {
        return;
    }
    let (shared, taps) = (shared.clone(), taps.clone());
    let found: Vec<(AxisId, i64)> =
        shared.iter().filter_map(|&axis| divisor_of(kernel, axis).map(|divisor| (axis, divisor))).collect();
    let copies =
        |axes: &[AxisId]| axes.iter().map(|&axis| kernel.axis(axis).extent.as_fixed()).product::<Option<usize>>();
    let splits = |&(axis, by): &(AxisId, i64)| {
        kernel.axis(axis).extent.as_fixed().is_some_and(|e| e.is_multiple_of(by as usize))
    };
    let phases: usize = found.iter().map(|(_, by)| *by as usize).product();
    let fits = copies(&taps).is_some_and(|taps| taps * phases <= MAX_COPIES);
    if found.is_empty() || !fits || !found.iter().all(splits) {
        return;
    }
    // The phases come just outside the innermost axis: that is the loop which can run in lanes.
    let mut order = shared;
    for (axis, by) in found {
        let (_, phase) = rewrite::split(kernel, axis, by as usize, ("_q", "_r"));
        order.insert(order.len() - 1, phase);
        kernel.schedule.unroll.push(phase);
    }
    kernel.schedule.unroll.extend(taps);
    if let [Statement::For(axes, _)] = kernel.body.as_mut_slice() {
        *axes = order;
    }
}

/// The divisor of the exact divisions that an axis is in.
fn divisor_of(kernel: &Kernel, axis: AxisId) -> Option<i64> {
    let mut found = None;
    let mut visit = |index: &Index| {
        for (atom, _) in &index.terms {
            let moves = |(inner, factor): &(Atom, i64), by: i64| *inner == Atom::Axis(axis) && factor % by != 0;
            match atom {
                Atom::ExactDiv(inner, by) if inner.terms.iter().any(|term| moves(term, *by)) => found = Some(*by),
                _ => {}
            }
        }
    };
    for_each_expr(&kernel.body, &mut |expr| {
        expr.for_each(&mut |x| match x {
            Expr::Load(load) => load.index.iter().for_each(&mut visit),
            Expr::Index(index) => visit(index),
            _ => {}
        });
    });
    found
}
