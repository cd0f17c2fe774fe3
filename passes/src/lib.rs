//! Compiler passes, in the order in which they run. Each file states its contract; [`pipeline`] is the table of contents.

#![forbid(unsafe_code)]

pub mod append_update;
pub mod autodiff;
