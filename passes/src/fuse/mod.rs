//! Decides which values are computed together, and so which are ever stored.
//!
//! Every value that is not given and not computed inside its users (views, fills) gets the name of a kernel. A kernel has shared loops
//! (see `domain.rs`) and, inside them, reductions and loops of single members. Three rounds merge kernels, each merge kept only if the
//! result is legal and no third kernel would have to run in its middle:
//!
//! 1. a value with one user goes where it is used: it is then never stored;
//! 2. a user joins the kernel of its operand: the operand is stored, but not loaded again;
//! 3. kernels over the same loops that read the same tensor load it once.
//!
//! Before, a reduction over rows and along them is split where a row kernel can do the part along them, and what is cheaper to compute
//! again than to keep is copied for each kernel that needs it; after, a short kernel whose only user could not take it is computed
//! inside that user.
//!
//! A contraction or a window takes pointwise work of its own shape (bias, activation, residual, optimiser update) as epilogue and
//! nothing else. Rows take everything: softmax, its loss and their backward are one kernel with one row an iteration.
//!
//! **Before:** an optimised graph without `detach` and without dead values. **After:** the same results, some values twice; `Node::kernel` is set for every value
//! that a kernel computes.
//!
//! ```text
//! %y = conv %x, %w                      %y = conv %x, %w           by conv1_bias_relu
//! %z = add %y, %b1                →     %z = add %y, %b1           by conv1_bias_relu
//! %r = relu %z                          %r = relu %z               by conv1_bias_relu
//! ```
//!
//! **Order:** after everything that changes what is computed; rematerialize only copies, and later passes work on kernels.
//! **Source:** the rounds are those of XLA's instruction fusion and multi-output fusion; shared loops follow Halide's `compute_at`.

pub(crate) mod domain;
pub(crate) mod facts;
mod merge;
pub(crate) mod names;
mod recompute;
mod row_sums;

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Dim, Graph, Kind, ValueId};

use domain::Domain;
use facts::Facts;

/// Scalar operations that may be repeated for each tap of a window or each row statistic.
const CHEAP: usize = 4;

/// Names the kernel of every value that one computes.
pub fn run(graph: &mut Graph) {
    row_sums::run(graph);
    let homes = recompute::run(graph);
    let mut fusion = Fusion::fused(graph, &homes);
    fusion.dissolve_cheap();
    let groups: Vec<Vec<ValueId>> = fusion.groups.into_values().collect();
    assign(graph, groups);
}

/// A kernel for each value that one computes: slow, but each result is there to be looked at.
pub fn run_alone(graph: &mut Graph) {
    let groups: Vec<Vec<ValueId>> = Fusion::new(graph).groups.into_values().collect();
    assign(graph, groups);
}

/// Gives each value a kernel of its own where these kernels, which are made of parts of others, have no loops in common.
pub(crate) fn split_illegal(graph: &mut Graph, kernels: &BTreeSet<String>) {
    let is_in_place = |value: ValueId| !facts::is_leaf(graph, value) && graph.node(value).kernel.is_none();
    let in_place = graph.order().into_iter().map(|value| (value, is_in_place(value))).collect();
    let mut groups: BTreeMap<String, Vec<ValueId>> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for value in graph.order() {
        let kernel = graph.node(value).kernel.clone();
        taken.extend(kernel.clone());
        if let Some(kernel) = kernel.filter(|kernel| kernels.contains(kernel)) {
            groups.entry(kernel).or_default().push(value);
        }
    }
    let fusion = Fusion::with(graph, &in_place);
    groups.retain(|_, members| fusion.legal(members).is_none());
    for (kernel, members) in groups {
        for member in members {
            graph.assign_kernel(member, Some(names::unique(kernel.clone(), &mut taken)));
        }
    }
}

fn assign(graph: &mut Graph, groups: Vec<Vec<ValueId>>) {
    for value in graph.order() {
        graph.assign_kernel(value, None);
    }
    let mut taken = BTreeSet::new();
    for members in groups {
        let name = names::unique(names::of_kernel(graph, &members), &mut taken);
        for member in members {
            graph.assign_kernel(member, Some(name.clone()));
        }
    }
}

