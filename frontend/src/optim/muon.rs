//! `torch.optim.Muon`.

use kiln_ir::DType;

use super::adam::decoupled;
use super::options::{at_least_zero, first_fault, options};
use super::{Optimizer, RuleState, penalized};
use crate::Tensor;

options! {
    /// Momentum orthogonalised by Newton-Schulz iterations (Jordan et al., 2024), for matrices; give other parameters to another optimiser, in a
    /// parameter group of their own. State: `momentum_buffer`.
    ///
    /// `b ← momentum·b + (1-momentum)·g`, `u` = the nearest semi-orthogonal matrix to `g + momentum·(b-g)` (or to `b`),
    /// `w ← w(1 - lr·weight_decay) - lr·r·u`. The iterations are in bfloat16, as PyTorch's.
    pub struct Muon(lr = 1e-3) {
        /// The share of a weight that a step with rate 1 takes away.
        weight_decay: f64 = 0.1,
        /// How much of the last step is kept.
        momentum: f64 = 0.95,
        /// Nesterov's form of momentum.
        nesterov: bool = true,
        /// The polynomial `aX + b(XXᵀ)X + c(XXᵀ)²X`.
        ns_coefficients: (f64, f64, f64) = (3.4445, -4.775, 2.0315),
        /// The least norm that a matrix is divided by.
        eps: f64 = 1e-7,
        /// Iterations.
        ns_steps: usize = 5,
        /// How the rate depends on the shape.
        adjust_lr: AdjustLr = AdjustLr::Original,
        /// Ascends instead of descending.
        maximize: bool = false,
    }
}

/// The factor `r` of [`Muon`]'s rate for a weight of shape `[rows, columns]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdjustLr {
    /// `√max(1, rows/columns)`.
    Original,
    /// `0.2·√max(rows, columns)`: the size of AdamW's steps, so that its rates fit (Moonshot, 2025).
    MatchRmsAdamW,
}

/// PyTorch's limit.
const MAX_STEPS: usize = 99;

impl AdjustLr {
    fn factor(self, shape: &[usize]) -> f64 {
        let (rows, columns) = (shape[0] as f64, shape[1] as f64);
        match self {
            AdjustLr::Original => (rows / columns).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamW => 0.2 * rows.max(columns).sqrt(),
        }
    }
}

impl Muon {
    /// The iterations towards a semi-orthogonal matrix, over the shorter side.
    fn orthogonalized(&self, matrix: Tensor, shape: &[usize]) -> Tensor {
        let (a, b, c) = self.ns_coefficients;
        let is_tall = shape[0] > shape[1];
        let round = |x: Tensor| x.to(DType::BF16).to(DType::F32);
        let mut x = round(if is_tall { matrix.t() } else { matrix });
        let norm = round(x.square().sum_all().sqrt());
        x = round(x / norm.clamp(Some(self.eps), None));
        for _ in 0..self.ns_steps {
            let gram = round(x.matmul(x.t()));
            let update = round(gram * b + gram.matmul(gram) * c);
            x = round(x * a + update.matmul(x));
        }
        if is_tall { x.t() } else { x }
    }
}

impl Optimizer for Muon {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.momentum)
    }

    fn fault(&self) -> Option<String> {
        let steps = format!("Number of steps must be less than 100 for computational efficiency: {}", self.ns_steps);
        first_fault([
            at_least_zero("learning rate", self.lr),
            at_least_zero("momentum value", self.momentum),
            at_least_zero("weight_decay value", self.weight_decay),
            (self.ns_steps <= MAX_STEPS, steps),
        ])
    }

    fn refuses(&self, shape: &[usize]) -> Option<String> {
        (shape.len() != 2).then(|| "Muon only supports 2D parameters".to_owned())
    }

    fn update(&self, weight: Tensor, gradient: Tensor, state: &mut RuleState) -> Tensor {
        let gradient = penalized(gradient, weight, self.maximize, 0.0);
        let shape = state.shape().to_vec();
        let momentum = state.momentum();
        let buffer = state.moment("momentum_buffer");
        let moved = buffer + (gradient - buffer) * (1.0 - momentum).to(DType::F32);
        state.set(buffer, moved);
        let direction = if self.nesterov { gradient + (moved - gradient) * momentum.to(DType::F32) } else { moved };
        let rate = (state.learning_rate() * self.adjust_lr.factor(&shape)).to(DType::F32);
        weight * decoupled(state, self.weight_decay) - self.orthogonalized(direction, &shape) * rate
    }
}
