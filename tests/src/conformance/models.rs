//! The models of the programs, written as a user would write them, and their losses.

mod gpt;
mod lenet;
mod lstm;
mod mlp;
mod resnet;
mod two_layers;
mod unet;
mod warp;

use std::collections::BTreeMap;

use kiln::functional::{CrossEntropy, binary_cross_entropy_with_logits, cross_entropy_with};
use kiln::prelude::*;
use kiln::{Inputs, Size};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use self::lenet::LeNet;
use self::lstm::LstmModel;
use self::mlp::Mlp;
use self::resnet::ResNet;
use self::two_layers::TwoLayers;
use self::warp::Warp;
pub use self::warp::warp;
use super::optimizer::Unsupported;
use super::recipe;
use super::{Batch, EngineError, ProgramFile, Run};

/// What became of a program's description.
pub enum Translation {
    /// A training.
    Traced(Box<Traced>),
    /// Something that is not there yet.
    Unsupported(Unsupported),
    /// The compiler refuses it.
    Refused(EngineError),
}

type Activation = fn(Tensor) -> Tensor;

/// Functions of one tensor, by PyTorch's name.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("relu", Tensor::relu),
    ("tanh", Tensor::tanh),
    ("sigmoid", Tensor::sigmoid),
    ("gelu", Tensor::gelu),
    ("silu", |x| x * x.sigmoid()),
    ("sin", Tensor::sin),
    ("cos", Tensor::cos),
    ("exp", Tensor::exp),
    ("square", Tensor::square),
];

/// Keyword arguments of the losses of classifiers.
#[derive(Clone, Copy, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LossArgs {
    label_smoothing: f64,
}

/// The arguments of a loss that takes none.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

/// Traces a run's training. The inputs have the shapes of `batch`.
pub fn translate(program: &ProgramFile, run: &Run, batch: &Batch) -> Translation {
    let case = Described { program, run, batch };
    match program.name.as_str() {
        "mlp" => case.classifier(Mlp::new),
        "lenet5" => case.classifier(LeNet::new),
        "resnet" => case.classifier(ResNet::new),
        "optimizers" => case.classifier(TwoLayers::new),
        "gpt" | "gpt_untied" => case.translate(Leading::Batch, gpt::new, |model, batch, _: NoArgs| {
            let logits = model.forward(batch["x"]); // [batch, time, vocab]
            let vocab = logits.shape().0.last().copied().unwrap_or(Dim::ONE);
            cross_entropy(logits.reshape([Size::Rest, Size::Dim(vocab)]), batch["y"].reshape([-1]))
        }),
        "lstm" => case.translate(Leading::Time, LstmModel::new, |model, batch, _: NoArgs| {
            mse_loss(model.forward(batch["x"]), batch["y"])
        }),
        "unet" => case.translate(Leading::Batch, unet::new, |model, batch, _: NoArgs| {
            binary_cross_entropy_with_logits(model.forward(batch["x"]), batch["y"])
        }),
        "warp" => case.translate(Leading::Batch, Warp::new, |model, batch, _: NoArgs| {
            let difference = model.forward(batch["first"], batch["second"]) - batch["first"];
            (difference * difference + 1e-3).sqrt().mean_all()
        }),
        other => Translation::Unsupported(Unsupported(format!("model {other}"))),
    }
}

/// What the first axis of the inputs is.
#[derive(Clone, Copy, PartialEq)]
enum Leading {
    /// Samples, of which there may be fewer.
    Batch,
    /// Something else: all extents are fixed.
    Time,
}

/// A program, a run of it, and a batch.
#[derive(Clone, Copy)]
struct Described<'a> {
    program: &'a ProgramFile,
    run: &'a Run,
    batch: &'a Batch,
}

impl Described<'_> {
    /// A model from `x` to logits that is trained by cross-entropy with the labels `y`.
    fn classifier<C, M>(self, new: impl FnOnce(&C) -> Result<M, Unsupported>) -> Translation
    where
        C: DeserializeOwned,
        M: Module + Forward<Tensor, Output = Tensor> + 'static,
    {
        self.translate(Leading::Batch, new, |model: &M, batch, LossArgs { label_smoothing }| {
            let options = CrossEntropy { label_smoothing, ..CrossEntropy::default() };
            cross_entropy_with(model.forward(batch["x"]), batch["y"], options)
        })
    }

    /// A model and its loss.
    fn translate<C, M, A>(
        self,
        leading: Leading,
        new: impl FnOnce(&C) -> Result<M, Unsupported>,
        loss: impl Fn(&M, &Inputs, A) -> Tensor + 'static,
    ) -> Translation
    where
        C: DeserializeOwned,
        M: Module + 'static,
        A: DeserializeOwned + Copy + 'static,
    {
        let training = || -> Result<Training<M>, Unsupported> {
            let model = new(&arguments(&self.program.config)?)?;
            let args: A = arguments(&self.program.loss_args)?;
            let mut training =
                Training::new(&self.program.name, model).loss(move |model, batch| loss(model, batch, args));
            for (name, value) in self.batch {
                let mut shape: Vec<Dim> = value.shape.iter().map(|&extent| Dim::fixed(extent)).collect();
                if let (Leading::Batch, [first, ..]) = (leading, shape.as_mut_slice()) {
                    *first = BATCH;
                    training = training.max_batch(value.shape[0]);
                }
                training = training.input(name, value.dtype, shape);
            }
            recipe::apply(training, self.run, &self.program.mode)
        };
        match training().map(|training| training.trace()) {
            Ok(Ok(traced)) => Translation::Traced(Box::new(traced)),
            Ok(Err(diagnostics)) => Translation::Refused(EngineError::Diagnostics(diagnostics)),
            Err(unsupported) => Translation::Unsupported(unsupported),
        }
    }
}

fn activation(name: &str) -> Result<Activation, Unsupported> {
    let found = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, function)| *function).ok_or_else(|| Unsupported(format!("activation {name}")))
}

/// Keyword arguments as a configuration; one that it lacks is named.
fn arguments<C: DeserializeOwned>(args: &BTreeMap<String, Json>) -> Result<C, Unsupported> {
    let json = args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_json::from_value(Json::Object(json)).map_err(|error| Unsupported(format!("arguments: {error}")))
}
