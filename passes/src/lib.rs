//! Compiler passes, in the order in which they run. Each file states its contract; [`pipeline`] is the table of contents.

#![forbid(unsafe_code)]

pub mod pipeline;

pub mod canonicalize;
pub mod merge_common;

pub mod fold_constants;

pub mod autodiff;

pub mod append_update;

pub mod autocast;

pub mod select_algorithm;

pub mod assign_layout;

pub mod fuse;
pub mod rematerialize;

pub mod lower;
pub mod strips;
pub mod tile;
pub mod vectorize;

pub mod order_steps;
pub mod reuse;

pub mod plan_memory;

mod bounds;
mod in_place;
pub mod program;
mod rewrite;
pub mod steps;
