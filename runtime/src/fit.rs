//! The ready training loop: epochs over a loader, progress, evaluation, checkpoints, resuming.
//!
//! It holds no state of its own beyond its position: what a checkpoint holds is every slot of the program and three numbers, so a resumed
//! run computes the same bits as one that was never stopped. Whoever needs another loop writes it: see `Trainer::train_batch`.

mod plan;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::checkpoint::CheckpointError;
use crate::data::{Batch, DataError, DataLoader, HostTensor};
use crate::metrics::{Accuracy, AccuracyError, Mean};
use crate::progress::Progress;
use crate::schedule::{Schedule, ScheduleError};
use crate::stop::StopFlag;
use crate::{Error, Input, Trainer};

use plan::Plan;

/// How long to train, and what to keep.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    /// Passes over the data, counted from the beginning of training, also in a resumed run.
    pub epochs: u64,
    /// Stop after this many steps, counted likewise.
    pub max_steps: Option<u64>,
    /// Where to save after every epoch, and when the run is stopped.
    pub checkpoint: Option<PathBuf>,
    /// The checkpoint to go on from.
    pub resume: Option<PathBuf>,
    /// The seed of the run, kept in checkpoints: resuming with another would mix two orders of the data.
    pub seed: u64,
    /// Ends the run after the step in progress.
    pub stop: Option<StopFlag>,
    /// The field with the labels, to show the accuracy on the test data.
    pub labels: Option<&'static str>,
    /// The learning rate of each epoch, or of each step.
    pub schedule: Option<(Schedule, Every)>,
}

/// When a schedule moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// After each pass over the data; `ReduceLROnPlateau` sees the test loss.
    Epoch,
    /// After each step.
    Step,
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Fitted {
    /// Steps of this run.
    pub steps: u64,
    /// Samples of this run.
    pub samples: u64,
    /// Time in train steps and loading, without evaluation and checkpoints.
    pub train_time: Duration,
    /// The loss of the last step.
    pub last_loss: f32,
    /// Whether the stop flag ended it.
    pub interrupted: bool,
    /// On the test data, with the weights at the end; `None` if the run was interrupted.
    pub evaluation: Option<Evaluation>,
}

/// How well the model does on data.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evaluation {
    /// The loss, averaged over samples.
    pub loss: f64,
    /// The share of samples whose greatest logit is the label's, if labels were named.
    pub accuracy: Option<f64>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The program.
    #[error(transparent)]
    Run(#[from] Error),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A schedule whose options do not fit, or that has no more steps.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Predictions that are not one row of logits a label.
    #[error(transparent)]
    Accuracy(#[from] AccuracyError),
    /// The batches lack an input of the program.
    #[error("entry `{entry}` needs the input `{input}`: the batches have {found}")]
    MissingField {
        /// The entry.
        entry: String,
        /// The input.
        input: String,
        /// The fields there are.
        found: String,
    },
    /// A field of the batches has samples of another size than the program's.
    #[error("input `{input}` takes samples of shape {expected:?}: those of the data are {found:?}")]
    SampleShape {
        /// The input.
        input: String,
        /// Shape of a sample that it takes.
        expected: Vec<u64>,
        /// Shape of a sample of the data.
        found: Vec<usize>,
    },
    /// An epoch has no batch.
    #[error("there is nothing to train on: the loader makes no batch of {samples} samples")]
    NoBatch {
        /// The size of the data set.
        samples: usize,
    },
    /// The loss is NaN or infinite.
    #[error("the loss is {loss} at epoch {epoch}, step {step}{cause}")]
    NotFinite {
        /// The loss.
        loss: f32,
        /// The epoch, counted from 1.
        epoch: u64,
        /// The step in the epoch, counted from 1.
        step: usize,
        /// What is known of the reason.
        cause: String,
    },
    /// The checkpoint to resume from lacks the numbers that say where it stands.
    #[error("cannot resume from `{}`: it has no valid `{key}`; it holds weights only", path.display())]
    NotResumable {
        /// The file.
        path: PathBuf,
        /// The missing number.
        key: &'static str,
    },
    /// The checkpoint belongs to a run with another seed.
    #[error("cannot resume from `{}` with seed {found}: its run has seed {expected}", path.display())]
    Seed {
        /// The file.
        path: PathBuf,
        /// The seed in the file.
        expected: u64,
        /// The seed of this run.
        found: u64,
    },
}

/// How far training is: the next batch.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    epoch: u64,
    batch: u64,
    steps: u64,
}

