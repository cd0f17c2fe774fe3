//! Views and what is made of them: other shapes, other orders, parts, repetitions and joints. Fusion computes them where they are used, so that
//! most of them cost nothing.

mod diagonal;
mod join;
mod order;
mod pad;
mod part;
mod repeat;
mod shape;

pub use join::{cat, stack};
pub use pad::PadMode;
pub use part::Parts;
pub use repeat::{Indexing, meshgrid};
