//! A module with a hook on its output: `register_forward_hook`.

use std::fmt;
use std::panic::Location;

use crate::{Forward, Module, ModuleId, Tensor, Visitor};

/// A module whose every call shows its input and output to a hook, which may put another output in their place. In the model's names and in its print it is
/// the module itself. The hook runs when the model is traced, so it costs nothing when the program runs; take it off with [`Hooked::remove`].
///
/// ```
/// use kiln_frontend::prelude::*;
/// use kiln_frontend::Hooked;
///
/// let layer = Hooked::new(Linear::new(4, 2), |_input, output: Tensor| output.tap("logits"));
/// assert_eq!(layer.module.weight.shape(), [2, 4]);
/// ```
pub struct Hooked<M> {
    /// The module.
    pub module: M,
    hook: Box<Hook>,
}

type Hook = dyn Fn(Tensor, Tensor) -> Tensor;

impl<M> Hooked<M> {
    /// A module and its hook: a function of input and output.
    pub fn new(module: M, hook: impl Fn(Tensor, Tensor) -> Tensor + 'static) -> Hooked<M> {
        Hooked { module, hook: Box::new(hook) }
    }

    /// The module without the hook.
    pub fn remove(self) -> M {
        self.module
    }
}

impl<M: Module> Module for Hooked<M> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.module.visit(visitor);
    }

    fn type_name(&self) -> &'static str {
        self.module.type_name()
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }

    fn peak_memory(&self) -> Option<(&'static str, &'static Location<'static>)> {
        self.module.peak_memory()
    }

    fn module_id(&self) -> ModuleId {
        self.module.module_id()
    }
}

impl<M: Forward<Tensor, Output = Tensor>> Forward<Tensor> for Hooked<M> {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, input: Tensor) -> Tensor {
        (self.hook)(input, self.module.forward(input))
    }
}

impl<M: fmt::Debug> fmt::Debug for Hooked<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}
