//! Compiler passes, in the order in which they run. Each file states its contract; [`pipeline`] is the table of contents.

#![forbid(unsafe_code)]

pub mod append_update;
pub mod autodiff;
mod bounds;
pub mod fuse;
mod in_place;
pub mod lower;
pub mod order_steps;
pub mod plan_memory;
pub mod program;
pub mod reuse;
mod statements;
pub mod steps;
pub mod tile;
pub mod vectorize;
