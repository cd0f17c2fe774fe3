//! Tests of the loader: order, batches, prefetch, resume, and what happens when a data set fails.

use super::super::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

/// Sample `i` is `x = [i, i + 0.5]`, `y = i`; reading can be told to fail or panic at one index.
#[derive(Default)]
struct Counting {
    len: usize,
    fail_at: Option<usize>,
    panic_at: Option<usize>,
    reads: AtomicUsize,
    threads: Mutex<Vec<ThreadId>>,
}

impl Counting {
    fn new(len: usize) -> Self {
        Self { len, ..Self::default() }
    }
}

impl Dataset for Counting {
    fn len(&self) -> usize {
        self.len
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::f32("x", &[2]), Field::i64("y", &[])]
    }

    fn read(&self, index: usize, sample: &mut Sample<'_>) -> Result<(), ReadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.threads.lock().unwrap().push(std::thread::current().id());
        if self.panic_at == Some(index) {
            panic!("sample {index} is cursed");
        }
        if self.fail_at == Some(index) {
            return Err("the disc is on fire".into());
        }
        sample.f32s("x")?.copy_from_slice(&[index as f32, index as f32 + 0.5]);
        sample.i64s("y")?[0] = index as i64;
        Ok(())
    }
}

/// The labels, which are the sample indices, batch by batch.
fn labels(epoch: Epoch) -> Vec<Vec<i64>> {
    epoch.map(|batch| batch.unwrap().i64s("y").unwrap().to_vec()).collect()
}

#[test]
fn defaults_are_those_of_pytorch() {
    let loader = DataLoader::new(Counting::new(3));
    assert_eq!(loader.len(), 3);
    assert_eq!(labels(loader.epoch(0)), [[0], [1], [2]]);
    assert_eq!(labels(loader.epoch(1)), [[0], [1], [2]]);
}

#[test]
fn batches_are_contiguous_rows() {
    let loader = DataLoader::new(Counting::new(5)).batch_size(2);
    let batches: Vec<Batch> = loader.epoch(0).map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(Batch::size).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(batches[1].f32s("x").unwrap(), [2.0, 2.5, 3.0, 3.5]);
    assert_eq!(batches[2].f32s("x").unwrap(), [4.0, 4.5]);
    assert_eq!(batches[2].i64s("y").unwrap(), [4]);
}

#[test]
fn drop_last_leaves_the_short_batch_out() {
    let loader = DataLoader::new(Counting::new(5)).batch_size(2).drop_last(true);
    assert_eq!(loader.len(), 2);
    assert_eq!(labels(loader.epoch(0)), [[0, 1], [2, 3]]);
    let exact = DataLoader::new(Counting::new(4)).batch_size(2).drop_last(true);
    assert_eq!(labels(exact.epoch(0)), [[0, 1], [2, 3]]);
    let tiny = DataLoader::new(Counting::new(1)).batch_size(2).drop_last(true);
    assert!(tiny.is_empty());
    assert_eq!(tiny.epoch(0).count(), 0);
}

/// Computed by an independent program from Philox, Lemire's method and Fisher–Yates; saved runs rely on them.
const PINNED_EPOCH_0: [usize; 10] = [8, 5, 0, 1, 6, 4, 9, 3, 7, 2];
const PINNED_EPOCH_1: [usize; 10] = [5, 2, 7, 9, 6, 8, 4, 0, 1, 3];

#[test]
fn the_shuffled_order_is_pinned() {
    let loader = DataLoader::new(Counting::new(10)).batch_size(4).shuffle(true).seed(7);
    assert_eq!(loader.order(0), PINNED_EPOCH_0);
    assert_eq!(loader.order(1), PINNED_EPOCH_1);
    assert_eq!(labels(loader.epoch(1)).concat(), PINNED_EPOCH_1.map(|index| index as i64));
}

