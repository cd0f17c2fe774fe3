//! `torch.optim.Adamax`.

use kiln_ir::DType;

use super::options::{at_least_zero, first_fault, options, valid_betas};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Adamax (Kingma and Ba, 2015, section 7.1): Adam with the infinity norm. State: `step`, `exp_avg`, `exp_inf`.
    ///
    /// `m ← β₁m + (1-β₁)g`, `u ← max(β₂u, |g| + eps)`, `w ← w - lr/(1-β₁ᵗ) · m/u`.
    pub struct Adamax(lr = 2e-3) {
        /// Decay of the moment and of the norm.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the size of the gradient.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl Optimizer for Adamax {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn fault(&self) -> Option<String> {
        let Adamax { lr, eps, weight_decay, .. } = *self;
        let numbers = [("learning rate", lr), ("epsilon value", eps), ("weight_decay value", weight_decay)];
        first_fault(numbers.map(|(what, value)| at_least_zero(what, value)).into_iter().chain(valid_betas(self.betas)))
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let before = state.counter("step");
        let step = before + 1.0;
        state.set(before, step);
        let step_size = state.learning_rate() / (1.0 - state.momentum().pow(step));
        let mean_weight = 1.0 - state.momentum();
        vec![("mean_weight", mean_weight.to(DType::F32)), ("step_size", step_size.to(DType::F32))]
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, self.weight_decay);
        let (mean, norm) = (state.moment("exp_avg"), state.moment("exp_inf"));
        let new_mean = mean + (gradient - mean) * state.shared("mean_weight");
        let new_norm = (norm * self.betas.1).maximum(gradient.abs() + self.eps);
        state.set(mean, new_mean);
        state.set(norm, new_norm);
        weight - new_mean / new_norm * state.shared("step_size")
    }
}
