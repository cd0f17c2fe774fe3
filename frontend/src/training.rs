//! What is compiled: a model, its inputs, its loss and its optimiser, traced into one graph an entry point.

mod faults;
mod groups;
mod inputs;
mod memory;

use std::panic::Location;

use kiln_ir::update::names;
use kiln_ir::{Code, DType, Diagnostic, Dim, Graph, PeakMemory, Place, UpdateRules};

use self::groups::ParameterGroup;
use self::inputs::InputSpec;
use crate::optim::{Clip, GradScaler, GradientRule, Optimizer, accumulate_rules, update_rules};
use crate::trace::{self, Call, Mode};
use crate::{Module, Parameter, Tensor};

pub use self::inputs::Inputs;

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
    /// The text of the budget, and where it stands.
    peak_memory: Option<(String, Place)>,
    inputs: Vec<InputSpec>,
    predict: Option<Function<M>>,
    loss: Option<Function<M>>,
    mode: Mode,
    evaluated: Vec<Part<M>>,
    /// Those with parameters of their own first, the one with the rest last.
    groups: Vec<ParameterGroup<M>>,
    gradients: GradientRule,
    place: Place,
}

type Function<M> = Box<dyn Fn(&M, &Inputs) -> Tensor>;

type Part<M> = Box<dyn for<'m> Fn(&'m M) -> &'m dyn Module>;