#[test]
fn every_index_comes_once_in_every_epoch() {
    let loader = DataLoader::new(Counting::new(101)).batch_size(7).shuffle(true).seed(3);
    let mut orders = BTreeSet::new();
    for epoch in 0..20 {
        let mut order = labels(loader.epoch(epoch)).concat();
        assert!(orders.insert(order.clone()), "epoch {epoch} repeats an order");
        order.sort_unstable();
        assert_eq!(order, (0..101).collect::<Vec<i64>>());
    }
    let other = DataLoader::new(Counting::new(101)).batch_size(7).shuffle(true).seed(4);
    assert!(orders.insert(labels(other.epoch(0)).concat()));
}

#[test]
fn prefetching_changes_no_batch() {
    let plain = DataLoader::new(Counting::new(50)).batch_size(8).shuffle(true).seed(1).prefetch(0);
    for ahead in [1, 2, 3, 100] {
        let prefetched = plain.clone().prefetch(ahead);
        for epoch in 0..3 {
            let pairs = plain.epoch(epoch).zip(prefetched.epoch(epoch));
            for (one, other) in pairs.map(|(one, other)| (one.unwrap(), other.unwrap())) {
                assert!(one.columns().eq(other.columns()));
            }
        }
    }
}

#[test]
fn prefetch_reads_on_another_thread_and_a_bounded_distance_ahead() {
    let here = std::thread::current().id();
    let dataset = Arc::new(Counting::new(100));
    let loader = DataLoader::new(dataset.clone()).batch_size(2).prefetch(3);
    let mut epoch = loader.epoch(0);
    let batch = epoch.next().unwrap().unwrap();
    drop(epoch);
    drop(batch);
    // One batch was taken, three were prepared at most.
    assert!(dataset.reads.load(Ordering::SeqCst) <= 2 * (1 + 3));
    assert!(dataset.threads.lock().unwrap().iter().all(|&thread| thread != here));

    let direct = Arc::new(Counting::new(4));
    assert_eq!(DataLoader::new(direct.clone()).prefetch(0).epoch(0).count(), 4);
    assert!(direct.threads.lock().unwrap().iter().all(|&thread| thread == here));
}

#[test]
fn an_epoch_resumes_in_the_middle() {
    for prefetch in [0, 2] {
        let loader = DataLoader::new(Counting::new(23)).batch_size(4).shuffle(true).seed(9).prefetch(prefetch);
        let whole = labels(loader.epoch(5));
        for skipped in 0..=whole.len() + 1 {
            let rest = loader.epoch_from(5, skipped);
            assert_eq!(rest.len(), whole.len().saturating_sub(skipped));
            assert_eq!(labels(rest), whole[skipped.min(whole.len())..]);
        }
    }
}

#[test]
fn resuming_does_not_read_what_it_skips() {
    let dataset = Arc::new(Counting::new(20));
    let loader = DataLoader::new(dataset.clone()).batch_size(4);
    assert_eq!(loader.epoch_from(0, 3).count(), 2);
    assert_eq!(dataset.reads.load(Ordering::SeqCst), 8);
}

#[test]
fn dropping_an_epoch_joins_its_thread() {
    for taken in 0..5 {
        let dataset = Arc::new(Counting::new(1000));
        let mut epoch = DataLoader::new(dataset.clone()).batch_size(2).prefetch(2).epoch(0);
        for _ in 0..taken {
            epoch.next().unwrap().unwrap();
        }
        // The loader is gone, so only the worker holds the data set beside us.
        assert_eq!(Arc::strong_count(&dataset), 2);
        drop(epoch);
        assert_eq!(Arc::strong_count(&dataset), 1);
        assert!(dataset.reads.load(Ordering::SeqCst) <= 2 * (taken + 3));
    }
}

