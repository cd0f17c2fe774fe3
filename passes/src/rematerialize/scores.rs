//! What is never worth keeping: the results of contractions that are larger than their operands, and what row-wise work makes of them.
//!
//! Between two contractions of the forward pass, as the scores and weights of attention are, such values are computed again for the backward pass
//! from operands that are there anyway. `strips` then keeps them in the caches, on both sides. Only what it can join is left out: see
//! [`strips::is_strip`].

use std::collections::BTreeSet;

use kiln_ir::{Dim, Graph, Kind, ValueId};

use super::phases::{Phases, contracts};
use super::{Recompute, What, copies, is_choice};
use crate::fuse::facts::{self, Facts};
use crate::strips;

/// The same bits, from the same kernels: everything between two contractions may run twice, and nothing further back.
const HOW: Recompute = Recompute { what: What::Everything, reach: 4 };

/// Lets the backward pass compute again what lies in a strip.
pub fn run(graph: &mut Graph) {
    let phases = Phases::of(graph);
    if phases.readers.is_empty() {
        return;
    }
    let in_place = |value: ValueId| !facts::is_leaf(graph, value) && graph.node(value).kernel.is_none();
    let mut dropped = BTreeSet::new();
    for &value in &phases.order {
        let is_forward = phases.forward.contains(&value) && is_choice(&phases, value);
        if is_forward && contracts(graph, value) && is_root(graph, &facts::facts(graph, value, &in_place)) {
            dropped.extend(between(graph, &phases, value).into_iter().flatten());
        }
    }
    if dropped.is_empty() {
        return;
    }
    let is_kept = |value: &ValueId| is_choice(&phases, *value) && !dropped.contains(value);
    let kept = phases.order.iter().copied().filter(is_kept).collect();
    copies::run(graph, &phases, &kept, HOW);
}

/// Whether a contraction's result is a strip for each position of axes that both operands have.
fn is_root(graph: &Graph, facts: &Facts) -> bool {
    let [a, b] = facts.reads.as_slice() else { return false };
    let names = |index: &[kiln_ir::Index], axis: usize| {
        let mut found = false;
        index.iter().for_each(|component| component.for_each_axis(&mut |held| found |= held.0 as usize == axis));
        found
    };
    let max_batch = graph.max_batch.unwrap_or(1);
    let extent = |in_a: bool, in_b: bool| -> usize {
        let of = |axis: &usize| names(&a.index, *axis) == in_a && names(&b.index, *axis) == in_b;
        (0..facts.result.len()).filter(of).map(|axis| facts.result[axis].at(max_batch)).product()
    };
    let is_batched = (0..facts.result.len())
        .any(|axis| facts.result[axis] != Dim::ONE && names(&a.index, axis) && names(&b.index, axis));
    let depth = facts.reduction.iter().map(|dim| dim.at(max_batch)).product();
    let [items, rows, columns] = [(true, true), (true, false), (false, true)].map(|(a, b)| extent(a, b));
    is_batched && strips::is_strip(items, rows, columns, depth)
}

/// The forward values that follow from a contraction up to the next ones, if that is where all of them end.
fn between(graph: &Graph, phases: &Phases, root: ValueId) -> Option<BTreeSet<ValueId>> {
    let outputs: BTreeSet<ValueId> = graph.outputs().iter().map(|output| output.value).collect();
    let mut found = BTreeSet::from([root]);
    let mut pending = vec![root];
    let mut ends = false;
    while let Some(value) = pending.pop() {
        if outputs.contains(&value) {
            return None;
        }
        for user in graph.users(value) {
            if !phases.forward.contains(&user) {
                continue;
            }
            let kind = facts::body(graph, user).kind;
            match kind {
                Kind::Contract => ends = true,
                Kind::Pointwise | Kind::Reduce | Kind::View => {
                    if found.insert(user) {
                        pending.push(user);
                    }
                }
                _ => return None,
            }
        }
    }
    ends.then_some(found)
}
