//! The tables of a compiled program. All offsets are bytes from the start of the arena.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{ElementType, KernelFn};

/// A compiled program: memory plan, tensors that the host can reach, entry points.
///
/// A program is trusted as machine code is: [`Session::new`](crate::Session::new) checks its tables against each other,
/// but what a kernel does with its pointers is the compiler's promise.
#[derive(Debug, Clone)]
pub struct Program {
    /// The model's name, used in messages.
    pub name: Cow<'static, str>,
    /// The upper bound of the symbolic batch axis B. 0: nothing is symbolic, and B is 1.
    pub max_batch: u64,
    /// Size of the arena, for B = `max_batch`.
    pub arena_bytes: u64,
    /// The planned peak by class, in the order of the report.
    pub memory: Cow<'static, [MemoryClass]>,
    /// Every tensor that the host can reach. Names are unique.
    pub slots: Cow<'static, [Slot]>,
    /// Bytes copied into the arena at start.
    pub constants: Cow<'static, [Constant]>,
    /// The entry points. Names are unique.
    pub entries: Cow<'static, [Entry]>,
    /// Instruction sets that the kernels use, in Cranelift's names; empty for code that this process compiled for its own processor.
    pub required_features: Cow<'static, [Cow<'static, str>]>,
    /// Owner of the memory that holds the kernels' code, released with the program. `None` when the code is linked
    /// into the binary.
    pub code: Option<Arc<dyn Any + Send + Sync>>,
}

/// One row of the planned peak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryClass {
    /// For example "parameters" or "activations".
    pub name: Cow<'static, str>,
    /// Bytes of the arena that this class holds at the peak.
    pub size_bytes: u64,
}

/// `fixed`, or `fixed * B` where B is the batch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The factor known at compile time.
    pub fixed: u64,
    /// Whether the batch is a factor as well.
    pub batch: bool,
}

/// Bytes of the program that lie in the arena for as long as the session lives.
#[derive(Debug, Clone)]
pub struct Constant {
    /// Where the bytes go. A constant that is only the initial value of a slot names the slot's own offset.
    pub offset: u64,
    /// The bytes, little-endian elements in row-major order.
    pub bytes: Cow<'static, [u8]>,
}

/// A tensor that the host can reach by name.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The name PyTorch's `state_dict` would use, for example "conv1.weight".
    pub name: Cow<'static, str>,
    /// What the tensor is for.
    pub kind: SlotKind,
    /// The element type.
    pub element: ElementType,
    /// Row-major shape. Only the leading axis may have the batch as a factor.
    pub shape: Cow<'static, [Extent]>,
    /// Where the tensor lies, aligned to its element.
    pub offset: u64,
    /// The value at the start of a session.
    pub init: Init,
}

/// What a slot's tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotKind {
    /// Learned by the optimiser.
    Parameter,
    /// State of the model that is not learned, for example running statistics.
    Buffer,
    /// State of the optimiser, for example a momentum.
    OptimizerState,
    /// One number that the host sets, for example the learning rate.
    Scalar,
    /// Copied in at the start of a run.
    Input,
    /// Valid after a run.
    Output,
}

/// The value of a slot at the start of a session. Random values come from the session's seed and the slot's name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// Every element is this value.
    Constant(f64),
    /// Uniform in [low, high).
    Uniform {
        /// Least value.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal distribution.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal distribution restricted to [low, high].
    TruncatedNormal {
        /// Mean before the restriction.
        mean: f64,
        /// Standard deviation before the restriction.
        std: f64,
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
    },
    /// Rows or columns, whichever are fewer, of the tensor as a matrix `[first axis, all others]` that are orthogonal and have the norm `gain`.
    Orthogonal {
        /// Norm.
        gain: f64,
    },
    /// Normal with mean 0, but for a share of zeros, rounded up to whole elements, in every column of a matrix.
    Sparse {
        /// Share of zeros.
        sparsity: f64,
        /// Standard deviation of the others.
        std: f64,
    },
    /// Normal with mean 0, but for one row of zeros.
    Padded {
        /// Standard deviation.
        std: f64,
        /// The row of zeros.
        row: u64,
    },
    /// The bytes of the constant at this index.
    Data(u32),
    /// The session's seed in every element (I64 slots): the key of random numbers drawn by the program itself.
    Seed,
}

