//! Chooses how each kernel runs: what threads divide, the tiles of contractions, and which loops are split or written out.
//!
//! Everything is fixed by shapes and the greatest batch, nothing by the number of threads, so results are the same bits on every
//! machine size. Seven steps a kernel: long reductions with few results become two kernels; axes that are read through an exact division
//! are split so that the division is decided when the kernel is compiled; windows that look for a position are written out; axes that are read through divisions are split; contractions get tiles for the micro-kernel, the rest
//! longer inner loops and threads.
//!
//! **Before:** kernels with the default schedule. **After:** every kernel has `thread`, `grain`, `unroll` and, where one fits, `contract`.
//!
//! ```text
//! for n in B, oc in 6, oh in 28, ow in 28        for n in B, oc in 6, oh in 28, ow in 28
//!   y = sum c, kh, kw of x[..] * w[..]      →      y = sum c, kh, kw of x[..] * w[..]
//!                                                schedule thread(n) grain(1) contract(m: oc; n: oh ow; k: c kh kw; pack b)
//! ```
//!
//! **Order:** after lower; before order_steps, because a split reduction is one launch more.
//! **Source:** tiles follow Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008); the phases of exact divisions are
//! those of sub-pixel convolution.

mod collapse;
mod contract;
mod divisions;
mod phases;
pub(crate) mod rewrite;
mod roles;
mod split_reduction;
mod stages;
mod threads;
mod windows;

pub(crate) use rewrite::{axes_of, stride};

use crate::steps::Steps;

/// The caches and the micro-kernel that tiles are made for: a model of current x86 and Arm servers, not a measurement of this machine,
/// so that a program is the same wherever it is compiled.
pub(crate) struct Machine {
    /// Rows and columns of one register tile of the micro-kernel.
    pub rows: usize,
    /// See `rows`.
    pub columns: usize,
    /// Bytes of a packed operand that stay in the second-level cache beside the other operand and the result; twice that where both are packed.
    pub pack_bytes: usize,
    /// Scalar operations in a nanosecond, in loops that the vectoriser has a fair chance with.
    pub operations_per_ns: f64,
    /// Multiplications with addition in a nanosecond, in the micro-kernel.
    pub products_per_ns: f64,
    /// The least work worth handing to another thread.
    pub chunk_ns: f64,
}

pub(crate) const MACHINE: Machine = Machine {
    rows: 14,
    columns: 32,
    pack_bytes: 128 << 10,
    operations_per_ns: 2.0,
    products_per_ns: 50.0,
    chunk_ns: 32_000.0,
};

/// Windows of at most this many taps are written out.
const MAX_UNROLL: usize = 16;

/// Schedules every kernel.
pub fn run(steps: &mut Steps) {
    split_reduction::run(steps);
    for at in 0..steps.steps.len() {
        if steps.steps[at].kernel.stages().is_some() {
            stages::run(&mut steps.steps[at].kernel, steps.max_batch);
            rewrite::renumber_axes(&mut steps.steps[at].kernel);
            continue;
        }
        phases::run(&mut steps.steps[at].kernel);
        windows::run(&mut steps.steps[at].kernel);
        divisions::run(&mut steps.steps[at].kernel);
        if !contract::run(&mut steps.steps[at].kernel, steps.max_batch) {
            collapse::run(&mut steps.steps[at].kernel);
            threads::run(&mut steps.steps[at].kernel, steps.max_batch);
        }
        rewrite::renumber_axes(&mut steps.steps[at].kernel);
    }
}
