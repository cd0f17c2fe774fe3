//! How an optimiser changes parameters, as graphs: the front end traces the rules, `append_update` puts them into the train step.

use serde::{Deserialize, Serialize};

use crate::Graph;

/// One optimiser step for all parameters, in three stages.
///
/// First `gradients` sees every gradient at once: it accumulates, unscales and clips. Its inputs and outputs `d_<parameter>` are the gradients before
/// and after; a gradient that it does not put out goes on as it is. Its other outputs (`grad_norm`, `found_inf`) are known to every later rule, and
/// are outputs of the train step. Its states keep their names.
///
/// Then the `shared` graph of each group is evaluated once, and at last the rule of each parameter. Rules without groups change no weight: such a step
/// only accumulates.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct UpdateRules {
    /// The parameters whose gradients are asked for, by name.
    pub trained: Vec<String>,
    /// What happens to all gradients before they reach the groups.
    pub gradients: Graph,
    /// The parameter groups.
    pub groups: Vec<GroupRules>,
}

/// What one optimiser with one set of options does to its parameters.
///
/// A parameter's rule has the data inputs `parameter` and `gradient`, inputs of role `State` for its own moments (named as PyTorch names them: `exp_avg`;
/// the train step's input is `optimizer.<parameter>.<name>`), inputs of role `Scalar` for numbers the host sets (`lr`), and data inputs that `shared`
/// makes. Its outputs are `parameter` and the updates of its states.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GroupRules {
    /// Before the names of the states of `shared`: `optimizer`, or `optimizer.group<i>` where there are several.
    pub prefix: String,
    /// What all parameters of the group use: counters and bias corrections.
    pub shared: Graph,
    /// The rule of each parameter, by name.
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
    /// An output of the traced train step where not the loss itself is differentiated, but this: the scaled loss.
    pub const OBJECTIVE: &str = "objective";
    /// The host's learning rate; of several groups `lr.0`, `lr.1`, ….
    pub const LEARNING_RATE: &str = "lr";
    /// The host's momentum or first beta; of several groups `momentum.0`, `momentum.1`, ….
    pub const MOMENTUM: &str = "momentum";
    /// Before the names of the optimiser's states.
    pub const OPTIMIZER: &str = "optimizer";
    /// The train step's output where gradients are clipped by norm: the total norm before.
    pub const GRADIENT_NORM: &str = "grad_norm";
    /// The train step's output where the loss is scaled: whether a gradient is not finite, so that the step changes no weight.
    pub const FOUND_INF: &str = "found_inf";
    /// State: the factor of the loss.
    pub const LOSS_SCALE: &str = "scaler.scale";
    /// State: steps without overflow since the factor last changed.
    pub const GROWTH_TRACKER: &str = "scaler.growth_tracker";
    /// Before the names of accumulated gradients.
    pub const ACCUMULATED: &str = "grad";
    /// The host's number of batches between two steps of the optimiser.
    pub const ACCUMULATE_STEPS: &str = "accumulate.steps";
    /// State: batches since the last step of the optimiser.
    pub const ACCUMULATE_COUNT: &str = "accumulate.count";
    /// The state of the model's random numbers: the seed of the run.
    pub const RANDOM_SEED: &str = "random.seed";
    /// The state of the model's random numbers: how many training steps there were.
    pub const RANDOM_STEP: &str = "random.step";

    /// The name of a parameter's gradient, as an output and in the rules for all gradients.
    pub fn gradient_of(parameter: &str) -> String {
        format!("d_{parameter}")
    }
}
