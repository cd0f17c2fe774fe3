//! `kiln summary`: layers, parameters, multiply-adds, memory.

use comfy_table::{CellAlignment, Table, presets};
use kiln_frontend::{Call, Code};
use kiln_ir::program::Class;
use kiln_ir::{Graph, Kind, Op, Program, Role, ValueId};

use super::{Model, mistake, names};
use crate::Error;
use crate::compiler::{request, run_pipeline};

pub(super) fn run(models: &[Model], name: &str, options: &super::asked::Asked) -> Result<String, Error> {
    let Some(model) = models.iter().find(|model| model.name == name) else {
        let message = match name.ends_with(".kir") {
            true => format!("a summary shows layers, which `{name}` does not have: they end with the trace"),
            false => format!("there is no model `{name}`"),
        };
        return Err(mistake(Code::UnknownName, message, format!("the models are {}", names(models))));
    };
    let traced = (model.trace)().map_err(Error::Model)?;
    let graph =
        traced.predict.as_ref().or(traced.train.as_ref()).expect("a trace has at least one entry point").clone();
    let calls = traced.calls.clone();
    let program =
        run_pipeline(&options.of(request(traced))?, &mut ())?.expect("only the switches stop it, and they say so");
    Ok(format!("{}\n{}", ruled(&layers(&graph, &calls)), ruled(&memory(&program))))
}

/// The table with a rule under its header and one over its last row, the total.
fn ruled(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let rule = "─".repeat(table.lines().map(|line| line.chars().count()).max().unwrap_or(0));
    let total = lines.len() - 1;
    let ruled = |(number, line): (usize, &String)| match number {
        number if number == 1 || number == total => format!("{rule}\n{line}\n"),
        _ => format!("{line}\n"),
    };
    lines.iter().enumerate().map(ruled).collect()
}

/// One row a call, in the order in which the calls began; a module's figures include those of the modules in it.
fn layers(graph: &Graph, calls: &[Call]) -> Table {
    let mut values = graph.order();
    values.sort();
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| (call.values.start, std::cmp::Reverse(call.values.end)));
    let mut table = table(&["layer", "type", "output", "parameters", "multiply-adds"]);
    let mut outer: Vec<&Call> = Vec::new();
    for call in calls {
        outer.retain(|outer| outer.values.end >= call.values.end && outer.module != call.module);
        let path = call.module.as_str();
        let within = outer.last().and_then(|outer| path.strip_prefix(outer.module.as_str()));
        let name = within.map_or(path, |rest| rest.strip_prefix('.').unwrap_or(rest));
        let name = if path.is_empty() { graph.name.split('.').next().unwrap_or_default() } else { name };
        let name = format!("{:indent$}{name}", "", indent = 2 * outer.len());
        outer.push(call);
        let made = &values[call.values.clone()];
        let output = made.last().map_or("-".to_owned(), |&value| graph.ty(value).shape.to_string());
        let numbers = [grouped(parameters(graph, &call.module)), grouped(multiply_adds(graph, made))];
        table.add_row([name, call.type_name.to_owned(), output].into_iter().chain(numbers));
    }
    let total = [grouped(parameters(graph, "")), grouped(multiply_adds(graph, &values))];
    let label = ["total".to_owned(), String::new(), "for one sample".to_owned()];
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
    let mut table = table(&["memory at the greatest batch", "buffers", "bytes"]);
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
