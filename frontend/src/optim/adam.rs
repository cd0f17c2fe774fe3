//! `torch.optim.Adam` and `torch.optim.AdamW`.

use kiln_ir::DType;

use super::{Optimizer, RuleState};
use crate::Tensor;

/// Adam (Kingma and Ba, 2015) with an L2 penalty: `g += weight_decay·w`. State: `step`, `exp_avg`, `exp_avg_sq`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019): `w -= lr·weight_decay·w` first.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamW(
    /// The same numbers; `weight_decay` is 0.01 by default.
    pub Adam,
);

impl Adam {
    /// With PyTorch's defaults: betas (0.9, 0.999), eps 1e-8, no weight decay.
    pub fn new(lr: f64) -> Adam {
        Adam { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }
    }

    /// With other decays.
    #[must_use]
    pub fn betas(self, first: f64, second: f64) -> Adam {
        Adam { betas: (first, second), ..self }
    }

    /// With another eps.
    #[must_use]
    pub fn eps(self, eps: f64) -> Adam {
        Adam { eps, ..self }
    }

    /// With weight decay.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Adam {
        Adam { weight_decay, ..self }
    }

    /// `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `w - lr/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + eps)`.
    fn step(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let (mean, square) = (state.moment("exp_avg"), state.moment("exp_avg_sq"));
        let (first, second) = self.betas;
        let new_mean = mean + (gradient - mean) * (1.0 - first);
        let new_square = square * second + gradient * gradient * (1.0 - second);
        state.set(mean, new_mean);
        state.set(square, new_square);
        let denominator = new_square.sqrt() / state.shared("bias_correction2_sqrt") + self.eps;
        weight - new_mean / denominator * state.shared("step_size")
    }
}

impl AdamW {
    /// With PyTorch's defaults: betas (0.9, 0.999), eps 1e-8, weight decay 0.01.
    pub fn new(lr: f64) -> AdamW {
        AdamW(Adam::new(lr).weight_decay(0.01))
    }

    /// With other decays.
    #[must_use]
    pub fn betas(self, first: f64, second: f64) -> AdamW {
        AdamW(self.0.betas(first, second))
    }

    /// With another eps.
    #[must_use]
    pub fn eps(self, eps: f64) -> AdamW {
        AdamW(self.0.eps(eps))
    }

    /// With another weight decay.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> AdamW {
        AdamW(self.0.weight_decay(weight_decay))
    }
}

impl Optimizer for Adam {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    /// The corrections are computed in f64: `1 - 0.999` in f32 has lost four digits.
    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        let before = state.counter("step");
        let step = before + 1.0;
        state.set(before, step);
        let correction = |beta: f64| 1.0 - Tensor::full(beta, DType::F64).pow(step);
        let step_size = state.learning_rate() / correction(self.betas.0);
        let root = correction(self.betas.1).sqrt();
        vec![("step_size", step_size.to(DType::F32)), ("bias_correction2_sqrt", root.to(DType::F32))]
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = match self.weight_decay {
            0.0 => gradient,
            decay => gradient + weight * decay,
        };
        self.step(weight, gradient, state)
    }
}

impl Optimizer for AdamW {
    fn learning_rate(&self) -> f64 {
        self.0.lr
    }

    fn shared(&self, state: &mut RuleState) -> Vec<(&'static str, Tensor)> {
        self.0.shared(state)
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let keep = (1.0 - state.learning_rate() * self.0.weight_decay).to(DType::F32);
        self.0.step(weight * keep, gradient, state)
    }
}
