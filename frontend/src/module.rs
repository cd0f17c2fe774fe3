//! Modules: what a model is made of, and the walks over it.
//!
//! A [`Module`] has members; a [`Member`] contributes something under a name: a parameter, a buffer, a child module, or
//! nothing. The walks turn a module tree into flat lists whose names and order are those of PyTorch's `state_dict`, so
//! that weights can be exchanged with it: in each module first its own parameters, then its own buffers, then its
//! children, each in the order of declaration.
//!
//! Every module is a member by one blanket `impl`. It lives beside those for `Option<T>`, numbers and so on because none of
//! these types is a module, and no other crate may make one of them a module. The types that may be (`Box`) are modules here.

mod members;
mod print;
mod walk;

use std::any;
use std::panic::Location;
use std::ptr;

pub use print::{Tree, tree};
pub(crate) use print::{python, python_bool, python_extents, python_tuple};
pub(crate) use walk::contributes_nothing;
pub use walk::{
    Entry, ModuleEntry, State, apply, duplicate_names, named_buffers, named_children, named_modules, named_parameters,
    own_parameters, parameter_count, parameters, set_requires_grad, state_dict,
};

use crate::{Buffer, Parameter};

/// A part of a model: something with named parameters, buffers and child modules.
///
/// `#[model]` implements it for a struct. By hand, name each member:
///
/// ```
/// use kiln_frontend::{Member, Module, Parameter, Visitor};
///
/// struct Linear {
///     weight: Parameter,
///     bias: Option<Parameter>,
/// }
///
/// impl Module for Linear {
///     fn visit(&self, visitor: &mut dyn Visitor) {
///         self.weight.visit_as("weight", visitor);
///         self.bias.visit_as("bias", visitor);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    label = "not a model",
    note = "a struct that holds layers or parameters becomes one with `#[model]` on it",
    note = "a field that is configuration needs `#[model(skip)]`"
)]
pub trait Module {
    /// Shows each member to `visitor`, under its name in the `state_dict`.
    fn visit(&self, visitor: &mut dyn Visitor);

    /// The type's name without its path and arguments, as a summary shows it.
    fn type_name(&self) -> &'static str {
        short_type_name(any::type_name::<Self>())
    }

    /// The options, as `print(model)` shows them between the parentheses.
    fn extra_repr(&self) -> String {
        String::new()
    }

    /// The most memory that a program with this module may use, as in `"512 MiB"`, and the line that says so: `#[model(peak_memory = "512 MiB")]`. Where
    /// several modules of a model have one, the least counts.
    fn peak_memory(&self) -> Option<(&'static str, &'static Location<'static>)> {
        None
    }

    /// Tells this module from every other one of the same model.
    fn module_id(&self) -> ModuleId {
        ModuleId { address: ptr::from_ref(self).cast::<()>().addr(), type_name: any::type_name::<Self>() }
    }

    /// Whether this is a `Vec`, array or tuple that contributes nothing: configuration such as `(3, 3)`, or an empty
    /// list. As a member it is passed over.
    #[doc(hidden)]
    fn is_empty_container(&self) -> bool {
        false
    }
}

/// Receives the members of a module.
pub trait Visitor {
    /// A parameter of the module itself.
    fn parameter(&mut self, name: &str, parameter: &Parameter);
    /// A buffer of the module itself.
    fn buffer(&mut self, name: &str, buffer: &Buffer);
    /// A child module, which the visitor may visit in turn.
    fn child(&mut self, name: &str, child: &dyn Module);
}

/// Any type that a field of a `#[model]` may have: what it contributes to its module under a name.
///
/// [`Parameter`], [`Buffer`] and every [`Module`] contribute themselves; `Vec<T>`, arrays and tuples are modules with the
/// children `0`, `1`, …; `Option<T>` contributes what it holds; `Box<M>` and `Rc<M>` stand for `M`. Numbers, `bool`, `char`,
/// strings, ranges, function pointers and `PhantomData` are configuration and contribute nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a `#[model]`",
    label = "neither a model nor a known type of configuration",
    note = "a struct that holds layers or parameters becomes a model with `#[model]` on it",
    note = "a field that is configuration needs `#[model(skip)]`"
)]
pub trait Member {
    /// Shows this to `visitor` as the member `name`.
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor);
}

/// A module that maps an `Input` to an output, so that modules chain in a `Vec`, a tuple or a [`Sequential`].
///
/// `#[model]` implements it from the inherent `forward`; several inputs become a tuple: `Forward<(Tensor, Tensor)>`.
///
/// [`Sequential`]: crate::Sequential
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `forward` that takes `{Input}`",
    label = "no `forward` for `{Input}`",
    note = "write `fn forward(&self, x: {Input}) -> …` in an `impl {Self}` block that has `#[model]` on it"
)]
pub trait Forward<Input> {
    /// What `forward` returns.
    type Output;

    /// Records the module's computation on `input`.
    #[track_caller]
    fn forward(&self, input: Input) -> Self::Output;
}

/// Tells one module of a model from another, while the model stays where it is. A module and its first field share an
/// address, so the type belongs to it. Modules without any field (a `Relu`) may share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId {
    address: usize,
    type_name: &'static str,
}

/// `kiln_frontend::nn::Linear` → `Linear`. Lists of modules are what PyTorch calls them.
fn short_type_name(full: &'static str) -> &'static str {
    match full.as_bytes().first() {
        Some(b'(' | b'[') => MODULE_LIST,
        _ => {
            let path = full.split('<').next().unwrap_or(full);
            match path.rsplit("::").next().unwrap_or(path) {
                "Vec" => MODULE_LIST,
                name => name,
            }
        }
    }
}

/// PyTorch's list of modules.
pub(crate) const MODULE_LIST: &str = "ModuleList";
