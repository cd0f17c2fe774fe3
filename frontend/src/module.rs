//! Modules: what a model is made of, and the walks over it.
//!
//! A [`Module`] has members; a [`Member`] contributes something under a name: a parameter, a buffer, a child module, or
//! nothing. The walks turn a module tree into flat lists whose names and order are those of PyTorch's `state_dict`, so
//! that weights can be exchanged with it: in each module first its own parameters, then its own buffers, then its
//! children, each in the order of declaration.
//!
//! Every module is a member by one blanket `impl`. It lives beside those for `Option<T>`, numbers and so on because none of
//! these types is a module, and no other crate may make one of them a module. The types that may be (`Box`) are modules here.

use std::any;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::{Range, RangeFrom, RangeInclusive, RangeTo};
use std::ptr;

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

/// One line of a `state_dict`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The path of names, joined by dots.
    pub name: String,
    /// What stands there.
    pub state: State,
}

/// A parameter or a buffer.
#[derive(Debug, Clone)]
pub enum State {
    /// A parameter.
    Parameter(Parameter),
    /// A buffer.
    Buffer(Buffer),
}

/// One module of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleEntry {
    /// The path of names, joined by dots; empty for the model itself.
    pub name: String,
    /// See [`Module::type_name`].
    pub type_name: &'static str,
    /// See [`Module::module_id`].
    pub id: ModuleId,
}

/// All parameters and persistent buffers, in PyTorch's order. Shared ones appear under each of their names.
pub fn state_dict(module: &dyn Module) -> Vec<Entry> {
    let is_persistent = |entry: &Entry| match &entry.state {
        State::Parameter(_) => true,
        State::Buffer(buffer) => buffer.is_persistent(),
    };
    walk(module, "").into_iter().filter(is_persistent).collect()
}

/// Each parameter once, under its first name.
pub fn named_parameters(module: &dyn Module) -> Vec<(String, Parameter)> {
    let mut seen = BTreeSet::new();
    let parameter = |entry: Entry| match entry.state {
        State::Parameter(parameter) => seen.insert(parameter.address()).then_some((entry.name, parameter)),
        State::Buffer(_) => None,
    };
    walk(module, "").into_iter().filter_map(parameter).collect()
}

/// Each parameter once, in the order of the `state_dict`.
pub fn parameters(module: &dyn Module) -> Vec<Parameter> {
    named_parameters(module).into_iter().map(|(_, parameter)| parameter).collect()
}

/// Each buffer once, under its first name; also those that are not persistent.
pub fn named_buffers(module: &dyn Module) -> Vec<(String, Buffer)> {
    let mut seen = BTreeSet::new();
    let buffer = |entry: Entry| match entry.state {
        State::Buffer(buffer) => seen.insert(buffer.address()).then_some((entry.name, buffer)),
        State::Parameter(_) => None,
    };
    walk(module, "").into_iter().filter_map(buffer).collect()
}

/// Each module once, parents first, beginning with the model itself. A shared module appears under its first name.
pub fn named_modules(module: &dyn Module) -> Vec<ModuleEntry> {
    let mut walk = ModuleWalk::default();
    walk.enter(String::new(), module);
    walk.modules
}

/// The names under which a `state_dict` would hold more than one thing, sorted. `#[model]` rejects such fields, so these
/// come from modules written by hand and from `Named`.
pub fn duplicate_names(module: &dyn Module) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<String> =
        walk(module, "").into_iter().map(|entry| entry.name).filter(|name| !seen.insert(name.clone())).collect();
    twice.into_iter().collect()
}

/// Whether `module` has no parameter, no buffer and no child.
pub(crate) fn contributes_nothing(module: &dyn Module) -> bool {
    let mut walk = StateWalk::default();
    module.visit(&mut walk);
    !walk.found
}

impl<M: Module> Member for M {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        if !self.is_empty_container() {
            visitor.child(name, self);
        }
    }
}

impl Member for Parameter {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        visitor.parameter(name, self);
    }
}

impl Member for Buffer {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        visitor.buffer(name, self);
    }
}