struct Fusion<'g> {
    graph: &'g Graph,
    max_batch: usize,
    facts: BTreeMap<ValueId, Facts>,
    /// Every value that a kernel computes, operands first.
    order: Vec<ValueId>,
    /// Positions in `order`.
    ranks: BTreeMap<ValueId, usize>,
    /// The readers among them.
    users: BTreeMap<ValueId, Vec<ValueId>>,
    outputs: BTreeSet<ValueId>,
    group_of: BTreeMap<ValueId, usize>,
    /// Members in topological order.
    groups: BTreeMap<usize, Vec<ValueId>>,
    reach: Reach,
}

/// The same by position in the order: the search for cycles goes over the whole graph for every merge.
struct Reach {
    /// The readers of each value.
    users: Vec<Vec<usize>>,
    /// The kernel of each value.
    group: Vec<usize>,
    /// The values of each kernel.
    members: Vec<Vec<usize>>,
}

impl<'g> Fusion<'g> {
    fn new(graph: &'g Graph) -> Fusion<'g> {
        Fusion::with(graph, &facts::in_place(graph))
    }

    /// The same where it is known which values are computed in their readers.
    fn with(graph: &'g Graph, in_place: &BTreeMap<ValueId, bool>) -> Fusion<'g> {
        let computed = |value: &ValueId| !facts::is_leaf(graph, *value) && !in_place[value];
        let order: Vec<ValueId> = graph.order().into_iter().filter(computed).collect();
        let mut known = BTreeMap::new();
        let mut users: BTreeMap<ValueId, Vec<ValueId>> = BTreeMap::new();
        for &value in &order {
            let found = facts::facts(graph, value, &|v| in_place[&v]);
            for read in &found.reads {
                let readers = users.entry(read.value).or_default();
                if readers.last() != Some(&value) {
                    readers.push(value);
                }
            }
            known.insert(value, found);
        }
        let ranks: BTreeMap<ValueId, usize> = order.iter().enumerate().map(|(at, &value)| (value, at)).collect();
        let count = order.len();
        let readers =
            |value: &ValueId| users.get(value).map_or(Vec::new(), |all| all.iter().map(|v| ranks[v]).collect());
        let reach = Reach {
            users: order.iter().map(readers).collect(),
            group: (0..count).collect(),
            members: (0..count).map(|at| vec![at]).collect(),
        };
        Fusion {
            graph,
            reach,
            max_batch: graph.max_batch.unwrap_or(1),
            facts: known,
            users,
            outputs: graph.outputs().iter().map(|output| output.value).collect(),
            group_of: order.iter().enumerate().map(|(at, &value)| (value, at)).collect(),
            groups: order.iter().enumerate().map(|(at, &value)| (at, vec![value])).collect(),
            ranks,
            order,
        }
    }

    /// The kernels after the three rounds. The first of each pair belongs where the second is.
    fn fused(graph: &'g Graph, homes: &[(ValueId, ValueId)]) -> Fusion<'g> {
        let mut fusion = Fusion::new(graph);
        for (value, home) in homes {
            fusion.try_merge(fusion.group_of[value], fusion.group_of[home]);
        }
        fusion.merge_single_uses();
        fusion.merge_operands();
        fusion.merge_siblings();
        fusion
    }

    fn users(&self, value: ValueId) -> &[ValueId] {
        self.users.get(&value).map_or(&[], Vec::as_slice)
    }

    /// Round 1.
    fn merge_single_uses(&mut self) {
        for value in self.order.clone() {
            let groups: BTreeSet<usize> = self.users(value).iter().map(|user| self.group_of[user]).collect();
            if let (1, Some(&group), false) = (groups.len(), groups.first(), self.outputs.contains(&value)) {
                self.try_merge(self.group_of[&value], group);
            }
        }
    }

    /// Round 2.
    fn merge_operands(&mut self) {
        for value in self.order.clone() {
            for read in self.facts[&value].reads.clone() {
                if let Some(&group) = self.group_of.get(&read.value) {
                    self.try_merge(group, self.group_of[&value]);
                }
            }
        }
    }

    /// Round 3. A shared operand must be worth a load: scalars are not.
    fn merge_siblings(&mut self) {
        let mut readers: BTreeMap<ValueId, Vec<ValueId>> = BTreeMap::new();
        for &value in &self.order {
            for read in &self.facts[&value].reads {
                readers.entry(read.value).or_default().push(value);
            }
        }
        for (operand, readers) in readers {
            if self.graph.ty(operand).shape.count() == Dim::ONE {
                continue;
            }
            let mut loops: Vec<_> = readers.iter().map(|&reader| self.loops_over(operand, reader)).collect();
            for at in 0..readers.len() {
                for earlier in 0..at {
                    let (a, b) = (self.group_of[&readers[earlier]], self.group_of[&readers[at]]);
                    if a != b && loops[at].is_some() && loops[earlier] == loops[at] && self.try_merge(a, b) {
                        loops = readers.iter().map(|&reader| self.loops_over(operand, reader)).collect();
                    }
                }
            }
        }
    }

    /// The shared loops in which a value reads an operand, axis by axis, if another kernel could read it with this one.
    fn loops_over(&self, operand: ValueId, reader: ValueId) -> Option<Vec<Option<usize>>> {
        let (group, facts) = (self.group_of[&reader], &self.facts[&reader]);
        let contracts = self.groups[&group].iter().any(|member| self.facts[member].kind == Kind::Contract);
        // A copy is made where it is needed, and not for another kernel that has one already.
        if contracts || facts.kind == Kind::View {
            return None;
        }
        let domain = Domain::of(&self.groups[&group], &self.facts)?;
        let read = facts.reads.iter().find(|read| read.value == operand)?;
        let place = |index: &kiln_ir::Index| {
            let axis = index.as_axis()?.0 as usize;
            domain.places[&reader].get(axis).copied().flatten()
        };
        Some(read.index.iter().map(place).collect())
    }

    /// Round 4: a short pointwise kernel whose only user could not take it is computed in that user after all.
    fn dissolve_cheap(&mut self) {
        for group in self.groups.keys().copied().collect::<Vec<_>>() {
            let members = &self.groups[&group];
            let single = |member: &ValueId| {
                let facts = &self.facts[member];
                !facts.reduces() && facts.kind != Kind::Block && !self.is_thrown_away(*member, self.users(*member))
            };
            let pointwise = members.iter().all(single);
            let cost: usize = members.iter().map(|member| self.facts[member].cost).sum();
            let outside: BTreeSet<usize> = (members.iter().flat_map(|&member| self.users(member)))
                .map(|user| self.group_of[user])
                .filter(|&user| user != group)
                .collect();
            let output = members.iter().any(|member| self.outputs.contains(member));
            let takes = |user: &usize| match self.groups.get(user) {
                Some(members) => {
                    members.iter().all(|member| !matches!(self.facts[member].kind, Kind::Contract | Kind::Block))
                }
                // It is itself computed in its user: one step of that is enough.
                None => false,
            };
            if pointwise && !output && cost <= CHEAP && outside.len() == 1 && outside.iter().all(takes) {
                self.groups.remove(&group);
            }
        }
    }

    /// Whether a value checks an index although some of `readers` has no use for it outside of a range: there the index may be one that
    /// nobody gave.
    fn is_thrown_away(&self, value: ValueId, readers: &[ValueId]) -> bool {
        let reads = |reader: &ValueId| self.facts[reader].reads.iter().any(|read| read.value == value && read.guarded);
        self.facts[&value].checks && readers.iter().any(reads)
    }

    /// Whether a value is read outside its kernel.
    fn is_read_outside(&self, value: ValueId) -> bool {
        self.is_stored(value, &self.groups[&self.group_of[&value]])
    }
}
