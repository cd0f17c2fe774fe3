//! A fork-join pool for the parallel loops of kernels.
//!
//! Work is split by shape, never by thread count: the unit is a chunk fixed at compile time, chunks are dealt to threads
//! as contiguous ranges, and each chunk is computed by one thread with one call. A result therefore has the same bits
//! for 1, 2 or 64 threads. Kernels take microseconds, so workers wait by spinning before they sleep.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::Error;

/// The environment variable that sets the number of threads.
pub const THREADS_VARIABLE: &str = "KILN_THREADS";

/// The greatest number of threads, limited by the bits of a ticket.
const MAX_THREADS: usize = 4096;

/// How long a thread spins before it sleeps: a few times what waking a sleeping thread costs.
const SPIN_TIME: Duration = Duration::from_micros(20);

/// Low bits of a ticket hold the number of participants; the others count the forks.
const PARTICIPANT_BITS: u32 = 16;

/// Threads that wait for work. The calling thread is worker 0 and takes part.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What a fork runs: the worker's index and its range of chunks.
type Task<'a> = dyn Fn(usize, Range<u64>) + Sync + 'a;

#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    chunks: u64,
    participants: u64,
}

/// Keeps what different threads write on different cache lines (two, as processors prefetch pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

struct Shared {
    /// Fork count and participants in one word, so that a worker that is not needed never looks at the job.
    ticket: Padded<AtomicU64>,
    /// Participants other than the caller that have not finished.
    remaining: Padded<AtomicUsize>,
    /// Written by the caller while `remaining` is 0; read by participants until they count themselves out.
    job: UnsafeCell<Option<Job>>,
    /// By worker: it sleeps, or is about to.
    asleep: Vec<Padded<AtomicBool>>,
    /// The caller sleeps, or is about to, until `remaining` is 0.
    caller_asleep: AtomicBool,
    caller: Mutex<Option<Thread>>,
    /// The first panic of a worker in this fork.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
    spin_time: Duration,
}

