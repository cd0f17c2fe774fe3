//! Lion, which `torch.optim` does not have.

use kiln_ir::DType;

use super::adam::decoupled;
use super::options::{at_least_zero, first_fault, options, valid_betas};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2). State: `exp_avg`.
    ///
    /// `u = sign(β₁m + (1-β₁)g)`, `w ← w(1 - lr·weight_decay) - lr·u`, `m ← β₂m + (1-β₂)g`.
    pub struct Lion(lr = 1e-4) {
        /// Weights of the moment in the step and in itself.
        betas: (f64, f64) = (0.9, 0.99),
        /// The share of a weight that a step with rate 1 takes away.
        weight_decay: f64 = 0.0,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl Optimizer for Lion {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn fault(&self) -> Option<String> {
        let Lion { lr, weight_decay, .. } = *self;
        let numbers = [("learning rate", lr), ("weight_decay value", weight_decay)];
        first_fault(numbers.map(|(what, value)| at_least_zero(what, value)).into_iter().chain(valid_betas(self.betas)))
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, 0.0);
        let mean = state.moment("exp_avg");
        let beta = state.momentum();
        let blend = mean * beta.to(DType::F32) + gradient * (1.0 - beta).to(DType::F32);
        state.set(mean, mean * self.betas.1 + gradient * (1.0 - self.betas.1));
        let kept = if self.weight_decay == 0.0 { weight } else { weight * decoupled(state, self.weight_decay) };
        kept - blend.sign() * state.learning_rate().to(DType::F32)
    }
}
