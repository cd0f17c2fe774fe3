//! `torch.optim.RMSprop`.

use kiln_ir::DType;

use super::options::{at_least_zero, first_fault, options};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// RMSprop (Hinton, "Neural Networks for Machine Learning", lecture 6e; centered: Graves, 2013). State: `square_avg`, `grad_avg`, `momentum_buffer`.
    ///
    /// `v ← αv + (1-α)g²`, `u = g/(√v + eps)`, `b ← momentum·b + u`, `w ← w - lr·b`; centered, `v - ḡ²` takes the place of `v` with the running mean
    /// `ḡ` of the gradient.
    pub struct RmsProp(lr = 1e-2) {
        /// Decay of the second moment.
        alpha: f64 = 0.99,
        /// Added to the root of the second moment.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// How much of the last step is kept.
        momentum: f64 = 0.0,
        /// Divides by the deviation instead of the second moment.
        centered: bool = false,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl Optimizer for RmsProp {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        (self.momentum > 0.0).then_some(self.momentum)
    }

    fn fault(&self) -> Option<String> {
        first_fault([
            at_least_zero("learning rate", self.lr),
            at_least_zero("epsilon value", self.eps),
            at_least_zero("momentum value", self.momentum),
            at_least_zero("weight_decay value", self.weight_decay),
            at_least_zero("alpha value", self.alpha),
        ])
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, self.weight_decay);
        let square = state.moment("square_avg");
        let mut average = square * self.alpha + gradient * gradient * (1.0 - self.alpha);
        state.set(square, average);
        if self.centered {
            let mean = state.moment("grad_avg");
            let new_mean = mean + (gradient - mean) * (1.0 - self.alpha);
            state.set(mean, new_mean);
            average = average - new_mean * new_mean;
        }
        let mut direction = gradient / (average.sqrt() + self.eps);
        if self.momentum > 0.0 {
            let buffer = state.moment("momentum_buffer");
            direction = buffer * state.momentum().to(DType::F32) + direction;
            state.set(buffer, direction);
        }
        weight - direction * state.learning_rate().to(DType::F32)
    }
}
