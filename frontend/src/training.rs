//! What is compiled: a model, its inputs, its loss and its optimiser, traced into one graph an entry point.

use std::collections::BTreeMap;
use std::ops::Index;
use std::panic::Location;

use kiln_ir::update::names;
use kiln_ir::{Code, DType, Diagnostic, Dim, Graph, Init, Place, Role, Type, UpdateRules};

use crate::optim::{self, Optimizer};
use crate::trace::{self, Call, Mode};
use crate::{Module, Tensor};

/// A model and how it is trained.
///
/// ```
/// use kiln_frontend::prelude::*;
///
/// let training = Training::new("regression", Linear::new(3, 1))
///     .max_batch(32)
///     .input("x", DType::F32, [BATCH, Dim::fixed(3)])
///     .input("y", DType::F32, [BATCH, Dim::fixed(1)])
///     .predict(|model, batch| model.forward(batch["x"]))
///     .loss(|model, batch| mse_loss(model.forward(batch["x"]), batch["y"]))
///     .optimizer(Sgd::new(0.1));
/// let traced = training.trace().expect("the shapes fit");
/// assert_eq!(traced.train.expect("there is a loss").outputs()[0].name, "loss");
/// ```
pub struct Training<M> {
    name: String,
    model: M,
    max_batch: Option<usize>,
    inputs: Vec<InputSpec>,
    predict: Option<Function<M>>,
    loss: Option<Function<M>>,
    optimizer: Option<Box<dyn Optimizer>>,
    place: Place,
}

type Function<M> = Box<dyn Fn(&M, &Inputs) -> Tensor>;

struct InputSpec {
    name: String,
    ty: Type,
    place: Place,
}

/// The inputs of a step, by name: `batch["x"]`. An unknown name is a mistake that the trace reports.
pub struct Inputs {
    tensors: BTreeMap<String, Tensor>,
    /// What an unknown name refers to.
    unknown: Tensor,
}

impl Index<&str> for Inputs {
    type Output = Tensor;

    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        if let Some(tensor) = self.tensors.get(name) {
            return tensor;
        }
        let names: Vec<String> = self.tensors.keys().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let message = format!("a step has the inputs that the training declares, {names}: found `{name}`");
        let help = format!("declare it with `.input(\"{name}\", dtype, shape)`");
        Tensor::mistake(Diagnostic::new(Code::UnknownName, message).help(help));
        &self.unknown
    }
}

/// A traced training: a graph for each entry point, before differentiation.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The model's name.
    pub name: String,
    /// The forward pass and the loss in training mode; output `loss`.
    pub train: Option<Graph>,
    /// The forward pass and the loss in evaluation mode; output `loss`.
    pub eval: Option<Graph>,
    /// The forward pass in evaluation mode; output `prediction`.
    pub predict: Option<Graph>,
    /// The optimiser.
    pub rules: Option<UpdateRules>,
    /// The calls of modules in `predict`, or in `train` without it, in the order they ended.
    pub calls: Vec<Call>,
}

/// The output of the `predict` entry point.
pub const PREDICTION: &str = "prediction";

/// The symbolic batch axis, for the shapes of inputs.
pub const BATCH: Dim = Dim::BATCH;

impl<M: Module> Training<M> {
    /// A model under a name that also names the compiled module.
    #[track_caller]
    pub fn new(name: &str, model: M) -> Training<M> {
        Training {
            name: name.to_owned(),
            model,
            max_batch: None,
            inputs: Vec::new(),
            predict: None,
            loss: None,
            optimizer: None,
            place: Place::of(Location::caller(), ""),
        }
    }

    /// The largest batch size: smaller batches run through the same code.
    #[must_use]
    pub fn max_batch(mut self, max_batch: usize) -> Self {
        self.max_batch = Some(max_batch);
        self
    }

    /// A tensor that the host gives for every step; [`BATCH`] in front makes the batch axis.
    #[must_use]
    #[track_caller]
    pub fn input<D: Into<Dim> + Copy>(mut self, name: &str, dtype: DType, shape: impl AsRef<[D]>) -> Self {
        let dims: Vec<Dim> = shape.as_ref().iter().map(|&dim| dim.into()).collect();
        let place = Place::of(Location::caller(), "");
        self.inputs.push(InputSpec { name: name.to_owned(), ty: trace::input_type(dtype, &dims), place });
        self
    }

    /// The prediction: the entry point `predict`, in evaluation mode.
    #[must_use]
    pub fn predict(mut self, predict: impl Fn(&M, &Inputs) -> Tensor + 'static) -> Self {
        self.predict = Some(Box::new(predict));
        self
    }

    /// The scalar that training minimises: the entry points `train_step` and `eval_loss`.
    #[must_use]
    pub fn loss(mut self, loss: impl Fn(&M, &Inputs) -> Tensor + 'static) -> Self {
        self.loss = Some(Box::new(loss));
        self
    }

