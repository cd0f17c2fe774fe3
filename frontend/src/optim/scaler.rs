//! `torch.amp.GradScaler`: a factor of the loss that keeps small gradients of half types from vanishing.

use kiln_ir::update::names;
use kiln_ir::{DType, Init, Role, Type};

use super::options::first_fault;
use super::rules::input;
use crate::{Tensor, where_};

/// Dynamic loss scaling (Micikevicius et al., "Mixed Precision Training", 2018), compiled into the step.
///
/// The loss is multiplied by a scale before it is differentiated, and the gradients divided by it. A step in which a gradient is not finite
/// changes no weight and no state of the optimiser, and multiplies the scale by `backoff_factor`; after `growth_interval` steps
/// without such a one the scale is multiplied by `growth_factor`, if it stays finite. State: `scaler.scale`, `scaler.growth_tracker`; output
/// `found_inf`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GradScaler {
    /// The scale at the start.
    pub init_scale: f64,
    /// What it grows by.
    pub growth_factor: f64,
    /// What it shrinks by.
    pub backoff_factor: f64,
    /// Steps without overflow before it grows.
    pub growth_interval: u64,
}

impl Default for GradScaler {
    /// PyTorch's defaults: scale 65536, growth 2, backoff 0.5, interval 2000.
    fn default() -> GradScaler {
        GradScaler { init_scale: 65536.0, growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2000 }
    }
}

impl GradScaler {
    /// Why PyTorch would refuse the options.
    pub(crate) fn fault(&self) -> Option<String> {
        let GradScaler { init_scale, growth_factor, backoff_factor, growth_interval } = *self;
        first_fault([
            (init_scale > 0.0, format!("the scale must be greater than 0: `init_scale` is {init_scale}")),
            (growth_factor > 1.0, format!("the growth factor must be > 1.0: it is {growth_factor}")),
            (backoff_factor < 1.0, format!("the backoff factor must be < 1.0: it is {backoff_factor}")),
            (growth_interval > 0, "the growth interval needs to be at least 1: it is 0".to_owned()),
        ])
    }

    /// The present scale, an f32 state of the open trace.
    pub(crate) fn scale(&self) -> Tensor {
        let init = Init::Constant(self.init_scale);
        input(names::LOSS_SCALE, Role::State, Type::scalar(DType::F32), init)
    }

    /// The states and their next values.
    pub(super) fn update(&self, found_inf: Tensor) -> [(Tensor, Tensor); 2] {
        let scale = self.scale();
        let tracker = input(names::GROWTH_TRACKER, Role::State, Type::scalar(DType::I64), Init::Zeros);
        let successful = tracker + 1;
        let grows = successful.eq(self.growth_interval as i64);
        let grown = scale * self.growth_factor;
        let grown = where_(grown.isfinite(), grown, scale);
        let next_scale = where_(found_inf, scale * self.backoff_factor, where_(grows, grown, scale));
        let restarts = found_inf.logical_or(grows);
        [(scale, next_scale), (tracker, where_(restarts, tracker.zeros_like(), successful))]
    }
}
