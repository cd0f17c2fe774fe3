//! A program with memory, values and threads.

mod anomaly;
mod check;
mod initialize;
mod input;
mod launch;
mod processor;
mod program_ref;
mod view;

use std::time::Instant;

pub use input::Input;
pub use program_ref::ProgramRef;
pub use view::{SlotView, SlotViewMut, StepTime};

use crate::abi::{Element, Entry, FaultCell, KernelContext, Program, Slot, SlotKind, Step};
use crate::{Arena, Error, MemoryReport, Pool};
use launch::Launch;

/// Scratch memories of different threads share no pair of cache lines.
const SCRATCH_ALIGN_BYTES: u64 = 128;

/// A running instance of a program: arena, values, threads.
///
/// All memory is allocated here; runs allocate none. Equal programs, seeds and inputs give equal bits, for any thread
/// count.
#[derive(Debug)]
pub struct Session {
    // Fields drop in order: the pool first, so that no thread is left when the memory goes.
    pool: Pool,
    /// By thread; their scratch pointers lead into `scratch`, their fault pointers to `fault`.
    contexts: Vec<KernelContext>,
    /// By entry and step: pointers into `arena`.
    buffers: Vec<Vec<Box<[*mut u8]>>>,
    fault: Box<FaultCell>,
    arena: Arena,
    scratch: Arena,
    /// Slot indices in the order of their names.
    by_name: Vec<u32>,
    /// Of the last run; before the first, the batch that storage is sized for.
    batch: u64,
    /// Runs of each entry.
    runs: Vec<u64>,
    program: ProgramRef,
}

// SAFETY: the pointers lead to memory that the session owns. They are followed only in `run`, which has `&mut self`.
unsafe impl Send for Session {}
// SAFETY: as above; `&self` methods only read.
unsafe impl Sync for Session {}

impl Session {
    /// A session on as many threads as `KILN_THREADS` says, or as there are processors.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedProgram`], [`Error::OutOfMemory`], [`Error::ThreadCount`], [`Error::SpawnThread`].
    pub fn new(program: impl Into<ProgramRef>, seed: u64) -> Result<Session, Error> {
        Session::with_pool(program, seed, Pool::from_environment()?)
    }

    /// A session on the given threads.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedProgram`], [`Error::OutOfMemory`].
    pub fn with_pool(program: impl Into<ProgramRef>, seed: u64, pool: Pool) -> Result<Session, Error> {
        let program = program.into();
        check::check(&program)?;
        processor::check(&program)?;
        let mut arena = Arena::new(program.arena_bytes, "arena")?;
        initialize::initialize(&program, seed, &mut arena);

        let scratch_bytes = program.entries.iter().flat_map(|entry| entry.steps.iter()).map(|step| step.scratch_bytes);
        let thread_bytes = scratch_bytes.max().unwrap_or(0).next_multiple_of(SCRATCH_ALIGN_BYTES);
        let scratch = Arena::new(thread_bytes.saturating_mul(pool.threads() as u64), "scratch memory of the threads")?;
        let fault = Box::new(FaultCell::default());
        let contexts = (0..pool.threads())
            .map(|thread| {
                let scratch = scratch.base().wrapping_add(thread * thread_bytes as usize);
                KernelContext::new(1, scratch, &*fault)
            })
            .collect();

        let pointers =
            |step: &Step| step.buffers.iter().map(|&offset| arena.base().wrapping_add(offset as usize)).collect();
        let buffers = program.entries.iter().map(|entry| entry.steps.iter().map(pointers).collect()).collect();
        let mut by_name: Vec<u32> = (0..program.slots.len() as u32).collect();
        by_name.sort_by_key(|&index| &program.slots[index as usize].name);
        let (batch, runs) = (program.storage_batch(), vec![0; program.entries.len()]);
        Ok(Session { pool, contexts, buffers, fault, arena, scratch, by_name, batch, runs, program })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The batch of the last run; before the first, the greatest.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// Copies `inputs` into the entry's input slots, in order, and runs its steps for `batch` samples.
    ///
    /// # Errors
    ///
    /// [`Error::NoEntry`], [`Error::Batch`], and for the inputs [`Error::InputCount`], [`Error::ElementType`],
    /// [`Error::InputLength`]: then nothing has changed. [`Error::Fault`] if a check in a kernel failed: then the steps
    /// before it are done, and state may be half updated.
    pub fn run(&mut self, entry: &str, batch: u64, inputs: &[Input<'_>]) -> Result<(), Error> {
        let entry = self.prepare(entry, batch, inputs)?;
        self.execute(entry, |_| {})
    }

    /// As [`Session::run`], and says how long each step took. The clock is read around each step, so the sum is a little
    /// more than the time of a plain run.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub fn run_timed(&mut self, entry: &str, batch: u64, inputs: &[Input<'_>]) -> Result<Vec<StepTime>, Error> {
        let entry = self.prepare(entry, batch, inputs)?;
        let mut times = Vec::with_capacity(self.program.entries[entry].steps.len());
        let mut last = Instant::now();
        self.execute(entry, |step| {
            let now = Instant::now();
            times.push(StepTime { name: step.name.clone(), time_ns: (now - last).as_nanos() as u64 });
            last = now;
        })?;
        Ok(times)
    }

    /// An entry of the program by name.
    ///
    /// # Errors
    ///
    /// [`Error::NoEntry`].
    pub fn entry(&self, name: &str) -> Result<&Entry, Error> {
        Ok(&self.program.entries[self.entry_index(name)?])
    }

    /// A slot's tensor; one with a batch axis is cut to the batch of the last run.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`].
    pub fn slot(&self, name: &str) -> Result<SlotView<'_>, Error> {
        Ok(self.view(self.slot_index(name)?))
    }

