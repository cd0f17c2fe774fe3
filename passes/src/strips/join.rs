//! Writes the kernels of a group as the stages of one.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::{Access, Axis, Kernel, Local, Reduction, Schedule, Statement, Tensor};
use kiln_ir::{AxisId, Expr, Index, Load, LocalId, Place, TensorId};

use super::grow::Group;
use crate::fuse::names;
use crate::steps::{Step, Steps};

/// Puts one step in the place of a group's.
pub(super) fn run(steps: &mut Steps, group: &Group) {
    let order = in_order(steps, group);
    let joined = joined(steps, group, &order);
    let place = *order.last().expect("a group has members");
    let kept: Vec<usize> =
        (0..steps.steps.len()).filter(|at| *at == place || !group.members.contains_key(at)).collect();
    let numbers: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, &old)| (old, new)).collect();
    let number = |old: usize| numbers[if group.members.contains_key(&old) { &place } else { &old }];
    let renumbered = |after: &BTreeSet<usize>| after.iter().map(|&old| number(old)).collect();
    let mut after = BTreeSet::new();
    for &member in &order {
        after.extend(steps.steps[member].after.iter().filter(|at| !group.members.contains_key(at)));
    }
    let joined = Step { after: renumbered(&after), ..joined };
    let new = kept.iter().map(|&old| match old == place {
        true => joined.clone(),
        false => Step { after: renumbered(&steps.steps[old].after), ..steps.steps[old].clone() },
    });
    steps.steps = new.collect();
}

/// The members, each behind those that it waits for.
fn in_order(steps: &Steps, group: &Group) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    // What a member waits for outside of the group waits for no member.
    while order.len() < group.members.len() {
        let waits = |at: usize| {
            let mut before = steps.steps[at].after.iter();
            before.any(|earlier| group.members.contains_key(earlier) && !order.contains(earlier))
        };
        let ready = group.members.keys().copied().find(|&at| !order.contains(&at) && !waits(at));
        order.push(ready.expect("dependences have no cycle"));
    }
    order
}

fn joined(steps: &Steps, group: &Group, order: &[usize]) -> Step {
    let first = &steps.steps[order[0]].kernel;
    let mut names_in_use: BTreeSet<String> = steps.steps.iter().map(|step| step.kernel.name.clone()).collect();
    let mut join = Join { group, tensors: Vec::new(), axes: Vec::new(), locals: Vec::new(), shared: Vec::new() };
    for &axis in &group.members[&order[0]] {
        let axis = first.axis(axis).clone();
        let id = join.axis(axis);
        join.shared.push(id);
    }
    let mut places: Vec<Place> = Vec::new();
    let mut stages = Vec::new();
    for &member in order {
        let step = &steps.steps[member];
        stages.extend(join.stage(step, &group.members[&member]));
        places.extend(step.kernel.places.iter().filter(|place| !places.contains(place)).cloned().collect::<Vec<_>>());
    }
    // Read, written, scratch.
    let rank = |access: Access| match access {
        Access::Read => 0,
        Access::Write | Access::Update => 1,
        Access::Scratch => 2,
    };
    let mut sorted: Vec<usize> = (0..join.tensors.len()).collect();
    sorted.sort_by_key(|&at| rank(join.tensors[at].1.access));
    let renumber = |id: TensorId| {
        TensorId(sorted.iter().position(|&at| at == id.0 as usize).expect("every tensor is in the order") as u32)
    };
    let stages = kiln_ir::statements::with_tensors(stages, &renumber);
    let tensors: Vec<Tensor> = sorted.iter().map(|&at| join.tensors[at].1.clone()).collect();
    let is_argument = |at: &&usize| join.tensors[**at].1.access != Access::Scratch;
    let slots = sorted.iter().filter(is_argument).map(|&at| join.tensors[at].0).collect();
    let kernel = Kernel {
        name: names::unique(format!("{}_strips", first.name), &mut names_in_use),
        tensors,
        axes: join.axes,
        locals: join.locals,
        body: vec![Statement::For(join.shared, stages)],
        schedule: Schedule { grain: 1, ..Schedule::default() },
        places,
    };
    let place = steps.steps[*order.last().expect("a group has members")].place.clone();
    Step { kernel, slots, after: BTreeSet::new(), place }
}

struct Join<'g> {
    group: &'g Group,
    /// With their slots.
    tensors: Vec<(usize, Tensor)>,
    axes: Vec<Axis>,
    locals: Vec<Local>,
    /// The axes of the items.
    shared: Vec<AxisId>,
}

/// What the ids of one kernel are in the other.
struct Renumbering<'k> {
    tensors: Vec<TensorId>,
    /// The axes of each tensor that are those of the items, for scratch memory.
    dropped: Vec<&'k [usize]>,
    axes: Vec<AxisId>,
    /// The first of its locals.
    locals: u32,
}

