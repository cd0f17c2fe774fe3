//! Optimisers as update rules: each is traced into graphs that `append_update` puts into the train step.

mod adam;
mod sgd;

pub use adam::{Adam, AdamW};
pub use sgd::Sgd;

use kiln_ir::update::names;
use kiln_ir::{DType, Diagnostic, Init, Place, Role, Type, UpdateRules};

use crate::trace::{self, Mode};
use crate::{Module, Tensor, Visitor, named_parameters};

/// A rule for new weights. Numbers and formulas are those of `torch.optim`.
pub trait Optimizer {
    /// The initial learning rate; the host may change it between steps.
    fn learning_rate(&self) -> f64;

    /// What all parameters use: counters and corrections, by name. Runs once a step.
    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)>;

    /// The new weight.
    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor;
}

/// For an optimiser that is chosen at run time.
impl Optimizer for Box<dyn Optimizer> {
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        (**self).shared(state)
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        (**self).update(weight, gradient, state)
    }
}

/// The inputs and states of the rule that is being traced.
pub struct RuleState {
    shape: Vec<usize>,
    shared: Vec<(&'static str, DType)>,
    learning_rate: f64,
    updates: Vec<(Tensor, Tensor)>,
}

impl RuleState {
    /// The learning rate, an f64 scalar that the host sets.
    pub fn learning_rate(&self) -> Tensor {
        let init = Init::Constant(self.learning_rate);
        input(names::LEARNING_RATE, Role::Scalar, Type::scalar(DType::F64), init)
    }

    /// What [`Optimizer::shared`] computed under this name.
    pub fn shared(&self, name: &str) -> Tensor {
        let dtype = self.shared.iter().find(|(known, _)| *known == name).map_or(DType::F32, |(_, dtype)| *dtype);
        input(name, Role::Data, Type::scalar(dtype), Init::Zeros)
    }

    /// A moment of the weight's shape that starts at zero.
    pub fn moment(&self, name: &str) -> Tensor {
        input(name, Role::State, Type::new(DType::F32, self.shape.as_slice()), Init::Zeros)
    }

    /// A counter in f64 that starts at zero.
    pub fn counter(&self, name: &str) -> Tensor {
        input(name, Role::State, Type::scalar(DType::F64), Init::Zeros)
    }

    /// Makes `value` the next value of a moment or counter.
    pub fn set(&mut self, state: Tensor, value: Tensor) {
        self.updates.push((state, value));
    }
}

/// Traces the rules of an optimiser for every trained parameter of a model.
pub(crate) fn rules(optimizer: &dyn Optimizer, model: &dyn Module) -> Result<UpdateRules, Vec<Diagnostic>> {
    let new_state = |shape: &[usize], shared: &[(&'static str, DType)]| RuleState {
        shape: shape.to_vec(),
        shared: shared.to_vec(),
        learning_rate: optimizer.learning_rate(),
        updates: Vec::new(),
    };
    let mut shared_types = Vec::new();
    let shared = rule("optimizer", |finish| {
        let mut state = new_state(&[], &[]);
        let results = optimizer.shared(&mut state);
        shared_types = results.iter().map(|(name, tensor)| (*name, tensor.dtype())).collect();
        finish(&results, &state.updates);
    })?;
    let mut parameters = Vec::new();
    for (name, parameter) in named_parameters(model).into_iter().filter(|(_, p)| p.is_trainable()) {
        let graph = rule(&format!("optimizer.{name}"), |finish| {
            let ty = Type::new(parameter.dtype(), parameter.shape());
            let weight = input(names::PARAMETER, Role::Data, ty.clone(), Init::Zeros);
            let gradient = input(names::GRADIENT, Role::Data, ty, Init::Zeros);
            let mut state = new_state(parameter.shape(), &shared_types);
            let updated = optimizer.update(weight, gradient, &mut state);
            finish(&[(names::PARAMETER, updated)], &state.updates);
        })?;
        parameters.push((name, graph));
    }
    Ok(UpdateRules { shared, parameters })
}

type Finish<'a> = &'a mut dyn FnMut(&[(&'static str, Tensor)], &[(Tensor, Tensor)]);

/// Traces one rule; `record` hands its results and state updates to the closure it is given.
fn rule(name: &str, record: impl FnOnce(Finish<'_>)) -> Result<kiln_ir::Graph, Vec<Diagnostic>> {
    let mut finish = |results: &[(&'static str, Tensor)], updates: &[(Tensor, Tensor)]| {
        trace::with(|trace| {
            for (name, tensor) in results {
                if let Some(value) = tensor.value() {
                    trace.graph.add_output(*name, value);
                }
            }
            for (state, value) in updates {
                if let (Some(state), Some(value)) = (state.value(), value.value()) {
                    trace.graph.add_update(state, value);
                }
            }
        });
    };
    let mut graph = trace::record(name, Mode::Train, None, &NoModule, || record(&mut finish))?.graph;
    graph.remove_dead();
    Ok(graph)
}

/// An input of the rule; asking twice gives the same one.
fn input(name: &str, role: Role, ty: Type, init: Init) -> Tensor {
    let found = trace::with(|trace| {
        let existing = trace.graph.find(name);
        let value = existing.unwrap_or_else(|| trace.input(name, role, ty, init, Place::NONE));
        Tensor::new(trace.id, Some(value))
    });
    found.unwrap_or_else(Tensor::poison)
}

/// Rules have no parameters of their own.
struct NoModule;

impl Module for NoModule {
    fn visit(&self, _: &mut dyn Visitor) {}
}
