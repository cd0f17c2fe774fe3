//! Kiln compiles the training of neural networks ahead of time.
//!
//! A model is a Rust struct under [`model`](macro@model). A [`Training`] adds inputs, loss and optimiser; [`build()`] compiles it from
//! `build.rs` into one native program that [`include_compiled!`] brings into scope, and [`Compiler::jit`] does the same in the running
//! process. What a finished binary links is [`runtime`] and nothing else: depend on this crate with `default-features = false` there,
//! and with the feature `compiler` in `[build-dependencies]`.

#![forbid(unsafe_code)]

#[cfg(feature = "compiler")]
extern crate self as kiln;

#[cfg(feature = "compiler")]
mod build;
#[cfg(feature = "command")]
pub mod command;
#[cfg(feature = "compiler")]
mod compiler;
#[cfg(feature = "compiler")]
mod error;
#[cfg(feature = "compiler")]
mod gradcheck;
#[cfg(feature = "compiler")]
mod ir_file;
#[cfg(feature = "command")]
pub mod models;
#[cfg(feature = "compiler")]
mod switches;
#[cfg(feature = "compiler")]
mod tuning;

pub use kiln_runtime as runtime;

#[cfg(feature = "compiler")]
pub use build::{build, emit};
#[cfg(feature = "compiler")]
pub use compiler::{Compiled, Compiler};
#[cfg(feature = "compiler")]
pub use error::Error;
#[cfg(feature = "compiler")]
pub use gradcheck::{GradCheck, GradCheckError, gradcheck};
#[cfg(feature = "compiler")]
pub use kiln_frontend::*;
#[cfg(feature = "compiler")]
pub use kiln_macros::{custom_vjp, model};

#[cfg(feature = "compiler")]
pub use kiln_passes::select_algorithm::{Algorithm, Direction, Problem, Selection};
#[cfg(feature = "compiler")]
pub use tuning::Tuning;

/// What a model file needs.
#[cfg(feature = "compiler")]
pub mod prelude {
    pub use kiln_frontend::prelude::*;
    pub use kiln_macros::{custom_vjp, model};
}

/// Brings the module that [`build`](fn@build) wrote for a training of this name into scope: `include_compiled!("lenet")` makes
/// `lenet::Trainer`.
#[macro_export]
macro_rules! include_compiled {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/kiln_", $name, ".rs"));
    };
}

/// The README's example compiles.
#[cfg(all(doctest, feature = "compiler"))]
#[doc = include_str!("../README.md")]
struct Readme;
