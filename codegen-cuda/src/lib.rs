//! The CUDA C back end: one readable kernel function for each kernel of the IR, and NVRTC to compile it.
//!
//! The writer chooses how a kernel's positions map to threads and blocks ([`choose_mapping`]) and prints; it never optimises an
//! expression. The text includes no header and no inline assembly, so that NVRTC compiles it as it is and so does a C++ compiler
//! behind a small header that stands in for CUDA's built-in names.

// Not `forbid`: the probe for the NVRTC library in `nvrtc` is one unsafe call.
#![deny(unsafe_code)]

mod block;
mod bounds;
mod error;
mod expr;
mod header;
mod kernel;
mod mapping;
mod names;
mod nvrtc;
mod program;
mod scope;
mod statements;
mod support;
mod text;
mod threads;
mod tiles;

pub use error::Error;
pub use kernel::{Launch, Parameter, Source, Tiles, write_kernel};
pub use mapping::{Mapping, Tiling, choose_mapping};
pub use nvrtc::{Ptx, compile_to_ptx};
pub use program::{PRELUDE, translation_unit, write_program, write_sources};
