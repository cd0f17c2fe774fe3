//! The cases: `cases/<pass>/*.kir` through the pass that the folder names; what must come out stands beside in a snapshot.
//!
//! Whatever a case makes is verified and has the values that the interpreter gives its graph: graph passes leave a graph, the passes after
//! `fuse` a program, of which the snapshot shows what the pass is about.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use kiln_ir::interpret::{Precision, Value, evaluate};
use kiln_ir::text::{Item, parse_module};
use kiln_ir::{DType, Graph, GroupRules, Program, Role, UpdateRules, ValueId};
use kiln_passes::pipeline::Step;
use kiln_passes::rematerialize::{self, Recompute, What};
use kiln_passes::select_algorithm::{self, Algorithm, Selection};
use kiln_passes::steps::Steps;
use kiln_passes::{append_update, assign_layout, autocast, autodiff, canonicalize, fold_constants, fuse, merge_common};
use kiln_passes::{lower, order_steps, program, reuse, strips, tile, vectorize};
use support::program::{check, check_program};
use support::{assert_same, assert_verified, inputs_of, results};

/// Fewer cases say too little about a pass; `append_update` has one for each thing that it does.
const MIN_CASES: usize = 60;
/// More lines are more than one behaviour.
const MAX_LINES: usize = 20;

/// A pass on the first graph of a file; the others are its.
type GraphPass = (&'static str, fn(&mut Graph, Vec<Graph>));
/// A pass on kernels, and the sections of the program that its cases show. The graphs of a file are the entries.
type KernelPass = (&'static str, fn(&mut Steps), &'static [&'static str]);

/// The passes on graphs.
const GRAPH_PASSES: [GraphPass; 10] = [
    ("canonicalize", |graph, _| canonicalize::run(graph)),
    ("merge_common", |graph, _| merge_common::run(graph)),
    ("fold_constants", |graph, _| fold_constants::run(graph)),
    ("autodiff", |graph, _| add_gradients(graph)),
    ("append_update", append_updates),
    ("autocast", |graph, _| autocast::run(graph, DType::BF16, &Selection::Heuristic)),
    ("select_algorithm", |graph, _| select_algorithm::run(graph, &Selection::Forced(Algorithm::Winograd(4)))),
    ("assign_layout", |graph, _| assign_layout::run(graph)),
    ("fuse", |graph, _| {
        check(graph);
        fuse::run(graph);
    }),
    ("rematerialize", |graph, _| {
        fuse::run(graph);
        // As much as the name of the case's graph says.
        let (what, reach) = match graph.name.as_str() {
            "cheap" => (What::Cheap, 1),
            _ => (What::Everything, 1),
        };
        rematerialize::run(graph, Recompute { what, reach });
    }),
];

/// The passes on kernels, in their order.
const KERNEL_PASSES: [KernelPass; 7] = [
    ("lower", |_| {}, &["kernel", "entry"]),
    ("strips", strips::run, &["kernel", "entry"]),
    ("tile", tile::run, &["kernel"]),
    ("vectorize", vectorize::run, &["kernel"]),
    ("order_steps", order_steps::run, &["entry"]),
    ("reuse", reuse::run, &["kernel", "entry"]),
    ("plan_memory", |_| {}, &["program", "buffers", "entry"]),
];

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
            assert!(text.lines().count() <= MAX_LINES, "{} is long: one behaviour a case", file.display());
            let result = result(&pass, name, graphs(&text, name));
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.set_description(text.lines().next().unwrap());
            settings.bind(|| insta::assert_snapshot!(name, result));
            count += 1;
        }
    }
    assert!(count >= MIN_CASES, "only {count} cases were found");
}

#[test]
fn every_pass_has_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    // `verify` belongs to the IR, and `simplify` is passes that have cases.
    for step in Step::ALL.iter().filter(|step| !matches!(step, Step::Verify | Step::Simplify)) {
        assert!(root.join(step.name()).is_dir(), "no cases of `{}`", step.name());
    }
}

