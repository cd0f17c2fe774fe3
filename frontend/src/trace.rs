//! Tracing: running a model once with symbolic tensors records its graph.
//!
//! One trace at a time is open on a thread; ops add to it and modules tell it where they are. A mistake does not stop the trace: it is noted
//! with its place, its result is a tensor without a value, and everything computed from that stays silent, so that one run reports
//! every independent mistake.

mod flow;
mod state;
mod taps;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::Location;

use kiln_ir::ops::{Add, Input};
use kiln_ir::update::names;
use kiln_ir::{Builder, Code, DType, Diagnostic, Dim, Graph, Init, Op, Place, Role, Type, ValueId};

use crate::Module;
use crate::module::{
    Entry, ModuleId, State, duplicate_names, named_buffers, named_modules, named_parameters, state_dict,
};
use crate::parameter::Fault;

pub(crate) use flow::record_backward;

/// Whether layers behave as in training or as in evaluation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `model.train()`: batch statistics, running statistics are updated.
    Train,
    /// `model.eval()`: running statistics.
    Eval,
}

/// The trace that is open on this thread.
pub(crate) struct Trace {
    pub(crate) id: u64,
    pub(crate) graph: Graph,
    pub(crate) mode: Mode,
    diagnostics: Vec<Diagnostic>,
    /// The modules whose `forward` is running, outermost first: their paths, and whether they train.
    scopes: Vec<(String, Mode)>,
    /// Modules in evaluation mode whatever the trace's is.
    evaluated: HashSet<ModuleId>,
    module_paths: HashMap<ModuleId, String>,
    parameters: HashMap<usize, ValueId>,
    /// The input and the latest value of each buffer, in the order of the model.
    buffers: Vec<BufferState>,
    random: Option<RandomState>,
    calls: Vec<Call>,
    /// Whether this is the derivative of a function that another trace is recording.
    pub(crate) is_backward: bool,
    /// Whether gradients flow through what is recorded now.
    pub(crate) grad_enabled: bool,
    /// What stands for a value where no gradient flows: itself if it was made there, else its `detach`.
    still: BTreeMap<ValueId, ValueId>,
    /// Values that the user has asked gradients of by `requires_grad_`.
    marked: BTreeSet<ValueId>,
    /// Values that the host may read, by name.
    taps: Vec<(String, ValueId)>,
}

/// What random numbers depend on: the run's seed and step, which are inputs, and how many calls there were before.
#[derive(Clone, Copy)]
pub(crate) struct RandomState {
    pub(crate) seed: ValueId,
    pub(crate) step: ValueId,
    pub(crate) call: usize,
}

struct BufferState {
    address: usize,
    input: ValueId,
    latest: ValueId,
}

/// One call of a module's `forward`, as `kiln summary` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// The module's path, empty for the model itself.
    pub module: String,
    /// The module's type.
    pub type_name: &'static str,
    /// The graph's size before and after: the values that the call added lie between.
    pub values: std::ops::Range<usize>,
}

thread_local! {
    static OPEN: RefCell<Option<Trace>> = const { RefCell::new(None) };
    static NEXT_ID: RefCell<u64> = const { RefCell::new(0) };
}

/// What one trace recorded.
pub(crate) struct Recorded {
    pub(crate) graph: Graph,
    pub(crate) calls: Vec<Call>,
}

/// Runs `record` with a new trace open, over the parameters and buffers of `model`.
///
/// # Errors
/// Every mistake that was noted, in the order of the user's lines.
pub(crate) fn record(
    name: &str,
    mode: Mode,
    max_batch: Option<usize>,
    model: &dyn Module,
    record: impl FnOnce(),
) -> Result<Recorded, Vec<Diagnostic>> {
    let mut trace = Trace::new(name, mode, max_batch);
    trace.declare(model);
    let outer = OPEN.replace(Some(trace));
    record();
    let trace = OPEN.replace(outer).expect("nothing inside `record` closes the trace it opened");
    trace.finish()
}

/// Access to the open trace; `None` outside of one.
pub(crate) fn with<R>(f: impl FnOnce(&mut Trace) -> R) -> Option<R> {
    OPEN.with_borrow_mut(|open| open.as_mut().map(f))
}

