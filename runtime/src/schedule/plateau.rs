//! `ReduceLROnPlateau`.

use super::{Rates, ScheduleError, ensure};

/// Options with PyTorch's names and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceLrOnPlateau {
    /// Which metric is better.
    pub mode: Better,
    /// What the rate is multiplied by.
    pub factor: f64,
    /// Epochs without improvement that are borne.
    pub patience: u64,
    /// What counts as an improvement.
    pub threshold: f64,
    /// Whether the threshold is a share of the best metric.
    pub threshold_mode: Threshold,
    /// Epochs after a reduction in which nothing is counted.
    pub cooldown: u64,
    /// The least rate, one for all groups or one a group.
    pub min_lr: Vec<f64>,
    /// A reduction by less is none.
    pub eps: f64,
}

/// Which of two metrics is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The lower one: a loss.
    Min,
    /// The higher one: an accuracy.
    Max,
}

/// How a metric has to differ from the best one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// By a share of it.
    Rel,
    /// By an amount.
    Abs,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> ReduceLrOnPlateau {
        ReduceLrOnPlateau {
            mode: Better::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: Threshold::Rel,
            cooldown: 0,
            min_lr: vec![0.0],
            eps: 1e-8,
        }
    }
}

/// The options and what has been seen.
#[derive(Debug, Clone)]
pub(super) struct Plateau {
    options: ReduceLrOnPlateau,
    pub(super) best: f64,
    pub(super) bad_epochs: f64,
    pub(super) cooldown: f64,
}

impl Plateau {
    pub(super) fn new(options: ReduceLrOnPlateau) -> Plateau {
        let best = if options.mode == Better::Min { f64::INFINITY } else { f64::NEG_INFINITY };
        Plateau { options, best, bad_epochs: 0.0, cooldown: 0.0 }
    }

    pub(super) fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        let schedule = "ReduceLROnPlateau";
        ensure(self.options.factor < 1.0, schedule, "factor < 1.0", self.options.factor)?;
        match self.options.min_lr.len() {
            1 => Ok(()),
            found if found == groups => Ok(()),
            found => Err(ScheduleError::Groups { schedule, what: "min_lr", groups, found }),
        }
    }

    pub(super) fn step(&mut self, metric: f64, rates: &mut Rates) {
        if self.is_better(metric) {
            self.best = metric;
            self.bad_epochs = 0.0;
        } else {
            self.bad_epochs += 1.0;
        }
        if self.cooldown > 0.0 {
            self.cooldown -= 1.0;
            self.bad_epochs = 0.0;
        }
        if self.bad_epochs > self.options.patience as f64 {
            self.reduce(rates);
            self.cooldown = self.options.cooldown as f64;
            self.bad_epochs = 0.0;
        }
    }

    fn is_better(&self, metric: f64) -> bool {
        let ReduceLrOnPlateau { mode, threshold, threshold_mode, .. } = self.options;
        match (mode, threshold_mode) {
            (Better::Min, Threshold::Rel) => metric < self.best * (1.0 - threshold),
            (Better::Min, Threshold::Abs) => metric < self.best - threshold,
            (Better::Max, Threshold::Rel) => metric > self.best * (threshold + 1.0),
            (Better::Max, Threshold::Abs) => metric > self.best + threshold,
        }
    }

    fn reduce(&self, rates: &mut Rates) {
        for (group, lr) in rates.lr.iter_mut().enumerate() {
            let least = self.options.min_lr.get(group).unwrap_or(&self.options.min_lr[0]);
            let reduced = (*lr * self.options.factor).max(*least);
            if *lr - reduced > self.options.eps {
                *lr = reduced;
            }
        }
    }
}