    /// How weights change.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Some(Box::new(optimizer));
        self
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Runs the model once for each entry point.
    ///
    /// # Errors
    /// Every mistake of every entry point, each once.
    pub fn trace(&self) -> Result<Traced, Vec<Diagnostic>> {
        let mut diagnostics = self.faults();
        let mut calls = Vec::new();
        let mut entry = |function: &Option<Function<M>>, entry: &str, output, mode| {
            let function = function.as_ref()?;
            match self.entry(entry, output, mode, function) {
                Ok(recorded) => {
                    if calls.is_empty() {
                        calls = recorded.calls;
                    }
                    Some(recorded.graph)
                }
                Err(found) => {
                    let new = found.into_iter().filter(|one| !diagnostics.contains(one)).collect::<Vec<_>>();
                    diagnostics.extend(new);
                    None
                }
            }
        };
        let predict = entry(&self.predict, "predict", PREDICTION, Mode::Eval);
        let train = entry(&self.loss, "train_step", names::LOSS, Mode::Train);
        let eval = entry(&self.loss, "eval_loss", names::LOSS, Mode::Eval);
        let rules = match &self.optimizer {
            Some(optimizer) => optim::rules(&**optimizer, &self.model).map(Some).unwrap_or_else(|found| {
                diagnostics.extend(found);
                None
            }),
            None => None,
        };
        if diagnostics.is_empty() {
            Ok(Traced { name: self.name.clone(), train, eval, predict, rules, calls })
        } else {
            Err(diagnostics)
        }
    }

    fn entry(
        &self,
        entry: &str,
        output: &str,
        mode: Mode,
        function: &Function<M>,
    ) -> Result<trace::Recorded, Vec<Diagnostic>> {
        let name = format!("{}.{entry}", self.name);
        trace::record(&name, mode, self.max_batch, &self.model, || {
            let tensor = function(&self.model, &self.declare_inputs());
            let Some(value) = tensor.value() else { return };
            trace::with(|trace| {
                let ty = trace.graph.ty(value).clone();
                if output == names::LOSS && (ty.rank() != 0 || !ty.dtype.is_float()) {
                    let message = format!("a loss needs to be one floating value: this one is {ty}");
                    let place = trace.graph.node(value).place.clone();
                    let help = "reduce it, for example with `.mean_all()`";
                    trace.note(Diagnostic::new(Code::NotDifferentiable, message).at(place).help(help));
                }
                trace.graph.add_output(output, value);
            });
        })
    }

    fn declare_inputs(&self) -> Inputs {
        let declare = |spec: &InputSpec| {
            // `faults` reports an input that no graph can have.
            let is_sound = spec.ty.shape.is_batch_leading();
            let tensor = trace::with(|trace| {
                let input = || trace.input(&spec.name, Role::Data, spec.ty.clone(), Init::Zeros, spec.place.clone());
                let value = is_sound.then(input);
                Tensor::new(trace.id, value)
            });
            (spec.name.clone(), tensor.unwrap_or_else(Tensor::poison))
        };
        Inputs { tensors: self.inputs.iter().map(declare).collect(), unknown: Tensor::poison() }
    }

    /// Mistakes in the declaration itself.
    fn faults(&self) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let mut fault =
            |code, message: String, place: &Place| faults.push(Diagnostic::new(code, message).at(place.clone()));
        for (position, input) in self.inputs.iter().enumerate() {
            if self.inputs[..position].iter().any(|other| other.name == input.name) {
                fault(
                    Code::DuplicateName,
                    format!("inputs need different names: `{}` stands for two", input.name),
                    &input.place,
                );
            }
            if !input.ty.shape.is_batch_leading() {
                fault(
                    Code::BatchAxis,
                    format!("the batch axis needs to be in front: `{}` is {}", input.name, input.ty),
                    &input.place,
                );
            }
            if input.ty.shape.0.iter().any(|dim| dim.batch) && self.max_batch.is_none() {
                let message = format!(
                    "a batch axis needs a bound: `{}` is {}, and there is no `.max_batch(n)`",
                    input.name, input.ty
                );
                fault(Code::BadArgument, message, &input.place);
            }
        }
        let identifier = |name: &str| {
            name.chars().enumerate().all(|(i, c)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit()))
        };
        if self.name.is_empty() || !identifier(&self.name) {
            let message =
                format!("a training's name becomes a Rust module and needs to be an identifier: found `{}`", self.name);
            fault(Code::BadArgument, message, &self.place);
        }
        if self.max_batch == Some(0) {
            fault(Code::BadArgument, "a batch needs at least one sample: the bound is 0".to_owned(), &self.place);
        }
        if self.loss.is_none() && self.predict.is_none() {
            fault(Code::BadArgument, "a training needs `.loss(..)`, `.predict(..)` or both".to_owned(), &self.place);
        }
        if self.optimizer.is_some() && self.loss.is_none() {
            fault(Code::BadArgument, "an optimizer needs a `.loss(..)` to minimise".to_owned(), &self.place);
        }
        faults
    }
}
