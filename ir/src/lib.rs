//! Kiln's three levels of IR: graph (tensors), kernel (loops) and program (launches over an arena).
//!
//! This crate holds data and its meaning: types, the op table, verifiers, the texts and their parsers, and the reference interpreter.
//! It changes nothing (passes do) and performs no input or output.

#![forbid(unsafe_code)]

mod attribute;
mod body;
mod builder;
mod bytes;
mod cost;
mod diagnostic;
mod differentiate;
mod dtype;
mod expr;
mod graph;
mod index;
mod init;
pub mod interpret;
pub mod kernel;
mod op;
pub mod ops;
mod place;
pub mod program;
mod shape;
pub mod statements;
pub mod text;
pub mod update;
pub mod verify;

pub use attribute::{Attribute, AttributeValue};
pub use body::{Block, Body, Element, Kind, Sweep, accumulator, axes, load, operand, position, reshape_index};
pub use builder::{Builder, Vjp};
pub use bytes::{Bytes, PeakMemory};
pub use diagnostic::{Code, Diagnostic};
pub use differentiate::{differentiate, pull_back};
pub use dtype::DType;
pub use expr::{Binary, Comparison, Expr, Load, LocalId, Monoid, Number, TensorId, Unary};
pub use graph::{Graph, Node, Output, ValueId};
pub use index::{Atom, AxisId, Index};
pub use init::Init;
pub use kernel::Kernel;
pub use op::{Definition, Example, Operator};
pub use ops::{Op, Role};
pub use place::Place;
pub use program::Program;
pub use shape::{Dim, Shape, Type};
pub use update::{GroupRules, UpdateRules};
