//! A graph as text, in the order of [`Graph::order`]. The form is shown at [`super`].
//!
//! What the result's type says is not said twice: the attributes `dtype` and `shape` are left out where they are the type's,
//! and `init` where it is zeros. `again` says that a value is computed a second time, `by` names the kernel that it is computed in. State ends with a line `update %w = %new_w`.
//! A graph that is an attribute stands between parentheses, its lines parted by `;`; it has no name.

use std::fmt;

use super::names::{joined, name_text, place_suffix, word_text};
use super::number::{float_text, init_text};
use crate::{Attribute, Dim, Graph, Init, Type, ValueId};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = self.max_batch.map_or_else(String::new, |batch| format!(" batch <= {batch}"));
        writeln!(f, "graph {}{batch}", name_text(&self.name))?;
        lines(self).iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// The values, then the outputs.
fn lines(graph: &Graph) -> Vec<String> {
    let values = graph.order().into_iter().map(|value| node_text(graph, value));
    let outputs = graph.outputs().iter().map(|output| {
        let value = value_text(graph, output.value);
        match output.updates {
            None => format!("output {} = {value}", name_text(&output.name)),
            Some(input) => format!("update {} = {value}", value_text(graph, input)),
        }
    });
    values.chain(outputs).collect()
}

/// What an attribute is where a node's text leaves it out.
pub(super) fn implied_attribute(name: &str, ty: &Type) -> Option<Attribute> {
    match name {
        "dtype" => Some(Attribute::DType(ty.dtype)),
        "shape" => Some(Attribute::Dims(ty.shape.0.clone())),
        "init" => Some(Attribute::Init(Init::Zeros)),
        _ => None,
    }
}

fn node_text(graph: &Graph, value: ValueId) -> String {
    let node = graph.node(value);
    let mut text = format!("{} = {}", value_text(graph, value), node.op.name());
    let operands = joined(graph.operands(value).into_iter().map(|operand| value_text(graph, operand)));
    if !operands.is_empty() {
        text += &format!(" {operands}");
    }
    let attributes = node.op.attributes().into_iter();
    let attributes = attributes.filter(|(name, value)| implied_attribute(name, &node.ty).as_ref() != Some(value));
    let attributes = joined(attributes.map(|(name, value)| format!("{name} = {}", attribute_text(&value))));
    if !attributes.is_empty() {
        text += &format!(" {{{attributes}}}");
    }
    text += &format!(" : {}", node.ty);
    if let Some(layout) = &node.layout {
        text += &format!(" layout {}", list(layout.iter().map(usize::to_string)));
    }
    if node.again {
        text += " again";
    }
    if let Some(kernel) = &node.kernel {
        text += &format!(" by {}", name_text(kernel));
    }
    text + &place_suffix(&node.place)
}

fn value_text(graph: &Graph, value: ValueId) -> String {
    format!("%{}", name_text(graph.name_of(value)))
}

fn attribute_text(attribute: &Attribute) -> String {
    match attribute {
        Attribute::Bool(value) => value.to_string(),
        Attribute::Int(value) => value.to_string(),
        Attribute::Float(value) => float_text(value.value()),
        Attribute::Ints(values) => list(values.iter().map(i64::to_string)),
        Attribute::Floats(values) => list(values.iter().map(|value| float_text(value.value()))),
        Attribute::Dims(dims) => list(dims.iter().map(Dim::to_string)),
        Attribute::DType(dtype) => dtype.to_string(),
        Attribute::Text(text) => word_text(text),
        Attribute::Init(init) => init_text(init),
        Attribute::Graph(graph) => format!("({})", lines(graph).join("; ")),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", joined(items))
}
