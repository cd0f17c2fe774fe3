//! Splits axes that are read through divisions and remainders, so that neighbours are neighbours in memory again.
//!
//! Heads of attention, for example: `x[t, c / 64, c % 64]` becomes, with `c = 64·q + r`, `x[t, q, r]`.

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::statements::{for_each_load, for_each_store};
use kiln_ir::{Atom, AxisId, Index};

use super::rewrite;

/// Inner parts shorter than this would be loops of their own for nothing.
const LEAST: i64 = 8;

/// Splits the last axis of the outermost loops and the axes of the sum in them, if they are such axes.
pub fn run(kernel: &mut Kernel) {
    let [Statement::For(axes, inner)] = kernel.body.as_slice() else { return };
    let summed = match inner.first() {
        Some(Statement::Reduce { axes, .. }) => axes.as_slice(),
        _ => &[],
    };
    for axis in axes.last().into_iter().chain(summed).copied().collect::<Vec<AxisId>>() {
        split(kernel, axis);
    }
}

fn split(kernel: &mut Kernel, axis: AxisId) {
    let Some(extent) = kernel.axis(axis).extent.as_fixed().filter(|_| kernel.axis(axis).limit.is_none()) else {
        return;
    };
    let Some(by) = divisor_of(kernel, axis) else { return };
    let by = by as usize;
    if by >= extent || !extent.is_multiple_of(by) {
        return;
    }
    let (_, part) = rewrite::split(kernel, axis, by, ("_q", "_r"));
    let [Statement::For(axes, inner)] = kernel.body.as_mut_slice() else { return };
    let lists = [
        Some(axes),
        inner.first_mut().and_then(|statement| match statement {
            Statement::Reduce { axes, .. } => Some(axes),
            _ => None,
        }),
    ];
    for axes in lists.into_iter().flatten() {
        if let Some(at) = axes.iter().position(|&held| held == axis) {
            axes.insert(at + 1, part);
        }
    }
}

/// The least divisor of the divisions of the axis itself, if it divides the others.
fn divisor_of(kernel: &Kernel, axis: AxisId) -> Option<i64> {
    let mut found: Vec<i64> = Vec::new();
    let mut visit = |index: &Index| {
        let mut atoms: Vec<&Atom> = index.terms.iter().map(|(atom, _)| atom).collect();
        while let Some(atom) = atoms.pop() {
            if let Atom::Div(inner, by) | Atom::Mod(inner, by) = atom {
                if inner.terms.iter().any(|(atom, factor)| *atom == Atom::Axis(axis) && factor % by != 0) {
                    found.push(*by);
                }
                atoms.extend(inner.terms.iter().map(|(atom, _)| atom));
            }
        }
    };
    for_each_load(&kernel.body, &mut |load| load.index.iter().for_each(&mut visit));
    for_each_store(&kernel.body, &mut |_, index| index.iter().for_each(&mut visit));
    let least = *found.iter().min()?;
    (least >= LEAST && found.iter().all(|by| by % least == 0)).then_some(least)
}
