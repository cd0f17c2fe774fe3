//! The program ABI: what a compiler writes and the runtime runs.
//!
//! Ahead of time, generated Rust code holds `pub static PROGRAM: Program = Program { .. }` over borrowed tables, beside
//! `extern "C"` declarations of the kernels in the object file. The just-in-time compiler builds the same struct over
//! owned tables; hence `Cow` everywhere.
//!
//! Kernels reach the outside only through [`KernelContext`], whose fields generated code reads at fixed offsets. An
//! object file therefore has no undefined symbol.

mod context;
mod element;
mod fault;
mod program;

pub use crate::brgemm::{BrgemmArgs, BrgemmFn};
pub use crate::pairs::{PairArgs, PairBf16Fn};
pub use crate::transpose::{TransposeArgs, TransposeF32Fn};
pub use context::{BinaryF32Fn, BinaryF64Fn, BinaryI64Fn, KernelContext, KernelFn, UnaryF64Fn};
pub use element::{Element, ElementType};
pub use fault::{
    FAULT_INDEX, FAULT_NOT_FINITE, FAULT_WRAPPED_INDEX, Fault, FaultCell, ReportFaultFn, fault_code, report_fault,
};
pub use program::{Constant, Entry, Extent, Init, MemoryClass, Program, Slot, SlotKind, Step, Watch, Watched};