// SAFETY: all fields but `job` are shareable by themselves. `job` is written only by the caller of `Pool::run` (`&mut
// Pool`, so one at a time) before it publishes a ticket, and read only by the ticket's participants, for whom it waits.
unsafe impl Sync for Shared {}
// SAFETY: as above; the job's pointer is only followed while the caller waits.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads, the caller among them.
    ///
    /// # Errors
    ///
    /// [`Error::SpawnThread`] if the system refuses one. A count of 0 means 1.
    pub fn new(threads: usize) -> Result<Pool, Error> {
        let threads = threads.clamp(1, MAX_THREADS);
        // With more threads than processors, a spinning thread keeps the one it waits for from running.
        let spin_time = if threads <= processors() { SPIN_TIME } else { Duration::ZERO };
        let shared = Arc::new(Shared {
            ticket: Padded::default(),
            remaining: Padded::default(),
            job: UnsafeCell::new(None),
            asleep: (0..threads).map(|_| Padded::default()).collect(),
            caller_asleep: AtomicBool::new(false),
            caller: Mutex::new(None),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            spin_time,
        });
        let mut pool = Pool { shared, workers: Vec::with_capacity(threads - 1) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new().name(format!("kiln-{index}")).spawn(move || shared.work(index));
            // On an error, dropping the pool stops the workers that did start.
            pool.workers.push(worker.map_err(|source| Error::SpawnThread {
                index: index + 1,
                count: threads,
                source,
            })?);
        }
        Ok(pool)
    }

    /// A pool of as many threads as `KILN_THREADS` says, or as there are processors.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadCount`] if the variable is set to something else than a count; [`Error::SpawnThread`].
    pub fn from_environment() -> Result<Pool, Error> {
        let value = std::env::var_os(THREADS_VARIABLE);
        Pool::new(thread_count(value.map(|value| value.to_string_lossy().into_owned()))?)
    }

    /// Number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(worker, range)` so that the ranges partition `0..chunks`, at most one range for each worker, and
    /// returns when all are done. Worker indices are below [`Pool::threads`] and differ between concurrent calls.
    ///
    /// # Panics
    ///
    /// With the panic of a task, after all tasks have ended.
    pub fn run(&mut self, chunks: u64, task: &Task<'_>) {
        let participants = chunks.min(self.threads() as u64);
        if participants <= 1 {
            if chunks > 0 {
                task(0, 0..chunks);
            }
            return;
        }
        // SAFETY: only the lifetime changes. The pointer is followed by participants only, and `Join` waits for them
        // before this function returns or unwinds.
        let task_pointer = unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
        self.fork(Job { task: task_pointer, chunks, participants });
        let join = Join(&self.shared);
        task(0, share(chunks, participants, 0));
        drop(join);
        let panic = lock(&self.shared.panic).take();
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
    }

    fn fork(&mut self, job: Job) {
        let shared = &*self.shared;
        // SAFETY: no participant is at work: every run waits until `remaining` is 0, and `&mut self` excludes others.
        unsafe { *shared.job.get() = Some(job) };
        shared.remaining.0.store(job.participants as usize - 1, Ordering::Relaxed);
        let fork = (shared.ticket.0.load(Ordering::Relaxed) >> PARTICIPANT_BITS) + 1;
        // Ordered before the reads of `asleep`; a worker orders its write of `asleep` before its read of the ticket. So
        // at least one of the two sees the other, and no wake-up is lost.
        shared.ticket.0.store(fork << PARTICIPANT_BITS | job.participants, Ordering::SeqCst);
        self.wake(job.participants as usize - 1);
    }

    fn wake(&self, workers: usize) {
        for (index, worker) in self.workers.iter().take(workers).enumerate() {
            if self.shared.asleep[index + 1].0.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.ticket.0.store(u64::MAX, Ordering::SeqCst);
        self.wake(self.workers.len());
        for worker in self.workers.drain(..) {
            // Workers catch the panics of tasks, so there is no other to report here.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let mut seen = 0;
        loop {
            seen = self.next_ticket(index, seen);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if index as u64 >= seen & ((1 << PARTICIPANT_BITS) - 1) {
                continue;
            }
            // SAFETY: this worker participates and has not counted itself out, so the job stays as it is.
            let job = unsafe { (*self.job.get()).expect("a ticket is published after its job") };
            // SAFETY: the caller of `run` keeps the task alive until this worker counts itself out.
            let task = unsafe { &*job.task };
            let range = share(job.chunks, job.participants, index as u64);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(index, range))) {
                lock(&self.panic).get_or_insert(panic);
            }
            // From here on the next fork may have begun, and it may be its caller who sleeps. Waking it early is harmless:
            // it looks again. Taking its handle out would not be: this worker still owes it a wake-up then.
            if self.remaining.0.fetch_sub(1, Ordering::SeqCst) == 1
                && self.caller_asleep.load(Ordering::SeqCst)
                && let Some(caller) = &*lock(&self.caller)
            {
                caller.unpark();
            }
        }
    }

    /// Waits for a ticket other than `seen`.
    fn next_ticket(&self, index: usize, seen: u64) -> u64 {
        let published = |order| Some(self.ticket.0.load(order)).filter(|&ticket| ticket != seen);
        if let Some(ticket) = self.spin(|| published(Ordering::Acquire)) {
            return ticket;
        }
        let asleep = &self.asleep[index].0;
        asleep.store(true, Ordering::SeqCst);
        loop {
            if let Some(ticket) = published(Ordering::SeqCst) {
                asleep.store(false, Ordering::Relaxed);
                return ticket;
            }
            thread::park();
        }
    }

    /// Waits until all participants but the caller have finished.
    fn join(&self) {
        let finished = |order| (self.remaining.0.load(order) == 0).then_some(());
        if self.spin(|| finished(Ordering::Acquire)).is_some() {
            return;
        }
        *lock(&self.caller) = Some(thread::current());
        self.caller_asleep.store(true, Ordering::SeqCst);
        while finished(Ordering::SeqCst).is_none() {
            thread::park();
        }
        self.caller_asleep.store(false, Ordering::Relaxed);
        *lock(&self.caller) = None;
    }

    /// Polls until there is an answer or the spin time is over.
    fn spin<T>(&self, poll: impl Fn() -> Option<T>) -> Option<T> {
        if self.spin_time.is_zero() {
            return poll();
        }
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if let Some(answer) = poll() {
                    return Some(answer);
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > self.spin_time {
                return None;
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// Joins when dropped, so also when the caller's own share panics.
struct Join<'a>(&'a Shared);

impl Drop for Join<'_> {
    fn drop(&mut self) {
        self.0.join();
    }
}

/// The chunks of one of `participants`: contiguous, and as even as can be.
fn share(chunks: u64, participants: u64, index: u64) -> Range<u64> {
    let (each, longer) = (chunks / participants, chunks % participants);
    let begin = |index: u64| index * each + index.min(longer);
    begin(index)..begin(index + 1)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get())
}

fn thread_count(setting: Option<String>) -> Result<usize, Error> {
    let Some(value) = setting else { return Ok(processors().min(MAX_THREADS)) };
    match value.trim().parse() {
        Ok(count) if (1..=MAX_THREADS).contains(&count) => Ok(count),
        _ => Err(Error::ThreadCount { variable: THREADS_VARIABLE, value, max: MAX_THREADS }),
    }
}

/// The data behind these locks is whole at any time, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
