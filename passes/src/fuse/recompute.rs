//! Values that are cheaper to compute again than to keep.
//!
//! A normalised activation, for example, is one multiplication away from the activation before it and two numbers a channel; keeping it for
//! the backward pass costs its whole size in memory, twice over the bus. Such a value is copied into each kernel that would have read it, and
//! is then stored by none.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Dim, Graph, Kind, ValueId};

use super::{Fusion, facts};

/// Scalar operations that cost less than a load and a store of the result.
const MAX_COST: usize = 8;
/// The same of a value that reads nothing large: a mask of random numbers, which would stay in memory for the whole forward pass.
const MAX_COST_OF_NOTHING: usize = 40;
/// A tensor this many times smaller than the result counts as nothing: statistics of rows and channels.
const SMALL: usize = 16;

/// Copies what should not be stored. Each copy is returned with a value of the kernel that it is for.
pub fn run(graph: &mut Graph) -> Vec<(ValueId, ValueId)> {
    let plan = plan(&Fusion::fused(graph, &[]));
    let mut homes = Vec::new();
    for Copies { values, users } in plan {
        let mut copies: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for value in values {
            let node = graph.node(value).clone();
            let same = |operand: ValueId| copies.get(&operand).copied().unwrap_or(operand);
            let operands: Vec<ValueId> = graph.operands(value).into_iter().map(same).collect();
            // The operands have the types they had, so there is nothing to report.
            let Ok(copy) = graph.add(node.op, &operands, &node.name, &node.place) else { continue };
            graph.assign_layout(copy, node.layout);
            homes.extend(
                operands.iter().filter(|operand| copies.values().any(|held| held == *operand)).map(|&o| (o, copy)),
            );
            copies.insert(value, copy);
        }
        for user in users {
            for (position, operand) in graph.operands(user).into_iter().enumerate() {
                if let Some(&copy) = copies.get(&operand) {
                    graph.set_operand(user, position, copy);
                    homes.push((copy, user));
                }
            }
        }
    }
    // What every reader has a copy of is dead, and so are copies that only such values read.
    graph.remove_dead();
    let alive: BTreeSet<ValueId> = graph.order().into_iter().collect();
    homes.retain(|(value, home)| alive.contains(value) && alive.contains(home));
    homes
}

/// What it takes to compute a value again.
struct Source {
    /// The large tensors that are read.
    large: BTreeSet<ValueId>,
    /// Scalar operations of the dearest part.
    cost: usize,
}

/// What one kernel computes again.
#[derive(Default)]
struct Copies {
    /// The values, operands first.
    values: BTreeSet<ValueId>,
    /// Members of the kernel that read them.
    users: BTreeSet<ValueId>,
}

fn plan(fusion: &Fusion<'_>) -> Vec<Copies> {
    let graph = fusion.graph;
    let count = |value: ValueId| graph.ty(value).shape.count().at(fusion.max_batch);
    let mut sources: BTreeMap<ValueId, Source> = BTreeMap::new();
    for &value in &fusion.order {
        if !is_candidate(fusion, value) {
            continue;
        }
        let group = fusion.group_of[&value];
        let operands = graph.operands(value);
        let mut source = Source { large: BTreeSet::new(), cost: fusion.facts[&value].cost };
        let possible = fusion.facts[&value].reads.iter().all(|read| match sources.get(&read.value) {
            Some(inner) if fusion.group_of[&read.value] == group => {
                source.large.extend(&inner.large);
                source.cost = source.cost.max(inner.cost);
                operands.contains(&read.value)
            }
            _ => {
                let small = count(read.value) * SMALL <= count(value);
                if !small {
                    source.large.insert(read.value);
                }
                let foreign = fusion.group_of.get(&read.value) != Some(&group);
                (small || foreign || fusion.is_read_outside(read.value)) && !read.guarded
            }
        });
        // Several large tensors would be read where one is now.
        let cheap = match source.large.len() {
            0 => source.cost <= MAX_COST_OF_NOTHING,
            1 => source.cost <= MAX_COST,
            _ => false,
        };
        if possible && cheap {
            sources.insert(value, source);
        }
    }
    let mut plan: BTreeMap<usize, Copies> = BTreeMap::new();
    for &value in sources.keys() {
        for &user in fusion.users(value).iter().filter(|user| fusion.group_of[user] != fusion.group_of[&value]) {
            let copies = plan.entry(fusion.group_of[&user]).or_default();
            copies.users.insert(user);
            let mut pending = vec![value];
            while let Some(value) = pending.pop() {
                copies.values.insert(value);
                let same = |operand: &ValueId| {
                    sources.contains_key(operand) && fusion.group_of[operand] == fusion.group_of[&value]
                };
                pending.extend(graph.operands(value).iter().filter(|operand| same(operand)));
            }
        }
    }
    plan.into_values().collect()
}

/// Whether a value is cheap, stored for other kernels, and read by them as it is.
fn is_candidate(fusion: &Fusion<'_>, value: ValueId) -> bool {
    let facts = &fusion.facts[&value];
    let pointwise = facts.kind == Kind::Pointwise && !facts.reduces();
    let large = fusion.graph.ty(value).shape.count() != Dim::ONE;
    let group = fusion.group_of[&value];
    let direct = |user: &&ValueId| {
        let kind = fusion.facts[user].kind;
        fusion.graph.operands(**user).contains(&value)
            && !matches!(kind, Kind::Contract | Kind::Window | Kind::Gather | Kind::Sweep | Kind::Block)
    };
    let mut outside = fusion.users(value).iter().filter(|user| fusion.group_of[user] != group);
    pointwise
        && large
        && !fusion.outputs.contains(&value)
        && outside.all(|user| direct(&user))
        && !facts::is_leaf(fusion.graph, value)
}