const EPOCH: &str = "epoch";
const BATCH: &str = "batch";
const STEPS: &str = "steps";
const SEED: &str = "seed";

impl Trainer {
    /// Trains over `train`, and evaluates on `test` after every epoch.
    ///
    /// # Errors
    /// [`FitError`]; what was trained before stays in the trainer, except that a step with a loss that is not finite has already
    /// changed the weights.
    pub fn fit(&mut self, train: &DataLoader, test: Option<&DataLoader>, fit: &Fit) -> Result<Fitted, FitError> {
        if let Some(path) = &fit.checkpoint {
            check_folder(path)?;
        }
        let mut plan = Plan::new(self, fit)?;
        let mut at = match &fit.resume {
            Some(path) => self.resume(path, fit.seed, &mut plan)?,
            None => Position::default(),
        };
        plan.apply(self)?;
        let mut fitted = Fitted::default();
        let mut progress = Progress::new();
        let full = |at: &Position| fit.max_steps.is_some_and(|max| at.steps >= max);
        while at.epoch < fit.epochs && !full(&at) && !fitted.interrupted {
            progress.epoch(at.epoch, fit.epochs, train.len());
            progress.skip(at.batch as usize);
            fitted.evaluation = None;
            let mut mean = Mean::default();
            let started = Instant::now();
            for batch in train.epoch_from(at.epoch, at.batch as usize) {
                let batch = batch?;
                let loss = self.train_batch(&batch)?;
                at.batch += 1;
                at.steps += 1;
                fitted.steps += 1;
                fitted.samples += batch.size() as u64;
                fitted.last_loss = loss;
                if !loss.is_finite() {
                    return Err(not_finite(loss, at, &batch, train));
                }
                mean.add(f64::from(loss), batch.size());
                progress.step(loss, batch.size());
                plan.after(self, Every::Step, None)?;
                fitted.interrupted = fit.stop.as_ref().is_some_and(StopFlag::is_set);
                if full(&at) || fitted.interrupted {
                    break;
                }
            }
            if train.is_empty() {
                return Err(FitError::NoBatch { samples: train.dataset().len() });
            }
            fitted.train_time += started.elapsed();
            let is_over = at.batch as usize >= train.len();
            if is_over {
                at = Position { epoch: at.epoch + 1, batch: 0, steps: at.steps };
            }
            let mut figures = vec![("loss", mean.over_samples().unwrap_or(f64::NAN))];
            if let (Some(test), false) = (test, fitted.interrupted) {
                let evaluation = self.evaluate(test, fit.labels)?;
                figures.push(("test loss", evaluation.loss));
                figures.extend(evaluation.accuracy.map(|accuracy| ("accuracy", accuracy)));
                fitted.evaluation = Some(evaluation);
            }
            progress.finish(&figures);
            if is_over {
                plan.after(self, Every::Epoch, Some(figures.get(1).map_or(figures[0].1, |(_, loss)| *loss)))?;
            }
            if let Some(path) = &fit.checkpoint {
                self.save_at(path, at, fit.seed, &plan)?;
            }
        }
        if let (Some(test), None, false) = (test, fitted.evaluation, fitted.interrupted) {
            fitted.evaluation = Some(self.evaluate(test, fit.labels)?);
        }
        Ok(fitted)
    }

    /// One step on a batch whose fields have the names of the program's inputs.
    ///
    /// # Errors
    /// As [`Trainer::train_step`], and [`FitError::MissingField`].
    pub fn train_batch(&mut self, batch: &Batch) -> Result<f32, FitError> {
        let inputs = self.inputs_of("train_step", batch)?;
        Ok(self.train_step(&inputs)?)
    }

    /// The loss on a batch, without learning.
    ///
    /// # Errors
    /// As [`Trainer::train_batch`].
    pub fn eval_batch(&mut self, batch: &Batch) -> Result<f32, FitError> {
        let inputs = self.inputs_of("eval_loss", batch)?;
        Ok(self.eval_loss(&inputs)?)
    }

    /// The predictions for a batch, one row a sample.
    ///
    /// # Errors
    /// As [`Trainer::train_batch`].
    pub fn predict_batch(&mut self, batch: &Batch) -> Result<&[f32], FitError> {
        let inputs = self.inputs_of("predict", batch)?;
        Ok(self.predict(&inputs)?)
    }

