//! The reference interpreter: what ops, kernels and programs mean, plainly and slowly, in `f64`.
//!
//! Every pass and both back ends are judged by it, so it must be right at a glance: no caching, no reordering, no cleverness.
//! It also refuses what a correct program never does: reading what nothing wrote, storing an element twice, leaving a tensor.
//!
//! One level a file: scalars, expressions over them, the body of an op, kernels, programs, and graphs.

mod erf;
mod error;
mod philox;
mod scalar;
mod tensor;

mod expr;

mod block;
mod body;
mod graph;
mod kernel;
mod memory;
mod program;
mod sweep;

pub use body::evaluate_body;
pub use erf::erf;
pub use error::InterpretError;
pub use expr::{Named, Operands, Scope};
pub use graph::{Evaluation, evaluate};
pub use kernel::run_kernel;
pub use program::ProgramState;
pub use scalar::{Accumulator, Scalar, binary, compare, unary};
pub use tensor::{Precision, Value};