/// What the pass makes of a case, checked.
fn result(pass: &str, name: &str, graphs: Vec<Graph>) -> String {
    graphs.iter().for_each(|graph| assert_verified(graph, "the case itself"));
    if let Some(at) = KERNEL_PASSES.iter().position(|(held, ..)| *held == pass) {
        let program = program_up_to(at, name, &graphs);
        graphs.iter().for_each(|graph| check_program(graph, &graph.name, &program));
        return sections(&program, KERNEL_PASSES[at].2);
    }
    let run =
        GRAPH_PASSES.iter().find(|(held, _)| *held == pass).unwrap_or_else(|| panic!("no pass is named {pass}")).1;
    let mut graphs = graphs.into_iter();
    let before = graphs.next().unwrap();
    let mut after = before.clone();
    run(&mut after, graphs.collect());
    assert_verified(&after, name);
    if before.outputs().len() == after.outputs().len() {
        // The transforms of Winograd's algorithms lose three bits, halves have eight.
        let tolerance = match pass {
            "select_algorithm" => 1e-5,
            "autocast" => 1e-2,
            _ => 1e-6,
        };
        check_values(name, &before, &after, tolerance);
    }
    after.to_string()
}

/// The program of what the passes up to one have made.
fn program_up_to(pass: usize, name: &str, graphs: &[Graph]) -> Program {
    let max_batch = graphs.iter().filter_map(|graph| graph.max_batch).max().unwrap_or(1);
    let steps = |graph: &Graph| {
        let mut graph = graph.clone();
        graph.max_batch = Some(max_batch);
        fuse::run(&mut graph);
        let mut steps = lower::run(&graph);
        KERNEL_PASSES[..=pass].iter().for_each(|(_, run, _)| run(&mut steps));
        // Before it has run, the launches are in no order.
        if !KERNEL_PASSES[..=pass].iter().any(|(held, ..)| *held == "order_steps") {
            order_steps::run(&mut steps);
        }
        (graph.name.clone(), steps)
    };
    program::join(name, max_batch, graphs.iter().map(steps).collect())
}

/// The parts of a program's text that begin with one of these words.
fn sections(program: &Program, words: &[&str]) -> String {
    let text = program.to_string();
    let mut shown = false;
    let mut result = String::new();
    for line in text.lines() {
        let inner = line.strip_prefix("  ").unwrap_or(line);
        if !inner.starts_with(' ') {
            shown = words.iter().any(|word| inner.starts_with(word));
        }
        if shown {
            result += inner;
            result.push('\n');
        }
    }
    result
}

fn add_gradients(graph: &mut Graph) {
    let (loss, parameters) = (graph.outputs()[0].value, parameters(graph));
    for (n, gradient) in autodiff::run(graph, loss, &parameters).unwrap().into_iter().enumerate() {
        let name = format!("d_{}", graph.name_of(parameters[n]));
        graph.add_output(name, gradient);
    }
    graph.remove_dead();
}

/// The second graph is what rules share, the third every parameter's rule.
fn append_updates(graph: &mut Graph, rules: Vec<Graph>) {
    let [shared, rule] = <[Graph; 2]>::try_from(rules).unwrap();
    let names: Vec<String> = parameters(graph).iter().map(|&value| graph.name_of(value).to_owned()).collect();
    let gradients: Vec<ValueId> = names.iter().map(|name| graph.find(&format!("d_{name}")).unwrap()).collect();
    let parameters = names.iter().map(|name| (name.clone(), rule.clone())).collect();
    let group = GroupRules { prefix: "optimizer".to_owned(), shared, parameters };
    let rules = UpdateRules { trained: names, gradients: Graph::new("gradients"), groups: vec![group] };
    append_update::run(graph, &rules, &gradients).unwrap();
}

/// The interpreter's values are the same before and after, if it gives any, for one sample and for several.
fn check_values(name: &str, before: &Graph, after: &Graph, tolerance: f64) {
    for batch in [1, 2] {
        let inputs = inputs_of(before, 3, batch);
        let Ok(values) = evaluate(before, &inputs, batch, Precision::Declared) else { return };
        let expected: Vec<Value> = before.outputs().iter().map(|output| values.value(output.value).clone()).collect();
        let found = results(after, &inputs, batch, Precision::Declared);
        assert_same(&expected, &found, tolerance, || format!("{name}\n{after}"));
    }
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