    /// Loss and, if `labels` names a field, accuracy over a loader, averaged over samples.
    ///
    /// # Errors
    /// As [`Trainer::train_batch`], and those of the data.
    pub fn evaluate(&mut self, loader: &DataLoader, labels: Option<&str>) -> Result<Evaluation, FitError> {
        let (mut mean, mut accuracy) = (Mean::default(), Accuracy::default());
        for batch in loader.epoch(0) {
            let batch = batch?;
            mean.add(f64::from(self.eval_batch(&batch)?), batch.size());
            if let Some(labels) = labels {
                let labels = batch.i64s(labels)?;
                accuracy.add(self.predict_batch(&batch)?, labels)?;
            }
        }
        Ok(Evaluation { loss: mean.over_samples().unwrap_or(f64::NAN), accuracy: accuracy.fraction() })
    }

    fn save_at(&self, path: &Path, at: Position, seed: u64, plan: &Plan) -> Result<(), CheckpointError> {
        let numbers = [(EPOCH, at.epoch), (BATCH, at.batch), (STEPS, at.steps), (SEED, seed)];
        let numbers = numbers.into_iter().map(|(key, number)| (key.to_owned(), number.to_string()));
        self.save(path, &numbers.chain(plan.metadata()).collect())
    }

    fn resume(&mut self, path: &Path, seed: u64, plan: &mut Plan) -> Result<Position, FitError> {
        let metadata = self.load_whole(path)?;
        let number = |key: &'static str| {
            let found = metadata.get(key).and_then(|text| text.parse::<u64>().ok());
            found.ok_or(FitError::NotResumable { path: path.to_owned(), key })
        };
        plan.resume(self, &metadata)?;
        let expected = number(SEED)?;
        if expected != seed {
            return Err(FitError::Seed { path: path.to_owned(), expected, found: seed });
        }
        Ok(Position { epoch: number(EPOCH)?, batch: number(BATCH)?, steps: number(STEPS)? })
    }

    /// The batch's fields in the order of an entry's inputs.
    fn inputs_of<'b>(&self, entry: &str, batch: &'b Batch) -> Result<Vec<Input<'b>>, FitError> {
        let slots = &self.session().entry(entry)?.inputs;
        let input = |&slot: &u32| {
            let slot = &self.program().slots[slot as usize];
            let Some((field, tensor)) = batch.columns().find(|(field, _)| *field.name == *slot.name) else {
                let fields: Vec<String> = batch.fields().iter().map(|field| format!("`{}`", field.name)).collect();
                let found = if fields.is_empty() { "no fields".to_owned() } else { fields.join(", ") };
                return Err(FitError::MissingField { entry: entry.to_owned(), input: slot.name.to_string(), found });
            };
            // The same elements in another shape are welcome: images to a model that takes rows.
            if slot.has_batch() && slot.elements(1) != field.shape.iter().product::<usize>() as u64 {
                let expected = slot.shape.iter().skip(1).map(|extent| extent.fixed).collect();
                let (input, found) = (slot.name.to_string(), field.shape.to_vec());
                return Err(FitError::SampleShape { input, expected, found });
            }
            Ok(as_input(tensor))
        };
        slots.iter().map(input).collect()
    }
}

/// A run that cannot save should say so before it has trained for an epoch.
fn check_folder(checkpoint: &Path) -> Result<(), CheckpointError> {
    match checkpoint.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::metadata) {
        Some(Err(source)) => Err(CheckpointError::File { path: checkpoint.to_owned(), action: "save", source }),
        _ => Ok(()),
    }
}

fn as_input(tensor: &HostTensor) -> Input<'_> {
    match tensor {
        HostTensor::F32(elements) => Input::F32(elements),
        HostTensor::I64(elements) => Input::I64(elements),
        HostTensor::U8(elements) => Input::U8(elements),
    }
}

/// Names the first field of the batch that holds a value that is not finite: the usual reason.
fn not_finite(loss: f32, at: Position, batch: &Batch, loader: &DataLoader) -> FitError {
    let broken = batch.columns().find_map(|(field, tensor)| match tensor {
        HostTensor::F32(elements) => {
            let position = elements.iter().position(|element| !element.is_finite())?;
            let row = position / (elements.len() / batch.size().max(1)).max(1);
            let sample = *loader.samples(at.epoch, at.batch as usize - 1).get(row)?;
            Some(format!(": `{}` of sample {sample} of the data set holds {}", field.name, elements[position]))
        }
        _ => None,
    });
    let cause = broken.unwrap_or_else(|| {
        ": the batch is finite, so the weights diverged; a smaller learning rate helps, or clipping".to_owned()
    });
    FitError::NotFinite { loss, epoch: at.epoch + 1, step: at.batch as usize, cause }
}
