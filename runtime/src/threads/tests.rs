//! The pool under stress: partition, panics, sleeping and waking.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::*;

#[test]
fn shares_partition_the_chunks() {
    for participants in 1..9 {
        for chunks in participants..40 {
            let mut next = 0;
            for index in 0..participants {
                let range = share(chunks, participants, index);
                assert_eq!(range.start, next);
                assert!(range.end > range.start, "a participant without work");
                next = range.end;
            }
            assert_eq!(next, chunks);
        }
    }
}

#[test]
fn each_chunk_runs_once_at_any_thread_count() {
    for threads in [1, 2, 3, 8] {
        let mut pool = Pool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads);
        for chunks in (0..30).chain([1000]) {
            let calls: Vec<AtomicU32> = (0..chunks).map(|_| AtomicU32::new(0)).collect();
            let workers: Vec<AtomicU32> = (0..threads).map(|_| AtomicU32::new(0)).collect();
            pool.run(chunks, &|worker, range| {
                workers[worker].fetch_add(1, Ordering::Relaxed);
                for chunk in range {
                    calls[chunk as usize].fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
            assert!(workers.iter().all(|calls| calls.load(Ordering::Relaxed) <= 1));
        }
    }
}

#[test]
fn many_forks_lose_no_wake_up() {
    for threads in [2, 5] {
        let mut pool = Pool::new(threads).unwrap();
        let sum = AtomicU64::new(0);
        for fork in 0..5000u64 {
            // The number of participants varies, and now and then all workers have time to fall asleep.
            pool.run(fork % 7, &|_, range| {
                sum.fetch_add(range.end - range.start, Ordering::Relaxed);
            });
            if fork % 500 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(sum.into_inner(), (0..5000).map(|fork| fork % 7).sum::<u64>());
    }
}

/// A worker that finishes one fork late may meet the caller asleep in the next one. Waking it then is harmless, but must
/// not use up the wake-up that the next fork owes.
#[test]
fn a_late_worker_does_not_steal_a_wake_up() {
    for threads in [2, 3, 9] {
        let mut pool = Pool::new(threads).unwrap();
        for _ in 0..20_000 {
            pool.run(threads as u64, &|_, _| {});
        }
    }
}

#[test]
fn the_caller_may_sleep_until_slow_workers_finish() {
    let mut pool = Pool::new(3).unwrap();
    let finished = AtomicU32::new(0);
    for _ in 0..3 {
        pool.run(3, &|worker, _| {
            thread::sleep(Duration::from_millis(2 * worker as u64));
            finished.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert_eq!(finished.into_inner(), 9);
}

#[test]
fn a_panic_of_any_worker_reaches_the_caller_and_spares_the_pool() {
    let mut pool = Pool::new(3).unwrap();
    for culprit in 0..3 {
        let finished = AtomicU32::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(3, &|worker, _| {
                if worker == culprit {
                    std::panic::resume_unwind(Box::new(culprit));
                }
                finished.fetch_add(1, Ordering::Relaxed);
            });
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&culprit));
        assert_eq!(finished.into_inner(), 2, "all others finish before the panic goes on");
        let sum = AtomicU64::new(0);
        pool.run(100, &|_, range| {
            sum.fetch_add(range.sum(), Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}

#[test]
fn a_bad_thread_count_is_an_error() {
    assert_eq!(thread_count(Some(" 3 ".into())).unwrap(), 3);
    assert!(thread_count(None).unwrap() >= 1);
    for value in ["0", "-1", "two", "", "1000000", "99999999999999999999"] {
        let message = thread_count(Some(value.into())).unwrap_err().to_string();
        assert_eq!(message, format!("KILN_THREADS needs a number of threads from 1 to 4096, not `{value}`"));
    }
}
