//! Schedules whose next rate is a formula of the epoch, the last rate and the initial one.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use super::{Factor, ScheduleError, ensure};

type Factors = Arc<Vec<Factor>>;

/// The formulas, by the names of `torch.optim.lr_scheduler`.
#[derive(Clone)]
pub(super) enum Decay {
    Lambda(Factors),
    Multiplicative(Factors),
    Step { step_size: u64, gamma: f64 },
    MultiStep { milestones: Vec<u64>, gamma: f64 },
    Constant { factor: f64, total_iters: u64 },
    Linear { start_factor: f64, end_factor: f64, total_iters: u64 },
    Exponential { gamma: f64 },
    Polynomial { total_iters: u64, power: f64 },
    CosineAnnealing { t_max: u64, eta_min: f64 },
}

impl Decay {
    pub(super) fn lambda(factors: Vec<Factor>) -> Decay {
        Decay::Lambda(Arc::new(factors))
    }

    pub(super) fn multiplicative(factors: Vec<Factor>) -> Decay {
        Decay::Multiplicative(Arc::new(factors))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Decay::Lambda(_) => "LambdaLR",
            Decay::Multiplicative(_) => "MultiplicativeLR",
            Decay::Step { .. } => "StepLR",
            Decay::MultiStep { .. } => "MultiStepLR",
            Decay::Constant { .. } => "ConstantLR",
            Decay::Linear { .. } => "LinearLR",
            Decay::Exponential { .. } => "ExponentialLR",
            Decay::Polynomial { .. } => "PolynomialLR",
            Decay::CosineAnnealing { .. } => "CosineAnnealingLR",
        }
    }

    pub(super) fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        let name = self.name();
        match *self {
            Decay::Lambda(ref factors) | Decay::Multiplicative(ref factors) => match factors.len() {
                1 => Ok(()),
                found if found == groups => Ok(()),
                found => Err(ScheduleError::Groups { schedule: name, what: "lr_lambda", groups, found }),
            },
            Decay::Step { step_size, .. } => ensure(step_size > 0, name, "step_size > 0", step_size),
            Decay::Constant { factor, .. } => ensure((0.0..=1.0).contains(&factor), name, "factor in [0, 1]", factor),
            Decay::Linear { start_factor, end_factor, .. } => {
                ensure(start_factor > 0.0 && start_factor <= 1.0, name, "start_factor in (0, 1]", start_factor)?;
                ensure((0.0..=1.0).contains(&end_factor), name, "end_factor in [0, 1]", end_factor)
            }
            Decay::CosineAnnealing { t_max, .. } => ensure(t_max > 0, name, "t_max > 0", t_max),
            Decay::MultiStep { .. } | Decay::Exponential { .. } | Decay::Polynomial { .. } => Ok(()),
        }
    }

    /// The rate of `epoch` from that of the epoch before, so that what other schedules did to it stays.
    pub(super) fn next(&self, group: usize, epoch: u64, lr: f64, base: f64) -> f64 {
        let t = epoch as f64;
        match *self {
            Decay::Lambda(ref factors) => base * of_group(factors, group)(epoch),
            Decay::Multiplicative(_) if epoch == 0 => lr,
            Decay::Multiplicative(ref factors) => lr * of_group(factors, group)(epoch),
            Decay::Step { step_size, gamma } if epoch > 0 && epoch.is_multiple_of(step_size) => lr * gamma,
            Decay::MultiStep { ref milestones, gamma } => {
                lr * power(gamma, milestones.iter().filter(|&&milestone| milestone == epoch).count())
            }
            Decay::Constant { factor, .. } if epoch == 0 => lr * factor,
            Decay::Constant { factor, total_iters } if epoch == total_iters => lr * (1.0 / factor),
            Decay::Linear { start_factor, .. } if epoch == 0 => lr * start_factor,
            Decay::Linear { start_factor, end_factor, total_iters } if epoch <= total_iters => {
                let change = end_factor - start_factor;
                lr * (1.0 + change / (total_iters as f64 * start_factor + (t - 1.0) * change))
            }
            Decay::Exponential { gamma } if epoch > 0 => lr * gamma,
            Decay::Polynomial { total_iters, power } if epoch > 0 && epoch <= total_iters => {
                let total = total_iters as f64;
                lr * ((1.0 - t / total) / (1.0 - (t - 1.0) / total)).powf(power)
            }
            Decay::CosineAnnealing { t_max, eta_min } if epoch > 0 => {
                let period = t_max as f64;
                // Where the last cosine was -1, the quotient has no value.
                if epoch > t_max && (epoch - 1 - t_max).is_multiple_of(2 * t_max) {
                    return lr + (base - eta_min) * (1.0 - (PI / period).cos()) / 2.0;
                }
                let cosine = |t: f64| 1.0 + (PI * t / period).cos();
                cosine(t) / cosine(t - 1.0) * (lr - eta_min) + eta_min
            }
            _ => lr,
        }
    }

    /// The rate of `epoch` from the initial one, where there is such a formula.
    pub(super) fn at(&self, group: usize, epoch: u64, lr: f64, base: f64) -> f64 {
        let t = epoch as f64;
        match *self {
            Decay::Lambda(_) | Decay::Multiplicative(_) => self.next(group, epoch, lr, base),
            Decay::Step { step_size, gamma } => base * power(gamma, (epoch / step_size) as usize),
            Decay::MultiStep { ref milestones, gamma } => {
                base * power(gamma, milestones.iter().filter(|&&milestone| milestone <= epoch).count())
            }
            Decay::Constant { factor, total_iters } => base * if epoch >= total_iters { 1.0 } else { factor },
            Decay::Linear { start_factor, end_factor, total_iters } => {
                let passed = epoch.min(total_iters) as f64 / total_iters as f64;
                base * (start_factor + (end_factor - start_factor) * passed)
            }
            Decay::Exponential { gamma } => base * power(gamma, epoch as usize),
            Decay::Polynomial { total_iters, power } => {
                base * (1.0 - epoch.min(total_iters) as f64 / total_iters as f64).powf(power)
            }
            Decay::CosineAnnealing { t_max, eta_min } => {
                eta_min + (base - eta_min) * (1.0 + (PI * t / t_max as f64).cos()) / 2.0
            }
        }
    }
}

fn of_group(factors: &Factors, group: usize) -> &(dyn Fn(u64) -> f64 + Send + Sync) {
    &*factors[if factors.len() == 1 { 0 } else { group }]
}

fn power(gamma: f64, exponent: usize) -> f64 {
    gamma.powf(exponent as f64)
}

impl fmt::Debug for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
