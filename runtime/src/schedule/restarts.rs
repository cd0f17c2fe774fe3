//! `CosineAnnealingWarmRestarts`: SGDR (Loshchilov and Hutter, 2017).

use std::f64::consts::PI;

use super::{Rates, ScheduleError, ensure};

/// The options and where the present cosine is.
#[derive(Debug, Clone)]
pub(super) struct WarmRestarts {
    t_0: u64,
    t_mult: u64,
    eta_min: f64,
    /// Epochs since the last restart.
    pub(super) current: f64,
    /// Epochs between the last restart and the next.
    pub(super) period: f64,
}

impl WarmRestarts {
    pub(super) fn new(t_0: u64, t_mult: u64, eta_min: f64) -> WarmRestarts {
        WarmRestarts { t_0, t_mult, eta_min, current: -1.0, period: t_0 as f64 }
    }

    pub(super) fn check(&self) -> Result<(), ScheduleError> {
        let name = "CosineAnnealingWarmRestarts";
        ensure(self.t_0 > 0, name, "t_0 > 0", self.t_0)?;
        ensure(self.t_mult > 0, name, "t_mult >= 1", self.t_mult)
    }

    /// One epoch on; epoch 0 is the start.
    pub(super) fn advance(&mut self, epoch: i64) {
        if epoch == 0 {
            return self.go_to(0.0);
        }
        self.current += 1.0;
        if self.current >= self.period {
            self.current -= self.period;
            self.period *= self.t_mult as f64;
        }
    }

    pub(super) fn go_to(&mut self, epoch: f64) {
        let (first, factor) = (self.t_0 as f64, self.t_mult as f64);
        (self.current, self.period) = if epoch < first {
            (epoch, first)
        } else if self.t_mult == 1 {
            (epoch % first, first)
        } else {
            let restarts = ((epoch / first * (factor - 1.0) + 1.0).ln() / factor.ln()).floor();
            let scale = factor.powf(restarts);
            (epoch - first * (scale - 1.0) / (factor - 1.0), first * scale)
        };
    }

    pub(super) fn set(&self, rates: &mut Rates, base: &[f64]) {
        let share = (1.0 + (PI * self.current / self.period).cos()) / 2.0;
        for (lr, base) in rates.lr.iter_mut().zip(base) {
            *lr = self.eta_min + (base - self.eta_min) * share;
        }
    }
}
