//! What stops the interpreter. Each is a fault of the program that runs, of the pass that made it, or of its inputs.

use crate::DType;

/// Why there is no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InterpretError {
    /// A load without a fill value, or a store, outside its tensor.
    #[error("index {index:?} is outside `{tensor}`, whose shape is {shape:?}")]
    OutOfBounds {
        /// The tensor's name.
        tensor: String,
        /// The index.
        index: Vec<i64>,
        /// The extents.
        shape: Vec<usize>,
    },
    /// An exact division, where no fill value stands for the inexact case.
    #[error("an index divides by a number that does not divide it, and there is no fill value")]
    InexactDivision,
    /// A `Check` that does not hold.
    #[error("index {value}{} must lie in 0..{bound}", position.map(|at| format!(" at position {at}")).unwrap_or_default())]
    CheckFailed {
        /// The index.
        value: i64,
        /// Row-major, of the index in its tensor; `None` where it is read from none.
        position: Option<usize>,
        /// The bound.
        bound: usize,
    },
    /// An integer division by zero.
    #[error("integer division by zero")]
    DivisionByZero,
    /// A node whose operand has a dtype that it does not take.
    #[error("`{node}` needs {needs}, got {found}")]
    WrongDType {
        /// The name of the node.
        node: &'static str,
        /// What it takes.
        needs: &'static str,
        /// What it got.
        found: DType,
    },
    /// A node whose two dtypes must be equal and are not.
    #[error("`{node}` needs equal dtypes, got {left} and {right}")]
    MixedDTypes {
        /// The name of the node.
        node: &'static str,
        /// The first, or the declared one.
        left: DType,
        /// The second, or the one that was computed.
        right: DType,
    },
    /// A local outside the block that binds it.
    #[error("local {0} is used where it is not bound")]
    UnboundLocal(u32),
    /// An axis outside its loop.
    #[error("axis {0} is used outside its loop")]
    UnboundAxis(u32),
    /// A tensor that the kernel does not have.
    #[error("there is no tensor number {0}")]
    UnknownTensor(u32),
    /// Memory that is read before anything wrote it, or after something else took its place.
    #[error("element {position} of `{tensor}` is read, but holds no value")]
    Unset {
        /// The tensor's name.
        tensor: String,
        /// Row-major.
        position: usize,
    },
    /// An integer that the `f64` of a [`super::Value`] cannot hold.
    #[error("the integer {0} is not exact in f64")]
    IntegerTooLarge(i64),
    /// A second store to one element.
    #[error("element {position} of `{tensor}` is stored twice")]
    StoredTwice {
        /// The tensor's name.
        tensor: String,
        /// Row-major.
        position: usize,
    },
    /// An element of an output that no iteration stored.
    #[error("element {position} of `{tensor}` is never stored")]
    NotStored {
        /// The tensor's name.
        tensor: String,
        /// Row-major.
        position: usize,
    },
    /// A load of a tensor that is only written, or a store to one that is only read.
    #[error("`{tensor}` is {access} against its declared access")]
    WrongAccess {
        /// The tensor's name.
        tensor: String,
        /// `loaded` or `stored`.
        access: &'static str,
    },
    /// An element that is loaded and stored, or stored by a serial loop, in two iterations of the outermost loops.
    #[error("element {position} of `{tensor}` is touched by another iteration than the one that stores it")]
    SharedElement {
        /// The tensor's name.
        tensor: String,
        /// Row-major.
        position: usize,
    },
    /// A tensor of another dtype or shape than the one that is declared.
    #[error("`{name}` must be {expected}, got {found}")]
    WrongTensor {
        /// The tensor's name.
        name: String,
        /// The declared type at this batch size.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A list of the wrong length.
    #[error("{what}: {expected} are needed, got {found}")]
    WrongCount {
        /// Which list.
        what: String,
        /// The needed length.
        expected: usize,
        /// The given length.
        found: usize,
    },
    /// A name that the graph or program does not have, or an input that was not given.
    #[error("there is no {what} named `{name}`")]
    UnknownName {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A batch size that the program is not compiled for.
    #[error("batch size {batch} must lie in 1..={max}")]
    WrongBatch {
        /// The batch size asked for.
        batch: usize,
        /// The greatest one.
        max: usize,
    },
    /// A buffer that is not inside the arena.
    #[error("buffer `{0}` leaves the arena")]
    OutsideArena(String),
    /// Two buffers of one launch share memory, and the launch writes it.
    #[error("buffers `{first}` and `{second}` of one launch overlap, and it writes one of them")]
    Overlap {
        /// The one that is written.
        first: String,
        /// The other.
        second: String,
    },
    /// An error with what was running.
    #[error("{context}: {source}")]
    In {
        /// The kernel, step or node.
        context: String,
        /// The error.
        source: Box<InterpretError>,
    },
}

impl InterpretError {
    /// The error, with what was running.
    pub fn within(self, context: impl Into<String>) -> InterpretError {
        InterpretError::In { context: context.into(), source: Box::new(self) }
    }

    /// The error itself, without what was running.
    pub fn root(&self) -> &InterpretError {
        match self {
            InterpretError::In { source, .. } => source.root(),
            other => other,
        }
    }
}
