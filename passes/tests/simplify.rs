//! canonicalize, merge_common and fold_constants on random graphs: the verifier's verdict and the interpreter's values stay, a second run
//! changes nothing, and every run gives the same text.

mod support;

use kiln_ir::interpret::Precision;
use kiln_ir::ops::*;
use kiln_ir::text::parse_graph;
use kiln_ir::{Builder, DType, Dim, Graph, Op, Place, Role, Type};
use kiln_passes::canonicalize::{self, Exactness};
use kiln_passes::{fold_constants, merge_common};
use support::random_graph::{MAX_BATCH, random_graph};
use support::{assert_same, assert_verified, input, inputs_of, results};

const SEEDS: u64 = 120;
const OPS: usize = 24;

/// Runs a pass over random graphs and checks what every pass promises.
fn check_pass(name: &str, precision: Precision, tolerance: f64, pass: fn(&mut Graph)) {
    let mut changed = 0;
    for seed in 0..SEEDS {
        let before = random_graph(seed, OPS);
        assert_verified(&before, "the generator");
        let mut after = before.clone();
        pass(&mut after);
        assert_verified(&after, &format!("{name}, seed {seed}"));
        changed += u64::from(after != before);

        let mut again = before.clone();
        pass(&mut again);
        assert!(after.to_string() == again.to_string(), "{name}, seed {seed}: two runs differ");
        pass(&mut again);
        assert!(after == again, "{name}, seed {seed}: a second pass changes something\n{after}\n{again}");
        assert_eq!(parse_graph(&after.to_string(), "text").unwrap(), after, "{name}, seed {seed}");

        let batch = 1 + seed as usize % MAX_BATCH;
        let inputs = inputs_of(&before, seed, batch);
        let expected = results(&before, &inputs, batch, precision);
        let found = results(&after, &inputs, batch, precision);
        assert_same(&expected, &found, tolerance, || format!("{name}, seed {seed}\n{before}\n{after}"));
    }
    assert!(changed > SEEDS / 2, "{name} changed only {changed} graphs: the generator is too plain");
}

#[test]
fn canonicalize_keeps_every_bit_but_for_the_rounding_rules() {
    check_pass("canonicalize", Precision::Exact, 0.0, |graph| canonicalize::run_within(graph, Exactness::Bits));
}

#[test]
fn canonicalize_keeps_every_bit_in_the_declared_precision_too() {
    check_pass("canonicalize", Precision::Declared, 0.0, |graph| canonicalize::run_within(graph, Exactness::Bits));
}

#[test]
fn canonicalize_with_every_rule_differs_by_rounding_only() {
    check_pass("canonicalize", Precision::Exact, 1e-9, canonicalize::run);
}

#[test]
fn merge_common_keeps_every_bit() {
    check_pass("merge_common", Precision::Exact, 0.0, merge_common::run);
}

#[test]
fn fold_constants_keeps_every_bit_of_the_declared_precision() {
    check_pass("fold_constants", Precision::Declared, 0.0, fold_constants::run);
}

#[test]
fn the_three_together_keep_the_values() {
    check_pass("all three", Precision::Declared, 1e-4, |graph| {
        for _ in 0..4 {
            canonicalize::run(graph);
            merge_common::run(graph);
            fold_constants::run(graph);
        }
    });
}

#[test]
fn canonicalize_leaves_no_idle_op() {
    for seed in 0..SEEDS {
        let mut graph = random_graph(seed, OPS);
        canonicalize::run(&mut graph);
        for value in graph.order() {
            let (op, operands) = (&graph.node(value).op, graph.operands(value));
            let Some(&x) = operands.first() else { continue };
            let known = |value| matches!(graph.node(value).op, Op::Full(_) | Op::Constant(_));
            let inner = &graph.node(x).op;
            let idle = match op {
                Op::Reshape(_) => graph.ty(x) == graph.ty(value) || matches!(inner, Op::Reshape(_)),
                Op::Permute(_) => matches!(inner, Op::Permute(_)),
                Op::Neg(_) => matches!(inner, Op::Neg(_)),
                Op::Cast(cast) => graph.ty(x).dtype == cast.dtype,
                Op::Add(_) | Op::Mul(_) => known(x) && !known(operands[1]),
                _ => false,
            };
            assert!(!idle, "seed {seed}: {op:?}\n{graph}");
        }
    }
}

#[test]
fn merge_common_leaves_no_equal_values_and_no_dead_ones() {
    for seed in 0..SEEDS {
        let mut graph = random_graph(seed, OPS);
        merge_common::run(&mut graph);
        let order = graph.order();
        for (n, &a) in order.iter().enumerate().filter(|(_, value)| !matches!(graph.node(**value).op, Op::Input(_))) {
            for &b in &order[..n] {
                let same = graph.node(a).op == graph.node(b).op && graph.operands(a) == graph.operands(b);
                assert!(!same, "seed {seed}: {} and {}", graph.name_of(a), graph.name_of(b));
            }
            let used = !graph.users(a).is_empty() || graph.outputs().iter().any(|output| output.value == a);
            assert!(used, "seed {seed}: {} is dead", graph.name_of(a));
        }
    }
}

#[test]
fn names_of_users_survive() {
    let ty = Type::new(DType::F32, [Dim::BATCH, 3.into()]);
    let mut graph = Graph::new("names");
    graph.max_batch = Some(2);
    let x = input(&mut graph, "x", Role::Data, &ty);
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let unnamed = cx.emit(Exp {}, &[x]);
    let zero = cx.full_like(x, 0.0);
    cx.hint = "hidden".to_owned();
    let hidden = cx.add(unnamed, zero);
    cx.hint = "d_hidden".to_owned();
    let derived = cx.emit(Exp {}, &[x]);
    graph.add_output("a", hidden);
    graph.add_output("b", derived);
    canonicalize::run(&mut graph);
    merge_common::run(&mut graph);
    assert_eq!(graph.len(), 2, "{graph}");
    assert!(graph.outputs().iter().all(|output| graph.name_of(output.value) == "hidden"), "{graph}");
    assert_eq!(graph.name_of(x), "x");
}

#[test]
fn inputs_are_never_merged_or_removed() {
    let ty = Type::new(DType::F32, [2]);
    let mut graph = Graph::new("inputs");
    let a = input(&mut graph, "a", Role::Parameter, &ty);
    let b = input(&mut graph, "b", Role::Parameter, &ty);
    let sum = Builder::new(&mut graph, Place::NONE).add(a, a);
    graph.add_output("y", sum);
    merge_common::run(&mut graph);
    canonicalize::run(&mut graph);
    fold_constants::run(&mut graph);
    assert_eq!(graph.find("b"), Some(b));
    assert_eq!(graph.len(), 3);
}
