//! Picks the loops that run in vector lanes.
//!
//! A loop is worth lanes when most of what it touches moves by one element, or not at all, for one step of it. Of a reduction inside loops,
//! either its own last axis or the last axis around it is taken: a sum over rows runs along the row, a sum over columns has one column in
//! each lane. Of a contraction it is the epilogue that runs in lanes, along the tile's columns. The steps of a serial loop have no lanes, so
//! the last axis around it is taken: a scatter of rows walks along them, if all lanes go to one place.
//!
//! **Before:** schedules with threads, tiles and written-out axes. **After:** [`Schedule::vector`] as well.
//!
//! ```text
//! for o in 120                                   for o in 120
//!   s = sum b in B of d[b, o]         →            s = sum b in B of d[b, o]
//!                                                schedule thread(o) grain(64) vector(o: 4)
//! ```
//!
//! **Order:** after tile, which has taken the loops of contractions.
//! **Source:** outer-loop vectorisation, Nuzman and Zaks (2008).
//!
//! [`Schedule::vector`]: kiln_ir::kernel::Schedule

use kiln_ir::kernel::{Contract, Kernel, Statement, Vector};
use kiln_ir::statements::{for_each_load, for_each_store, has_serial};
use kiln_ir::{AxisId, DType, Expr, Index, TensorId};

use crate::steps::Steps;
use crate::tile::{axes_of, stride};

/// `f32` values in one 128-bit register.
const LANES: usize = 4;

/// Strides up to this leave lanes worth their while.
const NEAR: i64 = 4;

/// Picks vector axes.
pub fn run(steps: &mut Steps) {
    for step in &mut steps.steps {
        let kernel = &mut step.kernel;
        let axes: Vec<AxisId> = match kernel.stages() {
            Some((_, stages)) => stages.iter().flat_map(|stage| lanes(kernel, std::slice::from_ref(stage))).collect(),
            None => lanes(kernel, &kernel.body),
        };
        kernel.schedule.vector = axes.into_iter().map(|axis| Vector { axis, lanes: LANES }).collect();
    }
}

/// The axes of a whole body, or of a stage.
fn lanes(kernel: &Kernel, body: &[Statement]) -> Vec<AxisId> {
    let [Statement::For(_, inner)] = body else { return loops(kernel, body) };
    let summed = match inner.first() {
        Some(Statement::Reduce { axes, .. }) => axes.as_slice(),
        _ => &[],
    };
    let mut contracts = kernel.schedule.contracts.iter();
    match contracts.find(|contract| contract.k.iter().any(|tile| summed.contains(&tile.axis))) {
        Some(contract) => epilogue(kernel, inner, contract),
        None => loops(kernel, body),
    }
}

/// The last column axis of a contraction, if what follows the sum is worth lanes along it.
fn epilogue(kernel: &Kernel, inner: &[Statement], contract: &Contract) -> Vec<AxisId> {
    let column = contract.n.last().map(|tile| tile.axis);
    let column = column.filter(|&axis| kernel.axis(axis).extent.as_fixed().is_none_or(|extent| extent >= LANES));
    column.filter(|&axis| score(kernel, &inner[1..], axis) > 0).into_iter().collect()
}

/// The vector axes of the loops in a block.
fn loops(kernel: &Kernel, statements: &[Statement]) -> Vec<AxisId> {
    let mut found = Vec::new();
    for statement in statements {
        match statement {
            Statement::For(axes, inner) => {
                let own = last(kernel, axes).filter(|&axis| is_block(inner) || score(kernel, inner, axis) > 0);
                let nested: Vec<AxisId> = loops(kernel, inner);
                let fits = |axis: AxisId| match has_serial(inner) {
                    true => meets_one_place(kernel, inner, axis),
                    false => !inner.iter().any(|statement| matches!(statement, Statement::For(..))),
                };
                // Of two nested loops one can have the lanes: the inner one if it can.
                match own {
                    Some(axis) if nested.is_empty() && fits(axis) => found.push(axis),
                    _ => found.extend(nested),
                }
            }
            Statement::Reduce { axes, results, .. } => {
                let float = results.iter().all(|r| kernel.local(r.local).dtype == DType::F32);
                let single = std::slice::from_ref(statement);
                found.extend(last(kernel, axes).filter(|&axis| float && score(kernel, single, axis) > 0));
            }
            // What follows from the step before has no lanes.
            Statement::Let(..) | Statement::Serial(..) | Statement::Store { .. } => {}
        }
    }
    found
}

/// Whether several elements of one tensor are stored by straight-line code: it has more to compute than to load, however its loads lie.
fn is_block(statements: &[Statement]) -> bool {
    let mut tensors = Vec::new();
    for_each_store(statements, &mut |tensor, _| tensors.push(tensor));
    let straight = statements.iter().all(|statement| matches!(statement, Statement::Let(..) | Statement::Store { .. }));
    straight && tensors.len() > 1 && tensors.iter().all(|tensor| *tensor == tensors[0])
}

/// Whether every place that a serial loop computes is the same along the axis.
fn meets_one_place(kernel: &Kernel, statements: &[Statement], axis: AxisId) -> bool {
    let mut same = true;
    for_each_store(statements, &mut |_, index| {
        index.iter().for_each(|component| component.for_each_value(&mut |x| same &= !names(kernel, x, axis)));
    });
    same
}

/// Whether a value depends on an axis, also through locals.
fn names(kernel: &Kernel, expr: &Expr, axis: AxisId) -> bool {
    let mut found = axes_of(expr).contains(&axis);
    expr.for_each(&mut |x| {
        if let Expr::Local(local) = x {
            found |= kernel.definition(*local).is_none_or(|value| names(kernel, value, axis));
        }
    });
    found
}

/// The innermost axis that is a loop, if it is long enough.
fn last(kernel: &Kernel, axes: &[AxisId]) -> Option<AxisId> {
    let axis = axes.iter().rev().find(|axis| !kernel.schedule.unroll.contains(axis)).copied()?;
    let extent = kernel.axis(axis).extent;
    extent.as_fixed().is_none_or(|extent| extent >= LANES).then_some(axis)
}

/// Accesses that move by one element, less those that move otherwise.
pub(crate) fn score(kernel: &Kernel, statements: &[Statement], axis: AxisId) -> i32 {
    let mut total = 0;
    let mut touch = |tensor: TensorId, index: &[Index]| {
        total += match stride(kernel, tensor, index, axis) {
            Some(0) => 0,
            Some(1) => 1,
            // Neighbours all the same, a few loads apart.
            Some(stride) if stride.abs() <= NEAR => 0,
            _ => -1,
        };
    };
    for_each_store(statements, &mut touch);
    for_each_load(statements, &mut |load| touch(load.tensor, &load.index));
    total
}
