//! `torch.optim.SGD`.

use kiln_ir::DType;

use super::{Optimizer, RuleState};
use crate::Tensor;

/// Stochastic gradient descent with momentum.
///
/// `g += weight_decay·w`; the first step sets `b = g`, later ones `b = momentum·b + (1 - dampening)·g`; then `w -= lr·(g + momentum·b)` with
/// `nesterov` and `w -= lr·b` without. State: `momentum_buffer`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// How much of the last step is kept.
    pub momentum: f64,
    /// How much of the gradient is left out of the momentum.
    pub dampening: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(lr: f64) -> Sgd {
        Sgd { lr, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }

    /// With momentum.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Sgd {
        Sgd { momentum, ..self }
    }

    /// With dampening.
    #[must_use]
    pub fn dampening(self, dampening: f64) -> Sgd {
        Sgd { dampening, ..self }
    }

    /// With weight decay.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Sgd {
        Sgd { weight_decay, ..self }
    }

    /// With Nesterov momentum.
    #[must_use]
    pub fn nesterov(self, nesterov: bool) -> Sgd {
        Sgd { nesterov, ..self }
    }

    /// With zero as the start, `momentum·0 + g` is the first step's `g` unless the gradient is dampened.
    fn needs_first_step(&self) -> bool {
        self.momentum != 0.0 && self.dampening != 0.0
    }
}

impl Optimizer for Sgd {
    fn learning_rate(&self) -> f64 {
        self.lr
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
        let mut direction = gradient;
        if self.weight_decay != 0.0 {
            direction = direction + weight * self.weight_decay;
        }
        if self.momentum != 0.0 {
            let buffer = state.moment("momentum_buffer");
            let mut moved = buffer * self.momentum + direction * (1.0 - self.dampening);
            if self.needs_first_step() {
                moved = direction.where_self(state.shared("first_step"), moved);
            }
            state.set(buffer, moved);
            direction = if self.nesterov { direction + moved * self.momentum } else { moved };
        }
        weight - direction * state.learning_rate().to(DType::F32)
    }
}
