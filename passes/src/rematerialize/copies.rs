//! The second computation of what is not kept.
//!
//! Copies of values of one kernel that are made together are one kernel again: the part of the first one that is needed.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Graph, ValueId};

use super::phases::Phases;
use super::{Recompute, is_cheap, is_choice};
use crate::fuse::{self, facts, names};

/// Gives the backward pass copies of what it reads and nobody keeps.
pub(super) fn run(graph: &mut Graph, phases: &Phases, kept: &BTreeSet<ValueId>, how: Recompute) {
    let ranks: BTreeMap<ValueId, usize> = phases.order.iter().enumerate().map(|(at, &value)| (value, at)).collect();
    let kernels = phases.order.iter().filter_map(|&value| graph.node(value).kernel.clone()).collect();
    let mut copies = Copies {
        phases,
        kept,
        ranks,
        window: how.reach + 1,
        made: BTreeMap::new(),
        together: BTreeMap::new(),
        kernels,
        new_kernels: BTreeSet::new(),
        graph,
    };
    copies.together = copies.together();
    for (layer, readers) in copies.readers() {
        copies.serve(layer, &readers);
    }
    let Copies { made, new_kernels, .. } = copies;
    graph.remove_dead();
    // A copy whose original nobody needs is no copy.
    let alive: BTreeSet<ValueId> = graph.order().into_iter().collect();
    for (original, Copy { value, name, .. }) in made {
        if !alive.contains(&original) && alive.contains(&value) {
            graph.rename(value, &name);
        }
    }
    fuse::split_illegal(graph, &new_kernels);
}

struct Copies<'g> {
    graph: &'g mut Graph,
    phases: &'g Phases,
    kept: &'g BTreeSet<ValueId>,
    /// Positions of the originals in their order.
    ranks: BTreeMap<ValueId, usize>,
    /// A copy that nothing has read for so many layers is not kept in turn.
    window: usize,
    /// The last copy of each value.
    made: BTreeMap<ValueId, Copy>,
    /// What is computed again at once.
    together: BTreeMap<String, Vec<ValueId>>,
    /// The names of all kernels.
    kernels: BTreeSet<String>,
    new_kernels: BTreeSet<String>,
}

struct Copy {
    value: ValueId,
    /// The original's name.
    name: String,
    /// The layer of the last reader.
    read_in: usize,
}

impl Copies<'_> {
    /// The late kernels in their order, each with its layer; what is computed in its readers is by itself.
    fn readers(&self) -> Vec<(usize, Vec<ValueId>)> {
        let mut groups: BTreeMap<(Option<&str>, usize), Vec<ValueId>> = BTreeMap::new();
        for &value in &self.phases.readers {
            let kernel = self.graph.node(value).kernel.as_deref();
            let alone = if kernel.is_none() { self.ranks[&value] } else { 0 };
            groups.entry((kernel, alone)).or_default().push(value);
        }
        // Copies that fusion has made of forward values are in lower layers than what they are for.
        let last = |members: &Vec<ValueId>| {
            let place = |member: &ValueId| (self.phases.layers[member], self.ranks[member]);
            members.iter().map(place).max().unwrap_or_default()
        };
        let mut readers: Vec<_> = groups.into_values().map(|members| (last(&members), members)).collect();
        readers.sort();
        readers.into_iter().map(|((layer, _), members)| (layer, members)).collect()
    }

    /// Lets the values of a kernel in some layer of the backward pass read copies of what is not kept.
    fn serve(&mut self, layer: usize, readers: &[ValueId]) {
        let mut closure: BTreeSet<(usize, ValueId)> = BTreeSet::new();
        let mut pending: Vec<ValueId> = readers.iter().flat_map(|&reader| self.graph.operands(reader)).collect();
        while let Some(value) = pending.pop() {
            if !self.is_copied(value) || self.reuse(value, layer) || !closure.insert((self.ranks[&value], value)) {
                continue;
            }
            pending.extend(self.graph.operands(value));
            // A contraction does not run once for each of its kernel's results.
            let together = self.graph.node(value).kernel.as_ref().and_then(|kernel| self.together.get(kernel));
            pending.extend(together.into_iter().flatten());
        }
        let mut kernels: BTreeMap<String, String> = BTreeMap::new();
        for (_, original) in closure {
            self.copy(original, layer, &mut kernels);
        }
        for &reader in readers {
            for (position, operand) in self.graph.operands(reader).into_iter().enumerate() {
                let current = self.current(operand);
                if current != operand {
                    self.graph.set_operand(reader, position, current);
                }
            }
        }
    }

    /// Whether the backward pass cannot read a value itself.
    fn is_copied(&self, value: ValueId) -> bool {
        is_choice(self.phases, value) && !self.kept.contains(&value)
    }

    /// What has to be computed again of the results of each kernel that is more than pointwise.
    fn together(&self) -> BTreeMap<String, Vec<ValueId>> {
        let mut needed: BTreeSet<ValueId> = BTreeSet::new();
        let mut pending: Vec<ValueId> =
            self.phases.readers.iter().flat_map(|&reader| self.graph.operands(reader)).collect();
        while let Some(value) = pending.pop() {
            if self.is_copied(value) && needed.insert(value) {
                pending.extend(self.graph.operands(value));
            }
        }
        let mut together: BTreeMap<String, Vec<ValueId>> = BTreeMap::new();
        let mut dear: BTreeSet<&str> = BTreeSet::new();
        for &value in &needed {
            let Some(kernel) = &self.graph.node(value).kernel else { continue };
            if !is_cheap(facts::body(self.graph, value).kind) {
                dear.insert(kernel);
            }
            if self.phases.stored.contains(&value) {
                together.entry(kernel.clone()).or_default().push(value);
            }
        }
        together.retain(|kernel, _| dear.contains(kernel.as_str()));
        together
    }

    /// Whether the last copy of a value is still in memory for a reader in this layer, who is then its last one.
    fn reuse(&mut self, value: ValueId, layer: usize) -> bool {
        let is_stored = self.phases.stored.contains(&value);
        let held =
            self.made.get_mut(&value).filter(|copy| is_stored && layer.saturating_sub(copy.read_in) <= self.window);
        held.map(|copy| copy.read_in = layer).is_some()
    }

    /// Adds a copy of a value whose operands have theirs, to the kernel that is made of its kernel.
    fn copy(&mut self, original: ValueId, layer: usize, kernels: &mut BTreeMap<String, String>) {
        let before = self.graph.operands(original);
        let operands: Vec<ValueId> = before.iter().map(|&operand| self.current(operand)).collect();
        let node = self.graph.node(original).clone();
        let is_forward = self.phases.forward.contains(&original);
        // What only the backward pass reads is computed late as it is.
        if operands == before && !is_forward {
            self.made.remove(&original);
            return;
        }
        // The operands have the types they had, so there is nothing to report.
        let Ok(value) = self.graph.add(node.op, &operands, &node.name, &node.place) else { return };
        self.graph.assign_layout(value, node.layout);
        if is_forward {
            self.graph.mark_again(value);
        }
        if let Some(kernel) = node.kernel {
            let new = kernels.entry(kernel).or_insert_with_key(|kernel| {
                let new = names::unique(format!("{kernel}_again"), &mut self.kernels);
                self.new_kernels.insert(new.clone());
                new
            });
            self.graph.assign_kernel(value, Some(new.clone()));
        }
        self.made.insert(original, Copy { value, name: node.name, read_in: layer });
    }

    fn current(&self, value: ValueId) -> ValueId {
        self.made.get(&value).map_or(value, |copy| copy.value)
    }
}