/// An entry point: "train_step", "eval_loss", "predict", ...
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name by which it is run.
    pub name: Cow<'static, str>,
    /// Slots copied in, in the order of the arguments.
    pub inputs: Cow<'static, [u32]>,
    /// Slots valid after the run.
    pub outputs: Cow<'static, [u32]>,
    /// The launches, in order.
    pub steps: Cow<'static, [Step]>,
}

/// One kernel launch.
#[derive(Debug, Clone)]
pub struct Step {
    /// The kernel's name: the timing label.
    pub name: Cow<'static, str>,
    /// The code.
    pub kernel: KernelFn,
    /// Arena offsets of the buffers, in the kernel's order.
    pub buffers: Cow<'static, [u64]>,
    /// Size of the outer parallel space.
    pub items: Extent,
    /// Items in a chunk, at least 1 and fixed by shape at compile time. Each call of the kernel computes exactly one
    /// chunk `[i * grain, min((i + 1) * grain, items))`, for any thread count.
    pub grain: u64,
    /// Scratch memory of each thread.
    pub scratch_bytes: u64,
    /// Source place of the user's line, for messages: "lenet.rs:14:17".
    pub place: Cow<'static, str>,
    /// What to look at after the launch, in programs that were compiled to find the first value that is not finite.
    pub watch: Option<Watch>,
    /// Whose index each check is, by its number in fault codes: "gather at lenet.rs:14:17", or nothing where that is not known.
    pub checks: Cow<'static, [Cow<'static, str>]>,
}

/// How the result of a launch is looked at.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The op and the user's line: "log at model.rs:14:20".
    pub what: Cow<'static, str>,
    /// Whether the launch makes infinities on purpose, as a mask does: then only NaN counts.
    pub makes_infinities: bool,
    /// Its floating tensors.
    pub tensors: Cow<'static, [Watched]>,
}

/// A floating tensor of a launch.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The buffer's name.
    pub name: Cow<'static, str>,
    /// The element type.
    pub element: ElementType,
    /// Where it lies in the arena.
    pub offset: u64,
    /// Number of elements.
    pub elements: Extent,
    /// Whether the launch writes it.
    pub written: bool,
}

impl Program {
    /// The batch that storage is sized for: `max_batch`, or 1 when nothing is symbolic.
    pub fn storage_batch(&self) -> u64 {
        self.max_batch.max(1)
    }
}

impl Extent {
    /// An extent known at compile time.
    pub const fn fixed(fixed: u64) -> Extent {
        Extent { fixed, batch: false }
    }

    /// `per_sample * B`.
    pub const fn batch(per_sample: u64) -> Extent {
        Extent { fixed: per_sample, batch: true }
    }

    /// The value for a batch.
    pub const fn at(self, batch: u64) -> u64 {
        if self.batch { self.fixed * batch } else { self.fixed }
    }
}

impl Slot {
    /// Number of elements for a batch; 1 for a scalar.
    pub fn elements(&self, batch: u64) -> u64 {
        self.shape.iter().map(|extent| extent.at(batch)).product()
    }

    /// Size for a batch.
    pub fn size_bytes(&self, batch: u64) -> u64 {
        self.elements(batch) * self.element.size_bytes()
    }

    /// Whether the leading axis has the batch as a factor.
    pub fn has_batch(&self) -> bool {
        self.shape.first().is_some_and(|extent| extent.batch)
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SlotKind::Parameter => "parameter",
            SlotKind::Buffer => "buffer",
            SlotKind::OptimizerState => "optimizer state",
            SlotKind::Scalar => "scalar",
            SlotKind::Input => "input",
            SlotKind::Output => "output",
        })
    }
}
