//! Which values belong to the forward pass and which to the backward pass, and how deep in the network they are.
//!
//! The *forward* values are those that the loss follows from. The *late* ones are those that follow from the end of the forward pass: cotangents,
//! gradients, new weights. What is left (masks, transposed weights, running statistics) belongs to neither; it can be computed at any time
//! from the forward value that it reads. A value's *layer* counts the contractions on the longest way to it.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::update::names;
use kiln_ir::{Graph, Kind, ValueId};

use crate::fuse::facts;

pub(super) struct Phases {
    /// Every value, operands first.
    pub order: Vec<ValueId>,
    /// What is given: inputs and constants.
    pub leaves: BTreeSet<ValueId>,
    pub forward: BTreeSet<ValueId>,
    pub late: BTreeSet<ValueId>,
    /// The late values but for those of kernels that end the forward pass, which reads its values while they are there.
    pub readers: BTreeSet<ValueId>,
    pub layers: BTreeMap<ValueId, usize>,
    /// What kernels leave in memory: values that another kernel reads, and outputs.
    pub stored: BTreeSet<ValueId>,
    /// The greatest layer of a forward value that another one reads.
    pub deepest: usize,
}

impl Phases {
    pub fn of(graph: &Graph) -> Phases {
        let order = graph.order();
        let leaves: BTreeSet<ValueId> = order.iter().copied().filter(|&value| facts::is_leaf(graph, value)).collect();
        let forward = forward(graph);
        let mut layers: BTreeMap<ValueId, usize> = BTreeMap::new();
        for &value in &order {
            let below = graph.operands(value).iter().map(|operand| layers[operand]).max().unwrap_or(0);
            layers.insert(value, below + usize::from(contracts(graph, value)));
        }
        let crosses = |value: &ValueId| graph.users(*value).iter().any(|user| !forward.contains(user));
        let crossing = forward.iter().filter(|value| !leaves.contains(value) && crosses(value));
        let deepest = crossing.map(|value| layers[value]).max();
        // The greatest layer of a forward value that each value follows from.
        let mut reached: BTreeMap<ValueId, Option<usize>> = BTreeMap::new();
        for &value in &order {
            let own = (forward.contains(&value) && !leaves.contains(&value)).then_some(layers[&value]);
            let below = graph.operands(value).iter().filter_map(|operand| reached[operand]).max();
            reached.insert(value, own.max(below));
        }
        let is_late = |value: &ValueId| !forward.contains(value) && deepest.is_some() && reached[value] >= deepest;
        let mut late: BTreeSet<ValueId> = order.iter().copied().filter(is_late).collect();
        // A kernel is late as a whole, and so is what follows from it: the loss may be computed with its own gradient.
        let kernel = |value: &ValueId| graph.node(*value).kernel.as_deref();
        loop {
            let kernels: BTreeSet<&str> = late.iter().filter_map(kernel).collect();
            let before = late.len();
            for &value in &order {
                let with_late = kernel(&value).is_some_and(|kernel| kernels.contains(kernel));
                if with_late || graph.operands(value).iter().any(|operand| late.contains(operand)) {
                    late.insert(value);
                }
            }
            if late.len() == before {
                break;
            }
        }
        let stored = stored(graph, &order);
        let ends: BTreeSet<&str> = late.intersection(&forward).filter_map(kernel).collect();
        let ends_forward = |value: &ValueId| kernel(value).is_some_and(|kernel| ends.contains(kernel));
        let readers = late.iter().copied().filter(|value| !forward.contains(value) && !ends_forward(value)).collect();
        Phases { order, leaves, forward, late, readers, layers, stored, deepest: deepest.unwrap_or(0) }
    }
}

/// What the loss follows from: of graphs without one, their first output.
fn forward(graph: &Graph) -> BTreeSet<ValueId> {
    let outputs = || graph.outputs().iter().filter(|output| output.updates.is_none());
    let end = outputs().find(|output| output.name == names::LOSS).or(outputs().next());
    let mut found = BTreeSet::new();
    let mut pending: Vec<ValueId> = end.map(|output| output.value).into_iter().collect();
    while let Some(value) = pending.pop() {
        if found.insert(value) {
            pending.extend(graph.operands(value));
        }
    }
    found
}

/// The values that are read outside of their kernel.
fn stored(graph: &Graph, order: &[ValueId]) -> BTreeSet<ValueId> {
    // The kernels that read each value, also through what is computed in its readers.
    let mut readers: BTreeMap<ValueId, BTreeSet<&str>> = BTreeMap::new();
    let mut stored: BTreeSet<ValueId> = graph.outputs().iter().map(|output| output.value).collect();
    for &value in order.iter().rev() {
        let own = graph.node(value).kernel.as_deref();
        let through = readers.get(&value).cloned().unwrap_or_default();
        if own.is_some_and(|own| through.iter().any(|reader| *reader != own)) {
            stored.insert(value);
        }
        let reads = own.map_or(through, |own| BTreeSet::from([own]));
        for operand in graph.operands(value) {
            readers.entry(operand).or_default().extend(&reads);
        }
    }
    stored.retain(|value| graph.node(*value).kernel.is_some());
    stored
}

/// Whether a value is a matrix product or a convolution.
pub(super) fn contracts(graph: &Graph, value: ValueId) -> bool {
    !facts::is_leaf(graph, value) && facts::body(graph, value).kind == Kind::Contract
}
