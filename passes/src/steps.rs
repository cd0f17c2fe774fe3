//! The launches of one entry while the kernel passes work on them: kernels, what they read and write, and what must come first.
//!
//! `lower` makes it, `tile` and `vectorize` change its kernels, `order_steps` puts it in order and `plan_memory` gives it addresses.

use std::collections::BTreeSet;

use kiln_ir::program::Class;
use kiln_ir::{Init, Kernel, Place, Type};

/// One entry of a program.
#[derive(Clone, PartialEq, Debug)]
pub struct Steps {
    /// The bound of the batch size.
    pub max_batch: usize,
    /// Everything that kernels read and write.
    pub slots: Vec<Slot>,
    /// The launches; [`Step::after`] names them by their position here.
    pub steps: Vec<Step>,
    /// Slots that the host fills.
    pub inputs: Vec<usize>,
    /// Slots that the host reads.
    pub outputs: Vec<usize>,
}

/// A tensor in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// The value's name.
    pub name: String,
    /// Dtype and shape.
    pub ty: Type,
    /// What it is for.
    pub class: Class,
    /// How it starts, if it lives as long as the program.
    pub init: Init,
}

/// A launch.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What runs.
    pub kernel: Kernel,
    /// A slot for each tensor of the kernel, which may see it in another shape.
    pub slots: Vec<usize>,
    /// The steps that must have run.
    pub after: BTreeSet<usize>,
    /// The line to blame.
    pub place: Place,
}

impl Slot {
    /// Whether it lives as long as the program.
    pub fn is_persistent(&self) -> bool {
        !matches!(self.class, Class::Activation | Class::Gradient | Class::Workspace)
    }
}
