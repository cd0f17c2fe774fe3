//! Builds the loop tree of one kernel from the formulas of its members.
//!
//! The shared loops come first. Inside them, reductions in the order of their dependence, those over equal axes in one loop; then
//! the stores of what has the shape of the shared loops; then, for stored members with axes of their own, inner loops. A value with
//! inner axes is computed anew in each loop that reads it: nothing but row statistics is kept from one loop to the next.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::{Access, Axis, Kernel, Local, Reduction, Schedule, Statement, Tensor};
use kiln_ir::statements;
use kiln_ir::{AxisId, DType, Dim, Expr, Index, Kind, LocalId, Monoid, TensorId, Type, ValueId};

use super::context::Context;
use super::{axis_names, hoist, tidy};
use crate::fuse::domain::Domain;
use crate::fuse::facts;
use crate::fuse::names::free;

/// A kernel, and the values behind its tensors.
pub struct Emitted {
    pub kernel: Kernel,
    /// The value behind each tensor.
    pub operands: Vec<ValueId>,
}

/// The kernel of `members`, in topological order, of which it stores `stored`.
pub fn kernel(cx: &Context<'_>, name: &str, members: &[ValueId], stored: &[ValueId]) -> Emitted {
    let domain = Domain::of(members, &cx.facts).expect("fuse merges only what has shared loops");
    let mut emitter = Emitter::new(cx, members, domain);
    match members {
        [member] if cx.facts[member].kind == Kind::Sweep => emitter.sweep(*member),
        [member] if cx.facts[member].kind == Kind::Block => emitter.block(*member),
        _ => {
            emitter.reductions();
            emitter.shared_stores(stored);
            emitter.inner_stores(stored);
        }
    }
    emitter.finish(name)
}

pub(super) struct Emitter<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) members: &'a [ValueId],
    pub(super) domain: Domain,
    pub(super) axes: Vec<Axis>,
    pub(super) locals: Vec<Local>,
    /// Their names.
    names: BTreeSet<String>,
    pub(super) tensors: Vec<(ValueId, Tensor)>,
    /// The axis of each shared loop.
    pub(super) shared: Vec<AxisId>,
    /// The same, as the loops stand inside each other.
    pub(super) order: Vec<AxisId>,
    /// Statements inside the shared loops.
    pub(super) rows: Vec<Statement>,
    /// Bindings of the inner loop that is being built.
    pub(super) inner: Vec<(LocalId, Expr)>,
    /// What is bound already, in the shared loops and in the inner one.
    pub(super) row_values: BTreeMap<(ValueId, Vec<Index>), Expr>,
    pub(super) inner_values: BTreeMap<(ValueId, Vec<Index>), Expr>,
    /// Results of reductions.
    pub(super) results: BTreeMap<ValueId, Expr>,
    /// Nothing is bound: the factors of a contraction stand in its sum.
    pub(super) pure: bool,
    /// Loads may be out of range, because a choice around them throws their value away.
    pub(super) speculative: usize,
}