impl<T: Member> Member for Option<T> {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        if let Some(member) = self {
            member.visit_as(name, visitor);
        }
    }
}

macro_rules! configuration {
    ($([$($generics:tt)*] $type:ty),+ $(,)?) => {
        $(#[diagnostic::do_not_recommend]
        impl<$($generics)*> Member for $type {
            fn visit_as(&self, _name: &str, _visitor: &mut dyn Visitor) {}
        })+
    };
}

configuration! {
    [] u8, [] u16, [] u32, [] u64, [] u128, [] usize, [] i8, [] i16, [] i32, [] i64, [] i128, [] isize, [] f32, [] f64,
    [] bool, [] char, [] String, [] &'static str, [] (),
    [T] Range<T>, [T] RangeInclusive<T>, [T] RangeFrom<T>, [T] RangeTo<T>, [T: ?Sized] PhantomData<T>,
    [R] fn() -> R, [A, R] fn(A) -> R, [A, B, R] fn(A, B) -> R,
}

/// `kiln_frontend::nn::Linear` → `Linear`; `alloc::vec::Vec<x::Block>` → `Vec`; `(A, B)` → `tuple`; `[A; 2]` → `array`.
fn short_type_name(full: &'static str) -> &'static str {
    match full.as_bytes().first() {
        Some(b'(') => "tuple",
        Some(b'[') => "array",
        _ => {
            let path = full.split('<').next().unwrap_or(full);
            path.rsplit("::").next().unwrap_or(path)
        }
    }
}

/// Everything below `module`, each name beginning with `prefix`.
fn walk(module: &dyn Module, prefix: &str) -> Vec<Entry> {
    let mut walk = StateWalk { prefix: prefix.to_owned(), ..StateWalk::default() };
    module.visit(&mut walk);
    let StateWalk { mut parameters, mut buffers, mut below, .. } = walk;
    parameters.append(&mut buffers);
    parameters.append(&mut below);
    parameters
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Sorts the members of one module into PyTorch's three groups.
#[derive(Default)]
struct StateWalk {
    prefix: String,
    parameters: Vec<Entry>,
    buffers: Vec<Entry>,
    below: Vec<Entry>,
    found: bool,
}

impl Visitor for StateWalk {
    fn parameter(&mut self, name: &str, parameter: &Parameter) {
        self.found = true;
        let state = State::Parameter(parameter.clone());
        self.parameters.push(Entry { name: join(&self.prefix, name), state });
    }

    fn buffer(&mut self, name: &str, buffer: &Buffer) {
        self.found = true;
        let state = State::Buffer(buffer.clone());
        self.buffers.push(Entry { name: join(&self.prefix, name), state });
    }

    fn child(&mut self, name: &str, child: &dyn Module) {
        self.found = true;
        self.below.append(&mut walk(child, &join(&self.prefix, name)));
    }
}

#[derive(Default)]
struct ModuleWalk {
    prefix: String,
    modules: Vec<ModuleEntry>,
    seen: BTreeSet<ModuleId>,
}

impl ModuleWalk {
    fn enter(&mut self, name: String, module: &dyn Module) {
        let id = module.module_id();
        // Only a module that takes room has an address of its own, and one with state does.
        if !self.seen.insert(id) && !walk(module, "").is_empty() {
            return;
        }
        self.modules.push(ModuleEntry { name: name.clone(), type_name: module.type_name(), id });
        let parent = std::mem::replace(&mut self.prefix, name);
        module.visit(self);
        self.prefix = parent;
    }
}

impl Visitor for ModuleWalk {
    fn parameter(&mut self, _name: &str, _parameter: &Parameter) {}

    fn buffer(&mut self, _name: &str, _buffer: &Buffer) {}

    fn child(&mut self, name: &str, child: &dyn Module) {
        self.enter(join(&self.prefix, name), child);
    }
}

/// A number as Python prints it.
pub(crate) fn python(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size < 1e-4 {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once("e-").unwrap_or((&text, "0"));
        return format!("{digits}e-{exponent:0>2}");
    }
    format!("{value:?}")
}

/// A truth value as Python prints it.
pub(crate) fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
