//! The front end: symbolic tensors, tracing, modules, layers, losses and optimisers. It records and checks; it never optimises.

#![forbid(unsafe_code)]

mod activations;
mod arithmetic;
mod attention;
pub mod autograd;
mod complex;
mod containers;
mod convolution;
mod creation;
mod distances;
mod einsum;
mod function;
pub mod functional;
mod grid_sample;
mod indexing;
pub mod init;
mod interpolation;
pub mod layers;
mod losses;
mod module;
mod normalization;
pub mod optim;
mod parameter;
mod patches;
mod pointwise;
mod pooling;
pub mod prelude;
mod products;
pub mod random;
mod reductions;
mod scalar;
mod spatial;
mod tensor;
mod trace;
mod training;
mod views;
mod words;
pub mod zoo;

pub use activations::GeluApproximation;
pub use autograd::{custom_vjp, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled};
pub use complex::{ComplexOperand, ComplexTensor, complex, view_as_complex};
pub use containers::{Chain, Hooked, Layer, Layers, Named, NoLayer, Sequential};
pub use creation::{Literal, arange, empty, eye, full, linspace, ones, tensor, zeros};
pub use function::{Function, FunctionInputs};
pub use indexing::{At, EmbeddingOptions, NewAxis, Reduce, TensorIndex};
pub use kiln_ir::{Code, DType, Diagnostic, Dim, Init as Initializer};
pub use module::{
    Entry, Forward, Member, Module, ModuleEntry, ModuleId, State, Tree, Visitor, apply, duplicate_names, named_buffers,
    named_children, named_modules, named_parameters, own_parameters, parameter_count, parameters, set_requires_grad,
    state_dict, tree,
};
pub use parameter::{Buffer, Parameter};
pub use pointwise::{Rounding, where_};
pub use scalar::{Operand, Scalar};
pub use spatial::PerAxis;
pub use tensor::{Size, Sizes, Tensor};
pub use trace::{Call, Mode, Scope};
pub use training::{BATCH, Inputs, PREDICTION, Traced, Training};
pub use views::{Indexing, PadMode, Parts, cat, meshgrid, stack};
