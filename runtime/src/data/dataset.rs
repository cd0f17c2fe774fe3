//! Data sets: samples by index, in memory, as a part of another set, or however the user reads them.

use super::batch::{Batch, Sample};
use super::error::DataError;
use super::host::{Field, HostTensor};
use crate::philox::Philox4x32;
use std::ops::Range;
use std::sync::Arc;

/// Philox stream of [`random_split`] ("splt"), apart from the loaders' and the program's streams of the same seed.
const SPLIT_STREAM: u64 = 0x7370_6c74_0000_0000;

/// Whatever went wrong while a sample was read; `?` turns any error type into it.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// A map-style data set (`torch.utils.data.Dataset`): a fixed number of samples, read by index from any thread.
pub trait Dataset: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Name, element type and shape of each part of a sample; the same for every sample.
    fn fields(&self) -> Vec<Field>;

    /// Reads sample `index` into `sample`, whose fields are those of [`Dataset::fields`] and start as zeros.
    fn read(&self, index: usize, sample: &mut Sample<'_>) -> Result<(), ReadError>;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data set held in memory as arrays (`torch.utils.data.TensorDataset`).
#[derive(Debug)]
pub struct TensorDataset {
    /// All samples, as one large batch.
    samples: Batch,
}

/// Some samples of another data set, in the order of a list of indices (`torch.utils.data.Subset`).
#[derive(Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Arc<[usize]>,
}

/// How [`random_split`] cuts: absolute counts, or fractions of the whole. Both arrays convert into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SplitLengths<const N: usize> {
    /// Numbers of samples; they must add up to the size of the data set.
    Counts([usize; N]),
    /// Fractions; they must add up to 1. Each part gets the floor of its share, and what is left over is dealt out one
    /// sample at a time from the first part on (PyTorch's rule).
    Fractions([f64; N]),
}

impl TensorDataset {
    /// Takes `len` samples from arrays of `len` rows each.
    pub fn new(len: usize, columns: Vec<(Field, HostTensor)>) -> Result<Self, DataError> {
        Ok(Self { samples: Batch::new(len, columns)? })
    }

    /// All samples as one batch, for work that needs no loader.
    pub fn as_batch(&self) -> &Batch {
        &self.samples
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.samples.size()
    }

    fn fields(&self) -> Vec<Field> {
        self.samples.fields().to_vec()
    }

    fn read(&self, index: usize, sample: &mut Sample<'_>) -> Result<(), ReadError> {
        check_index(index, self.len())?;
        Ok(sample.copy_from(&self.samples, index)?)
    }
}

impl Subset {
    /// The samples of `dataset` that `indices` names. Give an [`Arc`] to make several subsets of one data set.
    pub fn new(dataset: impl Dataset + 'static, indices: Vec<usize>) -> Result<Self, DataError> {
        for &index in &indices {
            check_index(index, dataset.len())?;
        }
        Ok(Self { dataset: Arc::new(dataset), indices: indices.into() })
    }

    /// The samples of `dataset` from `range.start` up to, but without, `range.end`.
    pub fn range(dataset: impl Dataset + 'static, range: Range<usize>) -> Result<Self, DataError> {
        Self::new(dataset, range.collect())
    }

    /// The indices into the data set that this is a part of.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn fields(&self) -> Vec<Field> {
        self.dataset.fields()
    }

    fn read(&self, index: usize, sample: &mut Sample<'_>) -> Result<(), ReadError> {
        check_index(index, self.len())?;
        self.dataset.read(self.indices[index], sample)
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn fields(&self) -> Vec<Field> {
        (**self).fields()
    }

    fn read(&self, index: usize, sample: &mut Sample<'_>) -> Result<(), ReadError> {
        (**self).read(index, sample)
    }
}

/// Cuts a data set at random into `N` parts that share no sample and together hold all of them
/// (`torch.utils.data.random_split`). The parts depend on the size of the set, the lengths and the seed only.
///
/// ```
/// # use kiln_runtime::data::{Dataset, Field, HostTensor, TensorDataset, random_split};
/// # let data = TensorDataset::new(10, vec![(Field::i64("y", &[]), HostTensor::I64((0..10).collect()))])?;
/// let [train, test] = random_split(data, [0.8, 0.2], 7)?;
/// assert_eq!((train.len(), test.len()), (8, 2));
/// # Ok::<(), kiln_runtime::data::DataError>(())
/// ```
pub fn random_split<const N: usize>(
    dataset: impl Dataset + 'static,
    lengths: impl Into<SplitLengths<N>>,
    seed: u64,
) -> Result<[Subset; N], DataError> {
    let counts = lengths.into().counts(dataset.len())?;
    let mut indices: Vec<usize> = (0..dataset.len()).collect();
    Philox4x32::new(seed, SPLIT_STREAM).shuffle(&mut indices);
    let dataset: Arc<dyn Dataset> = Arc::new(dataset);
    let mut start = 0;
    Ok(counts.map(|count| {
        let part = &indices[start..start + count];
        start += count;
        Subset { dataset: dataset.clone(), indices: part.into() }
    }))
}

