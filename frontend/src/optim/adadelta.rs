//! `torch.optim.Adadelta`.

use kiln_ir::DType;

use super::options::{at_least_zero, first_fault, options};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Adadelta (Zeiler, 2012). State: `square_avg`, `acc_delta`.
    ///
    /// `v ← ρv + (1-ρ)g²`, `Δ = √(u + eps)/√(v + eps) · g`, `u ← ρu + (1-ρ)Δ²`, `w ← w - lr·Δ`.
    pub struct Adadelta(lr = 1.0) {
        /// Decay of both averages.
        rho: f64 = 0.9,
        /// Added to both averages under their roots.
        eps: f64 = 1e-6,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl Optimizer for Adadelta {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn fault(&self) -> Option<String> {
        first_fault([
            at_least_zero("learning rate", self.lr),
            ((0.0..=1.0).contains(&self.rho), format!("Invalid rho value: {}", self.rho)),
            at_least_zero("epsilon value", self.eps),
            at_least_zero("weight_decay value", self.weight_decay),
        ])
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, self.weight_decay);
        let (square, accumulated) = (state.moment("square_avg"), state.moment("acc_delta"));
        let new_square = square * self.rho + gradient * gradient * (1.0 - self.rho);
        let delta = (accumulated + self.eps).sqrt() / (new_square + self.eps).sqrt() * gradient;
        state.set(square, new_square);
        state.set(accumulated, accumulated * self.rho + delta * delta * (1.0 - self.rho));
        weight - delta * state.learning_rate().to(DType::F32)
    }
}
