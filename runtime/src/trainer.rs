//! A session in the words of a training loop.

use crate::abi::{Program, SlotKind};
use crate::schedule::Rates;
use crate::{Error, Input, MemoryReport, ProgramRef, Session, SlotView, SlotViewMut, peak_resident_bytes};

/// The output slot of the entries that compute a loss.
const LOSS: &str = "loss";

/// The scalar slot of the learning rate; with several parameter groups, "lr.0", "lr.1", ...
const LEARNING_RATE: &str = "lr";

/// The scalar slot of the momentum or first beta; with several groups likewise. A group without one has no slot.
const MOMENTUM: &str = "momentum";

/// The scalar slot of the number of batches between two updates, and the state that counts them.
const ACCUMULATE_STEPS: &str = "accumulate.steps";
const ACCUMULATE_COUNT: &str = "accumulate.count";

/// Trains, evaluates and predicts with a compiled program. The batch of each call is what the inputs hold.
#[derive(Debug)]
pub struct Trainer {
    session: Session,
}

impl Trainer {
    /// A trainer with fresh parameters. Equal seeds give equal parameters.
    ///
    /// # Errors
    ///
    /// As [`Session::new`].
    pub fn new(program: impl Into<ProgramRef>, seed: u64) -> Result<Trainer, Error> {
        Ok(Trainer { session: Session::new(program, seed)? })
    }

    /// A trainer over a session.
    pub fn from_session(session: Session) -> Trainer {
        Trainer { session }
    }

    /// Trains on one batch and returns the loss before. A program that accumulates gradients changes its weights in the last of every so many steps.
    ///
    /// # Errors
    ///
    /// As [`Session::run`], and [`Error::PartialSample`].
    pub fn train_step(&mut self, inputs: &[Input<'_>]) -> Result<f32, Error> {
        let entry = if self.updates_next() { "train_step" } else { "accumulate_step" };
        self.loss_of(entry, inputs)
    }

    /// Whether the next [`train_step`](Self::train_step) changes the weights, as it does unless the program accumulates gradients.
    pub fn updates_next(&self) -> bool {
        let number = |slot| self.session.slot(slot).ok().and_then(|view| view.first_f64());
        match (number(ACCUMULATE_STEPS), number(ACCUMULATE_COUNT)) {
            (Some(steps), Some(count)) => count + 1.0 >= steps,
            _ => true,
        }
    }

    /// The loss as evaluation computes it, without learning.
    ///
    /// # Errors
    ///
    /// As [`Session::run`], and [`Error::PartialSample`].
    pub fn eval_loss(&mut self, inputs: &[Input<'_>]) -> Result<f32, Error> {
        self.loss_of("eval_loss", inputs)
    }

    /// The model's first output, one row a sample.
    ///
    /// # Errors
    ///
    /// As [`Session::run`], [`Error::PartialSample`], and [`Error::ElementType`] if the output is not f32.
    pub fn predict(&mut self, inputs: &[Input<'_>]) -> Result<&[f32], Error> {
        const ENTRY: &str = "predict";
        self.run(ENTRY, inputs)?;
        let output = self.session.entry(ENTRY)?.outputs.first();
        let output = output.ok_or_else(|| self.no_slot("first output of `predict`"))?;
        self.session.output_f32(&self.program().slots[*output as usize].name)
    }

    /// Runs any entry with the batch that the inputs hold.
    ///
    /// # Errors
    ///
    /// As [`Session::run`], and [`Error::PartialSample`].
    pub fn run(&mut self, entry: &str, inputs: &[Input<'_>]) -> Result<(), Error> {
        let batch = self.batch_of(entry, inputs)?;
        self.session.run(entry, batch, inputs)
    }

    /// Sets the learning rate of all parameter groups.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`] if the program has no learning rate.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        let groups = self.groups();
        if groups == 0 {
            return Err(self.no_slot(LEARNING_RATE));
        }
        (0..groups).try_for_each(|group| self.session.set_scalar(&self.scalar_of_group(LEARNING_RATE, group), rate))
    }

    /// The learning rate, of the first parameter group if there are several; `None` if the program has none.
    pub fn learning_rate(&self) -> Option<f64> {
        self.session.scalar(&self.scalar_of_group(LEARNING_RATE, 0)).ok()
    }

    /// The learning rates and momenta, one a parameter group: what a [`schedule`](crate::schedule) acts on. The momentum of a group without one is 0.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`] if the program has no learning rate.
    pub fn rates(&self) -> Result<Rates, Error> {
        let groups = self.groups();
        if groups == 0 {
            return Err(self.no_slot(LEARNING_RATE));
        }
        let numbers = |base| -> Vec<Option<f64>> {
            (0..groups).map(|group| self.session.scalar(&self.scalar_of_group(base, group)).ok()).collect()
        };
        let (lr, momentum) = (numbers(LEARNING_RATE), numbers(MOMENTUM));
        let has_momentum = momentum.iter().any(Option::is_some);
        let plain = |numbers: Vec<Option<f64>>| numbers.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Rates::new(plain(lr), if has_momentum { plain(momentum) } else { Vec::new() }))
    }

    /// Sets the learning rates and momenta of the next step.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`] for rates of more groups than the program has.
    pub fn set_rates(&mut self, rates: &Rates) -> Result<(), Error> {
        for (group, &rate) in rates.lr.iter().enumerate() {
            self.session.set_scalar(&self.scalar_of_group(LEARNING_RATE, group), rate)?;
        }
        for (group, &momentum) in rates.momentum.iter().enumerate() {
            let name = self.scalar_of_group(MOMENTUM, group);
            if self.session.scalar(&name).is_ok() {
                self.session.set_scalar(&name, momentum)?;
            }
        }
        Ok(())
    }

    /// Sets one scalar, for example "lr.1".
    ///
    /// # Errors
    ///
    /// As [`Session::set_scalar`].
    pub fn set_scalar(&mut self, name: &str, value: f64) -> Result<(), Error> {
        self.session.set_scalar(name, value)
    }

    /// The parameters, in the program's order.
    pub fn parameters(&self) -> impl Iterator<Item = SlotView<'_>> {
        self.session.slots().filter(|slot| slot.kind() == SlotKind::Parameter)
    }

    /// Everything that a checkpoint must hold to go on with the same bits: all slots but inputs and outputs.
    pub fn state(&self) -> impl Iterator<Item = SlotView<'_>> {
        self.session.slots().filter(|slot| !matches!(slot.kind(), SlotKind::Input | SlotKind::Output))
    }

