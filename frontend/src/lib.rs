//! Symbolic tensors, layers, losses and optimisers.
#![forbid(unsafe_code)]

mod containers;
mod module;
mod parameter;
mod tensor;
mod trace;

pub use containers::{Chain, Layer, Layers, Named, Sequential};
pub use module::{
    Entry, Forward, Member, Module, ModuleEntry, ModuleId, State, Visitor, duplicate_names, named_buffers,
    named_modules, named_parameters, state_dict,
};
pub use parameter::{Buffer, Initializer, InitializerError, Parameter};
pub use tensor::{DType, Tensor};
pub use trace::Scope;
