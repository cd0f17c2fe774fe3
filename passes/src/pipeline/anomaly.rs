//! What a message about a value that is not finite says of it: the op, and whether it is the op's derivative or an update.
//!
//! The name goes along with the place, as the `method`: whoever reports the place reports what was done there.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Graph, Place, ValueId};

use super::Step;
use crate::steps::Steps;

/// Names what `step` has added to the values of `before`.
pub(super) fn label(graph: &mut Graph, step: Step, before: &[ValueId]) {
    let before: BTreeSet<ValueId> =
        if step == Step::Verify { BTreeSet::new() } else { before.iter().copied().collect() };
    for value in graph.order() {
        if before.contains(&value) {
            continue;
        }
        let node = graph.node(value);
        let name = node.place.method.as_deref().unwrap_or(node.op.name()).to_owned();
        match step {
            Step::Autodiff => graph.set_method(value, &format!("the backward of {name}")),
            Step::AppendUpdate => graph.set_method(value, &format!("the optimizer's {}", graph.node(value).op.name())),
            _ => graph.set_method(value, &name),
        }
    }
}

/// Gives each launch the whole place of the one value that it computes.
pub(super) fn place(graph: &Graph, steps: &mut Steps) {
    let nodes = graph.order().into_iter().map(|value| graph.node(value));
    let places: BTreeMap<&str, &Place> =
        nodes.filter_map(|node| Some((node.kernel.as_deref()?, &node.place))).collect();
    for step in &mut steps.steps {
        if let Some(place) = places.get(step.kernel.name.as_str()) {
            step.place = (*place).clone();
        }
    }
}