    /// As [`Session::slot`], for writing.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`].
    pub fn slot_mut(&mut self, name: &str) -> Result<SlotViewMut<'_>, Error> {
        let index = self.slot_index(name)?;
        let slot = &self.program.slots[index];
        let bytes =
            self.arena.view_mut(slot.offset, slot.size_bytes(self.batch)).expect("check() placed it in the arena");
        Ok(SlotViewMut { slot, batch: self.batch, bytes })
    }

    /// All slots, in the program's order.
    pub fn slots(&self) -> impl Iterator<Item = SlotView<'_>> {
        (0..self.program.slots.len()).map(|index| self.view(index))
    }

    /// The elements of a slot.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`], [`Error::ElementType`].
    pub fn slot_as<T: Element>(&self, name: &str) -> Result<&[T], Error> {
        let slot = &self.program.slots[self.slot_index(name)?];
        view::check_type::<T>(slot)?;
        Ok(self.arena.view(slot.offset, slot.elements(self.batch)).expect("check() placed it in the arena"))
    }

    /// The live rows of an output of the last run.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`], [`Error::SlotKind`] if it is no output, [`Error::ElementType`] if it is not f32.
    pub fn output_f32(&self, name: &str) -> Result<&[f32], Error> {
        self.kind_checked(name, SlotKind::Output)?;
        self.slot_as(name)
    }

    /// Sets a scalar slot, rounding the value to the slot's type.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`], [`Error::SlotKind`] if it is no scalar.
    pub fn set_scalar(&mut self, name: &str, value: f64) -> Result<(), Error> {
        self.kind_checked(name, SlotKind::Scalar)?;
        self.slot_mut(name)?.fill(value);
        Ok(())
    }

    /// The value of a scalar slot.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`], [`Error::SlotKind`] if it is no scalar.
    pub fn scalar(&self, name: &str) -> Result<f64, Error> {
        self.kind_checked(name, SlotKind::Scalar)?;
        Ok(self.slot(name)?.first_f64().expect("check() requires scalars to have an element"))
    }

    /// The planned memory.
    pub fn memory_report(&self) -> MemoryReport {
        MemoryReport::new(&self.program.memory, self.arena.size_bytes(), self.scratch.size_bytes())
    }

    /// Checks everything before it changes anything.
    fn prepare(&mut self, entry: &str, batch: u64, inputs: &[Input<'_>]) -> Result<usize, Error> {
        let index = self.entry_index(entry)?;
        let program: &Program = &self.program;
        let max = program.storage_batch();
        if !(1..=max).contains(&batch) {
            return Err(Error::Batch { program: program.name.to_string(), max, found: batch });
        }
        let slots = &program.entries[index].inputs;
        if slots.len() != inputs.len() {
            let names: Vec<&str> = slots.iter().map(|&slot| &*program.slots[slot as usize].name).collect();
            return Err(Error::InputCount {
                entry: entry.to_owned(),
                names: names.join(", "),
                expected: slots.len(),
                found: inputs.len(),
            });
        }
        let pairs = || slots.iter().map(|&slot| &program.slots[slot as usize]).zip(inputs);
        for (slot, input) in pairs() {
            input.check(slot, batch)?;
        }
        for (slot, input) in pairs() {
            let bytes =
                self.arena.view_mut(slot.offset, slot.size_bytes(batch)).expect("check() placed it in the arena");
            bytes.copy_from_slice(input.bytes());
        }
        self.batch = batch;
        for cx in &mut self.contexts {
            cx.batch = batch;
        }
        Ok(index)
    }

    fn execute(&mut self, entry: usize, mut after: impl FnMut(&Step)) -> Result<(), Error> {
        self.runs[entry] += 1;
        let steps = &self.program.entries[entry].steps;
        for (step, buffers) in steps.iter().zip(&self.buffers[entry]) {
            let items = step.items.at(self.batch);
            let launch = Launch {
                kernel: step.kernel,
                contexts: self.contexts.as_ptr(),
                buffers: buffers.as_ptr(),
                items,
                grain: step.grain,
            };
            self.pool.run(items.div_ceil(step.grain), &|worker, chunks| {
                for chunk in chunks {
                    // SAFETY: the pool has as many workers as there are contexts, and each uses its own; pointers lead
                    // to memory of this session, to which `execute` has exclusive access.
                    unsafe { launch.call(worker, chunk) }
                }
            });
            after(step);
            if let Some(fault) = self.fault.take() {
                let known = step.checks.get(fault.site).filter(|site| !site.is_empty());
                let site =
                    known.map_or_else(|| format!("kernel `{}` ({})", step.name, step.place), ToString::to_string);
                return Err(Error::Fault { site, fault });
            }
            if let Some(watch) = &step.watch
                && let Some(found) = anomaly::find(watch, &self.arena, self.batch)
            {
                return Err(Error::NotFinite {
                    entry: self.program.entries[entry].name.to_string(),
                    run: self.runs[entry],
                    what: watch.what.to_string(),
                    tensor: found.tensor.name.to_string(),
                    position: found.position,
                    value: found.value,
                });
            }
        }
        Ok(())
    }

    fn entry_index(&self, name: &str) -> Result<usize, Error> {
        let entries = &self.program.entries;
        entries.iter().position(|entry| entry.name == name).ok_or_else(|| {
            let known: Vec<&str> = entries.iter().map(|entry| &*entry.name).collect();
            Error::NoEntry { program: self.program.name.to_string(), entry: name.to_owned(), known: known.join(", ") }
        })
    }

    fn slot_index(&self, name: &str) -> Result<usize, Error> {
        let slots = &self.program.slots;
        match self.by_name.binary_search_by(|&index| (*slots[index as usize].name).cmp(name)) {
            Ok(position) => Ok(self.by_name[position] as usize),
            Err(_) => Err(Error::NoSlot { program: self.program.name.to_string(), slot: name.to_owned() }),
        }
    }

    fn kind_checked(&self, name: &str, expected: SlotKind) -> Result<&Slot, Error> {
        let slot = &self.program.slots[self.slot_index(name)?];
        if slot.kind != expected {
            return Err(Error::SlotKind { slot: name.to_owned(), expected, found: slot.kind });
        }
        Ok(slot)
    }

    fn view(&self, index: usize) -> SlotView<'_> {
        let slot = &self.program.slots[index];
        let bytes = self.arena.view(slot.offset, slot.size_bytes(self.batch)).expect("check() placed it in the arena");
        SlotView { slot, batch: self.batch, bytes }
    }
}
