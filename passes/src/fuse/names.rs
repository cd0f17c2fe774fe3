//! Names of kernels: the module or parameter that they belong to, and what they do to it.

use std::collections::BTreeSet;

use kiln_ir::{Graph, Kind, Op, Role, ValueId};

use super::facts;

/// Longer names are cut.
const MAX_LENGTH: usize = 40;
/// Ops that a reader looks for in a name. The rest (arithmetic, comparisons, conversions) goes without saying.
const TELLING: [&str; 23] = [
    "relu",
    "tanh",
    "sigmoid",
    "erf",
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "pow",
    "sum",
    "amax",
    "amin",
    "argmax",
    "concat",
    "one_hot",
    "gather",
    "scatter",
    "scan",
    "prod",
    "pad",
    "to_winograd",
    "from_winograd",
];

/// A name for the kernel of these values, which are in topological order.
pub fn of_kernel(graph: &Graph, members: &[ValueId]) -> String {
    let kind = |value: &ValueId| facts::body(graph, *value).kind;
    let anchor = (members.iter().copied().find(|v| matches!(kind(v), Kind::Contract | Kind::Window)))
        .or_else(|| members.iter().copied().find(|v| kind(v) == Kind::Reduce))
        .unwrap_or(members[members.len() - 1]);
    let node = graph.node(anchor);
    let updated = updated_parameter(graph, members);
    let gradient = members.iter().find_map(|&value| parameter_of_gradient(graph, value));
    let summed = matches!(kind(&anchor), Kind::Contract | Kind::Reduce);
    let mut parts: Vec<String> = Vec::new();
    match (updated.or(gradient.clone()), node.place.module.as_str()) {
        (Some(parameter), _) => {
            parts.push(parameter);
            parts.extend((summed || gradient.is_some()).then(|| "grad".to_owned()));
        }
        (None, "") => parts.push(node.op.name().to_owned()),
        (None, module) => {
            parts.push(module.to_owned());
            if kind(&anchor) == Kind::Contract
                && (graph.name_of(anchor).starts_with("d_") || node.op.name().ends_with("_grad"))
            {
                parts.push("input_grad".to_owned());
            } else if kind(&anchor) == Kind::Window {
                let op = node.op.name();
                parts.push(op.strip_prefix("max_pool_").filter(|_| module.contains("pool")).unwrap_or(op).to_owned());
            } else if graph.name_of(anchor).starts_with("d_") {
                parts.push("backward".to_owned());
            }
        }
    }
    let ops: Vec<&str> = members.iter().map(|&value| graph.node(value).op.name()).collect();
    let softmax = ops.contains(&"amax") && ops.contains(&"exp");
    if kind(&anchor) == Kind::Contract && members.iter().any(|&value| adds_bias(graph, value)) {
        parts.push("bias".to_owned());
    }
    if softmax {
        parts.push("softmax".to_owned());
    }
    if !parts.iter().any(|part| part == "grad") {
        let hidden = |op: &str| softmax && ["amax", "exp", "sum", "log"].contains(&op);
        for op in ops.into_iter().filter(|op| TELLING.contains(op) && !hidden(op)) {
            if !parts.iter().any(|part| part == op) {
                parts.push(op.to_owned());
            }
        }
    }
    if graph.outputs().iter().any(|output| output.updates.is_some() && members.contains(&output.value)) {
        parts.push("update".to_owned());
    }
    let mut name = parts.join("_").replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    name.truncate(MAX_LENGTH);
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("k{name}") } else { name }
}

/// A name that is not taken: this one, or with the first number that is free.
pub(crate) fn free(name: &str, taken: &dyn Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    let numbered = |number: u32| format!("{name}_{number}");
    (2..).map(numbered).find(|name| !taken(name)).expect("there are more numbers than names")
}

/// The name, with a number if it is taken.
pub fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let numbered = |number: usize| if number == 1 { name.clone() } else { format!("{name}_{number}") };
    let free = (1..).map(numbered).find(|name| !taken.contains(name)).expect("there are more numbers than names");
    taken.insert(free.clone());
    free
}

/// The parameter whose gradient this is: autodiff names it `d_<parameter>`.
pub(crate) fn parameter_of_gradient(graph: &Graph, value: ValueId) -> Option<String> {
    let name = graph.name_of(value).strip_prefix("d_")?;
    let parameter = graph.find(name)?;
    matches!(&graph.node(parameter).op, Op::Input(input) if input.role == Role::Parameter).then(|| name.to_owned())
}

/// The first parameter that a kernel updates.
fn updated_parameter(graph: &Graph, members: &[ValueId]) -> Option<String> {
    let updates = graph.outputs().iter().filter(|output| members.contains(&output.value));
    let mut parameters = updates.filter_map(|output| match (&graph.node(output.updates?).op, output.updates?) {
        (Op::Input(input), id) if input.role == Role::Parameter => Some(graph.name_of(id).to_owned()),
        _ => None,
    });
    parameters.next()
}

/// Whether a value adds a weight to something, which is what a bias is.
fn adds_bias(graph: &Graph, value: ValueId) -> bool {
    let weight = |mut operand: ValueId| {
        while !facts::is_leaf(graph, operand) && facts::body(graph, operand).kind == Kind::View {
            match graph.operands(operand).as_slice() {
                [inner] => operand = *inner,
                _ => return false,
            }
        }
        matches!(&graph.node(operand).op, Op::Input(input) if matches!(input.role, Role::Parameter | Role::Frozen))
    };
    graph.node(value).op.name() == "add" && graph.operands(value).into_iter().any(weight)
}
