//! `torch.optim.RAdam`.

use kiln_ir::DType;

use super::adam::decoupled;
use super::options::{at_least_zero, first_fault, options, valid_betas};
use super::{Optimizer, RuleState, penalized};
use crate::{Tensor, where_};

options! {
    /// Rectified Adam (Liu et al., 2020). State: `step`, `exp_avg`, `exp_avg_sq`.
    ///
    /// With `ρ∞ = 2/(1-β₂) - 1` and `ρₜ = ρ∞ - 2tβ₂ᵗ/(1-β₂ᵗ)`: `w ← w - lr·m/(1-β₁ᵗ)` while `ρₜ <= 5`, and times
    /// `r·√(1-β₂ᵗ)/(√v + eps)` later, `r = √((ρₜ-4)(ρₜ-2)ρ∞ / ((ρ∞-4)(ρ∞-2)ρₜ))`.
    pub struct RAdam(lr = 1e-3) {
        /// Decay of the two moments.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root of the second moment.
        eps: f64 = 1e-8,
        /// L2 penalty, or the share of a weight that a step takes away if `decoupled_weight_decay`.
        weight_decay: f64 = 0.0,
        /// Decays weights as AdamW does.
        decoupled_weight_decay: bool = false,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

/// From this length of the averaged window on, the variance of the adaptive rate is known.
const TRACTABLE: f64 = 5.0;

impl Optimizer for RAdam {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn fault(&self) -> Option<String> {
        let RAdam { lr, eps, weight_decay, .. } = *self;
        let numbers = [("learning rate", lr), ("epsilon value", eps), ("weight_decay value", weight_decay)];
        first_fault(numbers.map(|(what, value)| at_least_zero(what, value)).into_iter().chain(valid_betas(self.betas)))
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let before = state.counter("step");
        let step = before + 1.0;
        state.set(before, step);
        let beta = state.momentum();
        let power = Tensor::full(self.betas.1, DType::F64).pow(step);
        let correction = 1.0 - power;
        let longest = 2.0 / (1.0 - self.betas.1) - 1.0;
        let length = longest - step * power * 2.0 / correction;
        let rectified = (length - 4.0) * (length - 2.0) * longest / (length * ((longest - 4.0) * (longest - 2.0)));
        // Below the limit the root may be of a negative number: the choice is before it, so that no NaN arises.
        let tractable = length.gt(TRACTABLE);
        let adaptive_rate = (where_(tractable, rectified, 1.0) * correction).sqrt();
        let results = [
            ("mean_weight", 1.0 - beta),
            ("mean_rate", state.learning_rate() / (1.0 - beta.pow(step))),
            ("adaptive_rate", adaptive_rate),
            ("keep", decoupled(state, self.weight_decay)),
        ];
        let results = results.map(|(name, value)| (name, value.to(DType::F32)));
        results.into_iter().chain([("tractable", tractable)]).collect()
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let penalty = if self.decoupled_weight_decay { 0.0 } else { self.weight_decay };
        let gradient = penalized(gradient, weight, self.maximize, penalty);
        let kept = if self.decoupled_weight_decay { weight * state.shared("keep") } else { weight };
        let (mean, square) = (state.moment("exp_avg"), state.moment("exp_avg_sq"));
        let new_mean = mean + (gradient - mean) * state.shared("mean_weight");
        let new_square = square * self.betas.1 + gradient * gradient * (1.0 - self.betas.1);
        state.set(mean, new_mean);
        state.set(square, new_square);
        let step = new_mean * state.shared("mean_rate");
        let adapted = step * state.shared("adaptive_rate") / (new_square.sqrt() + self.eps);
        kept - adapted.where_self(state.shared("tractable"), step)
    }
}
