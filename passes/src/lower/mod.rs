//! Turns fused groups into kernels: loops over named axes, with the formulas of their members inside.
//!
//! Every op is its formula ([`kiln_ir::Body`]), so no op has lowering code. A value that another kernel needs is stored; what only this
//! kernel needs is a local, or stands where it is used. A reshape of a stored value is the same memory seen in another shape. A new
//! value of a piece of state is written over the old one where every other reader of the old one can run before.
//!
//! **Before:** `Node::kernel` names the kernel of every computed value. **After:** one [`Steps`]: a kernel a group, in a topological order.
//!
//! ```text
//! %y = conv %x, %w   by conv1_relu       for n, oc, oh, ow
//! %z = relu %y       by conv1_relu   →     y = sum c, kh, kw of x[n, c, oh + kh, ow + kw] * w[oc, c, kh, kw]
//!                                          z[n, oc, oh, ow] = max(y, 0.0)
//! ```
//!
//! **Order:** after fuse; everything later sees kernels and no ops.
//! **Source:** the tree is that of Halide's lowering: loops, and statements where `compute_at` would put them.

mod axis_names;
mod block;
mod context;
mod emit;
mod guard;
mod hoist;
mod state;
mod sweep;
pub(crate) mod tidy;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::{Access, Axis, Kernel, Schedule, Statement, Tensor};
use kiln_ir::ops::Input;
use kiln_ir::program::Class;
use kiln_ir::{AxisId, Expr, Graph, Index, Init, Load, Op, Place, Role, TensorId, Type, ValueId};

use crate::fuse::{facts, names};
use crate::steps::{Slot, Step, Steps};
use context::Context;

/// The launches of a fused graph.
pub fn run(graph: &Graph) -> Steps {
    let in_place = |value: ValueId| !facts::is_leaf(graph, value) && graph.node(value).kernel.is_none();
    let computed = graph.order().into_iter().filter(|&value| graph.node(value).kernel.is_some());
    let facts = computed.map(|value| (value, facts::facts(graph, value, &in_place))).collect();
    let cx = Context { graph, max_batch: graph.max_batch.unwrap_or(1), facts };
    let drafts = drafts(&cx);
    let written = |(at, draft): (usize, &Draft)| -> Vec<(Memory, usize)> {
        let tensors = draft.operands.iter().zip(&draft.kernel.tensors);
        tensors.filter(|(_, tensor)| tensor.access != Access::Read).map(|(&memory, _)| (memory, at)).collect()
    };
    let writers = drafts.iter().enumerate().flat_map(written).collect();
    let mut lowering = Lowering { cx: &cx, drafts, writers };
    let storage = state::plan(&mut lowering);
    lowering.finish(&storage)
}

/// A kernel whose tensors are values still.
struct Draft {
    kernel: Kernel,
    /// What each tensor of the kernel is.
    operands: Vec<Memory>,
    /// Drafts that must run before, beside those whose values it reads.
    after: BTreeSet<usize>,
    place: Place,
}

/// What is stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Memory {
    /// A value of the graph: an input or constant as it is before the entry, or what a kernel computes.
    Value(ValueId),
    /// A copy of a value that is about to be overwritten.
    Saved(ValueId),
    /// What an output gets that is not the result of a kernel of its own.
    Output(usize),
    /// The new value of an input.
    Updated(ValueId),
}

struct Lowering<'a> {
    cx: &'a Context<'a>,
    drafts: Vec<Draft>,
    /// The draft that writes each memory.
    writers: BTreeMap<Memory, usize>,
}

