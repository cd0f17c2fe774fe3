//! The second computation of what is not kept.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Graph, ValueId};

use super::phases::Phases;
use super::{Recompute, is_choice};

/// Gives the backward pass copies of what it reads and nobody keeps.
pub(super) fn run(graph: &mut Graph, phases: &Phases, kept: &BTreeSet<ValueId>, how: Recompute) {
    let ranks: BTreeMap<ValueId, usize> = phases.order.iter().enumerate().map(|(at, &value)| (value, at)).collect();
    let mut copies = Copies { graph, phases, kept, ranks, window: how.reach + 1, made: BTreeMap::new() };
    let mut readers: Vec<ValueId> = phases.late.iter().copied().collect();
    readers.sort_by_key(|reader| (phases.layers[reader], copies.ranks[reader]));
    for reader in readers {
        let layer = phases.layers[&reader];
        for (position, operand) in copies.graph.operands(reader).into_iter().enumerate() {
            let again = copies.again(operand, layer);
            if again != operand {
                copies.graph.set_operand(reader, position, again);
            }
        }
    }
    let made = copies.made;
    graph.remove_dead();
    // A copy whose original nobody needs is no copy.
    let alive: BTreeSet<ValueId> = graph.order().into_iter().collect();
    for (original, Copy { value, name, .. }) in made {
        if !alive.contains(&original) && alive.contains(&value) {
            graph.rename(value, &name);
        }
    }
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
}

struct Copy {
    value: ValueId,
    /// The original's name.
    name: String,
    /// The layer of the last reader.
    read_in: usize,
}

impl Copies<'_> {
    /// What a reader in some layer of the backward pass reads in the place of a value.
    fn again(&mut self, value: ValueId, layer: usize) -> ValueId {
        let mut closure: BTreeSet<(usize, ValueId)> = BTreeSet::new();
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            let is_copied = is_choice(self.phases, value) && !self.kept.contains(&value);
            if !is_copied || self.reuse(value, layer) || !closure.insert((self.ranks[&value], value)) {
                continue;
            }
            pending.extend(self.graph.operands(value));
        }
        for (_, original) in closure {
            self.copy(original, layer);
        }
        self.current(value)
    }

    /// Whether the last copy of a value is still there for a reader in this layer, who is then its last one.
    fn reuse(&mut self, value: ValueId, layer: usize) -> bool {
        let held = self.made.get_mut(&value).filter(|copy| layer - copy.read_in <= self.window);
        held.map(|copy| copy.read_in = layer).is_some()
    }

    /// Adds a copy of a value whose operands have theirs.
    fn copy(&mut self, original: ValueId, layer: usize) {
        let before = self.graph.operands(original);
        let operands: Vec<ValueId> = before.iter().map(|&operand| self.current(operand)).collect();
        let node = self.graph.node(original).clone();
        // What only the backward pass reads is computed late as it is.
        if operands == before && !self.phases.forward.contains(&original) {
            self.made.remove(&original);
            return;
        }
        // The operands have the types they had, so there is nothing to report.
        let Ok(value) = self.graph.add(node.op, &operands, &node.name, &node.place) else { return };
        self.graph.assign_layout(value, node.layout);
        self.graph.mark_again(value);
        self.made.insert(original, Copy { value, name: node.name, read_in: layer });
    }

    fn current(&self, value: ValueId) -> ValueId {
        self.made.get(&value).map_or(value, |copy| copy.value)
    }
}
