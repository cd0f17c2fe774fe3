//! Values that are cheaper to compute again than to keep.
//!
//! A normalised activation, for example, is one multiplication away from the activation before it and two numbers a channel; keeping it for
//! the backward pass costs its whole size in memory, twice over the bus. Such a value is copied for each kernel that would have read it, and so
//! is no longer stored.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Dim, Graph, Kind, ValueId};

use super::{Fusion, facts};

/// Scalar operations that cost less than a load and a store of the result.
const MAX_COST: usize = 8;
/// A tensor this many times smaller than the result counts as nothing: statistics of rows and channels.
const SMALL: usize = 16;

/// Copies what should not be stored.
pub fn run(graph: &mut Graph) {
    for Copy { value, users } in plan(&Fusion::fused(graph)) {
        let node = graph.node(value).clone();
        let operands = graph.operands(value);
        let Ok(copy) = graph.add(node.op, &operands, &node.name, &node.place) else { continue };
        for user in users {
            for (position, operand) in graph.operands(user).into_iter().enumerate() {
                if operand == value {
                    graph.set_operand(user, position, copy);
                }
            }
        }
    }
}

/// A copy of `value` for `users`, which are of one kernel.
struct Copy {
    value: ValueId,
    users: Vec<ValueId>,
}

fn plan(fusion: &Fusion<'_>) -> Vec<Copy> {
    let graph = fusion.graph;
    let count = |value: ValueId| graph.ty(value).shape.count().at(fusion.max_batch);
    // For each value that can be computed again: the large tensors that this reads.
    let mut sources: BTreeMap<ValueId, BTreeSet<ValueId>> = BTreeMap::new();
    for &value in &fusion.order {
        let facts = &fusion.facts[&value];
        if facts.reduces() || facts.cost > MAX_COST || facts.kind != Kind::Pointwise || graph.ty(value).shape.count() == Dim::ONE {
            continue;
        }
        let group = fusion.group_of[&value];
        let operands = graph.operands(value);
        let mut large: BTreeSet<ValueId> = BTreeSet::new();
        let possible = facts.reads.iter().all(|read| match sources.get(&read.value) {
            Some(inner) if operands.contains(&read.value) && fusion.group_of[&read.value] == group => {
                large.extend(inner);
                true
            }
            _ => {
                let small = count(read.value) * SMALL <= count(value);
                if !small {
                    large.insert(read.value);
                }
                let kept = facts::is_leaf(graph, read.value)
                    || fusion.group_of[&read.value] != group
                    || fusion.is_read_outside(read.value);
                (small || kept) && !read.guarded
            }
        });
        // Several large tensors would be read where one is now.
        if possible && large.len() <= 1 {
            sources.insert(value, large);
        }
    }
    let mut copies = Vec::new();
    // Users first: a copy of theirs reads a copy of ours.
    for (&value, _) in sources.iter().rev() {
        let group = fusion.group_of[&value];
        let mut users: BTreeMap<usize, Vec<ValueId>> = BTreeMap::new();
        for &user in fusion.users(value) {
            users.entry(fusion.group_of[&user]).or_default().push(user);
        }
        users.remove(&group);
        let direct = |user: &ValueId| graph.operands(*user).contains(&value) && !matches!(fusion.facts[user].kind, Kind::Contract | Kind::Window);
        if !fusion.outputs.contains(&value) && users.values().flatten().all(direct) {
            copies.extend(users.into_values().map(|users| Copy { value, users }));
        }
    }
    copies
}