#[test]
fn a_dropped_epoch_does_not_wait_for_a_whole_batch() {
    const SAMPLES: usize = 100_000;
    /// Reports that a read has begun, then waits to be let on.
    struct Gate(std::sync::mpsc::SyncSender<()>, Mutex<std::sync::mpsc::Receiver<()>>, Arc<AtomicUsize>);
    impl Dataset for Gate {
        fn len(&self) -> usize {
            SAMPLES
        }
        fn fields(&self) -> Vec<Field> {
            vec![Field::u8("x", &[1])]
        }
        fn read(&self, _: usize, _: &mut Sample<'_>) -> Result<(), ReadError> {
            self.2.fetch_add(1, Ordering::SeqCst);
            let _ = self.0.try_send(());
            let _ = self.1.lock().map(|gate| gate.recv());
            Ok(())
        }
    }
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let reads = Arc::new(AtomicUsize::new(0));
    let loader = DataLoader::new(Gate(begun, Mutex::new(gate), reads.clone())).batch_size(SAMPLES);
    let epoch = loader.epoch(0);
    has_begun.recv().unwrap();
    let dropper = std::thread::spawn(move || drop(epoch));
    while !dropper.is_finished() {
        // Lets one read go on at a time until the drop has raised the flag and the worker has seen it.
        let _ = open.send(());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    dropper.join().unwrap();
    assert!(reads.load(Ordering::SeqCst) < SAMPLES);
}

#[test]
fn an_error_names_the_sample_and_ends_the_epoch() {
    for prefetch in [0, 2] {
        let dataset = Counting { fail_at: Some(5), ..Counting::new(10) };
        let mut epoch = DataLoader::new(dataset).batch_size(2).prefetch(prefetch).epoch(0);
        assert!(epoch.next().unwrap().is_ok());
        assert!(epoch.next().unwrap().is_ok());
        let error = epoch.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "sample 5: the disc is on fire");
        assert!(epoch.next().is_none());
    }
}

#[test]
fn a_panic_arrives_as_an_error() {
    for prefetch in [0, 2] {
        let dataset = Counting { panic_at: Some(3), ..Counting::new(10) };
        let loader = DataLoader::new(dataset).batch_size(2).prefetch(prefetch);
        for _ in 0..2 {
            let items: Vec<_> = loader.epoch(0).collect();
            assert_eq!(items.len(), 2);
            let error = items[1].as_ref().unwrap_err();
            assert_eq!(error.to_string(), "the data set panicked while it read sample 3: sample 3 is cursed");
        }
    }
}

#[test]
fn buffers_are_recycled_over_thousands_of_steps() {
    let loader = DataLoader::new(Counting::new(40)).batch_size(4).shuffle(true);
    let mut addresses = BTreeSet::new();
    for epoch in 0..300 {
        for batch in loader.epoch(epoch) {
            addresses.insert(batch.unwrap().f32s("x").unwrap().as_ptr() as usize);
        }
    }
    // Two prefetched, one in use, one being filled.
    assert!(addresses.len() <= 4, "{} buffers for 3,000 steps", addresses.len());
}

#[test]
fn a_short_batch_does_not_show_the_rows_of_an_earlier_one() {
    let loader = DataLoader::new(Counting::new(5)).batch_size(3).prefetch(0);
    for _ in 0..3 {
        assert_eq!(labels(loader.epoch(0)), [vec![0, 1, 2], vec![3, 4]]);
    }
}

#[test]
fn batch_size_zero_is_an_error_and_an_empty_set_is_none() {
    let zero = DataLoader::new(Counting::new(5)).batch_size(0);
    let items: Vec<_> = zero.epoch(0).collect();
    assert!(matches!(items.as_slice(), [Err(DataError::BatchSizeZero)]));
    assert_eq!(DataLoader::new(Counting::new(0)).batch_size(4).epoch(0).count(), 0);
    let huge = DataLoader::new(Counting::new(5)).batch_size(usize::MAX);
    assert_eq!(labels(huge.epoch(0)), [[0, 1, 2, 3, 4]]);
}

#[test]
fn in_memory_sets_and_subsets_load() {
    let x = (Field::f32("x", &[1, 2]), HostTensor::F32((0..8).map(|i| i as f32).collect()));
    let mask = (Field::u8("mask", &[]), HostTensor::U8(vec![1, 0, 1, 0]));
    let subset = Subset::new(TensorDataset::new(4, vec![x, mask]).unwrap(), vec![3, 1]).unwrap();
    let batch = DataLoader::new(subset).batch_size(2).epoch(0).next().unwrap().unwrap();
    assert_eq!(batch.f32s("x").unwrap(), [6.0, 7.0, 2.0, 3.0]);
    assert_eq!(batch.u8s("mask").unwrap(), [0, 0]);
    assert_eq!(batch.fields()[0].shape, [1, 2]);
}
