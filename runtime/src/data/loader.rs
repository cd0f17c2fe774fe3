//! The loader: puts samples in an epoch's order, gathers them into batches, and prepares batches ahead of time.
//!
//! The order of epoch `e` is a pure function of (seed, e, size of the data set). Prefetching changes when a batch is
//! made, never which or what: the same code fills it, on one background thread that hands finished batches over a
//! bounded queue.

#[cfg(test)]
mod tests;

use super::batch::{Batch, BufferPool};
use super::dataset::Dataset;
use super::error::DataError;
use super::host::Field;
use crate::philox::Philox4x32;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Philox stream of epoch 0's order ("data"); epoch `e` has the stream `e` further on.
const ORDER_STREAM: u64 = 0x6461_7461_0000_0000;
/// Batches in the user's hands that the buffer pool is sized for, beside the prefetched ones.
const BATCHES_IN_USE: usize = 2;

/// Batches of a data set, epoch by epoch (`torch.utils.data.DataLoader`).
///
/// ```
/// # use kiln_runtime::data::{DataLoader, Field, HostTensor, TensorDataset};
/// # let y = (Field::i64("y", &[]), HostTensor::I64((0..100).collect()));
/// # let dataset = TensorDataset::new(100, vec![y])?;
/// let loader = DataLoader::new(dataset).batch_size(64).shuffle(true).seed(7);
/// for epoch in 0..2 {
///     for batch in loader.epoch(epoch) {
///         let labels = batch?.i64s("y")?.to_vec();
/// #       assert!(labels.len() == 64 || labels.len() == 36);
///     }
/// }
/// # Ok::<(), kiln_runtime::data::DataError>(())
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    fields: Arc<[Field]>,
    pool: Arc<BufferPool>,
    batch_size: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
    prefetch: usize,
}

/// The batches of one epoch. After an error it ends. Dropping it early stops and joins the background thread.
pub struct Epoch {
    source: Source,
    /// Batches still to come.
    remaining: usize,
}

enum Source {
    /// The loader itself cannot work; the error is the only item.
    Failed(DataError),
    /// Batches are made when they are asked for.
    Direct(Filler),
    /// Batches are made ahead of time.
    Prefetched(Prefetch),
    Ended,
}

/// Makes the batches of one epoch one after the other.
struct Filler {
    dataset: Arc<dyn Dataset>,
    fields: Arc<[Field]>,
    pool: Arc<BufferPool>,
    /// Sample indices of the whole epoch.
    order: Vec<usize>,
    batch_size: usize,
    next_batch: usize,
    /// Raised when nobody wants the batch any more, so that a slow data set does not hold the program up.
    stop: Arc<AtomicBool>,
}

struct Prefetch {
    /// `None` only while it is being dropped: closing the queue releases a worker that waits for a free place.
    queue: Option<Receiver<Result<Batch, DataError>>>,
    worker: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl DataLoader {
    /// A loader with PyTorch's defaults: batch size 1, in order, the short last batch kept. The seed is 0, and two
    /// batches are prefetched.
    pub fn new(dataset: impl Dataset + 'static) -> Self {
        let fields = dataset.fields().into();
        let loader = Self {
            dataset: Arc::new(dataset),
            fields,
            pool: BufferPool::new(0),
            batch_size: 1,
            shuffle: false,
            seed: 0,
            drop_last: false,
            prefetch: 0,
        };
        loader.prefetch(2)
    }

    /// Samples in a batch. Zero is an error, which the first epoch reports.
    pub fn batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// Whether each epoch has an order of its own, drawn from the seed and the epoch's number.
    pub fn shuffle(self, shuffle: bool) -> Self {
        Self { shuffle, ..self }
    }

    /// The seed of the order.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether a last batch with fewer than `batch_size` samples is left out.
    pub fn drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }

    /// How many batches a background thread prepares ahead; 0 makes each batch when it is asked for, on the caller's
    /// thread.
    pub fn prefetch(self, batches: usize) -> Self {
        Self { prefetch: batches, pool: BufferPool::new(batches.saturating_add(BATCHES_IN_USE).min(1024)), ..self }
    }

