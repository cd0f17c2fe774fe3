//! The cases: `cases/<pass>/*.kir` through the pass that the folder names; what must come out stands beside in a snapshot.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use kiln_ir::interpret::{Precision, Value, evaluate};
use kiln_ir::text::{Item, parse_module};
use kiln_ir::{Graph, Role, UpdateRules, ValueId};
use kiln_passes::{append_update, autodiff, canonicalize, fold_constants, merge_common};
use support::{assert_same, assert_verified, inputs_of, results};

#[test]
fn cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut count = 0;
    for folder in entries(&root) {
        let pass = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in entries(&folder).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "kir")) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with(&format!("// {pass}: ")), "{}: the first line names the pass", file.display());
            assert!(text.lines().count() <= 20, "{} is long: one behaviour a case", file.display());
            let graphs = graphs(&text, name);
            let before = graphs[0].clone();
            let result = run(&pass, graphs);
            assert_verified(&result, name);
            if before.outputs().len() == result.outputs().len() {
                check_values(name, &before, &result);
            }
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.set_description(text.lines().next().unwrap());
            settings.bind(|| insta::assert_snapshot!(name, result.to_string()));
            count += 1;
        }
    }
    assert!(count > 20, "only {count} cases were found");
}

fn run(pass: &str, graphs: Vec<Graph>) -> Graph {
    let mut graphs = graphs.into_iter();
    let mut graph = graphs.next().unwrap();
    assert_verified(&graph, "the case itself");
    match pass {
        "canonicalize" => canonicalize::run(&mut graph),
        "merge_common" => merge_common::run(&mut graph),
        "fold_constants" => fold_constants::run(&mut graph),
        "autodiff" => {
            let (loss, parameters) = (graph.outputs()[0].value, parameters(&graph));
            for (n, gradient) in autodiff::run(&mut graph, loss, &parameters).unwrap().into_iter().enumerate() {
                let name = format!("d_{}", graph.name_of(parameters[n]));
                graph.add_output(name, gradient);
            }
            graph.remove_dead();
        }
        "append_update" => {
            let parameters = parameters(&graph);
            let names: Vec<String> = parameters.iter().map(|&value| graph.name_of(value).to_owned()).collect();
            let gradients: Vec<ValueId> = names.iter().map(|name| graph.find(&format!("d_{name}")).unwrap()).collect();
            let (shared, rule) = (graphs.next().unwrap(), graphs.next().unwrap());
            let rules =
                UpdateRules { shared, parameters: names.into_iter().map(|name| (name, rule.clone())).collect() };
            append_update::run(&mut graph, &rules, &gradients).unwrap();
        }
        other => panic!("no pass is named {other}"),
    }
    graph
}

/// The interpreter's values are the same before and after, if it gives any.
fn check_values(name: &str, before: &Graph, after: &Graph) {
    let inputs = inputs_of(before, 3, 2);
    let Ok(values) = evaluate(before, &inputs, 2, Precision::Declared) else { return };
    let expected: Vec<Value> = before.outputs().iter().map(|output| values.value(output.value).clone()).collect();
    let found = results(after, &inputs, 2, Precision::Declared);
    assert_same(&expected, &found, 1e-6, || format!("{name}\n{after}"));
}

fn parameters(graph: &Graph) -> Vec<ValueId> {
    let inputs = graph.inputs().into_iter();
    inputs.filter(|(_, input)| input.role == Role::Parameter).map(|(value, _)| value).collect()
}

fn graphs(text: &str, file: &str) -> Vec<Graph> {
    let module = parse_module(text, file).unwrap_or_else(|mistakes| panic!("{file}: {}", mistakes[0]));
    let graph = |item| match item {
        Item::Graph(graph) => graph,
        other => panic!("{file} holds {other:?}"),
    };
    module.items.into_iter().map(graph).collect()
}

/// What a folder holds, by name; snapshots are no folders and no cases.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
