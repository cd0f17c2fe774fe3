//! The models of the programs, written as a user would write them, and their losses.

use std::collections::BTreeMap;

use kiln_frontend::prelude::*;
use kiln_macros::model;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::optimizer::{Unsupported, optimizer};
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

/// Linear layers with an activation between them.
#[model]
struct Mlp {
    fc: Vec<Linear>,
    activation: Activation,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MlpConfig {
    sizes: Vec<usize>,
    activation: String,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig { sizes: vec![784, 64, 10], activation: "relu".to_owned() }
    }
}

#[model]
impl Mlp {
    fn new(config: &MlpConfig) -> Result<Mlp, Unsupported> {
        let fc = config.sizes.windows(2).map(|pair| Linear::new(pair[0], pair[1])).collect();
        Ok(Mlp { fc, activation: activation(&config.activation)? })
    }

    fn forward(&self, mut x: Tensor) -> Tensor {
        for (number, layer) in self.fc.iter().enumerate() {
            if number > 0 {
                x = (self.activation)(x);
            }
            x = layer.forward(x);
        }
        x
    }
}

/// LeNet-5 on 1x28x28 images.
#[model]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    activation: Activation,
    average: bool,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LeNetConfig {
    activation: String,
    pool: String,
    classes: usize,
}

impl Default for LeNetConfig {
    fn default() -> LeNetConfig {
        LeNetConfig { activation: "relu".to_owned(), pool: "max".to_owned(), classes: 10 }
    }
}

#[model]
impl LeNet {
    fn new(config: &LeNetConfig) -> Result<LeNet, Unsupported> {
        Ok(LeNet {
            conv1: Conv2d::new(1, 6, 5).padding(2),
            conv2: Conv2d::new(6, 16, 5),
            fc1: Linear::new(400, 120),
            fc2: Linear::new(120, 84),
            fc3: Linear::new(84, config.classes),
            activation: activation(&config.activation)?,
            // As the source has it: every other word means the average.
            average: config.pool != "max",
        })
    }

    fn forward(&self, x: Tensor) -> Tensor {
        let act = self.activation;
        let x = self.pool(act(self.conv1(x))); // [batch, 6, 14, 14]
        let x = self.pool(act(self.conv2(x))); // [batch, 16, 5, 5]
        let x = act(self.fc1(x.flatten(1, -1)));
        let x = act(self.fc2(x));
        self.fc3(x)
    }

    fn pool(&self, x: Tensor) -> Tensor {
        if self.average { x.avg_pool2d(2, 2, 0) } else { x.max_pool2d(2, 2, 0) }
    }
}

/// Two linear layers with tanh between them.
#[model]
struct Small {
    fc1: Linear,
    fc2: Linear,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SmallConfig {
    inputs: usize,
    hidden: usize,
    classes: usize,
}

impl Default for SmallConfig {
    fn default() -> SmallConfig {
        SmallConfig { inputs: 6, hidden: 16, classes: 3 }
    }
}

#[model]
impl Small {
    fn new(config: &SmallConfig) -> Result<Small, Unsupported> {
        Ok(Small { fc1: Linear::new(config.inputs, config.hidden), fc2: Linear::new(config.hidden, config.classes) })
    }

    fn forward(&self, x: Tensor) -> Tensor {
        self.fc2(self.fc1(x).tanh())
    }
}

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
        "optimizers" => classifier(program, run, batch, Small::new),
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
            .loss(move |model, batch| smoothed_cross_entropy(model.forward(batch["x"]), batch["y"], label_smoothing))
            .optimizer(optimizer(&run.optimizer, &run.args)?);
        for (name, value) in batch {
            let (count, rest) =
                value.shape.split_first().ok_or_else(|| Unsupported(format!("input {name} of rank 0")))?;
            let shape: Vec<Dim> = [BATCH].into_iter().chain(rest.iter().map(|&extent| Dim::fixed(extent))).collect();
            training = training.max_batch(*count).input(name, value.dtype, shape);
        }
        Ok(training)
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