impl Trace {
    fn new(name: &str, mode: Mode, max_batch: Option<usize>) -> Trace {
        let mut graph = Graph::new(name);
        graph.max_batch = max_batch;
        let id = NEXT_ID.with_borrow_mut(|next| {
            *next += 1;
            *next
        });
        Trace {
            id,
            graph,
            mode,
            diagnostics: Vec::new(),
            scopes: Vec::new(),
            evaluated: HashSet::new(),
            module_paths: HashMap::new(),
            parameters: HashMap::new(),
            buffers: Vec::new(),
            random: None,
            calls: Vec::new(),
            is_backward: false,
            grad_enabled: true,
            still: BTreeMap::new(),
            marked: BTreeSet::new(),
            taps: Vec::new(),
        }
    }

    /// Makes an input of each parameter and buffer, named and ordered as in the `state_dict`.
    fn declare(&mut self, model: &dyn Module) {
        for name in duplicate_names(model) {
            let parameter = |entry: Entry| match entry.state {
                State::Parameter(parameter) if entry.name == name => Some(parameter.place()),
                _ => None,
            };
            let place = state_dict(model).into_iter().rev().find_map(parameter);
            let place = place.map_or(Place::NONE, |location| Place::of(location, ""));
            let message = format!("a model needs different names for its tensors: `{name}` stands for two");
            self.note(Diagnostic::new(Code::DuplicateName, message).at(place));
        }
        self.module_paths = named_modules(model).into_iter().map(|entry| (entry.id, entry.name)).collect();
        for (name, parameter) in named_parameters(model) {
            let place = Place::of(parameter.place(), "");
            if let Err(Fault { message, place }) = parameter.initializer_fault() {
                let message = format!("parameter `{name}`: {message}");
                self.note(Diagnostic::new(Code::BadArgument, message).at(Place::of(place, "")));
            }
            let role = if parameter.is_trainable() { Role::Parameter } else { Role::Frozen };
            let ty = Type::new(parameter.dtype(), parameter.shape());
            let input = self.input(&name, role, ty, parameter.initializer(), place);
            self.parameters.insert(parameter.address(), input);
        }
        for (name, buffer) in named_buffers(model) {
            let ty = Type::new(buffer.dtype(), buffer.shape());
            let input = self.input(&name, Role::Buffer, ty, Init::Constant(buffer.initial()), Place::NONE);
            self.buffers.push(BufferState { address: buffer.address(), input, latest: input });
        }
    }

    /// Adds an input.
    pub(crate) fn input(&mut self, name: &str, role: Role, ty: Type, init: Init, place: Place) -> ValueId {
        let input = Input { role, dtype: ty.dtype, shape: ty.shape.0, init };
        self.graph.add(input, &[], name, &place).expect("an input takes no operands that could be wrong")
    }

    /// Adds an op of the user's at their line; a mistake is noted, in terms of the method that they called, and gives no value.
    pub(crate) fn apply(
        &mut self,
        method: &str,
        op: Op,
        operands: &[ValueId],
        location: &Location<'_>,
    ) -> Option<ValueId> {
        let name = op.name();
        let mut place = self.place(location);
        if method != name {
            place.method = Some(method.into());
        }
        let still: Option<Vec<ValueId>> =
            (!self.grad_enabled).then(|| operands.iter().map(|&operand| self.still(operand, &place)).collect());
        let hint = if place.module.is_empty() { String::new() } else { format!("{}.{}", place.module, op.name()) };
        match self.graph.add(op, still.as_deref().unwrap_or(operands), &hint, &place) {
            Ok(value) => {
                if still.is_some() {
                    self.still.insert(value, value);
                }
                Some(value)
            }
            Err(mut diagnostic) => {
                if let Some(rest) = diagnostic.message.strip_prefix(name) {
                    diagnostic.message = format!("{method}{rest}");
                }
                self.note(diagnostic);
                None
            }
        }
    }

