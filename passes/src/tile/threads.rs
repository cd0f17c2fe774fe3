//! What threads divide, and how much of it is one chunk.

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::statements::{for_each_store, has_serial};
use kiln_ir::{AxisId, Expr};

use super::{MACHINE, MAX_UNROLL, stride};
use crate::fuse::facts;
use crate::vectorize;

/// Enough items for threads to be equally busy.
const ENOUGH_ITEMS: usize = 64;
/// So many chunks of columns as well; with more columns each is a few lines of memory wide.
const ENOUGH_CHUNKS: usize = 8;

/// Chooses the threads of a kernel of plain loops, and what is written out.
pub fn run(kernel: &mut Kernel, max_batch: usize) {
    unroll_windows(kernel);
    let [Statement::For(axes, inner)] = kernel.body.as_slice() else { return };
    let total_ns = cost(kernel, &kernel.body, max_batch) / MACHINE.operations_per_ns;
    if total_ns < MACHINE.chunk_ns {
        return;
    }
    // The last axis is the loop inside, unless there is no other, or a whole row is inside already.
    let rows = inner
        .iter()
        .any(|statement| matches!(statement, Statement::For(..) | Statement::Serial(..) | Statement::Reduce { .. }));
    let written_out = axes.iter().position(|axis| kernel.schedule.unroll.contains(axis));
    let most = match written_out {
        Some(first) => first,
        None if rows && !windows(kernel, inner) => axes.len(),
        None => axes.len().saturating_sub(1).max(1),
    };
    let mut items = 1;
    let mut thread: Vec<AxisId> = Vec::new();
    for &axis in &axes[..most] {
        if items >= ENOUGH_ITEMS {
            break;
        }
        items *= kernel.axis(axis).extent.at(max_batch);
        thread.push(axis);
    }
    let item_ns = total_ns / items as f64;
    let grain = (MACHINE.chunk_ns / item_ns) as usize;
    // Of a single long axis a chunk is whole registers and cache lines, as it is of columns that a serial loop or a sum goes down.
    let down_columns = |axis| match has_serial(inner) {
        true => runs_along(kernel, inner, axis),
        false => rows && vectorize::score(kernel, inner, axis) > 0,
    };
    let columns = thread.last().filter(|&&axis| down_columns(axis)).map(|&axis| kernel.axis(axis).extent.at(max_batch));
    kernel.schedule.grain = match columns {
        Some(columns) => grain.max(1).next_multiple_of((columns / ENOUGH_CHUNKS).clamp(16, 64).next_multiple_of(16)),
        None if grain >= 16 => grain.next_multiple_of(16),
        None => grain.max(1),
    };
    kernel.schedule.thread = thread;
}

/// Whether the elements that are stored for neighbours on an axis are neighbours.
fn runs_along(kernel: &Kernel, statements: &[Statement], axis: AxisId) -> bool {
    let mut neighbours = true;
    for_each_store(statements, &mut |tensor, index| neighbours &= stride(kernel, tensor, index, axis) == Some(1));
    neighbours
}

/// Scalar operations of statements, each load and store counting as one.
pub fn cost(kernel: &Kernel, statements: &[Statement], max_batch: usize) -> f64 {
    let trips =
        |axes: &[AxisId]| axes.iter().map(|&axis| kernel.axis(axis).extent.at(max_batch) as f64).product::<f64>();
    let expr = |value: &Expr| {
        let mut loads = 0;
        value.for_each(&mut |x| loads += usize::from(matches!(x, Expr::Load(_))));
        (facts::cost(value) + loads) as f64
    };
    statements
        .iter()
        .map(|statement| match statement {
            Statement::Let(_, value) => expr(value),
            Statement::Store { value, .. } => 1.0 + expr(value),
            Statement::For(axes, inner) | Statement::Serial(axes, inner) => {
                trips(axes) * cost(kernel, inner, max_batch)
            }
            Statement::Reduce { axes, lets, results } => {
                let bound: f64 = lets.iter().map(|(_, value)| expr(value)).sum();
                let values: f64 = results.iter().map(|result| 1.0 + expr(&result.value)).sum();
                trips(axes) * (bound + values)
            }
        })
        .sum()
}

/// Whether every reduction is over the taps of a window.
fn windows(kernel: &Kernel, statements: &[Statement]) -> bool {
    statements.iter().all(|statement| match statement {
        Statement::Reduce { axes, .. } => axes.iter().all(|axis| kernel.schedule.unroll.contains(axis)),
        Statement::For(..) | Statement::Serial(..) => false,
        _ => true,
    })
}

/// Writes out small reductions inside loops.
fn unroll_windows(kernel: &mut Kernel) {
    let [Statement::For(_, inner)] = kernel.body.as_slice() else { return };
    let mut found = Vec::new();
    for statement in inner {
        if let Statement::Reduce { axes, .. } = statement {
            let taps: Option<usize> = axes.iter().map(|&axis| kernel.axis(axis).extent.as_fixed()).product();
            if axes.len() > 1 && taps.is_some_and(|taps| taps <= MAX_UNROLL) {
                found.extend(axes.iter().copied().filter(|axis| !kernel.schedule.unroll.contains(axis)));
            }
        }
    }
    kernel.schedule.unroll.extend(found);
}