    /// A slot by name.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`].
    pub fn slot(&self, name: &str) -> Result<SlotView<'_>, Error> {
        self.session.slot(name)
    }

    /// A slot by name, for writing: how a checkpoint is loaded.
    ///
    /// # Errors
    ///
    /// [`Error::NoSlot`].
    pub fn slot_mut(&mut self, name: &str) -> Result<SlotViewMut<'_>, Error> {
        self.session.slot_mut(name)
    }

    /// The planned memory by class.
    pub fn memory_report(&self) -> MemoryReport {
        self.session.memory_report()
    }

    /// The most memory this process has had resident so far; `None` where the system does not say.
    pub fn peak_resident_bytes(&self) -> Option<u64> {
        peak_resident_bytes()
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.session.program()
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session, for what a trainer has no word for.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn loss_of(&mut self, entry: &str, inputs: &[Input<'_>]) -> Result<f32, Error> {
        self.run(entry, inputs)?;
        let loss = self.session.slot(LOSS)?;
        Ok(loss.first_f64().ok_or_else(|| self.no_slot(LOSS))? as f32)
    }

    /// The batch that the first input with a batch axis holds; 1 if there is none.
    fn batch_of(&self, entry: &str, inputs: &[Input<'_>]) -> Result<u64, Error> {
        let slots = self.session.entry(entry)?.inputs.iter().map(|&index| &self.program().slots[index as usize]);
        let Some((slot, input)) = slots.zip(inputs).find(|(slot, _)| slot.has_batch()) else { return Ok(1) };
        let per_sample = slot.elements(1);
        let found = input.elements();
        if per_sample == 0 || !found.is_multiple_of(per_sample) {
            return Err(Error::PartialSample { slot: slot.name.to_string(), per_sample, found });
        }
        Ok(found / per_sample)
    }

    /// The number of parameter groups.
    fn groups(&self) -> usize {
        let has_rate = |name: &str| self.session.scalar(name).is_ok();
        match has_rate(LEARNING_RATE) {
            true => 1,
            false => (0..).take_while(|group| has_rate(&format!("{LEARNING_RATE}.{group}"))).count(),
        }
    }

    /// A number of one group: `lr` if it is the only one, else `lr.0`, `lr.1`, ….
    fn scalar_of_group(&self, base: &str, group: usize) -> String {
        if group == 0 && self.session.scalar(LEARNING_RATE).is_ok() {
            base.to_owned()
        } else {
            format!("{base}.{group}")
        }
    }

    fn no_slot(&self, slot: &str) -> Error {
        Error::NoSlot { program: self.program().name.to_string(), slot: slot.to_owned() }
    }
}
