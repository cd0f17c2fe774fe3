//! Which samples a process of several trains on (`torch.utils.data.DistributedSampler`).

use crate::philox::Philox4x32;

/// Philox stream of epoch 0's order ("dist"); epoch `e` has the stream `e` further on. All processes draw the same order.
const ORDER_STREAM: u64 = 0x6469_7374_0000_0000;

/// Deals the samples of a data set to `num_replicas` processes: process `rank` has every `num_replicas`-th one, from its own number on. All have as many:
/// the first samples are dealt again until that is so, or with `drop_last` the last ones are left out.
///
/// ```
/// use kiln_runtime::data::DistributedSampler;
///
/// let second = DistributedSampler::new(11, 4, 1);
/// assert_eq!(second.indices(0), [1, 5, 9]);
/// assert_eq!(DistributedSampler::new(11, 4, 3).indices(0), [3, 7, 0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DistributedSampler {
    length: usize,
    num_replicas: usize,
    rank: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
}

impl DistributedSampler {
    /// The part of process `rank` of `num_replicas`, in order.
    ///
    /// # Panics
    /// Unless `rank < num_replicas`.
    pub fn new(length: usize, num_replicas: usize, rank: usize) -> DistributedSampler {
        assert!(rank < num_replicas, "rank {rank} of {num_replicas} processes: ranks are counted from 0");
        DistributedSampler { length, num_replicas, rank, shuffle: false, seed: 0, drop_last: false }
    }

    /// Whether each epoch has an order of its own, drawn from the seed and the epoch's number.
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> DistributedSampler {
        DistributedSampler { shuffle, ..self }
    }

    /// The seed of the order; it has to be the same in all processes.
    #[must_use]
    pub fn seed(self, seed: u64) -> DistributedSampler {
        DistributedSampler { seed, ..self }
    }

    /// Whether samples are left out rather than dealt twice.
    #[must_use]
    pub fn drop_last(self, drop_last: bool) -> DistributedSampler {
        DistributedSampler { drop_last, ..self }
    }

    /// Samples that each process has in an epoch.
    pub fn num_samples(&self) -> usize {
        if self.drop_last { self.length / self.num_replicas } else { self.length.div_ceil(self.num_replicas) }
    }

    /// Samples that all processes have together, repeated ones included.
    pub fn total_size(&self) -> usize {
        self.num_samples() * self.num_replicas
    }

    /// The samples of this process in epoch `epoch`.
    pub fn indices(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.length).collect();
        if self.shuffle {
            Philox4x32::new(self.seed, ORDER_STREAM.wrapping_add(epoch)).shuffle(&mut order);
        }
        let dealt = order.iter().copied().cycle().take(self.total_size());
        dealt.skip(self.rank).step_by(self.num_replicas).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_epoch_is_dealt_whole() {
        let of = |rank, epoch| DistributedSampler::new(10, 2, rank).shuffle(true).seed(3).indices(epoch);
        let mut all = [of(0, 0), of(1, 0)].concat();
        assert_ne!(of(0, 0), of(0, 1));
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_to_deal_is_nothing() {
        assert!(DistributedSampler::new(0, 3, 1).indices(0).is_empty());
        assert!(DistributedSampler::new(2, 3, 1).drop_last(true).indices(0).is_empty());
    }
}
