//! Learning-rate schedules: `torch.optim.lr_scheduler`.
//!
//! A compiled program takes its rates as numbers from the host, so a schedule is arithmetic on the host and never compiles anything. It acts on [`Rates`], which come
//! from a trainer and go back to it:
//!
//! ```no_run
//! # fn example(mut trainer: kiln_runtime::Trainer) -> Result<(), Box<dyn std::error::Error>> {
//! use kiln_runtime::schedule::Schedule;
//!
//! let mut rates = trainer.rates()?;
//! let mut schedule = Schedule::exponential_lr(0.9);
//! schedule.start(&mut rates)?;
//! for _epoch in 0..20 {
//!     trainer.set_rates(&rates)?;
//!     // … train …
//!     schedule.step(&mut rates)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! As in PyTorch each schedule changes the rate that it finds, so that several act on one optimiser in turn.

mod compose;
mod cycle;
mod decay;
mod plateau;
mod restarts;
mod state;
#[cfg(test)]
mod tests;

pub use cycle::{Anneal, CyclicLr, CyclicMode, OneCycleLr};
pub use plateau::{Better, ReduceLrOnPlateau, Threshold};

use decay::Decay;
use plateau::Plateau;
use restarts::WarmRestarts;

/// The rates of an optimiser, one a parameter group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rates {
    /// Learning rates.
    pub lr: Vec<f64>,
    /// Momenta or first betas, for schedules that cycle them; empty if the optimiser has none.
    pub momentum: Vec<f64>,
    /// The learning rates when the first schedule started: what PyTorch keeps as `initial_lr`.
    pub initial_lr: Vec<f64>,
}

/// What an epoch's rate is multiplied by.
pub type Factor = Box<dyn Fn(u64) -> f64 + Send + Sync>;

/// A schedule and how far it is.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: Kind,
    /// The number of the epoch or step, counted from 0; -1 before the start.
    epoch: i64,
    /// The rates that absolute formulas start from.
    base: Vec<f64>,
}

#[derive(Debug, Clone)]
enum Kind {
    Decay(Decay),
    WarmRestarts(WarmRestarts),
    OneCycle(OneCycleLr),
    Cyclic(CyclicLr),
    Plateau(Plateau),
    Sequential { parts: Vec<Schedule>, milestones: Vec<u64> },
    Chained(Vec<Schedule>),
}

/// Why a schedule cannot go on: the `ValueError` of PyTorch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// An option is out of its range.
    #[error("{schedule} needs {expected}: found {found}")]
    Option {
        /// The schedule.
        schedule: &'static str,
        /// What the option has to be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// One value a parameter group is wanted.
    #[error("{schedule} needs one {what} a parameter group: there are {groups} groups and {found} values")]
    Groups {
        /// The schedule.
        schedule: &'static str,
        /// The option.
        what: &'static str,
        /// The number of groups.
        groups: usize,
        /// The number of values.
        found: usize,
    },
    /// A cycle has an end.
    #[error("Tried to step {found} times. The specified number of total steps is {total}")]
    TooManySteps {
        /// How many steps there are.
        total: u64,
        /// Which one was asked for.
        found: i64,
    },
    /// `ReduceLROnPlateau` is stepped with a metric, the others without.
    #[error("{schedule} is stepped {expected}")]
    Metric {
        /// The schedule.
        schedule: &'static str,
        /// With a metric or without.
        expected: &'static str,
    },
    /// A momentum is to be cycled, and the optimiser has none.
    #[error("{schedule} cycles the momentum, and the optimizer has no momentum or beta: set `cycle_momentum` to false")]
    NoMomentum {
        /// The schedule.
        schedule: &'static str,
    },
    /// What was saved is not of this schedule.
    #[error("the state of a schedule needs `{name}`: it has {found}")]
    State {
        /// The missing number.
        name: String,
        /// The numbers there are.
        found: String,
    },
}

impl Rates {
    /// The rates of an optimiser at the beginning of training.
    pub fn new(lr: Vec<f64>, momentum: Vec<f64>) -> Rates {
        Rates { lr, momentum, initial_lr: Vec::new() }
    }
}

