//! The Cranelift back end: kernels to one object file, ahead of time, or to memory.
//!
//! This crate chooses nothing: loops, tiles, lanes and unrolling come from each kernel's schedule, offsets from the program. What it
//! owns is how a loop nest becomes good machine code:
//!
//! * `function.rs` walks the items, `loops.rs` cuts innermost loops into guarded and vector pieces, `reduce.rs` keeps partial results;
//! * `eval.rs` writes expressions over `lanes.rs` (scalars, registers, or one scalar a lane) and `math.rs` the elementary
//!   functions;
//! * `index.rs`, `guard.rs`, `range.rs` and `memory.rs` find addresses and keep them inside their tensors; `checks.rs` knows whose index fails;
//! * `wide_loops.rs` marks loops over lanes, of which `wide` makes functions in AVX-512;
//! * `contract.rs` and `tiling.rs` lay out a contraction, `panels.rs`, `pairs.rs` and `transpose.rs` pack its operands, `tile.rs` writes the loops
//!   around the micro-kernel, and `stages.rs` puts several contractions and loops into one item;
//! * `object.rs`, `jit.rs`, `tables.rs` and `bindings.rs` make a program of the functions.
//!
//! **Order of arithmetic.** Results depend on the schedule and on nothing else: not on how items are divided over calls, not on the
//! machine (no fused multiply-add outside the micro-kernel). The scalar tail of a loop computes the bits that its lanes would.

#![deny(unsafe_code)]

mod bindings;
mod checks;
mod contract;
mod emit;
mod error;
mod eval;
mod function;
mod guard;
mod index;
mod jit;
mod lanes;
mod loops;
mod math;
mod memory;
mod object;
mod ops;
mod options;
mod pairs;
mod panels;
mod random;
mod range;
mod reduce;
mod scalar;
mod stages;
mod tables;
mod tile;
mod tiling;
mod transpose;
mod watch;
mod wide;
mod wide_loops;
mod work;

use kiln_ir::Kernel;

pub use bindings::bindings;
pub use error::Error;
pub use jit::{Jit, jit};
pub use object::{Object, compile_object, symbol};
pub use options::{Cpu, Options};

/// The kernel as Cranelift IR, before Cranelift's own optimisations.
pub fn clif(kernel: &Kernel, options: Options) -> Result<String, Error> {
    let isa = options::isa(options)?;
    Ok(function::function(kernel, &*isa, None)?.0.display().to_string())
}

/// The kernel's machine code, disassembled.
pub fn assembly(kernel: &Kernel, options: Options) -> Result<String, Error> {
    let isa = options::isa(options)?;
    let code = function::machine_code(kernel, &*isa, true)?;
    Ok(code.disassembly.unwrap_or_default())
}

/// Bytes of scratch memory that each thread needs to run the kernel.
pub fn scratch_bytes(kernel: &Kernel) -> usize {
    contract::Plan::new(kernel).scratch_bytes
}
