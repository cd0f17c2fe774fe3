//! `torch.optim.Adagrad`.

use kiln_ir::DType;

use super::options::{at_least_zero, first_fault, options};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Adagrad (Duchi, Hazan and Singer, 2011). State: `step`, `sum`.
    ///
    /// `s ← s + g²`, `w ← w - lr/(1 + (t-1)·lr_decay) · g/(√s + eps)`.
    pub struct Adagrad(lr = 1e-2) {
        /// How fast the rate falls.
        lr_decay: f64 = 0.0,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Where the sum of squares starts.
        initial_accumulator_value: f64 = 0.0,
        /// Added to the root of the sum.
        eps: f64 = 1e-10,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl Optimizer for Adagrad {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn fault(&self) -> Option<String> {
        first_fault([
            at_least_zero("learning rate", self.lr),
            at_least_zero("lr_decay value", self.lr_decay),
            at_least_zero("weight_decay value", self.weight_decay),
            at_least_zero("initial_accumulator_value value", self.initial_accumulator_value),
            at_least_zero("epsilon value", self.eps),
        ])
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let before = state.counter("step");
        state.set(before, before + 1.0);
        let rate = state.learning_rate() / (before * self.lr_decay + 1.0);
        vec![("rate", rate.to(DType::F32))]
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, self.weight_decay);
        let sum = state.moment_from("sum", self.initial_accumulator_value);
        let new_sum = sum + gradient * gradient;
        state.set(sum, new_sum);
        weight - gradient / (new_sum.sqrt() + self.eps) * state.shared("rate")
    }
}