impl Schedule {
    /// `LambdaLR`: the initial rate times `factor(epoch)`, for all groups.
    pub fn lambda_lr(factor: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Schedule {
        Schedule::of(Kind::Decay(Decay::lambda(vec![Box::new(factor)])))
    }

    /// `LambdaLR` with a function a group.
    pub fn lambda_lr_each(factors: Vec<Factor>) -> Schedule {
        Schedule::of(Kind::Decay(Decay::lambda(factors)))
    }

    /// `MultiplicativeLR`: the last rate times `factor(epoch)`, for all groups.
    pub fn multiplicative_lr(factor: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Schedule {
        Schedule::of(Kind::Decay(Decay::multiplicative(vec![Box::new(factor)])))
    }

    /// `MultiplicativeLR` with a function a group.
    pub fn multiplicative_lr_each(factors: Vec<Factor>) -> Schedule {
        Schedule::of(Kind::Decay(Decay::multiplicative(factors)))
    }

    /// `StepLR`: times `gamma` every `step_size` epochs. PyTorch's default for `gamma` is 0.1.
    pub fn step_lr(step_size: u64, gamma: f64) -> Schedule {
        Schedule::of(Kind::Decay(Decay::Step { step_size, gamma }))
    }

    /// `MultiStepLR`: times `gamma` at every milestone. PyTorch's default for `gamma` is 0.1.
    pub fn multi_step_lr(mut milestones: Vec<u64>, gamma: f64) -> Schedule {
        milestones.sort_unstable();
        Schedule::of(Kind::Decay(Decay::MultiStep { milestones, gamma }))
    }

    /// `ConstantLR`: times `factor` for `total_iters` epochs. PyTorch's defaults are 1/3 and 5.
    pub fn constant_lr(factor: f64, total_iters: u64) -> Schedule {
        Schedule::of(Kind::Decay(Decay::Constant { factor, total_iters }))
    }

    /// `LinearLR`: from `start_factor` to `end_factor` of the rate in `total_iters` epochs. PyTorch's defaults are 1/3, 1 and 5.
    pub fn linear_lr(start_factor: f64, end_factor: f64, total_iters: u64) -> Schedule {
        Schedule::of(Kind::Decay(Decay::Linear { start_factor, end_factor, total_iters }))
    }

    /// `ExponentialLR`: times `gamma` every epoch.
    pub fn exponential_lr(gamma: f64) -> Schedule {
        Schedule::of(Kind::Decay(Decay::Exponential { gamma }))
    }

    /// `PolynomialLR`: the initial rate times `(1 - epoch/total_iters)^power`. PyTorch's defaults are 5 and 1.
    pub fn polynomial_lr(total_iters: u64, power: f64) -> Schedule {
        Schedule::of(Kind::Decay(Decay::Polynomial { total_iters, power }))
    }

    /// `CosineAnnealingLR`: half a cosine down to `eta_min` in `t_max` epochs, and up again (Loshchilov and Hutter, 2017). PyTorch's default
    /// for `eta_min` is 0.
    pub fn cosine_annealing_lr(t_max: u64, eta_min: f64) -> Schedule {
        Schedule::of(Kind::Decay(Decay::CosineAnnealing { t_max, eta_min }))
    }

    /// `CosineAnnealingWarmRestarts`: half a cosine in `t_0` epochs, again and again in `t_mult` times as many (Loshchilov and Hutter, 2017).
    /// PyTorch's defaults are `t_mult` 1 and `eta_min` 0. [`step_to`](Self::step_to) takes fractions of an epoch.
    pub fn cosine_annealing_warm_restarts(t_0: u64, t_mult: u64, eta_min: f64) -> Schedule {
        Schedule::of(Kind::WarmRestarts(WarmRestarts::new(t_0, t_mult, eta_min)))
    }

    /// `OneCycleLR` (Smith and Topin, 2018), stepped after every batch.
    pub fn one_cycle_lr(options: OneCycleLr) -> Schedule {
        Schedule::of(Kind::OneCycle(options))
    }

    /// `CyclicLR` (Smith, 2017), stepped after every batch.
    pub fn cyclic_lr(options: CyclicLr) -> Schedule {
        Schedule::of(Kind::Cyclic(options))
    }

    /// `ReduceLROnPlateau`, stepped by [`step_with_metric`](Self::step_with_metric).
    pub fn reduce_lr_on_plateau(options: ReduceLrOnPlateau) -> Schedule {
        Schedule::of(Kind::Plateau(Plateau::new(options)))
    }

    /// `SequentialLR`: the parts one after the other, each from its milestone on.
    pub fn sequential_lr(parts: Vec<Schedule>, milestones: Vec<u64>) -> Schedule {
        Schedule::of(Kind::Sequential { parts, milestones })
    }

    /// `ChainedScheduler`: all parts at once.
    pub fn chained_scheduler(parts: Vec<Schedule>) -> Schedule {
        Schedule::of(Kind::Chained(parts))
    }

    fn of(kind: Kind) -> Schedule {
        Schedule { kind, epoch: -1, base: Vec::new() }
    }

    /// PyTorch's name.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Decay(decay) => decay.name(),
            Kind::WarmRestarts(_) => "CosineAnnealingWarmRestarts",
            Kind::OneCycle(_) => "OneCycleLR",
            Kind::Cyclic(_) => "CyclicLR",
            Kind::Plateau(_) => "ReduceLROnPlateau",
            Kind::Sequential { .. } => "SequentialLR",
            Kind::Chained(_) => "ChainedScheduler",
        }
    }

    /// Whether it is stepped by [`step_with_metric`](Self::step_with_metric).
    pub fn wants_metric(&self) -> bool {
        matches!(self.kind, Kind::Plateau(_))
    }

