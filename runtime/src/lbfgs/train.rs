//! The optimiser over a compiled program: its parameters are the point, its train step the function.

use super::{Evaluated, Lbfgs, LbfgsStep};
use crate::abi::SlotKind;
use crate::{Error, Input, Trainer};

/// Before a parameter's name: the output with its gradient.
const GRADIENT: &str = "d_";

impl Lbfgs {
    /// One step on a batch. The program has to be compiled without an optimiser.
    ///
    /// # Errors
    ///
    /// As [`Trainer::train_step`], and [`Error::NoSlot`] for the gradients of a program with an optimiser of its own.
    pub fn step(&mut self, trainer: &mut Trainer, inputs: &[Input<'_>]) -> Result<LbfgsStep, Error> {
        let names: Vec<String> = trainer.parameters().map(|slot| slot.name().to_owned()).collect();
        let has_gradient = |name: &String| trainer.slot(&format!("{GRADIENT}{name}")).is_ok();
        let trained: Vec<String> = names.iter().filter(|name| has_gradient(name)).cloned().collect();
        if let (true, Some(first)) = (trained.is_empty(), names.first()) {
            trainer.slot(&format!("{GRADIENT}{first}"))?;
        }
        let mut point = gathered(trainer, &trained, "")?;
        let step = self.minimize(&mut point, |at| {
            scatter(trainer, &trained, at)?;
            let loss = f64::from(trainer.train_step(inputs)?);
            Ok::<Evaluated, Error>(Evaluated { loss, gradient: gathered(trainer, &trained, GRADIENT)? })
        })?;
        scatter(trainer, &trained, &point)?;
        Ok(step)
    }
}

/// The elements of some slots, one after the other.
fn gathered(trainer: &Trainer, names: &[String], prefix: &str) -> Result<Vec<f64>, Error> {
    let mut elements = Vec::new();
    for name in names {
        elements.extend(trainer.session().slot_as::<f32>(&format!("{prefix}{name}"))?.iter().copied().map(f64::from));
    }
    Ok(elements)
}

/// Rounds a point into the parameters.
fn scatter(trainer: &mut Trainer, names: &[String], point: &[f64]) -> Result<(), Error> {
    let mut rest = point;
    for name in names {
        let mut slot = trainer.slot_mut(name)?;
        debug_assert_eq!(slot.as_view().kind(), SlotKind::Parameter);
        let elements = slot.bytes_mut().chunks_exact_mut(size_of::<f32>());
        let (own, others) = rest.split_at(elements.len());
        for (bytes, &value) in elements.zip(own) {
            bytes.copy_from_slice(&(value as f32).to_ne_bytes());
        }
        rest = others;
    }
    Ok(())
}
