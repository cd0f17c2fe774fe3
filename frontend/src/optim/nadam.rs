//! `torch.optim.NAdam`.

use kiln_ir::DType;

use super::adam::decoupled;
use super::options::{at_least_zero, first_fault, options, valid_betas};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Adam with Nesterov momentum (Dozat, 2016). State: `step`, `mu_product`, `exp_avg`, `exp_avg_sq`.
    ///
    /// `μₜ = β₁(1 - ½·0.96^(t·momentum_decay))`, `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `d = √(v/(1-β₂ᵗ)) + eps`,
    /// `w ← w - lr(1-μₜ)/(1-Πμ) · g/d - lr·μₜ₊₁/(1-Πμ·μₜ₊₁) · m/d`.
    pub struct NAdam(lr = 2e-3) {
        /// Decay of the two moments.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root of the second moment.
        eps: f64 = 1e-8,
        /// L2 penalty, or the share of a weight that a step takes away if `decoupled_weight_decay`.
        weight_decay: f64 = 0.0,
        /// How fast the momentum warms up.
        momentum_decay: f64 = 4e-3,
        /// Decays weights as AdamW does.
        decoupled_weight_decay: bool = false,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

/// The base of the momentum's warm-up, fixed as in PyTorch.
const WARM_UP: f64 = 0.96;

impl Optimizer for NAdam {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn fault(&self) -> Option<String> {
        let NAdam { lr, eps, weight_decay, momentum_decay, .. } = *self;
        let numbers = [
            ("learning rate", lr),
            ("epsilon value", eps),
            ("weight_decay value", weight_decay),
            ("momentum_decay value", momentum_decay),
        ];
        first_fault(numbers.map(|(what, value)| at_least_zero(what, value)).into_iter().chain(valid_betas(self.betas)))
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let (before, product_before) = (state.counter("step"), state.counter_from("mu_product", 1.0));
        let step = before + 1.0;
        let (rate, beta) = (state.learning_rate(), state.momentum());
        let warm_up = Tensor::full(WARM_UP, DType::F64);
        let momentum_at = |step: Tensor| beta * (1.0 - warm_up.pow(step * self.momentum_decay) * 0.5);
        let (mu, mu_next) = (momentum_at(step), momentum_at(step + 1.0));
        let product = product_before * mu;
        state.set(before, step);
        state.set(product_before, product);
        let results = [
            ("mean_weight", 1.0 - beta),
            ("bias_correction2", 1.0 - Tensor::full(self.betas.1, DType::F64).pow(step)),
            ("gradient_rate", rate * (1.0 - mu) / (1.0 - product)),
            ("mean_rate", rate * mu_next / (1.0 - product * mu_next)),
            ("keep", decoupled(state, self.weight_decay)),
        ];
        results.map(|(name, value)| (name, value.to(DType::F32))).to_vec()
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
        let denominator = (new_square / state.shared("bias_correction2")).sqrt() + self.eps;
        let step = gradient * state.shared("gradient_rate") + new_mean * state.shared("mean_rate");
        kept - step / denominator
    }
}
