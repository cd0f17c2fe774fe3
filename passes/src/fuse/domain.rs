//! The loops that the values of one kernel share.
//!
//! Two axes are the same loop where one value reads another at exactly that axis. A loop is shared when it is one axis of every
//! member's result and no member's reduction; the remaining axes of a member are loops of its own inside the shared ones.

use std::collections::BTreeMap;

use kiln_ir::{Dim, ValueId};

use super::facts::{Facts, Read};

/// The shared loops of a kernel.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Their extents, in the order of the representative's axes.
    pub axes: Vec<Dim>,
    /// For each axis of each member's result, the shared loop that it is. Axes with one position are no loop.
    pub places: BTreeMap<ValueId, Vec<Option<usize>>>,
    /// The first member with the most axes; it gives the order and the names.
    pub representative: ValueId,
}

impl Domain {
    /// The shared loops of `members`, which are in topological order. `None`: parts that do not read each other have different loops.
    pub fn of(members: &[ValueId], facts: &BTreeMap<ValueId, Facts>) -> Option<Domain> {
        let mut axes = Axes::new(members, facts);
        let numbers: BTreeMap<ValueId, usize> = members.iter().enumerate().map(|(at, &member)| (member, at)).collect();
        for (at, member) in members.iter().enumerate() {
            for read in &facts[member].reads {
                if let Some(&other) = numbers.get(&read.value) {
                    axes.join_read(at, other, read, (&facts[member], &facts[&read.value]));
                }
            }
        }
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for at in 0..members.len() {
            let part = axes.parts.find(at);
            match parts.iter_mut().find(|held| axes.parts.find(held[0]) == part) {
                Some(held) => held.push(at),
                None => parts.push(vec![at]),
            }
        }
        let mut extents: Option<Vec<Dim>> = None;
        let mut places = BTreeMap::new();
        let mut representative = members[0];
        for part in &parts {
            let (first, shared) = axes.shared(part, members, facts);
            let found: Vec<Dim> = shared.iter().map(|&(axis, _)| facts[&members[first]].result[axis]).collect();
            match &extents {
                None => (extents, representative) = (Some(found), members[first]),
                Some(held) if *held != found => return None,
                Some(_) => {}
            }
            for &at in part {
                let count = facts[&members[at]].result.len();
                let place = |axis| {
                    let class = axes.class(at, axis);
                    shared.iter().position(|&(_, shared)| shared == class)
                };
                let unit = |axis: usize| facts[&members[at]].result[axis] == Dim::ONE;
                places
                    .insert(members[at], (0..count).map(|axis| if unit(axis) { None } else { place(axis) }).collect());
            }
        }
        Some(Domain { axes: extents?, places, representative })
    }

    /// Positions of the shared loops at the greatest batch.
    pub fn positions(&self, max_batch: usize) -> usize {
        self.axes.iter().map(|dim| dim.at(max_batch)).product()
    }

    /// The axes of a member's result that are loops of its own.
    pub fn private(&self, member: ValueId, facts: &Facts) -> Vec<usize> {
        let places = &self.places[&member];
        (0..places.len()).filter(|&axis| places[axis].is_none() && facts.result[axis] != Dim::ONE).collect()
    }
}

/// Disjoint sets over small numbers.
#[derive(Clone, Debug)]
struct Sets(Vec<usize>);

impl Sets {
    fn find(&self, mut at: usize) -> usize {
        while self.0[at] != at {
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Every axis of every member, with those that are the same loop joined.
struct Axes {
    /// Where the axes of each member begin; the result's first.
    starts: Vec<usize>,
    classes: Sets,
    /// Axes that are read at something else than one axis.
    broken: Vec<usize>,
    parts: Sets,
}

impl Axes {
    fn new(members: &[ValueId], facts: &BTreeMap<ValueId, Facts>) -> Axes {
        let mut starts = vec![0];
        for member in members {
            let facts = &facts[member];
            starts.push(starts[starts.len() - 1] + facts.result.len() + facts.reduction.len());
        }
        let count = starts[members.len()];
        let classes = Sets((0..count).collect());
        Axes { starts, classes, broken: Vec::new(), parts: Sets((0..members.len()).collect()) }
    }

    fn class(&self, member: usize, axis: usize) -> usize {
        self.classes.find(self.starts[member] + axis)
    }

    /// Joins the axes of two members, whose facts follow them. A slice reads at an axis of its own, shorter one: that is another loop.
    fn join_read(&mut self, reader: usize, read: usize, how: &Read, (own_facts, facts): (&Facts, &Facts)) {
        self.parts.join(reader, read);
        let extent = |axis: usize| own_facts.result.iter().chain(&own_facts.reduction).nth(axis);
        for (axis, index) in how.index.iter().enumerate() {
            if facts.result[axis] == Dim::ONE {
                continue;
            }
            let own = self.starts[read] + axis;
            match index.as_axis().map(|from| from.0 as usize) {
                Some(from) if !how.guarded && extent(from) == Some(&facts.result[axis]) => {
                    self.classes.join(own, self.starts[reader] + from)
                }
                _ => self.broken.push(own),
            }
        }
    }

    /// The member that gives the order, and its axes that every member of the part shares, each with its class.
    fn shared(
        &self,
        part: &[usize],
        members: &[ValueId],
        facts: &BTreeMap<ValueId, Facts>,
    ) -> (usize, Vec<(usize, usize)>) {
        let count = |&at: &usize| facts[&members[at]].result.iter().filter(|&&dim| dim != Dim::ONE).count();
        let most = part.iter().map(count).max().unwrap_or(0);
        let first = part.iter().copied().find(|at| count(at) == most).expect("a part has a member");
        let result = &facts[&members[first]].result;
        let axes = (0..result.len()).filter(|&axis| result[axis] != Dim::ONE);
        let shared = axes.map(|axis| (axis, self.class(first, axis))).filter(|&(_, class)| {
            let broken = self.broken.iter().any(|&axis| self.classes.find(axis) == class);
            let once = |&at: &usize| {
                let facts = &facts[&members[at]];
                let among = |from: usize, to: usize| (from..to).filter(|&axis| self.class(at, axis) == class).count();
                let results = facts.result.len();
                among(0, results) == 1 && among(results, results + facts.reduction.len()) == 0
            };
            let filled = |&at: &usize| {
                let mut filled = facts[&members[at]].filled.iter();
                filled.any(|&axis| self.class(at, axis) == class)
            };
            !broken && part.iter().all(once) && !part.iter().any(filled)
        });
        (first, shared.collect())
    }
}