/// A draft for each group, in topological order.
fn drafts(cx: &Context<'_>) -> Vec<Draft> {
    let graph = cx.graph;
    let mut groups: BTreeMap<&str, Vec<ValueId>> = BTreeMap::new();
    let order = graph.order();
    for &value in &order {
        if let Some(name) = &graph.node(value).kernel {
            groups.entry(name).or_default().push(value);
        }
    }
    let kernel_of = |value: ValueId| graph.node(value).kernel.as_deref();
    let mut stored: BTreeSet<ValueId> = graph.outputs().iter().map(|output| output.value).collect();
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (&value, facts) in &cx.facts {
        let kernel = kernel_of(value).expect("facts are of computed values");
        for read in facts.reads.iter().filter(|read| kernel_of(read.value) != Some(kernel)) {
            stored.insert(read.value);
            needs.entry(kernel).or_default().extend(kernel_of(read.value));
        }
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut drafts = Vec::new();
    while done.len() < groups.len() {
        let before = done.len();
        for name in order.iter().filter_map(|&value| kernel_of(value)) {
            let ready = needs.get(name).is_none_or(|needs| needs.is_subset(&done));
            if !done.contains(name) && ready {
                let members = &groups[name];
                let outputs: Vec<ValueId> = members.iter().copied().filter(|member| stored.contains(member)).collect();
                let emitted = emit::kernel(cx, name, members, &outputs);
                let operands = emitted.operands.into_iter().map(Memory::Value).collect();
                let place = emitted.kernel.places.last().cloned().unwrap_or(Place::NONE);
                drafts.push(Draft { kernel: emitted.kernel, operands, after: BTreeSet::new(), place });
                done.insert(name);
            }
        }
        assert!(done.len() > before, "fuse leaves no cycle between kernels");
    }
    drafts
}

impl Lowering<'_> {
    /// The draft that writes a memory.
    fn writer(&self, memory: Memory) -> Option<usize> {
        self.writers.get(&memory).copied()
    }

    /// The drafts that read a memory.
    fn readers(&self, memory: Memory) -> Vec<usize> {
        let reads = |draft: &Draft| {
            let mut tensors = draft.operands.iter().zip(&draft.kernel.tensors);
            tensors.any(|(operand, tensor)| *operand == memory && tensor.access == Access::Read)
        };
        (0..self.drafts.len()).filter(|&at| reads(&self.drafts[at])).collect()
    }

    /// Everything that runs before a draft.
    fn before(&self, at: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut pending = vec![at];
        while let Some(at) = pending.pop() {
            for before in self.direct(at) {
                if seen.insert(before) {
                    pending.push(before);
                }
            }
        }
        seen
    }

    /// What a draft waits for.
    fn direct(&self, at: usize) -> BTreeSet<usize> {
        let draft = &self.drafts[at];
        let mut before = draft.after.clone();
        for (operand, tensor) in draft.operands.iter().zip(&draft.kernel.tensors) {
            if tensor.access == Access::Read {
                before.extend(self.writer(*operand).filter(|&writer| writer != at));
            }
        }
        before
    }

    /// Adds a kernel that copies one memory to another.
    fn copy(&mut self, from: Memory, to: Memory, ty: &Type, name: &str) -> usize {
        let index: Vec<Index> =
            (0..ty.rank()).map(|axis| facts::unit_axis(AxisId(axis as u32), ty.dim(axis))).collect();
        let names: Vec<String> = (0..ty.rank()).map(|axis| format!("i{axis}")).collect();
        let loops: Vec<AxisId> = index.iter().filter_map(Index::as_axis).collect();
        let renumber = |id: AxisId| {
            loops.iter().position(|&axis| axis == id).map_or(Index::constant(0), |at| Index::axis(AxisId(at as u32)))
        };
        let index: Vec<Index> =
            index.iter().map(|component| component.substitute(&mut |id| renumber(id), &mut Expr::clone)).collect();
        let axes: Vec<Axis> = loops
            .iter()
            .map(|id| Axis { name: names[id.0 as usize].clone(), extent: ty.dim(id.0 as usize), limit: None })
            .collect();
        let value = Expr::Load(Load { tensor: TensorId(0), index: index.clone(), fill: None });
        let store = Statement::Store { tensor: TensorId(1), index, value };
        let body = if axes.is_empty() {
            vec![store]
        } else {
            vec![Statement::For((0..axes.len() as u32).map(AxisId).collect(), vec![store])]
        };
        let tensor = |name: &str, access| Tensor { name: name.to_owned(), ty: ty.clone(), access };
        let mut taken = self.drafts.iter().map(|draft| draft.kernel.name.clone()).collect();
        let name = names::unique(format!("copy_{name}").replace(|c: char| !c.is_ascii_alphanumeric(), "_"), &mut taken);
        let kernel = Kernel {
            name,
            tensors: vec![tensor("from", Access::Read), tensor("to", Access::Write)],
            axes,
            locals: Vec::new(),
            body,
            schedule: Schedule { grain: 1, ..Schedule::default() },
            places: Vec::new(),
        };
        let operands = vec![from, to];
        self.writers.insert(to, self.drafts.len());
        self.drafts.push(Draft { kernel, operands, after: BTreeSet::new(), place: Place::NONE });
        self.drafts.len() - 1
    }

    /// Gives every memory a slot. `storage` says which memory lies over which input.
    fn finish(self, storage: &BTreeMap<Memory, Memory>) -> Steps {
        let graph = self.cx.graph;
        let after: Vec<BTreeSet<usize>> = (0..self.drafts.len()).map(|at| self.direct(at)).collect();
        let mut steps = Steps {
            max_batch: self.cx.max_batch,
            slots: Vec::new(),
            steps: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let mut numbers: BTreeMap<Memory, usize> = BTreeMap::new();
        for (value, input) in graph.inputs() {
            let slot = Slot {
                name: graph.name_of(value).to_owned(),
                ty: graph.ty(value).clone(),
                class: class(input),
                init: input.init.clone(),
            };
            if input.role == Role::Data {
                steps.inputs.push(steps.slots.len());
            }
            numbers.insert(Memory::Value(value), steps.slots.len());
            steps.slots.push(slot);
        }
        let outputs: BTreeMap<Memory, usize> =
            state::outputs(graph).into_iter().rev().map(|(at, memory)| (memory, at)).collect();
        for (draft, after) in self.drafts.into_iter().zip(after) {
            let mut slots = Vec::new();
            for operand in &draft.operands {
                let memory = storage.get(operand).copied().unwrap_or(*operand);
                slots.push(*numbers.entry(memory).or_insert_with(|| {
                    steps.slots.push(new_slot(self.cx, memory, outputs.get(&memory).copied()));
                    steps.slots.len() - 1
                }));
            }
            steps.steps.push(Step { kernel: draft.kernel, slots, after, place: draft.place });
        }
        for (_, memory) in state::outputs(graph) {
            steps.outputs.extend(numbers.get(&memory));
        }
        steps
    }
}

/// The value behind a memory.
fn value_of(graph: &Graph, memory: Memory) -> ValueId {
    match memory {
        Memory::Value(value) | Memory::Saved(value) | Memory::Updated(value) => value,
        Memory::Output(at) => graph.outputs()[at].value,
    }
}

fn class(input: &Input) -> Class {
    match input.role {
        Role::Data => Class::Data,
        Role::Parameter | Role::Frozen => Class::Parameter,
        Role::Buffer => Class::Buffer,
        Role::State => Class::OptimizerState,
        Role::Scalar => Class::Scalar,
    }
}

fn new_slot(cx: &Context<'_>, memory: Memory, output: Option<usize>) -> Slot {
    let graph = cx.graph;
    let value = value_of(graph, memory);
    // As the kernels see it.
    let ty = graph.ty(value);
    let ty = ty.with_shape(cx.in_memory(value, &ty.shape.0));
    let name = graph.name_of(value).to_owned();
    let slot = |name: String, class| Slot { name, ty: ty.clone(), class, init: Init::Zeros };
    if let Some(at) = output {
        return slot(graph.outputs()[at].name.clone(), Class::Output);
    }
    match (&graph.node(value).op, memory) {
        (_, Memory::Saved(_)) => slot(format!("{name}_saved"), Class::Workspace),
        (Op::Constant(constant), _) => {
            let init = Init::Data(constant.data.iter().map(|number| number.value()).collect());
            Slot { init, ..slot(name, Class::Constant) }
        }
        _ if names::parameter_of_gradient(graph, value).is_some() => slot(name, Class::Gradient),
        _ => slot(name, Class::Activation),
    }
}
