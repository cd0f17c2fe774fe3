//! What a training runs on, as the runner sees it.

use std::collections::BTreeMap;

use kiln::runtime::{Lbfgs, LbfgsStep};
use kiln::{Diagnostic, Selection, Traced};
use kiln_ir::interpret::{InterpretError, Value};
use kiln_ir::{Graph, Role};

use super::interpreter::Interpreter;
use super::jit::Jit;

/// The inputs of a step, by name.
pub type Batch = BTreeMap<String, Value>;

/// Ways to execute a training.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The reference interpreter, in `f64`: checks the front end, the derivatives and the optimisers.
    Interpreter,
    /// Machine code in memory, with these algorithms.
    Jit(Selection),
}

impl Default for Backend {
    fn default() -> Backend {
        Backend::Jit(Selection::default())
    }
}

/// A training that runs.
pub trait Engine {
    /// A piece of the state by PyTorch's name, a number of the host, or an output of the last train step.
    fn get(&self, name: &str) -> Result<Value, EngineError>;
    /// Replaces a piece of the state.
    fn set(&mut self, name: &str, value: &Value) -> Result<(), EngineError>;
    /// The gradient of each parameter at the present weights. Changes nothing.
    fn gradients(&mut self, batch: &Batch) -> Result<BTreeMap<String, Value>, EngineError>;
    /// The loss before the step that this makes.
    fn train_step(&mut self, batch: &Batch) -> Result<f64, EngineError>;
    /// A step of the optimiser around a training without one.
    fn lbfgs_step(&mut self, optimizer: &mut Lbfgs, batch: &Batch) -> Result<LbfgsStep, EngineError>;
    /// The loss in evaluation mode.
    fn eval_loss(&mut self, batch: &Batch) -> Result<f64, EngineError>;
}

/// The parameters whose gradients a training gives.
pub(super) fn trained(traced: &Traced) -> Vec<String> {
    let all = |graph: &Graph| {
        let parameters = graph.inputs().into_iter().filter(|(_, input)| input.role == Role::Parameter);
        parameters.map(|(value, _)| graph.name_of(value).to_owned()).collect()
    };
    match &traced.rules {
        Some(rules) => rules.trained.clone(),
        None => traced.train.as_ref().map(all).unwrap_or_default(),
    }
}

/// Why a training does not run. Every one is a fault of Kiln's, or of the runner's.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EngineError {
    #[error("the compiler refuses the training: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Diagnostics(Vec<Diagnostic>),
    #[error("the interpreter stops: {0}")]
    Interpret(#[from] InterpretError),
    #[error("the compiler or the runtime stops: {0}")]
    Kiln(#[from] kiln::Error),
    #[error("the runtime stops: {0}")]
    Runtime(#[from] kiln::runtime::Error),
    #[error("the schedule stops: {0}")]
    Schedule(#[from] kiln::runtime::schedule::ScheduleError),
    #[error("the training has no entry `{0}`")]
    NoEntry(&'static str),
    #[error("the training has no state `{0}`")]
    NoState(String),
    #[error("`{name}` is {expected}, the file has {found}")]
    WrongTensor { name: String, expected: String, found: String },
}

impl From<Diagnostic> for EngineError {
    fn from(diagnostic: Diagnostic) -> EngineError {
        EngineError::Diagnostics(vec![diagnostic])
    }
}

impl Backend {
    /// A training with its declared initial state, ready to run.
    ///
    /// # Errors
    /// When the training cannot be compiled.
    pub fn engine(self, traced: Traced) -> Result<Box<dyn Engine>, EngineError> {
        match self {
            Backend::Interpreter => Ok(Box::new(Interpreter::new(traced)?)),
            Backend::Jit(selection) => Ok(Box::new(Jit::new(traced, selection)?)),
        }
    }
}
