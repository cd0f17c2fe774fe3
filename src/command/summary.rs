//! `kiln summary`: layers, parameters, multiply-adds, memory.

use comfy_table::{CellAlignment, Table, presets};
use kiln_frontend::{Call, Code};
use kiln_ir::program::Class;
use kiln_ir::{Graph, Kind, Op, Program, Role, ValueId};
use kiln_passes::pipeline;

use super::{Model, mistake};
use crate::Error;
use crate::compiler::request;

pub(super) fn run(models: &[Model], name: &str) -> Result<String, Error> {
    let Some(model) = models.iter().find(|model| model.name == name) else {
        let names: Vec<&str> = models.iter().map(|model| model.name).collect();
        let message = format!("there is no model `{name}`: a summary needs the layers, which IR text does not have");
        return Err(mistake(Code::UnknownName, message, format!("the models are {}", names.join(", "))));
    };
    let traced = (model.trace)().map_err(Error::Model)?;
    let graph =
        traced.predict.as_ref().or(traced.train.as_ref()).expect("a trace has at least one entry point").clone();
    let calls = traced.calls.clone();
    let program = pipeline::run(&request(traced), &mut ())?.expect("nothing stops the pipeline here");
    Ok(format!("{}\n\n{}\n", layers(&graph, &calls), memory(&program)))
}

/// One row a call, in the order in which the calls began; a module's figures include those of the modules in it.
fn layers(graph: &Graph, calls: &[Call]) -> Table {
    let mut values = graph.order();
    values.sort();
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| (call.values.start, std::cmp::Reverse(call.values.end)));
    let mut table = table(&["layer", "type", "output", "parameters", "multiply-adds"]);
    for call in calls {
        let made = &values[call.values.clone()];
        let output = made.last().map_or("-".to_owned(), |&value| graph.ty(value).shape.to_string());
        let (name, depth) = match call.module.as_str() {
            "" => ("(model)", 0),
            path => (path, 1 + path.matches('.').count()),
        };
        let name = format!("{:indent$}{name}", "", indent = 2 * depth);
        let numbers = [grouped(parameters(graph, &call.module)), grouped(multiply_adds(graph, made))];
        table.add_row([name, call.type_name.to_owned(), output].into_iter().chain(numbers));
    }
    let total = [grouped(parameters(graph, "")), grouped(multiply_adds(graph, &values))];
    let label = ["total".to_owned(), String::new(), "multiply-adds a sample".to_owned()];
    table.add_row(label.into_iter().chain(total));
    align(&mut table, 3);
    table
}

/// Elements of the parameters at or below a module.
fn parameters(graph: &Graph, module: &str) -> usize {
    let below = |name: &str| module.is_empty() || name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'));
    let inputs = graph.inputs().into_iter();
    let weights = inputs
        .filter(|(value, input)| matches!(input.role, Role::Parameter | Role::Frozen) && below(graph.name_of(*value)));
    weights.map(|(value, _)| graph.ty(value).shape.count().factor).sum()
}

/// Products that are summed, for one sample.
fn multiply_adds(graph: &Graph, values: &[ValueId]) -> usize {
    let of = |&value: &ValueId| {
        let node = graph.node(value);
        if matches!(node.op, Op::Input(_) | Op::Constant(_)) {
            return 0;
        }
        let body = node.op.body(&graph.operand_types(value), &node.ty);
        body.filter(|body| body.kind == Kind::Contract).map_or(0, |body| {
            let summed: usize = body.reduction.iter().map(|dim| dim.at(1)).product();
            node.ty.shape.count().at(1) * summed
        })
    };
    values.iter().map(of).sum()
}

fn memory(program: &Program) -> Table {
    let classes = [
        ("parameters", Class::Parameter),
        ("gradients", Class::Gradient),
        ("optimizer state", Class::OptimizerState),
        ("buffers", Class::Buffer),
        ("activations", Class::Activation),
        ("workspace", Class::Workspace),
        ("data", Class::Data),
        ("outputs", Class::Output),
        ("constants", Class::Constant),
        ("scalars", Class::Scalar),
    ];
    let mut table = table(&["memory", "buffers", "bytes"]);
    for (name, class) in classes {
        let sizes = program.buffers.iter().filter(|buffer| buffer.class == class);
        let sizes: Vec<usize> = sizes.map(|buffer| buffer.ty.size_bytes(program.max_batch)).collect();
        if !sizes.is_empty() {
            table.add_row([name.to_owned(), sizes.len().to_string(), grouped(sizes.iter().sum())]);
        }
    }
    let count = program.buffers.len().to_string();
    table.add_row(["arena, with reuse".to_owned(), count, grouped(program.arena_bytes)]);
    align(&mut table, 1);
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

/// Numbers to the right.
fn align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
