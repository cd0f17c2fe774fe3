//! How a driver watches the pipeline and takes part in it.

use kiln_ir::{Graph, Kernel, Program};

use super::Step;

/// What a step has left.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// Up to `rematerialize`.
    Graph(&'a Graph),
    /// Up to `order_steps`.
    Kernels(&'a [Kernel]),
    /// After `plan_memory`.
    Program(&'a Program),
}

/// How the pipeline goes on.
#[derive(Clone, Debug)]
pub enum Control {
    /// As it is.
    Continue,
    /// Not any further with this unit.
    Stop,
    /// With this graph in the place of the step's.
    Graph(Graph),
    /// With these kernels in the place of the step's.
    Kernels(Vec<Kernel>),
    /// With this program in the place of the step's.
    Program(Program),
}

/// Sees what every step leaves, once it is verified.
pub trait Observer {
    /// Called after each step of each unit.
    fn after(&mut self, step: Step, unit: &str, stage: Stage<'_>) -> Control;
}

/// Looks at nothing.
impl Observer for () {
    fn after(&mut self, _: Step, _: &str, _: Stage<'_>) -> Control {
        Control::Continue
    }
}
