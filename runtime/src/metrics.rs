//! Metrics of an epoch: means and accuracy over batches of unequal size.
//!
//! The last batch of an epoch may be short. A mean over samples counts every sample once; a mean over batches counts
//! the short batch as much as a full one. With batches of 64, 64 and 2 samples and losses 1, 1 and 4 the first is
//! 1.046, the second 2. The mean over samples is the one that does not depend on the batch size, so reports use it;
//! the mean over batches is what scripts print that divide a sum of losses by `len(loader)`, and is here to compare
//! with them.

/// Running mean of a value that comes batch by batch, in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum_over_samples: f64,
    samples: u64,
    sum_over_batches: f64,
    batches: u64,
}

/// Share of samples whose largest logit is at their label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    correct: u64,
    samples: u64,
}

/// Logits and labels that cannot belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{logits} logits are not {labels} rows of equal, positive length")]
pub struct AccuracyError {
    /// Number of logits.
    pub logits: usize,
    /// Number of labels.
    pub labels: usize,
}

impl Mean {
    /// Adds a batch: the mean of the value over its samples, and how many samples there were.
    pub fn add(&mut self, batch_mean: f64, samples: usize) {
        self.sum_over_samples += batch_mean * samples as f64;
        self.samples += samples as u64;
        self.sum_over_batches += batch_mean;
        self.batches += 1;
    }

    /// The mean in which every sample counts once; `None` before the first sample.
    pub fn over_samples(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum_over_samples / self.samples as f64)
    }

    /// The mean in which every batch counts once, however short; `None` before the first batch.
    pub fn over_batches(&self) -> Option<f64> {
        (self.batches > 0).then(|| self.sum_over_batches / self.batches as f64)
    }

    /// Samples added.
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

impl Accuracy {
    /// Adds a batch: `logits` is `[labels.len(), classes]`, row-major.
    ///
    /// The prediction is the first of the largest logits. A row with a NaN, and a label that is no class, count as
    /// wrong: a diverged model must not look right by chance.
    pub fn add(&mut self, logits: &[f32], labels: &[i64]) -> Result<(), AccuracyError> {
        if labels.is_empty() && logits.is_empty() {
            return Ok(());
        }
        if labels.is_empty() || logits.is_empty() || !logits.len().is_multiple_of(labels.len()) {
            return Err(AccuracyError { logits: logits.len(), labels: labels.len() });
        }
        let rows = logits.chunks_exact(logits.len() / labels.len());
        let correct = rows.zip(labels).filter(|(row, label)| argmax(row).is_some_and(|class| class as i64 == **label));
        self.correct += correct.count() as u64;
        self.samples += labels.len() as u64;
        Ok(())
    }

    /// Samples that were right.
    pub fn correct(&self) -> u64 {
        self.correct
    }

    /// Samples added.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Share of right samples, from 0 to 1; `None` before the first sample.
    pub fn fraction(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.correct as f64 / self.samples as f64)
    }
}

/// Index of the first of the largest values; `None` if there is a NaN, or nothing at all.
pub fn argmax(values: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if *value > values[best] {
            best = index;
        }
    }
    (!values.is_empty()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_batch_weighs_by_samples_or_as_a_batch() {
        let mut mean = Mean::default();
        assert_eq!((mean.over_samples(), mean.over_batches()), (None, None));
        for (loss, samples) in [(1.0, 64), (1.0, 64), (4.0, 2)] {
            mean.add(loss, samples);
        }
        assert_eq!(mean.over_samples(), Some(136.0 / 130.0));
        assert_eq!(mean.over_batches(), Some(2.0));
        assert_eq!(mean.samples(), 130);
    }

    #[test]
    fn a_nan_loss_stays_visible() {
        let mut mean = Mean::default();
        mean.add(f64::NAN, 1);
        mean.add(1.0, 1);
        assert!(mean.over_samples().unwrap().is_nan());
    }

    #[test]
    fn accuracy_takes_the_first_of_equal_logits() {
        let mut accuracy = Accuracy::default();
        accuracy.add(&[0.0, 1.0, 1.0, 2.0, 2.0, 0.0], &[1, 1]).unwrap();
        assert_eq!((accuracy.correct(), accuracy.samples()), (1, 2));
        accuracy.add(&[f32::NEG_INFINITY; 2], &[0]).unwrap();
        assert_eq!(accuracy.fraction(), Some(2.0 / 3.0));
    }

    #[test]
    fn nan_rows_and_impossible_labels_are_wrong() {
        let mut accuracy = Accuracy::default();
        accuracy.add(&[f32::NAN, 0.0, 0.0, f32::NAN, f32::NAN, f32::NAN], &[0, 0, 0]).unwrap();
        accuracy.add(&[1.0, 0.0], &[-100]).unwrap();
        accuracy.add(&[0.0, 1.0], &[2]).unwrap();
        assert_eq!((accuracy.correct(), accuracy.samples()), (0, 5));
    }

    #[test]
    fn shapes_are_checked() {
        let mut accuracy = Accuracy::default();
        accuracy.add(&[], &[]).unwrap();
        assert_eq!(accuracy.fraction(), None);
        for (logits, labels) in [(3, 2), (0, 2), (3, 0)] {
            let error = accuracy.add(&vec![0.0; logits], &vec![0; labels]).unwrap_err();
            assert_eq!(error, AccuracyError { logits, labels });
        }
    }
}
