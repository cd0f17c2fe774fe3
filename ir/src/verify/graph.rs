//! The rules of graphs: types are what the ops infer, names are unique, outputs are values and updates replace inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Report};
use crate::ops::{Op, Role};
use crate::{Attribute, Code, Diagnostic, Graph, Node, Output, Place, ValueId};

/// The rules that a graph breaks, by line of its text.
pub fn verify_graph(graph: &Graph) -> Vec<Finding> {
    let mut report = Report::new();
    let order = graph.order();
    if order.len() != graph.len() {
        let message =
            format!("a graph has no cycles: {} of its {} values are in one", graph.len() - order.len(), graph.len());
        report.add(1, Code::BadOrder, message, &Place::NONE);
    }
    let is_symbolic = |value: &ValueId| graph.ty(*value).shape.dims().iter().any(|dim| dim.batch);
    if graph.max_batch.unwrap_or(0) == 0 && (graph.max_batch.is_some() || order.iter().any(is_symbolic)) {
        report.add(1, Code::BatchAxis, "the batch size is bounded by 1 or more: write `batch <= 64`", &Place::NONE);
    }
    let mut lines: BTreeMap<ValueId, u32> = BTreeMap::new();
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    for (&value, line) in order.iter().zip(2..) {
        lines.insert(value, line);
        let node = graph.node(value);
        if let Some(first) = names.insert(&node.name, line) {
            let message = format!("names are unique in a graph: `%{}` stands in line {first} already", node.name);
            report.add(line, Code::DuplicateName, message, &node.place);
        }
        if let Err(diagnostic) = check_type(graph, value) {
            report.include(line, diagnostic.at(node.place.clone()));
        }
    }
    let first_line = order.len() as u32 + 2;
    let (mut output_names, mut updated) = (BTreeSet::new(), BTreeSet::new());
    for (output, line) in graph.outputs().iter().zip(first_line..) {
        let checked = match lines.contains_key(&output.value) {
            false => Err(format!("an output is a value of the graph: `{}` is none", output.name)),
            true => check_output(graph, output, &lines, &mut output_names, &mut updated),
        };
        if let Err(message) = checked {
            report.add(line, Code::BadOutput, message, &Place::NONE);
        }
    }
    report.finish()
}

fn check_type(graph: &Graph, value: ValueId) -> Result<(), Diagnostic> {
    let node = graph.node(value);
    // An op's rules rely on operands and extents that are in order; a mistake there has a line of its own.
    if graph.operand_types(value).iter().any(|ty| !ty.shape.is_batch_leading()) {
        return Ok(());
    }
    let is_symbolic_twice = node.op.attributes().iter().any(|(_, attribute)| match attribute {
        Attribute::Dims(dims) => dims.iter().filter(|dim| dim.batch).count() > 1,
        _ => false,
    });
    if is_symbolic_twice || !node.ty.shape.is_batch_leading() {
        let message = format!("the batch axis stands in front, once: `%{}` is {}", node.name, node.ty);
        return Err(Diagnostic::new(Code::BatchAxis, message));
    }
    let inferred = node.op.infer(&graph.operand_types(value))?;
    check_layout(node)?;
    check_again(node)?;
    if inferred == node.ty {
        return Ok(());
    }
    let message = format!("{} of these operands is {inferred}: `%{}` says {}", node.op.name(), node.name, node.ty);
    Err(Diagnostic::new(Code::WrongType, message))
}

/// Who gives an input or reads an output from outside knows of no layout.
fn check_layout(node: &Node) -> Result<(), Diagnostic> {
    let Some(layout) = &node.layout else { return Ok(()) };
    let refused = |message: String| Err(Diagnostic::new(Code::WrongType, message));
    if matches!(node.op, Op::Input(_) | Op::Constant(_)) {
        return refused(format!("what is given lies in the order of its axes: `%{}` has layout {layout:?}", node.name));
    }
    let mut axes = layout.clone();
    axes.sort_unstable();
    let batch = node.ty.shape.dims().first().is_some_and(|dim| dim.batch);
    if !axes.into_iter().eq(0..node.ty.rank()) || batch && layout[0] != 0 {
        let Node { name, ty, .. } = node;
        return refused(format!("a layout names every axis once, the batch first: `%{name}` is {ty}, with {layout:?}"));
    }
    Ok(())
}

/// What is given has been computed by nobody.
fn check_again(node: &Node) -> Result<(), Diagnostic> {
    if !node.again || !matches!(node.op, Op::Input(_) | Op::Constant(_)) {
        return Ok(());
    }
    let message = format!("what is given is not computed again: `%{}` is {}", node.name, node.op.name());
    Err(Diagnostic::new(Code::WrongType, message))
}

fn check_output<'g>(
    graph: &'g Graph,
    output: &'g Output,
    lines: &BTreeMap<ValueId, u32>,
    output_names: &mut BTreeSet<&'g str>,
    updated: &mut BTreeSet<ValueId>,
) -> Result<(), String> {
    if graph.node(output.value).layout.is_some() {
        return Err(format!("an output lies in the order of its axes: `{}` has a layout", output.name));
    }
    let Some(input) = output.updates else {
        let is_new = output_names.insert(&output.name);
        return if is_new { Ok(()) } else { Err(format!("outputs have different names: two are `{}`", output.name)) };
    };
    if !lines.contains_key(&input) {
        return Err(format!("an update replaces an input of the graph: `{}` is none", output.name));
    }
    let name = graph.name_of(input);
    match &graph.node(input).op {
        Op::Input(held) if held.role != Role::Data => {}
        _ => return Err(format!("an update replaces an input that is kept between steps: `%{name}` is not")),
    }
    if !updated.insert(input) {
        return Err(format!("an input is updated once: `%{name}` is twice"));
    }
    let (old, new) = (graph.ty(input), graph.ty(output.value));
    if old == new {
        Ok(())
    } else {
        Err(format!("an update has its input's type: `%{name}` is {old}, its new value {new}"))
    }
}
