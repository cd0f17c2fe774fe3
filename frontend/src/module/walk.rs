//! The walks over a module tree: flat lists in PyTorch's order.

use std::collections::BTreeSet;

use super::{Module, ModuleId, Visitor};
use crate::{Buffer, Parameter};

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

/// The parameters of the module itself, without those of its children: `named_parameters(recurse=False)`.
pub fn own_parameters(module: &dyn Module) -> Vec<(String, Parameter)> {
    let mut walk = StateWalk::default();
    module.visit(&mut walk);
    let parameter = |entry: Entry| match entry.state {
        State::Parameter(parameter) => Some((entry.name, parameter)),
        State::Buffer(_) => None,
    };
    walk.parameters.into_iter().filter_map(parameter).collect()
}

/// The number of elements of all parameters, shared ones once: `sum(p.numel() for p in model.parameters())`.
pub fn parameter_count(module: &dyn Module) -> usize {
    parameters(module).iter().map(Parameter::element_count).sum()
}

/// Freezes (`false`) or thaws every parameter of a module: `module.requires_grad_(..)`. Takes effect at the next trace.
pub fn set_requires_grad(module: &dyn Module, trainable: bool) {
    parameters(module).iter().for_each(|parameter| parameter.set_requires_grad(trainable));
}

/// The direct children, by name: `named_children`.
pub fn named_children(module: &dyn Module) -> Vec<ModuleEntry> {
    let mut children = Vec::new();
    each_child(module, &mut |name, child| {
        children.push(ModuleEntry { name: name.to_owned(), type_name: child.type_name(), id: child.module_id() });
    });
    children
}

/// Calls a function for every module, children before the module itself: `Module.apply`. It sees the path of names and the module, whose
/// [`type_name`](Module::type_name) tells what it is.
///
/// ```
/// use kiln_frontend::prelude::*;
/// use kiln_frontend::{apply, own_parameters};
///
/// let net = Sequential::new((Conv2d::new(1, 8, 3), Relu, Conv2d::new(8, 8, 3)));
/// apply(&net, &mut |_, module| {
///     if module.type_name() == "Conv2d" {
///         for (name, parameter) in own_parameters(module) {
///             if name == "bias" { init::zeros(&parameter) } else { init::xavier_uniform(&parameter, 1.0) }
///         }
///     }
/// });
/// assert_eq!(net.children.0.bias.as_ref().map(|bias| bias.initializer()), Some(Initializer::Zeros));
/// ```
pub fn apply(module: &dyn Module, function: &mut dyn FnMut(&str, &dyn Module)) {
    apply_below("", module, function);
}

fn apply_below(path: &str, module: &dyn Module, function: &mut dyn FnMut(&str, &dyn Module)) {
    each_child(module, &mut |name, child| apply_below(&join(path, name), child, function));
    function(path, module);
}

/// Shows every direct child.
pub(super) fn each_child(module: &dyn Module, show: &mut dyn FnMut(&str, &dyn Module)) {
    struct Children<'a>(&'a mut dyn FnMut(&str, &dyn Module));

    impl Visitor for Children<'_> {
        fn parameter(&mut self, _: &str, _: &Parameter) {}

        fn buffer(&mut self, _: &str, _: &Buffer) {}

        fn child(&mut self, name: &str, child: &dyn Module) {
            (self.0)(name, child);
        }
    }

    module.visit(&mut Children(show));
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
