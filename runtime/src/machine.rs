//! What this machine can do at best, measured: the roof of a roofline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Arena, Error, Pool, brgemm};

/// The limits of all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Floating-point operations a second, of fused multiply-adds in registers.
    pub flops_per_s: f64,
    /// Bytes a second between memory and processor, half of them read and half written.
    pub bytes_per_s: f64,
}

/// Far more than the caches hold.
const COPIED_BYTES: u64 = 256 << 20;
/// Of each thread's share, what one call copies.
const CHUNK_BYTES: u64 = 1 << 20;
/// The best of so many runs.
const RUNS: usize = 5;
const ROUNDS: u64 = 2_000_000;

impl Peaks {
    /// Measures for a fraction of a second.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`].
    pub fn measure(pool: &mut Pool) -> Result<Peaks, Error> {
        let done = AtomicU64::new(0);
        let threads = pool.threads() as u64;
        let calculation = best(|| {
            pool.run(threads, &|_, chunks| {
                for _ in chunks {
                    done.store(brgemm::multiply_adds(ROUNDS), Ordering::Relaxed);
                }
            });
        });
        let arena = Arena::new(2 * COPIED_BYTES, "a measurement of memory bandwidth")?;
        let base = SharedPointer(arena.base());
        let copying = best(|| {
            pool.run(COPIED_BYTES / CHUNK_BYTES, &|_, chunks| {
                let from = base.at(chunks.start * CHUNK_BYTES);
                let to = base.at(COPIED_BYTES + chunks.start * CHUNK_BYTES);
                // SAFETY: the arena holds both halves, and ranges of chunks do not overlap.
                unsafe { to.copy_from_nonoverlapping(from, ((chunks.end - chunks.start) * CHUNK_BYTES) as usize) }
            });
        });
        Ok(Peaks {
            flops_per_s: (threads * done.into_inner()) as f64 / calculation.as_secs_f64(),
            bytes_per_s: (2 * COPIED_BYTES) as f64 / copying.as_secs_f64(),
        })
    }
}

struct SharedPointer(*mut u8);

// SAFETY: threads use it for ranges that do not overlap.
unsafe impl Sync for SharedPointer {}

impl SharedPointer {
    fn at(&self, offset: u64) -> *mut u8 {
        self.0.wrapping_add(offset as usize)
    }
}

fn best(mut run: impl FnMut()) -> Duration {
    let times = (0..RUNS).map(|_| {
        let begin = Instant::now();
        run();
        begin.elapsed()
    });
    times.min().expect("there are runs")
}