impl<'g> Join<'g> {
    fn stage(&mut self, step: &Step, items: &[AxisId]) -> Vec<Statement> {
        let kernel = &step.kernel;
        let mut dropped: Vec<&[usize]> = Vec::new();
        let tensors = kernel.tensors.iter().zip(&step.slots).map(|(tensor, &slot)| {
            let places = self.group.inner.get(&slot).map(Vec::as_slice);
            dropped.push(places.unwrap_or_default());
            self.tensor(slot, tensor, places)
        });
        let tensors = tensors.collect();
        let axes =
            (0..kernel.axes.len() as u32).map(AxisId).map(|id| match items.iter().position(|held| *held == id) {
                Some(at) => self.shared[at],
                None => self.axis(kernel.axis(id).clone()),
            });
        let axes: Vec<AxisId> = axes.collect();
        let first = self.locals.len() as u32;
        for local in &kernel.locals {
            let taken = |name: &str| {
                self.locals.iter().any(|local| local.name == name) || self.tensors.iter().any(|(_, t)| t.name == name)
            };
            let name = names::free(&local.name, &taken);
            self.locals.push(Local { name, dtype: local.dtype });
        }
        let to = Renumbering { tensors, dropped, axes, locals: first };
        let [Statement::For(loops, inner)] = kernel.body.as_slice() else { return Vec::new() };
        let own: Vec<AxisId> = loops.iter().copied().filter(|axis| !items.contains(axis)).collect();
        let inner = to.statements(inner);
        if own.is_empty() { inner } else { vec![Statement::For(to.loops(&own), inner)] }
    }

    fn axis(&mut self, axis: Axis) -> AxisId {
        let name = names::free(&axis.name, &|name| self.axes.iter().any(|held| held.name == name));
        self.axes.push(Axis { name, ..axis });
        AxisId(self.axes.len() as u32 - 1)
    }

    /// The tensor of a slot: one for each type in which it is seen.
    fn tensor(&mut self, slot: usize, tensor: &Tensor, inner: Option<&[usize]>) -> TensorId {
        let (mut ty, mut access) = (tensor.ty.clone(), tensor.access);
        if let Some(places) = inner {
            ty = ty.with_shape(without(&tensor.ty.shape.0, places));
            access = Access::Scratch;
        }
        let same = |(held, other): &(usize, Tensor)| *held == slot && other.ty == ty;
        if let Some(at) = self.tensors.iter().position(same) {
            return TensorId(at as u32);
        }
        let taken = |name: &str| {
            self.tensors.iter().any(|(_, held)| held.name == name) || self.locals.iter().any(|held| held.name == name)
        };
        let name = names::free(&tensor.name, &taken);
        self.tensors.push((slot, Tensor { name, ty, access }));
        TensorId(self.tensors.len() as u32 - 1)
    }
}

impl Renumbering<'_> {
    fn loops(&self, axes: &[AxisId]) -> Vec<AxisId> {
        axes.iter().map(|axis| self.axes[axis.0 as usize]).collect()
    }

    fn local(&self, local: LocalId) -> LocalId {
        LocalId(self.locals + local.0)
    }

    fn index(&self, index: &Index) -> Index {
        index.substitute(&mut |axis| Index::axis(self.axes[axis.0 as usize]), &mut |value| self.expr(value))
    }

    fn indices(&self, tensor: TensorId, index: &[Index]) -> Vec<Index> {
        let index: Vec<Index> = index.iter().map(|component| self.index(component)).collect();
        without(&index, self.dropped[tensor.0 as usize])
    }

    fn expr(&self, expr: &Expr) -> Expr {
        match expr {
            Expr::Local(local) => Expr::Local(self.local(*local)),
            Expr::Index(index) => Expr::Index(self.index(index)),
            Expr::Load(load) => Expr::Load(Load {
                tensor: self.tensors[load.tensor.0 as usize],
                index: self.indices(load.tensor, &load.index),
                fill: load.fill,
            }),
            _ => expr.map_operands(&mut |x| self.expr(x)),
        }
    }

    fn statements(&self, statements: &[Statement]) -> Vec<Statement> {
        let bound = |(local, value): &(LocalId, Expr)| (self.local(*local), self.expr(value));
        let statement = |statement: &Statement| match statement {
            Statement::Let(local, value) => Statement::Let(self.local(*local), self.expr(value)),
            Statement::For(axes, inner) => Statement::For(self.loops(axes), self.statements(inner)),
            Statement::Serial(axes, inner) => Statement::Serial(self.loops(axes), self.statements(inner)),
            Statement::Reduce { axes, lets, results } => Statement::Reduce {
                axes: self.loops(axes),
                lets: lets.iter().map(bound).collect(),
                results: results
                    .iter()
                    .map(|r| Reduction { local: self.local(r.local), monoid: r.monoid, value: self.expr(&r.value) })
                    .collect(),
            },
            Statement::Store { tensor, index, value } => Statement::Store {
                tensor: self.tensors[tensor.0 as usize],
                index: self.indices(*tensor, index),
                value: self.expr(value),
            },
        };
        statements.iter().map(statement).collect()
    }
}

fn without<T: Clone>(all: &[T], places: &[usize]) -> Vec<T> {
    all.iter().enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, held)| held.clone()).collect()
}
