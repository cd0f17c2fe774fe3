//! `torch.optim.Adam` and `torch.optim.AdamW`.

use kiln_ir::DType;

use super::options::{at_least_zero, first_fault, options, valid_betas};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Adam (Kingma and Ba, 2015) with an L2 penalty: `g += weight_decay·w`. State: `step`, `exp_avg`, `exp_avg_sq`, `max_exp_avg_sq`.
    ///
    /// `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `w ← w - lr/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + eps)`.
    pub struct Adam(lr = 1e-3) {
        /// Decay of the two moments.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root of the second moment.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Divides by the greatest second moment so far (Reddi, Kale and Kumar, 2018).
        amsgrad: bool = false,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

options! {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019): `w -= lr·weight_decay·w` first. State as [`Adam`].
    pub struct AdamW(lr = 1e-3) {
        /// Decay of the two moments.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root of the second moment.
        eps: f64 = 1e-8,
        /// The share of a weight that a step with rate 1 takes away.
        weight_decay: f64 = 0.01,
        /// Divides by the greatest second moment so far (Reddi, Kale and Kumar, 2018).
        amsgrad: bool = false,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

impl AdamW {
    /// The rule without its decay.
    fn adam(&self) -> Adam {
        let AdamW { lr, betas, eps, amsgrad, maximize, .. } = *self;
        Adam { lr, betas, eps, weight_decay: 0.0, amsgrad, maximize }
    }
}

impl Optimizer for Adam {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn fault(&self) -> Option<String> {
        let Adam { lr, eps, weight_decay, .. } = *self;
        let numbers = [("learning rate", lr), ("epsilon value", eps), ("weight_decay value", weight_decay)];
        first_fault(numbers.map(|(what, value)| at_least_zero(what, value)).into_iter().chain(valid_betas(self.betas)))
    }

    /// The corrections are computed in f64: `1 - 0.999` in f32 has lost four digits.
    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let before = state.counter("step");
        let step = before + 1.0;
        state.set(before, step);
        let (first, second) = (state.momentum(), Tensor::full(self.betas.1, DType::F64));
        let step_size = state.learning_rate() / (1.0 - first.pow(step));
        let root = (1.0 - second.pow(step)).sqrt();
        let results = [("mean_weight", 1.0 - first), ("step_size", step_size), ("bias_correction2_sqrt", root)];
        results.map(|(name, value)| (name, value.to(DType::F32))).to_vec()
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, self.weight_decay);
        let (mean, square) = (state.moment("exp_avg"), state.moment("exp_avg_sq"));
        let new_mean = mean + (gradient - mean) * state.shared("mean_weight");
        let new_square = square * self.betas.1 + gradient * gradient * (1.0 - self.betas.1);
        state.set(mean, new_mean);
        state.set(square, new_square);
        let mut divisor = new_square;
        if self.amsgrad {
            let greatest = state.moment("max_exp_avg_sq");
            divisor = greatest.maximum(new_square);
            state.set(greatest, divisor);
        }
        let denominator = divisor.sqrt() / state.shared("bias_correction2_sqrt") + self.eps;
        weight - new_mean / denominator * state.shared("step_size")
    }
}

impl Optimizer for AdamW {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn fault(&self) -> Option<String> {
        Adam { weight_decay: self.weight_decay, ..self.adam() }.fault()
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let mut shared = self.adam().shared(state);
        shared.push(("keep", decoupled(state, self.weight_decay)));
        shared
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        self.adam().update(weight * state.shared("keep"), gradient, state)
    }
}

/// What decoupled decay leaves of a weight: `1 - lr·weight_decay`.
pub(super) fn decoupled(state: &RuleState, weight_decay: f64) -> Tensor {
    (1.0 - state.learning_rate() * weight_decay).to(DType::F32)
}
