//! The learning rates of a run.

use std::collections::BTreeMap;

use super::{Every, Fit, FitError};
use crate::Trainer;
use crate::schedule::{Rates, Schedule};

/// A schedule on its way, or none.
pub(super) struct Plan {
    schedule: Option<(Schedule, Every)>,
    rates: Rates,
}

/// Before the numbers of a schedule in a checkpoint.
const SCHEDULE: &str = "schedule.";

impl Plan {
    pub(super) fn new(trainer: &Trainer, fit: &Fit) -> Result<Plan, FitError> {
        let mut schedule = fit.schedule.clone();
        let mut rates = Rates::default();
        if let Some((schedule, _)) = &mut schedule {
            rates = trainer.rates()?;
            schedule.start(&mut rates)?;
        }
        Ok(Plan { schedule, rates })
    }

    pub(super) fn apply(&self, trainer: &mut Trainer) -> Result<(), FitError> {
        if self.schedule.is_some() {
            trainer.set_rates(&self.rates)?;
        }
        Ok(())
    }

    pub(super) fn after(&mut self, trainer: &mut Trainer, what: Every, metric: Option<f64>) -> Result<(), FitError> {
        match &mut self.schedule {
            Some((schedule, every)) if *every == what => match metric.filter(|_| schedule.wants_metric()) {
                Some(metric) => schedule.step_with_metric(metric, &mut self.rates)?,
                None => schedule.step(&mut self.rates)?,
            },
            _ => return Ok(()),
        }
        self.apply(trainer)
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let state = self.schedule.iter().flat_map(|(schedule, _)| schedule.state());
        state.map(|(name, number)| (format!("{SCHEDULE}{name}"), number.to_string())).collect()
    }

    /// The rates themselves are slots of the program, which the checkpoint holds.
    pub(super) fn resume(&mut self, trainer: &Trainer, metadata: &BTreeMap<String, String>) -> Result<(), FitError> {
        let number =
            |(name, text): (&String, &String)| Some((name.strip_prefix(SCHEDULE)?.to_owned(), text.parse().ok()?));
        if let Some((schedule, _)) = &mut self.schedule {
            schedule.load_state(&metadata.iter().filter_map(number).collect())?;
            self.rates = trainer.rates()?;
        }
        Ok(())
    }
}
