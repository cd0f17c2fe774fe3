//! Joins the entries of a model into one program: shared parameters, shared kernels, one arena.
//!
//! A buffer that outlives a step belongs to every entry that names it; a kernel that two launches have in common is kept once.

use kiln_ir::kernel::{Access, Kernel};
use kiln_ir::program::{Buffer, BufferId, Entry, KernelId, Launch, LiveRange};
use kiln_ir::{Graph, Place, Program};

use crate::plan_memory::{self, Request};
use crate::steps::{Slot, Steps};
use crate::{fuse, lower, order_steps, reuse, strips, tile, vectorize};

/// Compiles optimised graphs, one an entry, to a program.
pub fn run(name: &str, entries: Vec<(String, Graph)>) -> Program {
    let max_batch = entries.iter().filter_map(|(_, graph)| graph.max_batch).max().unwrap_or(1);
    let entries = entries.into_iter().map(|(name, mut graph)| {
        graph.max_batch = Some(max_batch);
        fuse::run(&mut graph);
        let mut steps = lower::run(&graph);
        strips::run(&mut steps);
        tile::run(&mut steps);
        vectorize::run(&mut steps);
        order_steps::run(&mut steps);
        reuse::run(&mut steps);
        (name, steps)
    });
    join(name, max_batch, entries.collect())
}

/// Makes the program of ordered steps.
pub fn join(name: &str, max_batch: usize, entries: Vec<(String, Steps)>) -> Program {
    let mut joined = Joined::default();
    let mut found = Vec::new();
    for (number, (entry, steps)) in entries.into_iter().enumerate() {
        found.push(joined.entry(number, entry, &steps));
    }
    let request = |buffer: &Buffer| Request { size_bytes: buffer.ty.size_bytes(max_batch), live: buffer.live };
    let plan = plan_memory::run(&joined.buffers.iter().map(request).collect::<Vec<Request>>());
    for (buffer, offset) in joined.buffers.iter_mut().zip(plan.offsets) {
        buffer.offset = offset;
    }
    Program {
        name: name.to_owned(),
        max_batch,
        arena_bytes: plan.arena_bytes,
        buffers: joined.buffers,
        kernels: joined.kernels,
        entries: found,
    }
}

#[derive(Default)]
struct Joined {
    buffers: Vec<Buffer>,
    /// The slot that each buffer was first made for, by name, and the last entry that has it.
    origins: Vec<(String, usize)>,
    kernels: Vec<Kernel>,
    /// The kernels without the names that launches may differ in.
    anonymous: Vec<Kernel>,
}

impl Joined {
    fn entry(&mut self, number: usize, name: String, steps: &Steps) -> Entry {
        let live = live_ranges(number, steps);
        // A temporary that no launch touches any more has no memory.
        let exists = |slot: &Slot, live: Option<LiveRange>| slot.is_persistent() || live.is_some();
        let ids: Vec<Option<BufferId>> = (steps.slots.iter().zip(&live))
            .map(|(slot, &live)| exists(slot, live).then(|| self.buffer(number, slot, live)))
            .collect();
        let id = |slot: usize| ids[slot].expect("what a launch touches exists");
        let launches = steps.steps.iter().map(|step| Launch {
            kernel: self.kernel(&step.kernel),
            buffers: step.slots.iter().map(|&slot| id(slot)).collect(),
            place: step.place.clone(),
        });
        let launches = launches.collect();
        let list = |slots: &[usize]| slots.iter().map(|&slot| id(slot)).collect();
        Entry { name, inputs: list(&steps.inputs), outputs: list(&steps.outputs), steps: launches }
    }

    /// The buffer of a slot: of persistent ones the one that another entry has already. In one entry, slots of one name are two buffers.
    fn buffer(&mut self, entry: usize, slot: &Slot, live: Option<LiveRange>) -> BufferId {
        let same = |(buffer, (name, last)): (&Buffer, &(String, usize))| {
            let alike = buffer.live.is_none() && buffer.class == slot.class && buffer.ty == slot.ty;
            alike && *name == slot.name && *last != entry
        };
        if slot.is_persistent()
            && let Some(at) = self.buffers.iter().zip(&self.origins).position(same)
        {
            self.origins[at].1 = entry;
            return BufferId(at as u32);
        }
        let taken = |name: &str| self.buffers.iter().any(|buffer| buffer.name == name);
        let numbered = |number: usize| if number == 1 { slot.name.clone() } else { format!("{}_{number}", slot.name) };
        let name = (1..).map(numbered).find(|name| !taken(name)).expect("there are more numbers than names");
        let (ty, class, init) = (slot.ty.clone(), slot.class, slot.init.clone());
        self.origins.push((slot.name.clone(), entry));
        self.buffers.push(Buffer { name, ty, class, offset: 0, live, init });
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// The number of a kernel that does the same.
    fn kernel(&mut self, kernel: &Kernel) -> KernelId {
        let anonymous = anonymous(kernel);
        if let Some(at) = self.anonymous.iter().position(|held| *held == anonymous) {
            return KernelId(at as u32);
        }
        let taken = |name: &str| self.kernels.iter().any(|kernel| kernel.name == name);
        let numbered =
            |number: usize| if number == 1 { kernel.name.clone() } else { format!("{}_{number}", kernel.name) };
        let name = (1..).map(numbered).find(|name| !taken(name)).expect("there are more numbers than names");
        self.kernels.push(Kernel { name, ..kernel.clone() });
        self.anonymous.push(anonymous);
        KernelId(self.kernels.len() as u32 - 1)
    }
}

/// The kernel with everything taken out that changes nothing of what it does.
fn anonymous(kernel: &Kernel) -> Kernel {
    let mut kernel = kernel.clone();
    kernel.name.clear();
    kernel.places = Vec::<Place>::new();
    kernel.tensors.iter_mut().for_each(|tensor| tensor.name.clear());
    kernel.axes.iter_mut().for_each(|axis| axis.name.clear());
    kernel.locals.iter_mut().for_each(|local| local.name.clear());
    kernel
}

/// When each slot that is not persistent holds a value.
fn live_ranges(entry: usize, steps: &Steps) -> Vec<Option<LiveRange>> {
    let mut live: Vec<Option<LiveRange>> = vec![None; steps.slots.len()];
    for (at, step) in steps.steps.iter().enumerate() {
        for (&owner, tensor) in step.slots.iter().zip(&step.kernel.tensors) {
            let slot = &steps.slots[owner];
            if slot.is_persistent() {
                continue;
            }
            debug_assert!(
                live[owner].is_some() || tensor.access == Access::Write,
                "`{}` is read before it is written",
                slot.name
            );
            let first = live[owner].map_or(at, |range| range.first);
            live[owner] = Some(LiveRange { entry, first, last: at });
        }
    }
    live
}