impl<const N: usize> SplitLengths<N> {
    fn counts(self, whole: usize) -> Result<[usize; N], DataError> {
        let counts = match self {
            Self::Counts(counts) => counts,
            Self::Fractions(fractions) => {
                let sum: f64 = fractions.iter().sum();
                if !fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)) || (sum - 1.0).abs() > 1e-9 {
                    return Err(DataError::SplitFractions { found: fractions.to_vec() });
                }
                let mut counts = fractions.map(|fraction| (whole as f64 * fraction).floor() as usize);
                let left_over = whole.saturating_sub(counts.iter().sum());
                for turn in 0..left_over {
                    counts[turn % N] += 1;
                }
                counts
            }
        };
        let found = counts.iter().fold(0_usize, |sum, &count| sum.saturating_add(count));
        if found == whole { Ok(counts) } else { Err(DataError::SplitCounts { expected: whole, found }) }
    }
}

impl<const N: usize> From<[usize; N]> for SplitLengths<N> {
    fn from(counts: [usize; N]) -> Self {
        Self::Counts(counts)
    }
}

impl<const N: usize> From<[f64; N]> for SplitLengths<N> {
    fn from(fractions: [f64; N]) -> Self {
        Self::Fractions(fractions)
    }
}

fn check_index(index: usize, len: usize) -> Result<(), DataError> {
    if index < len { Ok(()) } else { Err(DataError::IndexOutOfRange { index, len }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize) -> TensorDataset {
        let values = (0..len as i64).collect();
        TensorDataset::new(len, vec![(Field::i64("y", &[]), HostTensor::I64(values))]).unwrap()
    }

    #[test]
    fn random_split_gives_every_sample_to_one_part() {
        let parts = random_split(numbers(10), [5, 3, 2], 1).unwrap();
        assert_eq!(parts.each_ref().map(Subset::len), [5, 3, 2]);
        let mut all: Vec<usize> = parts.iter().flat_map(|part| part.indices().to_vec()).collect();
        assert_ne!(all, (0..10).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn random_split_depends_on_the_seed_only() {
        let first = |seed| random_split(numbers(20), [0.5, 0.5], seed).unwrap()[0].indices().to_vec();
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
    }

    /// The lengths that `torch.utils.data.random_split` gives for the same fractions.
    #[test]
    fn fractions_are_floored_and_the_remainder_is_dealt_out() {
        let lengths = |whole, fractions: [f64; 3]| SplitLengths::from(fractions).counts(whole).unwrap();
        assert_eq!(lengths(10, [0.5, 0.3, 0.2]), [5, 3, 2]);
        assert_eq!(lengths(11, [0.5, 0.25, 0.25]), [6, 3, 2]);
        assert_eq!(lengths(5, [0.3, 0.3, 0.4]), [2, 1, 2]);
        assert_eq!(lengths(2, [0.3, 0.3, 0.4]), [1, 1, 0]);
        assert_eq!(lengths(0, [0.3, 0.3, 0.4]), [0, 0, 0]);
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let counts = random_split(numbers(10), [5, 3], 0).err().unwrap();
        assert_eq!(counts.to_string(), "split lengths add up to 8; the data set has 10 samples");
        for fractions in [[0.5, 0.4], [1.5, -0.5], [f64::NAN, 1.0]] {
            let error = random_split(numbers(10), fractions, 0).err().unwrap();
            assert!(matches!(error, DataError::SplitFractions { .. }), "{error}");
        }
        assert!(matches!(random_split(numbers(10), [usize::MAX, 11], 0), Err(DataError::SplitCounts { .. })));
    }

    #[test]
    fn subsets_check_their_indices() {
        let shared = Arc::new(numbers(4));
        assert_eq!(Subset::range(shared.clone(), 1..3).unwrap().indices(), [1, 2]);
        let error = Subset::new(shared, vec![0, 4]).err().unwrap();
        assert_eq!(error.to_string(), "sample 4 was asked for, the data set has 4");
    }
}
