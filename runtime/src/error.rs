//! What can go wrong while a program is loaded or run.

use crate::abi::{ElementType, Fault, SlotKind};

/// An error of a session or trainer. Messages name the requirement first, then what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thread count in the environment is not usable.
    #[error("{variable} needs a number of threads from 1 to {max}, not `{value}`")]
    ThreadCount {
        /// The environment variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// The greatest count.
        max: usize,
    },
    /// The operating system refused a thread.
    #[error("cannot start thread {index} of {count}: {source}")]
    SpawnThread {
        /// The thread that failed, counted from 1.
        index: usize,
        /// How many were asked for.
        count: usize,
        /// The reason.
        source: std::io::Error,
    },
    /// The operating system refused memory.
    #[error("cannot allocate {size_bytes} bytes for the {purpose}")]
    OutOfMemory {
        /// What the memory was for.
        purpose: &'static str,
        /// How much was asked for.
        size_bytes: u64,
    },
    /// The program's tables contradict each other.
    #[error("program `{program}` is malformed, which is a bug in its compiler: {part} {problem}")]
    MalformedProgram {
        /// The program.
        program: String,
        /// The row at fault.
        part: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The processor lacks instructions that the program was compiled for.
    #[error(
        "program `{program}` was compiled for a processor with {missing}, which this one lacks; \
         compile it here, or with `Compiler::portable`"
    )]
    Processor {
        /// The program.
        program: String,
        /// The missing instruction sets.
        missing: String,
    },
    /// The program was compiled without this entry point.
    #[error("program `{program}` has no entry `{entry}`; it has {known}")]
    NoEntry {
        /// The program.
        program: String,
        /// What was asked for.
        entry: String,
        /// The entries there are.
        known: String,
    },
    /// There is no slot of this name.
    #[error("program `{program}` has no slot `{slot}`")]
    NoSlot {
        /// The program.
        program: String,
        /// What was asked for.
        slot: String,
    },
    /// The batch is outside the program's bound.
    #[error("program `{program}` takes a batch of 1 to {max}, not {found}")]
    Batch {
        /// The program.
        program: String,
        /// The bound.
        max: u64,
        /// What was asked for.
        found: u64,
    },
    /// The number of inputs is wrong.
    #[error("entry `{entry}` takes {expected} inputs ({names}), not {found}")]
    InputCount {
        /// The entry.
        entry: String,
        /// The slots it takes.
        names: String,
        /// How many they are.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// Elements of one type were given or asked for where the slot holds another.
    #[error("slot `{slot}` holds {expected}, not {found}")]
    ElementType {
        /// The slot.
        slot: String,
        /// Its type.
        expected: ElementType,
        /// The type given or asked for.
        found: ElementType,
    },
    /// An input has the wrong number of elements.
    #[error("input `{slot}` needs {expected} elements at batch {batch}, not {found}")]
    InputLength {
        /// The slot.
        slot: String,
        /// The batch of the run.
        batch: u64,
        /// Elements needed.
        expected: u64,
        /// Elements given.
        found: u64,
    },
    /// An input is not a whole number of samples.
    #[error("input `{slot}` needs a multiple of {per_sample} elements, one sample each, not {found}")]
    PartialSample {
        /// The slot.
        slot: String,
        /// Elements of one sample.
        per_sample: u64,
        /// Elements given.
        found: u64,
    },
    /// The slot is of another kind than the call needs.
    #[error("slot `{slot}` is of kind {found}, not {expected}")]
    SlotKind {
        /// The slot.
        slot: String,
        /// The kind needed.
        expected: SlotKind,
        /// The kind it has.
        found: SlotKind,
    },
    /// A check inside a kernel failed. The step and those after it did not complete: state may be half updated.
    #[error("{site}: {fault}")]
    Fault {
        /// Whose check it is: the op and its source place, or the kernel's where that is not known.
        site: String,
        /// The check.
        fault: Fault,
    },
    /// In a program that was compiled to find it: the first value that is not finite. State may be half updated.
    #[error(
        "run {run} of `{entry}`: {what} gives {value}, the first value that is not finite, at position {position} of `{tensor}`"
    )]
    NotFinite {
        /// The entry.
        entry: String,
        /// The number of its run in this session, from 1: the step.
        run: u64,
        /// The op and the user's line.
        what: String,
        /// The tensor in the IR.
        tensor: String,
        /// Row-major position of the value.
        position: usize,
        /// NaN or an infinity.
        value: f64,
    },
}
