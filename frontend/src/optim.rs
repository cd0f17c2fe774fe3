//! Optimisers as update rules: each is traced into graphs that `append_update` puts into the train step.
//!
//! One optimiser, one file: a struct of options (`options.rs`) and an `impl Optimizer`. `rules.rs` traces them for the parameters of a model, and
//! `gradients.rs` what happens to all gradients before: accumulation, loss scaling, clipping.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod gradients;
mod lion;
mod muon;
mod nadam;
mod options;
mod radam;
mod rmsprop;
mod rules;
mod scaler;
mod sgd;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::Adamax;
pub use lion::Lion;
pub use muon::{AdjustLr, Muon};
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use rules::RuleState;
pub use scaler::GradScaler;
pub use sgd::Sgd;

pub(crate) use gradients::{Clip, GradientRule};
pub(crate) use rules::{Group, accumulate_rules, update_rules};

use crate::Tensor;

/// A rule for new weights. Numbers and formulas are those of `torch.optim`.
///
/// Your own is as good as these: gradient descent is
///
/// ```
/// use kiln_frontend::optim::{Optimizer, RuleState};
/// use kiln_frontend::{DType, Tensor};
///
/// struct Descent;
///
/// impl Optimizer for Descent {
///     fn learning_rate(&self) -> f64 {
///         0.1
///     }
///
///     fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
///         weight - gradient * state.learning_rate().to(DType::F32)
///     }
/// }
/// ```
pub trait Optimizer {
    /// The initial learning rate; the host may change it between steps.
    fn learning_rate(&self) -> f64;

    /// The initial momentum or first beta, if the rule has one; the host may change it between steps.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// What is wrong with the options: the `ValueError` of `torch.optim`.
    fn fault(&self) -> Option<String> {
        None
    }

    /// Why the rule is not for weights of this shape.
    fn refuses(&self, shape: &[usize]) -> Option<String> {
        let _ = shape;
        None
    }

    /// What all parameters of a group use: counters and corrections, by name. Runs once a step.
    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let _ = state;
        Vec::new()
    }

    /// The new weight.
    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor;
}

/// For an optimiser that is chosen at run time.
impl Optimizer for Box<dyn Optimizer> {
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn momentum(&self) -> Option<f64> {
        (**self).momentum()
    }

    fn fault(&self) -> Option<String> {
        (**self).fault()
    }

    fn refuses(&self, shape: &[usize]) -> Option<String> {
        (**self).refuses(shape)
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        (**self).shared(state)
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        (**self).update(weight, gradient, state)
    }
}

/// `g` as the rule takes it: negated to maximise, and with the L2 penalty `g + weight_decay·w`.
fn penalized(gradient: Tensor, weight: Tensor, maximize: bool, weight_decay: f64) -> Tensor {
    let gradient = if maximize { -gradient } else { gradient };
    if weight_decay == 0.0 { gradient } else { gradient + weight * weight_decay }
}
