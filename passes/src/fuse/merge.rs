//! When two kernels can be one: the shared loops exist, anchors keep their loops to themselves, threads keep their work, and no third
//! kernel would have to run in the middle.

use std::collections::BTreeMap;

use kiln_ir::{Dim, Index, Kind, ValueId};

use super::Fusion;
use super::domain::Domain;
use super::facts::Read;

/// Fewer iterations than this of the shared loops leave threads without work.
const MIN_PARALLEL: usize = 16;
/// Below this many positions a kernel is too short for its lack of parallelism to matter.
const SMALL: usize = 1 << 15;
/// Scalar operations that may be done again where a value is read beside its own position.
const REPEATED: usize = 64;

impl Fusion<'_> {
    /// Merges two kernels if the result is legal, and worth it.
    pub(super) fn try_merge(&mut self, a: usize, b: usize) -> bool {
        if a == b {
            return false;
        }
        let mut members = [self.groups[&a].clone(), self.groups[&b].clone()].concat();
        members.sort_by_key(|member| self.ranks[member]);
        if self.delays_numbers([a, b], &members) || self.delays_numbers([b, a], &members) {
            return false;
        }
        let Some(domain) = self.legal(&members) else { return false };
        let after = domain.positions(self.max_batch);
        let work = members.iter().map(|member| self.facts[member].positions(self.max_batch)).max().unwrap_or(0);
        let loses = [a, b].into_iter().any(|group| {
            let before = self.legal(&self.groups[&group]).map_or(0, |domain| domain.positions(self.max_batch));
            before > after && self.groups[&group].iter().any(|&member| self.is_stored(member, &members))
        });
        if (loses && after < MIN_PARALLEL && work > SMALL) || self.would_cycle(a, b) || self.would_cycle(b, a) {
            return false;
        }
        for &member in &members {
            self.group_of.insert(member, a.min(b));
            self.reach.group[self.ranks[&member]] = a.min(b);
        }
        let mut moved = std::mem::take(&mut self.reach.members[a.max(b)]);
        self.reach.members[a.min(b)].append(&mut moved);
        self.groups.remove(&a.max(b));
        self.groups.insert(a.min(b), members);
        true
    }

    /// Whether a value is read outside a set of members.
    pub(super) fn is_stored(&self, value: ValueId, members: &[ValueId]) -> bool {
        self.outputs.contains(&value) || self.users(value).iter().any(|user| !members.contains(user))
    }

    /// The shared loops of members that can be one kernel.
    pub(super) fn legal(&self, members: &[ValueId]) -> Option<Domain> {
        let of_kind = |kind| -> Vec<&ValueId> {
            let is = |member: &&ValueId| self.facts[member].kind == kind && self.facts[member].reduces();
            members.iter().filter(is).collect()
        };
        let (contractions, windows) = (of_kind(Kind::Contract), of_kind(Kind::Window));
        let reductions = of_kind(Kind::Reduce);
        let anchors = contractions.len() + windows.len();
        let alike = windows.iter().all(|window| self.facts[window].reduction == self.facts[windows[0]].reduction);
        if anchors > 0 && !(reductions.is_empty() && (contractions.is_empty() || anchors == 1) && alike) {
            return None;
        }
        // What an anchor reads has to be there before its loop; its operands are therefore outside.
        let outside = |anchor: &&ValueId| self.facts[anchor].reads.iter().all(|read| !members.contains(&read.value));
        if !contractions.iter().chain(&windows).all(outside) {
            return None;
        }
        // What is read at a place that is a value has to be there before as well.
        let found = |read: &Read| read.index.iter().any(has_value) && members.contains(&read.value);
        if members.iter().any(|member| self.facts[member].reads.iter().any(found)) {
            return None;
        }
        // The steps of a sweep are all that its kernel does, and so are the lines of a block.
        let alone = |member: &ValueId| matches!(self.facts[member].kind, Kind::Sweep | Kind::Block);
        if members.len() > 1 && members.iter().any(alone)
            || self.repeats_much(members)
            || members.iter().any(|&member| self.is_thrown_away(member, members))
        {
            return None;
        }
        let domain = Domain::of(members, &self.facts)?;
        if members.len() > 1 && members.iter().any(|&member| self.goes_down_columns(member, &domain)) {
            return None;
        }
        let full = |member: &ValueId| domain.private(*member, &self.facts[member]).is_empty();
        let whole = match anchors {
            0 => reductions.into_iter().all(full),
            _ => members.iter().all(full),
        };
        whole.then_some(domain)
    }

    /// Whether a member's own loops inside the shared ones do not go along its memory, and there is much of it: each iteration would touch a few bytes
    /// of every line.
    fn goes_down_columns(&self, member: ValueId, domain: &Domain) -> bool {
        let facts = &self.facts[&member];
        let private = domain.private(member, facts);
        let innermost =
            self.graph.node(member).memory_order().into_iter().rfind(|&axis| facts.result[axis] != Dim::ONE);
        !private.is_empty()
            && innermost.is_some_and(|axis| !private.contains(&axis))
            && facts.positions(self.max_batch) > SMALL
    }

    /// Whether a member reads another beside its own position, and that is expensive: it is computed again there, with all that it reads. A chain of
    /// such reads, as an unrolled recurrence over neighbours has, would multiply its work with each step.
    fn repeats_much(&self, members: &[ValueId]) -> bool {
        let mut costs: BTreeMap<ValueId, usize> = BTreeMap::new();
        for member in members {
            let facts = &self.facts[member];
            let mut cost = facts.cost;
            for read in &facts.reads {
                let Some(&inner) = costs.get(&read.value) else { continue };
                let mut index = read.index.iter().zip(&self.facts[&read.value].result);
                let beside = read.guarded || index.any(|(at, dim)| *dim != Dim::ONE && at.as_axis().is_none());
                if beside && inner > REPEATED {
                    return true;
                }
                cost = cost.saturating_add(inner);
            }
            costs.insert(*member, if facts.reduces() { 0 } else { cost });
        }
        false
    }

    /// Whether numbers that other kernels need as well would wait for a tensor. The bias corrections of an optimiser, which every update reads, would
    /// otherwise be computed with the update of one parameter, and all the other gradients be kept until then.
    fn delays_numbers(&self, [numbers, tensors]: [usize; 2], members: &[ValueId]) -> bool {
        let is_number = |member: &ValueId| self.graph.ty(*member).shape.count() == Dim::ONE;
        self.groups[&numbers].iter().all(is_number)
            && !self.groups[&tensors].iter().all(is_number)
            && self.groups[&numbers].iter().any(|&member| self.users(member).iter().any(|user| !members.contains(user)))
    }

    /// Whether something outside depends on `from` and is needed by `to`.
    fn would_cycle(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![false; self.order.len()];
        seen[from] = true;
        let mut pending: Vec<usize> = self.next(from).filter(|&group| group != to).collect();
        while let Some(group) = pending.pop() {
            if group == to {
                return true;
            }
            if !std::mem::replace(&mut seen[group], true) {
                pending.extend(self.next(group).filter(|&group| !seen[group]));
            }
        }
        false
    }

    /// The kernels that read a kernel's values.
    fn next(&self, group: usize) -> impl Iterator<Item = usize> {
        let users = self.reach.members[group].iter().flat_map(|&member| &self.reach.users[member]);
        users.map(|&user| self.reach.group[user]).filter(move |&user| user != group)
    }
}

fn has_value(index: &Index) -> bool {
    let mut found = false;
    index.for_each_value(&mut |_| found = true);
    found
}
