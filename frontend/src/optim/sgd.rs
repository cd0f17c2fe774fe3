//! `torch.optim.SGD`.

use kiln_ir::DType;

use super::options::{at_least_zero, first_fault, options};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Stochastic gradient descent with momentum.
    ///
    /// `g += weight_decay·w`; the first step sets `b = g`, later ones `b = momentum·b + (1 - dampening)·g`; then `w -= lr·(g + momentum·b)` with
    /// `nesterov` and `w -= lr·b` without. State: `momentum_buffer`.
    pub struct Sgd(lr) {
        /// How much of the last step is kept.
        momentum: f64 = 0.0,
        /// How much of the gradient is left out of the momentum.
        dampening: f64 = 0.0,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Nesterov's form of momentum.
        nesterov: bool = false,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl Sgd {
    /// With zero as the start, `momentum·0 + g` is the first step's `g` unless the gradient is dampened.
    fn needs_first_step(&self) -> bool {
        self.momentum != 0.0 && self.dampening != 0.0
    }
}

impl Optimizer for Sgd {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        (self.momentum != 0.0).then_some(self.momentum)
    }

    fn fault(&self) -> Option<String> {
        let nesterov = "Nesterov momentum requires a momentum and zero dampening";
        first_fault([
            at_least_zero("learning rate", self.lr),
            at_least_zero("momentum value", self.momentum),
            at_least_zero("weight_decay value", self.weight_decay),
            (!self.nesterov || (self.momentum > 0.0 && self.dampening == 0.0), nesterov.to_owned()),
        ])
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        if !self.needs_first_step() {
            return Vec::new();
        }
        let step = state.counter("step");
        state.set(step, step + 1.0);
        vec![("first_step", step.eq(0.0))]
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let mut direction = penalized(gradient, weight, self.maximize, self.weight_decay);
        if self.momentum != 0.0 {
            let momentum = state.momentum().to(DType::F32);
            let buffer = state.moment("momentum_buffer");
            let mut moved = buffer * momentum + direction * (1.0 - self.dampening);
            if self.needs_first_step() {
                moved = direction.where_self(state.shared("first_step"), moved);
            }
            state.set(buffer, moved);
            direction = if self.nesterov { direction + moved * momentum } else { moved };
        }
        weight - direction * state.learning_rate().to(DType::F32)
    }
}
