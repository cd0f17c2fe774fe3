//! From optimisers to graphs: traces the rules of each parameter group.

use kiln_ir::update::names;
use kiln_ir::{Code, DType, Diagnostic, Graph, GroupRules, Init, Place, Role, Type, UpdateRules};

use super::{GradientRule, Optimizer};
use crate::trace::{self, Mode};
use crate::{Module, Parameter, Tensor, Visitor};

/// The parameters of one optimiser.
pub(crate) struct Group<'a> {
    pub(crate) optimizer: &'a dyn Optimizer,
    pub(crate) parameters: Vec<(String, Parameter)>,
    /// Of the user's line that made it.
    pub(crate) place: Place,
}

/// The inputs and states of the rule that is being traced.
pub struct RuleState {
    shape: Vec<usize>,
    shared: Vec<(&'static str, DType)>,
    /// Of the group, if there are several.
    number: Option<usize>,
    learning_rate: f64,
    momentum: f64,
    /// Whether a step may be skipped, because of `found_inf`.
    skips: bool,
    updates: Vec<(Tensor, Tensor)>,
}

impl RuleState {
    /// The weight's shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The learning rate, an f64 scalar that the host sets.
    pub fn learning_rate(&self) -> Tensor {
        self.scalar(names::LEARNING_RATE, self.learning_rate)
    }

    /// The momentum or first beta, an f64 scalar that the host sets.
    pub fn momentum(&self) -> Tensor {
        self.scalar(names::MOMENTUM, self.momentum)
    }

    fn scalar(&self, name: &str, value: f64) -> Tensor {
        let name = self.number.map_or_else(|| name.to_owned(), |number| format!("{name}.{number}"));
        input(&name, Role::Scalar, Type::scalar(DType::F64), Init::Constant(value))
    }

    /// What [`Optimizer::shared`] computed under this name.
    pub fn shared(&self, name: &str) -> Tensor {
        let dtype = self.shared.iter().find(|(known, _)| *known == name).map_or(DType::F32, |(_, dtype)| *dtype);
        input(name, Role::Data, Type::scalar(dtype), Init::Zeros)
    }

    /// A moment of the weight's shape that starts at zero.
    pub fn moment(&self, name: &str) -> Tensor {
        self.moment_from(name, 0.0)
    }

    /// A moment of the weight's shape that starts at `initial`.
    pub fn moment_from(&self, name: &str, initial: f64) -> Tensor {
        input(name, Role::State, Type::new(DType::F32, self.shape.as_slice()), start(initial))
    }

    /// A counter in f64 that starts at zero.
    pub fn counter(&self, name: &str) -> Tensor {
        self.counter_from(name, 0.0)
    }

    /// A number in f64 that starts at `initial`.
    pub fn counter_from(&self, name: &str, initial: f64) -> Tensor {
        input(name, Role::State, Type::scalar(DType::F64), start(initial))
    }

    /// Makes `value` the next value of a moment or counter.
    pub fn set(&mut self, state: Tensor, value: Tensor) {
        self.updates.push((state, self.unless_skipped(state, value)));
    }

