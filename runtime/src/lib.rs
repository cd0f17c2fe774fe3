//! Kiln's runtime: loads and runs a compiled program, and nothing else.
//!
//! A compiled [`abi::Program`] is data: arena offsets, slots that the host can reach, and per entry point a list of
//! kernel launches. A [`Session`] gives it memory, initial weights and threads; a [`Trainer`] gives a session the
//! words of a training loop. The crate knows no graph and holds no compiler, because it is what a shipped training
//! binary links.
//!
//! Two promises hold everywhere: no tensor is allocated inside a step, and the bits of a result depend neither on the
//! thread count nor on the vector instructions of the contraction micro-kernels.

pub mod abi;
mod arena;
pub mod brgemm;
pub mod checkpoint;
pub mod data;
mod error;
mod fit;
mod lbfgs;
pub mod machine;
mod math;
mod memory;
pub mod metrics;
pub mod pairs;
pub mod philox;
pub mod progress;
mod saving;
pub mod schedule;
mod session;
pub mod stop;
mod threads;
mod trainer;
pub mod transpose;

pub use arena::Arena;
pub use error::Error;
pub use fit::{Evaluation, Every, Fit, FitError, Fitted};
pub use lbfgs::{Evaluated, Lbfgs, LbfgsOptions, LbfgsStep, LineSearch};
pub use memory::{MemoryReport, peak_resident_bytes};
pub use session::{Input, ProgramRef, Session, SlotView, SlotViewMut, StepTime};
pub use threads::{Pool, THREADS_VARIABLE};
pub use trainer::Trainer;
