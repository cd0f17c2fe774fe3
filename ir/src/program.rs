//! The program level: ordered launches over one arena. It is what a back end emits and the runtime loads.

use serde::{Deserialize, Serialize};

use crate::expr::named_enum;
use crate::kernel::Kernel;
use crate::{Init, Place, Type};

/// A buffer of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BufferId(pub u32);

/// A kernel of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct KernelId(pub u32);

/// A compiled model: every entry point shares the persistent part of the arena.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The model's name.
    pub name: String,
    /// The bound of the batch size `B`; 1 when nothing is symbolic.
    pub max_batch: usize,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Every buffer.
    pub buffers: Vec<Buffer>,
    /// Every kernel, once, however often it is launched.
    pub kernels: Vec<Kernel>,
    /// `train_step`, `eval_loss`, `predict`, ...
    pub entries: Vec<Entry>,
}

/// A place in the arena.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Buffer {
    /// Unique in the program; PyTorch's name for a parameter or a buffer of the model.
    pub name: String,
    /// Dtype and shape; space is kept for the greatest batch.
    pub ty: Type,
    /// What it is for.
    pub class: Class,
    /// Bytes from the start of the arena, a multiple of 64.
    pub offset: usize,
    /// Where it is in use. `None`: it lives as long as the program (parameters, state, constants, data).
    pub live: Option<LiveRange>,
    /// How a persistent buffer starts.
    pub init: Init,
}

/// Steps of one entry during which a buffer holds a value, first and last included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LiveRange {
    /// Which entry.
    pub entry: usize,
    /// The step that writes it.
    pub first: usize,
    /// The last step that reads it.
    pub last: usize,
}

named_enum! {
    /// What a buffer is for: the classes of the memory report.
    Class {
        /// Weights.
        Parameter = "parameter",
        /// State of the model that is not trained: running statistics.
        Buffer = "buffer",
        /// Moments, counters.
        OptimizerState = "optimizer_state",
        /// Learning rates and other scalars that the host sets.
        Scalar = "scalar",
        /// Inputs from the host.
        Data = "data",
        /// Values of an entry's outputs.
        Output = "output",
        /// Values known when the program is compiled.
        Constant = "constant",
        /// Values between steps that the backward pass or a later step reads.
        Activation = "activation",
        /// Gradients of parameters.
        Gradient = "gradient",
        /// Partial results inside one op.
        Workspace = "workspace",
    }
}

/// A function of the program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// `train_step`, `eval_loss` or `predict`.
    pub name: String,
    /// Buffers the host fills, in order.
    pub inputs: Vec<BufferId>,
    /// Buffers the host reads, in order.
    pub outputs: Vec<BufferId>,
    /// The launches.
    pub steps: Vec<Launch>,
}

/// One launch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// The kernel.
    pub kernel: KernelId,
    /// One buffer for each of its tensors, of the same dtype and element count. The shapes may differ: a reshape is the same memory.
    pub buffers: Vec<BufferId>,
    /// The line to blame.
    pub place: Place,
}

impl Program {
    /// A buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// A kernel.
    pub fn kernel(&self, id: KernelId) -> &Kernel {
        &self.kernels[id.0 as usize]
    }
}
