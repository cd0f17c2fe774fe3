//! A schedule's position as named numbers, for checkpoints: `state_dict` and `load_state_dict`.

use std::collections::BTreeMap;

use super::{Kind, Schedule, ScheduleError};

impl Schedule {
    /// How far the schedule is.
    pub fn state(&self) -> BTreeMap<String, f64> {
        let mut schedule = self.clone();
        let mut numbers = BTreeMap::new();
        schedule
            .visit("", &mut |name, number| {
                numbers.insert(name, *number);
                Ok(())
            })
            .expect("nothing fails here");
        numbers
    }

    /// Goes to where a schedule of the same kind was.
    ///
    /// # Errors
    ///
    /// [`ScheduleError::State`] if a number is missing; then nothing has changed.
    pub fn load_state(&mut self, state: &BTreeMap<String, f64>) -> Result<(), ScheduleError> {
        let mut loaded = self.clone();
        let bases = (0..).take_while(|group| state.contains_key(&format!("base_lr.{group}"))).count();
        loaded.base.resize(bases, 0.0);
        loaded.visit("", &mut |name, number| match state.get(&name) {
            Some(&saved) => {
                *number = saved;
                Ok(())
            }
            None => {
                let names: Vec<&str> = state.keys().map(String::as_str).collect();
                let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                Err(ScheduleError::State { name, found })
            }
        })?;
        *self = loaded;
        Ok(())
    }

    /// Shows every number that changes while the schedule runs.
    fn visit(
        &mut self,
        prefix: &str,
        each: &mut dyn FnMut(String, &mut f64) -> Result<(), ScheduleError>,
    ) -> Result<(), ScheduleError> {
        let mut epoch = self.epoch as f64;
        each(format!("{prefix}last_epoch"), &mut epoch)?;
        self.epoch = epoch as i64;
        for (group, base) in self.base.iter_mut().enumerate() {
            each(format!("{prefix}base_lr.{group}"), base)?;
        }
        match &mut self.kind {
            Kind::WarmRestarts(restarts) => {
                each(format!("{prefix}t_cur"), &mut restarts.current)?;
                each(format!("{prefix}t_i"), &mut restarts.period)
            }
            Kind::Plateau(plateau) => {
                each(format!("{prefix}best"), &mut plateau.best)?;
                each(format!("{prefix}num_bad_epochs"), &mut plateau.bad_epochs)?;
                each(format!("{prefix}cooldown_counter"), &mut plateau.cooldown)
            }
            Kind::Sequential { parts, .. } | Kind::Chained(parts) => {
                let groups = self.base.len();
                parts.iter_mut().enumerate().try_for_each(|(number, part)| {
                    part.base.resize(groups, 0.0);
                    part.visit(&format!("{prefix}{number}."), each)
                })
            }
            Kind::Decay(_) | Kind::OneCycle(_) | Kind::Cyclic(_) => Ok(()),
        }
    }
}