    /// Batches in an epoch.
    pub fn len(&self) -> usize {
        match (self.batch_size, self.drop_last) {
            (0, _) => 0,
            (size, true) => self.dataset.len() / size,
            (size, false) => self.dataset.len().div_ceil(size),
        }
    }

    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data set.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.dataset
    }

    /// The order of the samples in epoch `epoch`.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.shuffle {
            Philox4x32::new(self.seed, ORDER_STREAM.wrapping_add(epoch)).shuffle(&mut order);
        }
        order
    }

    /// The samples of one batch of epoch `epoch`, as indices into the data set.
    pub fn samples(&self, epoch: u64, batch: usize) -> Vec<usize> {
        self.order(epoch).into_iter().skip(batch.saturating_mul(self.batch_size)).take(self.batch_size).collect()
    }

    /// All batches of epoch `epoch`.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.epoch_from(epoch, 0)
    }

    /// The batches of epoch `epoch` without the first `skip_batches`, which are not read: what a resumed run needs.
    pub fn epoch_from(&self, epoch: u64, skip_batches: usize) -> Epoch {
        if self.batch_size == 0 {
            return Epoch { source: Source::Failed(DataError::BatchSizeZero), remaining: 1 };
        }
        let remaining = self.len().saturating_sub(skip_batches);
        let filler = Filler {
            dataset: self.dataset.clone(),
            fields: self.fields.clone(),
            pool: self.pool.clone(),
            order: self.order(epoch),
            batch_size: self.batch_size,
            next_batch: skip_batches,
            stop: Arc::new(AtomicBool::new(false)),
        };
        let source = match self.prefetch.min(remaining) {
            0 => Source::Direct(filler),
            ahead => match Prefetch::start(filler, ahead, remaining) {
                Ok(prefetch) => Source::Prefetched(prefetch),
                Err(source) => Source::Failed(DataError::Thread { source }),
            },
        };
        Epoch { source, remaining }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let item = match &mut self.source {
            Source::Direct(filler) => filler.next_batch()?,
            Source::Prefetched(prefetch) => prefetch.next_batch(),
            Source::Failed(_) | Source::Ended => match std::mem::replace(&mut self.source, Source::Ended) {
                Source::Failed(error) => Err(error),
                _ => return None,
            },
        };
        if item.is_err() {
            self.remaining = 0;
        }
        if self.remaining == 0 {
            self.source = Source::Ended;
        }
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Epoch {}

impl Filler {
    /// The next batch, or `None` when it was told to stop.
    fn next_batch(&mut self) -> Option<Result<Batch, DataError>> {
        let start = self.next_batch * self.batch_size;
        let end = start.saturating_add(self.batch_size).min(self.order.len());
        self.next_batch += 1;
        let mut batch = Batch::from_pool(end - start, &self.fields, &self.pool);
        for (row, &index) in self.order[start..end].iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            // A panic in the user's code must arrive as an error: on the worker it would otherwise just end the
            // thread. The half-filled batch is dropped and its buffers are zeroed before the next use, so nothing
            // broken is seen.
            let read = catch_unwind(AssertUnwindSafe(|| self.dataset.read(index, &mut batch.sample(row))));
            match read {
                Ok(Ok(())) => {}
                Ok(Err(source)) => return Some(Err(DataError::Sample { index, source })),
                Err(panic) => return Some(Err(DataError::Panicked { index, message: panic_message(&*panic) })),
            }
        }
        Some(Ok(batch))
    }
}

impl Prefetch {
    fn start(mut filler: Filler, ahead: usize, batches: usize) -> io::Result<Self> {
        // A queue of `ahead - 1` places plus the batch in the worker's hands: `ahead` batches are ready at most.
        let (sender, receiver) = sync_channel(ahead - 1);
        let stop = filler.stop.clone();
        let worker = std::thread::Builder::new().name("kiln-data".to_owned()).spawn(move || {
            for _ in 0..batches {
                let Some(item) = filler.next_batch() else { return };
                let failed = item.is_err();
                if sender.send(item).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self { queue: Some(receiver), worker: Some(worker), stop })
    }

    fn next_batch(&mut self) -> Result<Batch, DataError> {
        let received = self.queue.as_ref().and_then(|queue| queue.recv().ok());
        received.unwrap_or_else(|| {
            let source = io::Error::other("it ended before the epoch did");
            Err(DataError::Thread { source })
        })
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the worker was already reported by `next_batch`, and there is nobody left to tell.
            let _ = worker.join();
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