    /// `value`, or `state` where the gradients have overflowed.
    fn unless_skipped(&self, state: Tensor, value: Tensor) -> Tensor {
        if !self.skips {
            return value;
        }
        let found_inf = input(names::FOUND_INF, Role::Data, Type::scalar(DType::Bool), Init::Zeros);
        state.where_self(found_inf, value)
    }
}

fn start(initial: f64) -> Init {
    if initial == 0.0 { Init::Zeros } else { Init::Constant(initial) }
}

/// Traces the rules of every group.
pub(crate) fn update_rules(groups: &[Group<'_>], gradients: &GradientRule) -> Result<UpdateRules, Vec<Diagnostic>> {
    let faults: Vec<Diagnostic> = groups.iter().flat_map(faults).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let parameters: Vec<(String, Parameter)> = groups.iter().flat_map(|group| group.parameters.clone()).collect();
    let several = groups.len() > 1;
    let group = |(number, group)| group_rules(group, several.then_some(number), gradients.skips());
    Ok(UpdateRules {
        trained: parameters.iter().map(|(name, _)| name.clone()).collect(),
        gradients: rule("gradients", |finish| gradients.before_update(&parameters, finish))?,
        groups: groups.iter().enumerate().map(group).collect::<Result<_, _>>()?,
    })
}

/// What happens to the gradients of a batch after which no weight changes; `None` if there is none.
pub(crate) fn accumulate_rules(
    groups: &[Group<'_>],
    gradients: &GradientRule,
) -> Result<Option<UpdateRules>, Vec<Diagnostic>> {
    if !gradients.accumulates() {
        return Ok(None);
    }
    let parameters: Vec<(String, Parameter)> = groups.iter().flat_map(|group| group.parameters.clone()).collect();
    let trained = parameters.iter().map(|(name, _)| name.clone()).collect();
    let gradients = rule("gradients", |finish| gradients.between_updates(&parameters, finish))?;
    Ok(Some(UpdateRules { trained, gradients, groups: Vec::new() }))
}

/// Why `torch.optim` would refuse a group.
fn faults(group: &Group<'_>) -> Vec<Diagnostic> {
    let fault = |message| Diagnostic::new(Code::BadArgument, message).at(group.place.clone());
    if let Some(message) = group.optimizer.fault() {
        return vec![fault(message)];
    }
    let of_shape = |(name, parameter): &(String, Parameter)| {
        let message = group.optimizer.refuses(parameter.shape())?;
        Some(fault(format!("{message}: `{name}` has the shape {:?}", parameter.shape())))
    };
    group.parameters.iter().filter_map(of_shape).collect()
}

fn group_rules(group: &Group<'_>, number: Option<usize>, skips: bool) -> Result<GroupRules, Vec<Diagnostic>> {
    let optimizer = group.optimizer;
    let new_state = |shape: &[usize], shared: &[(&'static str, DType)]| RuleState {
        shape: shape.to_vec(),
        shared: shared.to_vec(),
        number,
        learning_rate: optimizer.learning_rate(),
        momentum: optimizer.momentum().unwrap_or(0.0),
        skips,
        updates: Vec::new(),
    };
    let prefix = number.map_or_else(|| names::OPTIMIZER.to_owned(), |n| format!("{}.group{n}", names::OPTIMIZER));
    let mut shared_types = Vec::new();
    let shared = rule(&prefix, |finish| {
        let mut state = new_state(&[], &[]);
        let results = optimizer.shared(&mut state);
        shared_types = results.iter().map(|(name, tensor)| (*name, tensor.dtype())).collect();
        finish(&named(results), &state.updates);
    })?;
    let mut parameters = Vec::new();
    for (name, parameter) in &group.parameters {
        let graph = rule(&format!("{}.{name}", names::OPTIMIZER), |finish| {
            let ty = Type::new(parameter.dtype(), parameter.shape());
            let weight = input(names::PARAMETER, Role::Data, ty.clone(), Init::Zeros);
            let gradient = input(names::GRADIENT, Role::Data, ty, Init::Zeros);
            let mut state = new_state(parameter.shape(), &shared_types);
            let updated = optimizer.update(weight, gradient, &mut state);
            let updated = state.unless_skipped(weight, updated);
            finish(&named(vec![(names::PARAMETER, updated)]), &state.updates);
        })?;
        parameters.push((name.clone(), graph));
    }
    Ok(GroupRules { prefix, shared, parameters })
}

fn named(results: Vec<(&'static str, Tensor)>) -> Vec<(String, Tensor)> {
    results.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
}

/// Takes a rule's results and the new values of its states.
pub(super) type Finish<'a> = &'a mut dyn FnMut(&[(String, Tensor)], &[(Tensor, Tensor)]);

/// Traces one rule; `record` hands its results and state updates to the closure it is given.
fn rule(name: &str, record: impl FnOnce(Finish<'_>)) -> Result<Graph, Vec<Diagnostic>> {
    let mut finish = |results: &[(String, Tensor)], updates: &[(Tensor, Tensor)]| {
        trace::with(|trace| {
            for (name, tensor) in results {
                if let Some(value) = tensor.value() {
                    trace.graph.add_output(name, value);
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
pub(super) fn input(name: &str, role: Role, ty: Type, init: Init) -> Tensor {
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
