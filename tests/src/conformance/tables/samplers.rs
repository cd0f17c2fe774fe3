//! `torch.utils.data`: which samples go where.

use kiln::runtime::data::{
    DataError, DataLoader, Dataset, DistributedSampler, Field, HostTensor, TensorDataset, random_split,
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Checks, Table, Unsupported, read};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Row {
    Distributed {
        length: usize,
        world_size: usize,
        drop_last: bool,
        shuffle: bool,
        num_samples: usize,
        total_size: usize,
        indices: Vec<Vec<usize>>,
    },
    RandomSplit {
        length: usize,
        lengths: Vec<f64>,
        sizes: Vec<usize>,
    },
    Batch {
        length: usize,
        batch_size: usize,
        drop_last: bool,
        batches: Vec<Vec<usize>>,
        count: usize,
    },
}

pub(super) fn check(_: &Table, case: &Json, checks: &mut Checks) -> Result<(), Unsupported> {
    match read(case)? {
        Row::Distributed { shuffle: true, .. } => {
            return Err(Unsupported("the order of PyTorch's shuffling".to_owned()));
        }
        Row::Distributed { length, world_size, drop_last, num_samples, total_size, indices, .. } => {
            for (rank, wanted) in indices.iter().enumerate() {
                let sampler = DistributedSampler::new(length, world_size, rank).drop_last(drop_last);
                equal(checks, "num_samples", &sampler.num_samples(), &num_samples);
                equal(checks, "total_size", &sampler.total_size(), &total_size);
                equal(checks, &format!("indices of rank {rank}"), &sampler.indices(0), wanted);
            }
        }
        Row::RandomSplit { length, lengths, sizes } => match split(length, &lengths) {
            Ok(found) => equal(checks, "sizes", &found, &sizes),
            Err(error) => checks.fault(error.to_string()),
        },
        Row::Batch { length, batch_size, drop_last, batches, count } => {
            let loader = match numbers(length) {
                Ok(dataset) => DataLoader::new(dataset).batch_size(batch_size).drop_last(drop_last),
                Err(error) => {
                    checks.fault(error.to_string());
                    return Ok(());
                }
            };
            let found: Vec<Vec<usize>> = (0..loader.len()).map(|batch| loader.samples(0, batch)).collect();
            equal(checks, "batches", &found, &batches);
            equal(checks, "count", &loader.len(), &count);
        }
    }
    Ok(())
}

/// The sizes of the parts of `random_split`. Whole numbers that add up to the length are counts, as PyTorch decides too.
fn split(length: usize, lengths: &[f64]) -> Result<Vec<usize>, DataError> {
    fn parts<const N: usize>(length: usize, lengths: [f64; N]) -> Result<Vec<usize>, DataError> {
        let are_counts = lengths.iter().sum::<f64>() == length as f64 && lengths.iter().all(|part| part.fract() == 0.0);
        let dataset = numbers(length)?;
        let parts = match are_counts {
            true => random_split(dataset, lengths.map(|part| part as usize), 0)?,
            false => random_split(dataset, lengths, 0)?,
        };
        Ok(parts.iter().map(Dataset::len).collect())
    }
    match *lengths {
        [a] => parts(length, [a]),
        [a, b] => parts(length, [a, b]),
        [a, b, c] => parts(length, [a, b, c]),
        [a, b, c, d] => parts(length, [a, b, c, d]),
        _ => Err(DataError::SplitFractions { found: lengths.to_vec() }),
    }
}

fn numbers(length: usize) -> Result<TensorDataset, DataError> {
    TensorDataset::new(length, vec![(Field::i64("y", &[]), HostTensor::I64((0..length as i64).collect()))])
}

fn equal<T: PartialEq + std::fmt::Debug>(checks: &mut Checks, what: &str, got: &T, want: &T) {
    if got != want {
        checks.fault(format!("{what}: {got:?} instead of {want:?}"));
    }
}