    /// The state for one more call that draws random numbers. It is there from the first call on, so that other models have none.
    pub(crate) fn random_call(&mut self) -> RandomState {
        let state = self.random.unwrap_or_else(|| {
            let mut input = |name: &str, init| {
                if self.graph.find(name).is_some() {
                    let message =
                        format!("random numbers need `{name}` for their state, and the model has another one");
                    self.note(Diagnostic::new(Code::DuplicateName, message).help("rename the model's value"));
                }
                self.input(name, Role::Buffer, Type::scalar(DType::I64), init, Place::NONE)
            };
            let (seed, step) = (input(names::RANDOM_SEED, Init::Seed), input(names::RANDOM_STEP, Init::Zeros));
            RandomState { seed, step, call: 0 }
        });
        self.random = Some(RandomState { call: state.call + 1, ..state });
        state
    }

    /// The next training step has other numbers; evaluation leaves the state alone.
    fn advance_random(&mut self) {
        let (Some(RandomState { step, .. }), Mode::Train) = (self.random, self.mode) else { return };
        let mut b = Builder::new(&mut self.graph, Place::NONE);
        b.hint = format!("{}_new", names::RANDOM_STEP);
        let one = b.full_like(step, 1.0);
        let next = b.emit(Add {}, &[step, one]);
        self.graph.add_update(step, next);
    }

    /// The place of a user's line in the module that is running.
    pub(crate) fn place(&self, location: &Location<'_>) -> Place {
        Place::of(location, self.scopes.last().map_or("", |(path, _)| path.as_str()))
    }

    /// Notes that an operand comes from another trace.
    pub(crate) fn note_foreign(&mut self, method: &str, operand: &str, location: &Location<'_>) {
        let message = format!("{method} needs tensors of one trace: `{operand}` comes from another");
        let help = match self.is_backward {
            true => "a derivative sees its arguments only: make the tensor an input or a result of the function",
            false => "a tensor cannot be kept between calls; use a parameter or a buffer",
        };
        let place = self.place(location);
        self.note(Diagnostic::new(Code::ForeignTensor, message).at(place).help(help));
    }

    /// Notes a mistake.
    pub(crate) fn note(&mut self, diagnostic: Diagnostic) {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    fn finish(mut self) -> Result<Recorded, Vec<Diagnostic>> {
        if !self.diagnostics.is_empty() {
            return Err(self.diagnostics);
        }
        for state in &self.buffers {
            if state.latest != state.input {
                self.graph.add_update(state.input, state.latest);
            }
        }
        self.advance_random();
        self.add_taps();
        Ok(Recorded { graph: self.graph, calls: self.calls })
    }
}

/// The time during which a module's `forward` runs: values made in it carry the module's path.
pub struct Scope {
    start: usize,
    type_name: &'static str,
}

impl Scope {
    /// Enters `module`; dropping the scope leaves it.
    pub fn enter<M: Module>(module: &M) -> Scope {
        let start = with(|trace| {
            let id = module.module_id();
            let (outer, mode) = trace.scopes.last().cloned().unwrap_or((String::new(), trace.mode));
            let path = trace.module_paths.get(&id).cloned().unwrap_or(outer);
            let mode = if trace.evaluated.contains(&id) { Mode::Eval } else { mode };
            trace.scopes.push((path, mode));
            trace.graph.len()
        });
        Scope { start: start.unwrap_or(0), type_name: module.type_name() }
    }

    /// Whether layers behave as in training.
    pub fn is_training() -> bool {
        with(|trace| trace.scopes.last().map_or(trace.mode, |(_, mode)| *mode) == Mode::Train).unwrap_or(false)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        with(|trace| {
            if let Some((module, _)) = trace.scopes.pop() {
                let values = self.start..trace.graph.len();
                trace.calls.push(Call { module, type_name: self.type_name, values });
            }
        });
    }
}

/// Puts a module and all that it holds into evaluation mode for the open trace.
pub(crate) fn evaluate(module: &dyn Module) {
    let ids = named_modules(module).into_iter().map(|entry| entry.id);
    with(|trace| trace.evaluated.extend(ids));
}

/// A dtype and shape for an input; `Dim::BATCH` is the symbolic axis.
pub(crate) fn input_type(dtype: DType, shape: &[Dim]) -> Type {
    Type::new(dtype, shape.to_vec())
}
