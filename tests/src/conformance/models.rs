//! The models of the programs, written as a user would write them, and their losses.

mod lenet;
mod mlp;
mod resnet;
mod two_layers;

use std::collections::BTreeMap;

use kiln::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use self::lenet::LeNet;
use self::mlp::Mlp;
use self::resnet::ResNet;
use self::two_layers::TwoLayers;
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

/// Keyword arguments of the losses.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LossArgs {
    label_smoothing: f64,
}

/// Traces a run's training. The inputs have the shapes of `batch`, whose first axis is the batch.
pub fn translate(program: &ProgramFile, run: &Run, batch: &Batch) -> Translation {
    match program.name.as_str() {
        "mlp" => classifier(program, run, batch, Mlp::new),
        "lenet5" => classifier(program, run, batch, LeNet::new),
        "resnet" => classifier(program, run, batch, ResNet::new),
        "optimizers" => classifier(program, run, batch, TwoLayers::new),
        other => Translation::Unsupported(Unsupported(format!("model {other}"))),
    }
}

/// A model from `x` to logits that is trained by cross-entropy with the labels `y`.
fn classifier<C: DeserializeOwned, M: Module + Forward<Tensor, Output = Tensor> + 'static>(
    program: &ProgramFile,
    run: &Run,
    batch: &Batch,
    new: impl FnOnce(&C) -> Result<M, Unsupported>,
) -> Translation {
    let training = || -> Result<Training<M>, Unsupported> {
        let model = new(&arguments(&program.config)?)?;
        let LossArgs { label_smoothing } = arguments(&program.loss_args)?;
        let mut training = Training::new(&program.name, model)
            .loss(move |model, batch| smoothed_cross_entropy(model.forward(batch["x"]), batch["y"], label_smoothing));
        for (name, value) in batch {
            let (count, rest) =
                value.shape.split_first().ok_or_else(|| Unsupported(format!("input {name} of rank 0")))?;
            let shape: Vec<Dim> = [BATCH].into_iter().chain(rest.iter().map(|&extent| Dim::fixed(extent))).collect();
            training = training.max_batch(*count).input(name, value.dtype, shape);
        }
        recipe::apply(training, run, &program.mode)
    };
    match training().map(|training| training.trace()) {
        Ok(Ok(traced)) => Translation::Traced(Box::new(traced)),
        Ok(Err(diagnostics)) => Translation::Refused(EngineError::Diagnostics(diagnostics)),
        Err(unsupported) => Translation::Unsupported(unsupported),
    }
}

/// `(1 - ε)·cross_entropy + ε·mean over classes of -log p`: PyTorch's `label_smoothing`.
fn smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: f64) -> Tensor {
    if smoothing == 0.0 {
        return cross_entropy(logits, labels);
    }
    let log_probabilities = logits.log_softmax(-1);
    let uniform = -log_probabilities.mean(&[-1], false).mean_all();
    nll_loss(log_probabilities, labels) * (1.0 - smoothing) + uniform * smoothing
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