    /// The first epoch, or step: sets the rates that training begins with. Call it once, before training.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] for options that do not fit.
    pub fn start(&mut self, rates: &mut Rates) -> Result<(), ScheduleError> {
        self.check(rates)?;
        if let Kind::Cyclic(cyclic) = &self.kind {
            rates.lr = cyclic.base_rates(rates.lr.len());
        }
        if rates.initial_lr.is_empty() {
            rates.initial_lr.clone_from(&rates.lr);
        }
        if let Kind::OneCycle(cycle) = &self.kind {
            rates.initial_lr = cycle.initial_rates(rates.lr.len());
        }
        self.base = rates.initial_lr.clone();
        self.epoch = -1;
        match &mut self.kind {
            Kind::Sequential { parts, .. } => {
                compose::start_parts(parts, rates)?;
                self.epoch = 0;
                Ok(())
            }
            Kind::Chained(parts) => {
                self.epoch = 0;
                parts.iter_mut().try_for_each(|part| part.start(rates))
            }
            Kind::Plateau(_) => Ok(()),
            _ => self.step(rates),
        }
    }

    /// The next epoch, or step.
    ///
    /// # Errors
    ///
    /// [`ScheduleError::TooManySteps`] after the end of a cycle, [`ScheduleError::Metric`] for `ReduceLROnPlateau`.
    pub fn step(&mut self, rates: &mut Rates) -> Result<(), ScheduleError> {
        self.epoch += 1;
        let (epoch, base) = (self.epoch, &self.base);
        match &mut self.kind {
            Kind::Decay(decay) => {
                for (group, lr) in rates.lr.iter_mut().enumerate() {
                    *lr = decay.next(group, epoch as u64, *lr, base[group]);
                }
            }
            Kind::WarmRestarts(restarts) => {
                restarts.advance(epoch);
                restarts.set(rates, base);
            }
            Kind::OneCycle(cycle) => cycle.set(epoch, rates)?,
            Kind::Cyclic(cyclic) => cyclic.set(epoch, rates),
            Kind::Plateau(_) => return Err(ScheduleError::Metric { schedule: self.name(), expected: "with a metric" }),
            Kind::Sequential { parts, milestones } => compose::step_parts(parts, milestones, epoch as u64, rates)?,
            Kind::Chained(parts) => parts.iter_mut().try_for_each(|part| part.step(rates))?,
        }
        Ok(())
    }

    /// Goes to an epoch, which may be a fraction for warm restarts: PyTorch's `step(epoch)`.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step), and [`ScheduleError::Option`] for a negative epoch.
    pub fn step_to(&mut self, epoch: f64, rates: &mut Rates) -> Result<(), ScheduleError> {
        if epoch.is_nan() || epoch < 0.0 {
            let (schedule, found) = (self.name(), epoch.to_string());
            return Err(ScheduleError::Option { schedule, expected: "an epoch >= 0", found });
        }
        match &mut self.kind {
            Kind::Decay(decay) => {
                self.epoch = epoch as i64;
                for (group, lr) in rates.lr.iter_mut().enumerate() {
                    *lr = decay.at(group, epoch as u64, *lr, self.base[group]);
                }
                Ok(())
            }
            Kind::WarmRestarts(restarts) => {
                self.epoch = epoch.floor() as i64;
                restarts.go_to(epoch);
                restarts.set(rates, &self.base);
                Ok(())
            }
            _ => {
                self.epoch = epoch as i64 - 1;
                self.step(rates)
            }
        }
    }

    /// The next epoch, with what is to become better: PyTorch's `step(metrics)`.
    ///
    /// # Errors
    ///
    /// [`ScheduleError::Metric`] for every schedule but `ReduceLROnPlateau`.
    pub fn step_with_metric(&mut self, metric: f64, rates: &mut Rates) -> Result<(), ScheduleError> {
        let schedule = self.name();
        let Kind::Plateau(plateau) = &mut self.kind else {
            return Err(ScheduleError::Metric { schedule, expected: "without a metric" });
        };
        self.epoch += 1;
        plateau.step(metric, rates);
        Ok(())
    }

    /// What is wrong with the options, for these groups.
    fn check(&self, rates: &Rates) -> Result<(), ScheduleError> {
        match &self.kind {
            Kind::Decay(decay) => decay.check(rates.lr.len()),
            Kind::WarmRestarts(restarts) => restarts.check(),
            Kind::OneCycle(cycle) => cycle.check(rates),
            Kind::Cyclic(cyclic) => cyclic.check(rates),
            Kind::Plateau(plateau) => plateau.check(rates.lr.len()),
            Kind::Sequential { parts, milestones } => compose::check(parts, milestones),
            Kind::Chained(parts) => compose::check_parts("ChainedScheduler", parts),
        }
    }
}

/// `Err` unless `holds`.
fn ensure(
    holds: bool,
    schedule: &'static str,
    expected: &'static str,
    found: impl std::fmt::Display,
) -> Result<(), ScheduleError> {
    if holds { Ok(()) } else { Err(ScheduleError::Option { schedule, expected, found: found.to_string() }) }
}
