//! What every kernel's lowering knows of its graph: the facts of values, which of them have memory, and how that lies.

use std::collections::BTreeMap;

use kiln_ir::{Graph, ValueId};

use crate::fuse::facts::{self, Facts};

/// What lowering knows of a graph.
pub struct Context<'g> {
    pub graph: &'g Graph,
    pub max_batch: usize,
    /// The facts of every value that a kernel computes.
    pub facts: BTreeMap<ValueId, Facts>,
}

impl Context<'_> {
    /// One item for each axis of a value, in the order of its memory. What is seen in another shape has no layout.
    pub fn in_memory<T: Clone>(&self, value: ValueId, axes: &[T]) -> Vec<T> {
        match &self.graph.node(value).layout {
            Some(layout) => layout.iter().map(|&axis| axes[axis].clone()).collect(),
            None => axes.to_vec(),
        }
    }

    /// Whether a value has its own memory, if the kernel at hand does not compute it.
    pub fn is_materialised(&self, value: ValueId) -> bool {
        facts::is_leaf(self.graph, value) || self.graph.node(value).kernel.is_some()
    }
}