impl<'a> Emitter<'a> {
    fn new(cx: &'a Context<'a>, members: &'a [ValueId], domain: Domain) -> Emitter<'a> {
        let mut emitter = Emitter {
            cx,
            members,
            domain,
            axes: Vec::new(),
            locals: Vec::new(),
            names: BTreeSet::new(),
            tensors: Vec::new(),
            shared: Vec::new(),
            order: Vec::new(),
            rows: Vec::new(),
            inner: Vec::new(),
            row_values: BTreeMap::new(),
            inner_values: BTreeMap::new(),
            results: BTreeMap::new(),
            pure: false,
            speculative: 0,
        };
        let representative = emitter.domain.representative;
        let names = axis_names::of_result(cx.graph, representative);
        let places = emitter.domain.places[&representative].clone();
        for (number, &extent) in emitter.domain.axes.clone().iter().enumerate() {
            let axis = places.iter().position(|place| *place == Some(number));
            let name = axis.map_or("i", |axis| names[axis].as_str());
            let id = emitter.axis(name, extent);
            emitter.shared.push(id);
        }
        emitter.order = emitter.shared.clone();
        let stored = |member: &&ValueId| cx.graph.node(**member).layout.is_some();
        if let Some(member) = members.iter().find(stored) {
            let in_memory = cx
                .graph
                .node(*member)
                .memory_order()
                .into_iter()
                .filter_map(|axis| emitter.domain.places[member][axis]);
            let first: Vec<AxisId> = in_memory.map(|place| emitter.shared[place]).collect();
            emitter.order.retain(|axis| !first.contains(axis));
            emitter.order.extend(first);
        }
        emitter
    }

    /// Each level of reductions needs the results of those before.
    fn reductions(&mut self) {
        let mut levels: BTreeMap<ValueId, usize> = BTreeMap::new();
        for &member in self.members {
            let reads = self.cx.facts[&member].reads.iter();
            let level = reads.filter_map(|read| {
                levels.get(&read.value).map(|l| l + usize::from(self.cx.facts[&read.value].reduces()))
            });
            levels.insert(member, level.max().unwrap_or(0));
        }
        let mut groups: Vec<(usize, Vec<Dim>, Vec<ValueId>)> = Vec::new();
        for &member in self.members.iter().filter(|member| self.cx.facts[member].reduces()) {
            let axes = self.cx.facts[&member].reduction.clone();
            match groups.iter_mut().find(|(level, held, _)| *level == levels[&member] && *held == axes) {
                Some((_, _, group)) => group.push(member),
                None => groups.push((levels[&member], axes, vec![member])),
            }
        }
        groups.sort_by_key(|(level, ..)| *level);
        for (_, extents, group) in groups {
            self.reduction(&extents, &group);
        }
    }

    fn reduction(&mut self, extents: &[Dim], group: &[ValueId]) {
        let names = axis_names::of_reduction(self.cx.graph, group[0]);
        let axes: Vec<Option<AxisId>> = (extents.iter().zip(&names))
            .map(|(&extent, name)| (extent != Dim::ONE).then(|| self.axis(name, extent)))
            .collect();
        self.pure = self.cx.facts[&group[0]].kind == Kind::Contract;
        let mut results = Vec::new();
        for &member in group {
            let body = facts::body(self.cx.graph, member);
            let operands = self.cx.graph.operand_types(member);
            let monoid = body.monoid.expect("a reduction has a monoid");
            let dtype = match monoid {
                Monoid::ArgMax => DType::I64,
                _ => body.value.dtype(&|id| operands[id.0 as usize].dtype, &|_| DType::I64),
            };
            let mut index = self.shared_index(member);
            index.extend(axes.iter().map(|axis| axis.map_or(Index::constant(0), Index::axis)));
            let value = self.formula(member, &index);
            let local = self.local(self.cx.graph.name_of(member), dtype);
            results.push((member, monoid, Reduction { local, monoid, value }));
        }
        self.pure = false;
        let lets = std::mem::take(&mut self.inner);
        self.inner_values.clear();
        for (member, monoid, reduction) in &results {
            let ty = self.cx.graph.ty(*member);
            let result = Expr::Local(reduction.local);
            let result = if self.locals[reduction.local.0 as usize].dtype == ty.dtype || *monoid == Monoid::ArgMax {
                result
            } else {
                Expr::cast(ty.dtype, result)
            };
            self.results.insert(*member, result);
        }
        let axes: Vec<AxisId> = axes.into_iter().flatten().collect();
        if axes.is_empty() {
            self.rows.extend(lets.into_iter().map(|(local, value)| Statement::Let(local, value)));
            let single = |reduction: Reduction| match reduction.monoid {
                Monoid::ArgMax => Statement::Let(reduction.local, Expr::number(0.0, DType::I64)),
                _ => Statement::Let(reduction.local, reduction.value),
            };
            self.rows.extend(results.into_iter().map(|(_, _, reduction)| single(reduction)));
        } else {
            let results = results.into_iter().map(|(_, _, reduction)| reduction).collect();
            self.rows.push(Statement::Reduce { axes, lets, results });
        }
    }

    /// Stores of members that have no loops of their own.
    fn shared_stores(&mut self, stored: &[ValueId]) {
        let mut stores = Vec::new();
        let whole: Vec<ValueId> = stored.iter().copied().filter(|&member| self.private(member).is_empty()).collect();
        for member in whole {
            let index = self.shared_index(member);
            let value = self.value(member, index.clone());
            stores.push(self.store(member, &index, value));
        }
        self.rows.extend(stores);
    }

    /// Inner loops, one for each list of extents.
    fn inner_stores(&mut self, stored: &[ValueId]) {
        let mut groups: Vec<(Vec<Dim>, Vec<ValueId>)> = Vec::new();
        for &member in stored {
            let result = &self.cx.facts[&member].result;
            let extents: Vec<Dim> = self.private(member).into_iter().map(|axis| result[axis]).collect();
            match groups.iter_mut().find(|(held, _)| *held == extents) {
                _ if extents.is_empty() => {}
                Some((_, group)) => group.push(member),
                None => groups.push((extents, vec![member])),
            }
        }
        for (extents, group) in groups {
            let names = axis_names::of_result(self.cx.graph, group[0]);
            let private = self.private(group[0]);
            let axes: Vec<AxisId> =
                private.iter().zip(&extents).map(|(&axis, &extent)| self.axis(&names[axis], extent)).collect();
            let mut stores = Vec::new();
            for &member in &group {
                let mut index = self.shared_index(member);
                for (&axis, &id) in self.private(member).iter().zip(&axes) {
                    index[axis] = Index::axis(id);
                }
                let value = self.value(member, index.clone());
                stores.push(self.store(member, &index, value));
            }
            self.inner_values.clear();
            let lets = std::mem::take(&mut self.inner).into_iter().map(|(local, value)| Statement::Let(local, value));
            self.rows.push(Statement::For(axes, lets.chain(stores).collect()));
        }
    }

    fn finish(self, name: &str) -> Emitted {
        let Emitter { cx, members, axes, locals, mut tensors, order: loops, rows, .. } = self;
        // Tensors that are only read come first.
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by_key(|&at| tensors[at].1.access != Access::Read);
        let renumber = |id: TensorId| {
            TensorId(order.iter().position(|&at| at == id.0 as usize).expect("it is in the order") as u32)
        };
        let rows = statements::with_tensors(rows, &renumber);
        tensors = order.iter().map(|&at| tensors[at].clone()).collect();
        let mut places: Vec<kiln_ir::Place> = Vec::new();
        for &member in members {
            let place = cx.graph.node(member).place.without_method();
            if !place.is_none() && !places.contains(&place) {
                places.push(place);
            }
        }
        let contraction = members.iter().any(|member| cx.facts[member].kind == Kind::Contract);
        let body = if loops.is_empty() { rows } else { vec![Statement::For(loops, rows)] };
        let operands = tensors.iter().map(|(value, _)| *value).collect();
        let tensors = tensors.into_iter().map(|(_, tensor)| tensor).collect();
        let schedule = Schedule { grain: 1, ..Schedule::default() };
        let mut kernel = Kernel { name: name.to_owned(), tensors, axes, locals, body, schedule, places };
        tidy::run(&mut kernel);
        // The sum of a contraction is its first statement.
        if !contraction {
            hoist::run(&mut kernel);
        }
        Emitted { kernel, operands }
    }

    fn private(&self, member: ValueId) -> Vec<usize> {
        self.domain.private(member, &self.cx.facts[&member])
    }

    /// The index of a member at the shared loops, 0 elsewhere.
    pub(super) fn shared_index(&self, member: ValueId) -> Vec<Index> {
        let places = self.domain.places[&member].iter();
        places.map(|place| place.map_or(Index::constant(0), |place| Index::axis(self.shared[place]))).collect()
    }

    pub(super) fn axis(&mut self, name: &str, extent: Dim) -> AxisId {
        let name = free(name, &|name| self.axes.iter().any(|axis| axis.name == name));
        self.axes.push(Axis { name, extent, limit: None });
        AxisId(self.axes.len() as u32 - 1)
    }

    pub(super) fn local(&mut self, name: &str, dtype: DType) -> LocalId {
        let taken =
            |name: &str| self.names.contains(name) || self.tensors.iter().any(|(_, tensor)| tensor.name == name);
        let name = free(name, &taken);
        self.names.insert(name.clone());
        self.locals.push(Local { name, dtype });
        LocalId(self.locals.len() as u32 - 1)
    }

    /// Stores an element of a member.
    pub(super) fn store(&mut self, member: ValueId, index: &[Index], value: Expr) -> Statement {
        Statement::Store { tensor: self.output(member), index: self.cx.in_memory(member, index), value }
    }

    pub(super) fn output(&mut self, member: ValueId) -> TensorId {
        self.tensor(member, self.cx.graph.ty(member).clone(), Access::Write)
    }

    pub(super) fn tensor(&mut self, value: ValueId, ty: Type, access: Access) -> TensorId {
        let ty = ty.with_shape(self.cx.in_memory(value, &ty.shape.0));
        if let Some(at) = self.tensors.iter().position(|(held, tensor)| *held == value && tensor.ty == ty) {
            return TensorId(at as u32);
        }
        let taken = |name: &str| self.tensors.iter().any(|(_, tensor)| tensor.name == name);
        let name = free(self.cx.graph.name_of(value), &taken);
        self.tensors.push((value, Tensor { name, ty, access }));
        TensorId(self.tensors.len() as u32 - 1)
    }
}
