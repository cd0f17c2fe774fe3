//! Which values are kept for the backward pass: a minimal cut of bytes.
//!
//! Each value is an edge from where it is computed to where it is read, with its bytes as capacity. What may not be computed again is fed by the
//! source, what the backward pass reads feeds the sink, and an operand of what may be computed again feeds it without a bound.
//! Of equal cuts the one next to the backward pass computes least again.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Body, Graph, Kind, ValueId};

use super::flow::{Network, UNBOUNDED};
use super::phases::Phases;
use super::{Recompute, What, is_cheap, is_choice};
use crate::fuse::facts;

/// What is this many times smaller than the greatest value is not worth a second computation.
const SMALL: usize = 1024;
/// The results of a reduction over so many elements each are kept: statistics of rows and channels.
const STATISTIC: usize = 16;

/// The values that are kept. Every other one that the backward pass needs follows from them by what may be computed again.
pub(super) fn kept(graph: &Graph, phases: &Phases, how: Recompute) -> BTreeSet<ValueId> {
    let bytes = |value: ValueId| graph.ty(value).size_bytes(graph.max_batch.unwrap_or(1));
    let choices: Vec<ValueId> = phases.order.iter().copied().filter(|&value| is_choice(phases, value)).collect();
    let greatest = choices.iter().map(|&value| bytes(value)).max().unwrap_or(0);
    let numbers: BTreeMap<ValueId, usize> = choices.iter().enumerate().map(|(at, &value)| (value, at)).collect();
    let (source, sink) = (2 * choices.len(), 2 * choices.len() + 1);
    let [into, out] = [|at: usize| 2 * at, |at: usize| 2 * at + 1];
    let mut network = Network::new(2 * choices.len() + 2);
    // How many layers a second computation goes through. What follows from inputs without a contraction is at hand everywhere.
    let mut depths: BTreeMap<ValueId, usize> = BTreeMap::new();
    for (at, &value) in choices.iter().enumerate() {
        let body = facts::body(graph, value);
        let layer = phases.layers[&value];
        let operands = graph.operands(value);
        let through = |operand: &ValueId| {
            let depth = depths.get(operand).copied().unwrap_or(0);
            let is_near =
                body.kind != Kind::Contract && (phases.layers[operand] == layer || !depths.contains_key(operand));
            depth + usize::from(!is_near)
        };
        let depth = operands.iter().map(through).max().unwrap_or(0);
        let has_depth = body.kind == Kind::Contract || operands.iter().any(|operand| depths.contains_key(operand));
        let is_kept_anyway = graph.node(value).kernel.is_some()
            && phases.forward.contains(&value)
            && (!may_repeat(graph, &body, how.what) || bytes(value) * SMALL < greatest || depth > how.reach);
        if has_depth {
            depths.insert(value, if is_kept_anyway { 0 } else { depth });
        }
        if is_kept_anyway {
            network.connect(source, into(at), UNBOUNDED);
        } else {
            let computed = operands.iter().filter_map(|operand| numbers.get(operand));
            computed.for_each(|&operand| network.connect(out(operand), into(at), UNBOUNDED));
        }
        // What is not stored anyway cannot be kept: the kernels of the forward pass stay as they are.
        let capacity = if phases.stored.contains(&value) { bytes(value).max(1) as u64 } else { UNBOUNDED };
        network.connect(into(at), out(at), capacity);
        if graph.users(value).iter().any(|user| phases.readers.contains(user)) {
            network.connect(out(at), sink, UNBOUNDED);
        }
    }
    let needed = network.sink_side(source, sink);
    let is_cut = |&(at, _): &(usize, &ValueId)| needed[out(at)] && !needed[into(at)];
    choices.iter().enumerate().filter(is_cut).map(|(_, &value)| value).collect()
}

/// Whether a value may be computed a second time.
fn may_repeat(graph: &Graph, body: &Body, what: What) -> bool {
    match body.kind {
        kind if is_cheap(kind) => true,
        Kind::Contract => what >= What::Everything,
        Kind::Reduce => {
            let max_batch = graph.max_batch.unwrap_or(1);
            let terms: usize = body.reduction.iter().map(|dim| dim.at(max_batch)).product();
            what >= What::AllButContractions && terms < STATISTIC
        }
        _ => what >= What::AllButContractions,
    }
}
