//! How an optimiser changes parameters, as graphs: the front end traces the rules, `append_update` puts them into the train step.

use serde::{Deserialize, Serialize};

use crate::Graph;

/// One optimiser step for all parameters.
///
/// A parameter's rule has the data inputs `parameter` and `gradient`, inputs of role `State` for its own moments (named as PyTorch
/// names them: `exp_avg`; the train step's input is `optimizer.<parameter>.<name>`), inputs of role `Scalar` for numbers the host sets (`lr`,
/// one for the whole step), and data inputs that `shared` makes. Its outputs are `parameter` and the updates of its states.
///
/// `shared` is evaluated once a step: counters and bias corrections. Its states are named `optimizer.<name>`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct UpdateRules {
    /// What all parameters use.
    pub shared: Graph,
    /// The rule of each trained parameter, by name.
    pub parameters: Vec<(String, Graph)>,
}

/// Names that rules and train steps agree on.
pub mod names {
    /// A rule's input and output: the weight.
    pub const PARAMETER: &str = "parameter";
    /// A rule's input: the weight's gradient.
    pub const GRADIENT: &str = "gradient";
    /// The train step's and the evaluation's output: the scalar that is minimised.
    pub const LOSS: &str = "loss";
    /// The host's learning rate.
    pub const LEARNING_RATE: &str = "lr";
    /// Before the names of the optimiser's states.
    pub const OPTIMIZER: &str = "optimizer";
    /// The state of the model's random numbers: the seed of the run.
    pub const RANDOM_SEED: &str = "random.seed";
    /// The state of the model's random numbers: how many training steps there were.
    pub const RANDOM_STEP: &str = "random.step";
}
