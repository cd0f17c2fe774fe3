//! Compiler passes, in the order in which they run. Each file states its contract; [`pipeline`] is the table of contents.

#![forbid(unsafe_code)]

pub mod pipeline;

pub mod canonicalize;
pub mod merge_common;

pub mod fold_constants;

pub mod autodiff;

pub mod append_update;

mod rewrite;
