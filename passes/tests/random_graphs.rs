//! Random graphs: whatever fusion makes of them, the program computes what the graph does, and compiles to the same every time.

mod support;

use kiln_ir::ops::*;
use kiln_ir::{Builder, Graph, Number, Op, Place, Role, Shape, ValueId};
use kiln_passes::pipeline::run_graph;
use support::input;
use support::program::check;
use support::random_graph::{random_chains, random_graph};

#[test]
fn every_example_compiles() {
    for example in Op::examples() {
        let mut graph = Graph::new("example");
        graph.max_batch = Some(5);
        let operands: Vec<ValueId> = (example.operands.iter().enumerate())
            .map(|(n, (ty, _))| input(&mut graph, &format!("x{n}"), Role::Data, ty))
            .collect();
        let result = graph.add(example.op.clone(), &operands, "y", &Place::NONE).unwrap();
        graph.add_output("y", result);
        check(&graph);
    }
}

#[test]
fn every_pair_of_examples_compiles() {
    // The first operand of each example, computed by something that could be fused into it.
    for example in Op::examples() {
        for producer in 0..4 {
            let mut graph = Graph::new("pair");
            graph.max_batch = Some(4);
            let mut operands = Vec::new();
            for (n, (ty, _)) in example.operands.iter().enumerate() {
                let x = input(&mut graph, &format!("x{n}"), Role::Data, ty);
                operands.push(if ty.dtype.is_float() { produce(&mut graph, x, producer) } else { x });
            }
            let result = graph.add(example.op.clone(), &operands, "y", &Place::NONE).unwrap();
            let last = if graph.ty(result).dtype.is_float() { produce(&mut graph, result, 0) } else { result };
            graph.add_output("y", last);
            check(&graph);
        }
    }
}

/// The same tensor, computed in one of several ways that are not the identity.
fn produce(graph: &mut Graph, x: ValueId, how: usize) -> ValueId {
    let ty = graph.ty(x).clone();
    let mut b = Builder::new(graph, Place::NONE);
    match (how, ty.rank()) {
        (0, _) => b.emit(Sigmoid {}, &[x]),
        (1, rank) if rank > 1 && ty.dim(rank - 1).factor > 1 => {
            // Padding and slicing: nothing of the pad is left, but the ranges have to be right.
            let axis = rank - 1;
            let shifted = b.emit(Slice { axis, start: 1, length: ty.dim(axis).factor - 1, step: 1 }, &[x]);
            let shifted = b.emit(Exp {}, &[shifted]);
            b.emit(Pad { axis, low: 0, high: 1, interior: 0, value: Number::new(0.25) }, &[shifted])
        }
        (2, rank) if rank > 1 => {
            let total = b.sum(x, &[rank - 1], true);
            let total = b.expand(total, &ty.shape);
            b.sub(x, total)
        }
        (3, rank) if rank > 1 => {
            let count = ty.shape.count();
            let flat = b.reshape(x, &Shape(vec![count]));
            let flat = b.emit(Tanh {}, &[flat]);
            b.reshape(flat, &ty.shape)
        }
        _ => b.emit(Relu {}, &[x]),
    }
}

#[test]
fn random_chains_compile() {
    for seed in 0..300 {
        compiles_always_alike(seed, &random_chains(seed));
    }
}

#[test]
fn random_graphs_of_every_op_compile() {
    for seed in 0..150 {
        let graph = random_graph(seed, 16);
        let optimised = run_graph("predict", graph, None, &mut ()).unwrap().unwrap();
        compiles_always_alike(seed, &optimised);
    }
}

fn compiles_always_alike(seed: u64, graph: &Graph) {
    let program = std::panic::catch_unwind(|| check(graph));
    let program = program.unwrap_or_else(|_| panic!("seed {seed}:\n{graph}"));
    let again = kiln_passes::program::run("test", vec![("entry".to_owned(), graph.clone())]);
    assert!(program == again, "seed {seed} compiles differently the second time");
}
