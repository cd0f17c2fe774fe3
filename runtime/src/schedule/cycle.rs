//! Schedules of steps that also cycle the momentum: `OneCycleLR` and `CyclicLR`.

use std::f64::consts::PI;

use super::{Rates, ScheduleError, ensure};

/// Options of `OneCycleLR` with PyTorch's names and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct OneCycleLr {
    /// The greatest rate, one for all groups or one a group.
    pub max_lr: Vec<f64>,
    /// Steps of the cycle: epochs times steps per epoch.
    pub total_steps: u64,
    /// Share of the cycle in which the rate rises.
    pub pct_start: f64,
    /// The shape of the phases.
    pub anneal_strategy: Anneal,
    /// Whether the momentum falls while the rate rises.
    pub cycle_momentum: bool,
    /// The least momentum.
    pub base_momentum: f64,
    /// The greatest momentum.
    pub max_momentum: f64,
    /// The first rate is the greatest by this.
    pub div_factor: f64,
    /// The last rate is the first by this.
    pub final_div_factor: f64,
    /// Whether the rate falls as it rose before it vanishes.
    pub three_phase: bool,
}

/// The shape between two rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anneal {
    /// Half a cosine.
    Cos,
    /// A line.
    Linear,
}

/// From one rate and momentum to others, until a step.
struct Phase {
    end: f64,
    lr: (f64, f64),
    momentum: (f64, f64),
}