/// A traced training: a graph for each entry point, before differentiation.
#[derive(Clone, Debug, Default)]
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
    /// What becomes of the gradients of a batch after which no weight changes.
    pub accumulate: Option<UpdateRules>,
    /// The most memory that the program may use.
    pub peak_memory: Option<PeakMemory>,
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
            peak_memory: None,
            inputs: Vec::new(),
            predict: None,
            loss: None,
            mode: Mode::Train,
            evaluated: Vec::new(),
            groups: Vec::new(),
            gradients: GradientRule::default(),
            place: Place::of(Location::caller(), ""),
        }
    }

    /// The largest batch size: smaller batches run through the same code.
    #[must_use]
    pub fn max_batch(mut self, max_batch: usize) -> Self {
        self.max_batch = Some(max_batch);
        self
    }

    /// The most memory that the program may use at the greatest batch, as in `"512 MiB"`: its weights, optimiser state and everything in between. What does not
    /// fit is computed again in the backward pass instead of kept, with the same bits; if that is not enough, compiling fails with what is in the way. A model
    /// says the same of itself with `#[model(peak_memory = "512 MiB")]`.
    #[must_use]
    #[track_caller]
    pub fn peak_memory(mut self, limit: &str) -> Self {
        self.peak_memory = Some((limit.to_owned(), Place::of(Location::caller(), "")));
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

    /// How layers behave while training: [`Mode::Eval`] keeps running statistics as they are and drops nothing, as `model.eval()` before the loop.
    #[must_use]
    pub fn train_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// A part of the model that is in evaluation mode also while the rest trains, as `model.backbone.eval()`: frozen batch norms.
    #[must_use]
    pub fn eval_module<P>(mut self, part: P) -> Self
    where
        P: 'static + for<'m> Fn(&'m M) -> &'m dyn Module,
    {
        self.evaluated.push(Box::new(part));
        self
    }

    /// How weights change: all trainable ones that no parameter group has.
    #[must_use]
    #[track_caller]
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.groups.retain(|group| !group.is_rest());
        self.groups.push(ParameterGroup::rest(optimizer, Location::caller()));
        self
    }

    /// Parameters with an optimiser or options of their own, as an entry of `torch.optim`'s `param_groups`.
    ///
    /// Groups are numbered in the order of these calls, and the one of [`optimizer`](Self::optimizer), if there is one, is the last: the host sets their
    /// learning rates as `lr.0`, `lr.1`, …. Parameters in no group are not trained.
    ///
    /// ```
    /// use kiln_frontend::prelude::*;
    ///
    /// let model = Sequential::new((Linear::new(4, 8), Relu, Linear::new(8, 2)));
    /// let training = Training::new("tuning", model)
    ///     .max_batch(16)
    ///     .input("x", DType::F32, [BATCH, Dim::fixed(4)])
    ///     .loss(|model, batch| model.forward(batch["x"]).square().mean_all())
    ///     .parameter_group(|model| parameters(&model.children.2), Sgd::new(1e-2).momentum(0.9))
    ///     .optimizer(Sgd::new(1e-3).momentum(0.9));
    /// assert_eq!(training.trace()?.rules.expect("there is an optimiser").groups.len(), 2);
    /// # Ok::<(), Vec<Diagnostic>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn parameter_group(
        mut self,
        parameters: impl Fn(&M) -> Vec<Parameter> + 'static,
        optimizer: impl Optimizer + 'static,
    ) -> Self {
        let end = self.groups.iter().position(ParameterGroup::is_rest).unwrap_or(self.groups.len());
        self.groups.insert(end, ParameterGroup::new(parameters, optimizer, Location::caller()));
        self
    }

    /// Updates the weights once in `batches` train steps, by the mean of their gradients. The host may change the number (`accumulate.steps`).
    #[must_use]
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.gradients.accumulate = Some(batches);
        self
    }

    /// Scales the loss, and skips updates whose gradients overflow.
    #[must_use]
    pub fn grad_scaler(mut self, scaler: GradScaler) -> Self {
        self.gradients.scaler = Some(scaler);
        self
    }

    /// Limits the Euclidean norm of all gradients together before every update, as `clip_grad_norm_`; the output `grad_norm` of the train step is
    /// the norm before. Limits apply in the order in which they are asked for.
    #[must_use]
    pub fn clip_grad_norm(self, max_norm: f64) -> Self {
        self.clip_grad_norm_with(max_norm, 2.0)
    }

    /// The same with a norm of another order: 1, 2, …, or `f64::INFINITY` for the greatest element.
    #[must_use]
    pub fn clip_grad_norm_with(mut self, max_norm: f64, norm_type: f64) -> Self {
        self.gradients.clips.push(Clip::Norm { max: max_norm, order: norm_type });
        self
    }

    /// Limits every element of every gradient to `[-clip_value, clip_value]` before every update, as `clip_grad_value_`.
    #[must_use]
    pub fn clip_grad_value(mut self, clip_value: f64) -> Self {
        self.gradients.clips.push(Clip::Value(clip_value));
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
        let peak_memory = self.promised().unwrap_or_else(|faults| {
            diagnostics.extend(faults);
            None
        });
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
        let train = entry(&self.loss, "train_step", names::LOSS, self.mode);
        let eval = entry(&self.loss, "eval_loss", names::LOSS, Mode::Eval);
        let (mut rules, mut accumulate) = (None, None);
        if !self.groups.is_empty() && self.loss.is_some() {
            let groups = groups::resolve(&self.groups, &self.model);
            let traced = groups.and_then(|groups| {
                Ok((update_rules(&groups, &self.gradients)?, accumulate_rules(&groups, &self.gradients)?))
            });
            match traced {
                Ok((update, between)) => (rules, accumulate) = (Some(update), between),
                Err(found) => diagnostics.extend(found),
            }
        }
        if diagnostics.is_empty() {
            Ok(Traced { name: self.name.clone(), train, eval, predict, rules, accumulate, peak_memory, calls })
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
            for part in &self.evaluated {
                trace::evaluate(part(&self.model));
            }
            let tensor = function(&self.model, &inputs::declare(&self.inputs));
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
            if let (Some(scaler), "train_step") = (&self.gradients.scaler, entry) {
                let objective = (tensor * scaler.scale()).value();
                trace::with(|trace| objective.map(|value| trace.graph.add_output(names::OBJECTIVE, value)));
            }
        })
    }
}