impl OneCycleLr {
    /// PyTorch's defaults.
    pub fn new(max_lr: f64, total_steps: u64) -> OneCycleLr {
        OneCycleLr {
            max_lr: vec![max_lr],
            total_steps,
            pct_start: 0.3,
            anneal_strategy: Anneal::Cos,
            cycle_momentum: true,
            base_momentum: 0.85,
            max_momentum: 0.95,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    pub(super) fn check(&self, rates: &Rates) -> Result<(), ScheduleError> {
        let name = "OneCycleLR";
        ensure(self.total_steps > 0, name, "total_steps > 0", self.total_steps)?;
        ensure((0.0..=1.0).contains(&self.pct_start), name, "pct_start in [0, 1]", self.pct_start)?;
        check_each(name, "max_lr", &self.max_lr, rates.lr.len())?;
        check_momentum(name, self.cycle_momentum, rates)
    }

    pub(super) fn initial_rates(&self, groups: usize) -> Vec<f64> {
        (0..groups).map(|group| of_group(&self.max_lr, group) / self.div_factor).collect()
    }

    pub(super) fn set(&self, step: i64, rates: &mut Rates) -> Result<(), ScheduleError> {
        if step > self.total_steps as i64 {
            return Err(ScheduleError::TooManySteps { total: self.total_steps, found: step });
        }
        let step = step as f64;
        for group in 0..rates.lr.len() {
            let phases = self.phases(of_group(&self.max_lr, group));
            let now = phases.iter().position(|phase| step <= phase.end).unwrap_or(phases.len() - 1);
            let start = now.checked_sub(1).map_or(0.0, |before| phases[before].end);
            let share = (step - start) / (phases[now].end - start);
            rates.lr[group] = self.anneal_strategy.between(phases[now].lr, share);
            if self.cycle_momentum {
                rates.momentum[group] = self.anneal_strategy.between(phases[now].momentum, share);
            }
        }
        Ok(())
    }

    fn phases(&self, max: f64) -> Vec<Phase> {
        let first = max / self.div_factor;
        let last = first / self.final_div_factor;
        let (low, high) = (self.base_momentum, self.max_momentum);
        let total = self.total_steps as f64;
        let rise = Phase { end: self.pct_start * total - 1.0, lr: (first, max), momentum: (high, low) };
        let end = total - 1.0;
        if self.three_phase {
            let fall = Phase { end: 2.0 * self.pct_start * total - 2.0, lr: (max, first), momentum: (low, high) };
            return vec![rise, fall, Phase { end, lr: (first, last), momentum: (high, high) }];
        }
        vec![rise, Phase { end, lr: (max, last), momentum: (low, high) }]
    }
}

impl Anneal {
    fn between(self, (start, end): (f64, f64), share: f64) -> f64 {
        match self {
            Anneal::Cos => end + (start - end) / 2.0 * ((PI * share).cos() + 1.0),
            Anneal::Linear => (end - start) * share + start,
        }
    }
}

/// Options of `CyclicLR` with PyTorch's names and defaults.
#[derive(Debug, Clone)]
pub struct CyclicLr {
    /// The least rate, one for all groups or one a group.
    pub base_lr: Vec<f64>,
    /// The greatest rate.
    pub max_lr: Vec<f64>,
    /// Steps up.
    pub step_size_up: u64,
    /// Steps down; `None`: as many.
    pub step_size_down: Option<u64>,
    /// How the height of the cycles changes.
    pub mode: CyclicMode,
    /// Whether the momentum falls while the rate rises.
    pub cycle_momentum: bool,
    /// The least momentum.
    pub base_momentum: f64,
    /// The greatest momentum.
    pub max_momentum: f64,
}

/// How the height of the cycles changes.
#[derive(Debug, Clone, Copy)]
pub enum CyclicMode {
    /// Not at all.
    Triangular,
    /// It halves from one to the next.
    Triangular2,
    /// It is `gamma` to the power of the step.
    ExpRange {
        /// The factor of a step.
        gamma: f64,
    },
    /// A function of the number of the cycle, from 1: `scale_fn` with `scale_mode="cycle"`.
    OfCycle(fn(f64) -> f64),
    /// A function of the step: `scale_fn` with `scale_mode="iterations"`.
    OfStep(fn(f64) -> f64),
}

impl CyclicLr {
    /// PyTorch's defaults.
    pub fn new(base_lr: f64, max_lr: f64) -> CyclicLr {
        CyclicLr {
            base_lr: vec![base_lr],
            max_lr: vec![max_lr],
            step_size_up: 2000,
            step_size_down: None,
            mode: CyclicMode::Triangular,
            cycle_momentum: true,
            base_momentum: 0.8,
            max_momentum: 0.9,
        }
    }

    pub(super) fn check(&self, rates: &Rates) -> Result<(), ScheduleError> {
        let name = "CyclicLR";
        ensure(self.step_size_up > 0, name, "step_size_up > 0", self.step_size_up)?;
        check_each(name, "base_lr", &self.base_lr, rates.lr.len())?;
        check_each(name, "max_lr", &self.max_lr, rates.lr.len())?;
        check_momentum(name, self.cycle_momentum, rates)
    }

    pub(super) fn base_rates(&self, groups: usize) -> Vec<f64> {
        (0..groups).map(|group| of_group(&self.base_lr, group)).collect()
    }

    pub(super) fn set(&self, step: i64, rates: &mut Rates) {
        let (step, up) = (step as f64, self.step_size_up as f64);
        let total = up + self.step_size_down.map_or(up, |down| down as f64);
        let cycle = (1.0 + step / total).floor();
        let place = 1.0 + step / total - cycle;
        let ratio = up / total;
        let share = if place <= ratio { place / ratio } else { (place - 1.0) / (ratio - 1.0) };
        let height = share * self.mode.height(cycle, step);
        for group in 0..rates.lr.len() {
            let base = of_group(&self.base_lr, group);
            rates.lr[group] = base + (of_group(&self.max_lr, group) - base) * height;
            if self.cycle_momentum {
                rates.momentum[group] = self.max_momentum - (self.max_momentum - self.base_momentum) * height;
            }
        }
    }
}

impl CyclicMode {
    fn height(self, cycle: f64, step: f64) -> f64 {
        match self {
            CyclicMode::Triangular => 1.0,
            CyclicMode::Triangular2 => 1.0 / 2.0_f64.powf(cycle - 1.0),
            CyclicMode::ExpRange { gamma } => gamma.powf(step),
            CyclicMode::OfCycle(scale) => scale(cycle),
            CyclicMode::OfStep(scale) => scale(step),
        }
    }
}

fn of_group(values: &[f64], group: usize) -> f64 {
    values[if values.len() == 1 { 0 } else { group }]
}

fn check_each(schedule: &'static str, what: &'static str, values: &[f64], groups: usize) -> Result<(), ScheduleError> {
    match values.len() {
        1 => Ok(()),
        found if found == groups => Ok(()),
        found => Err(ScheduleError::Groups { schedule, what, groups, found }),
    }
}

fn check_momentum(schedule: &'static str, cycles: bool, rates: &Rates) -> Result<(), ScheduleError> {
    if cycles && rates.momentum.len() != rates.lr.len() { Err(ScheduleError::NoMomentum { schedule }) } else { Ok(()) }
}
