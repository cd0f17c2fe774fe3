//! Random graphs: whatever fusion makes of them, the program computes what the graph does, and compiles to the same every time.

mod common;

use common::{Random, check, examples, input};
use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Graph, Number, Op, Place, Role, Shape, Type, ValueId};

#[test]
fn every_example_compiles() {
    for example in examples() {
        let mut graph = Graph::new("example");
        graph.max_batch = Some(5);
        let operands: Vec<ValueId> = (example.operands.iter().enumerate())
            .map(|(n, (ty, _))| input(&mut graph, &format!("x{n}"), Role::Data, ty.dtype, &ty.shape.0))
            .collect();
        let result = graph.add(example.op.clone(), &operands, "y", &Place::NONE).unwrap();
        graph.add_output("y", result);
        check(&graph);
    }
}

#[test]
fn every_pair_of_examples_compiles() {
    // The first operand of each example, computed by something that could be fused into it.
    for example in examples() {
        for producer in 0..4 {
            let mut graph = Graph::new("pair");
            graph.max_batch = Some(4);
            let mut operands = Vec::new();
            for (n, (ty, _)) in example.operands.iter().enumerate() {
                let x = input(&mut graph, &format!("x{n}"), Role::Data, ty.dtype, &ty.shape.0);
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
fn random_graphs_compile() {
    for seed in 0..300 {
        let graph = random_graph(seed);
        let program = std::panic::catch_unwind(|| check(&graph));
        let program = program.unwrap_or_else(|_| panic!("seed {seed}:\n{graph}"));
        let again = kiln_passes::program::run("test", vec![("entry".to_owned(), graph.clone())]);
        assert!(program == again, "seed {seed} compiles differently the second time");
    }
}

fn random_graph(seed: u64) -> Graph {
    let mut random = Random(seed.wrapping_mul(977) + 13);
    let mut graph = Graph::new("random");
    graph.max_batch = Some(3);
    let shapes: [&[Dim]; 4] = [
        &[Dim::BATCH, Dim::fixed(3), Dim::fixed(6), Dim::fixed(6)],
        &[Dim::BATCH, Dim::fixed(5)],
        &[Dim::fixed(4), Dim::fixed(5)],
        &[Dim::fixed(5)],
    ];
    let mut values: Vec<ValueId> = Vec::new();
    let mut states = Vec::new();
    for (n, shape) in shapes.iter().enumerate() {
        values.push(input(&mut graph, &format!("x{n}"), Role::Data, DType::F32, shape));
        if shape.iter().all(|dim| !dim.batch) {
            let state = input(&mut graph, &format!("s{n}"), Role::State, DType::F32, shape);
            values.push(state);
            states.push(state);
        }
    }
    for _ in 0..6 + random.below(14) {
        // Later values more often: chains are what fusion is about.
        let reach = values.len().min(1 + random.below(8));
        let at = values.len() - 1 - random.below(reach);
        let x = values[at];
        if let Some(value) = step(&mut graph, &mut random, x, &values) {
            values.push(value);
        }
    }
    for (number, &value) in values.iter().rev().take(2 + random.below(3)).enumerate() {
        graph.add_output(format!("y{number}"), value);
    }
    for state in states {
        let ty = graph.ty(state).clone();
        let same: Vec<ValueId> = values.iter().copied().filter(|&value| *graph.ty(value) == ty).collect();
        graph.add_update(state, same[random.below(same.len())]);
    }
    graph.remove_dead();
    graph
}

/// One more value made of `x` and others of its type.
fn step(graph: &mut Graph, random: &mut Random, x: ValueId, values: &[ValueId]) -> Option<ValueId> {
    let ty = graph.ty(x).clone();
    let alike: Vec<ValueId> = values.iter().copied().filter(|&value| *graph.ty(value) == ty).collect();
    let other = alike[random.below(alike.len())];
    let rank = ty.rank();
    let axis = if rank > 0 { random.below(rank) } else { 0 };
    let fixed = rank > 0 && !ty.dim(axis).batch;
    let op = |graph: &mut Graph, op: Op, operands: &[ValueId]| graph.add(op, operands, "", &Place::NONE).ok();
    let choice = random.below(16);
    let mut b = Builder::new(graph, Place::NONE);
    match choice {
        0 => Some(b.emit(Tanh {}, &[x])),
        1 => Some(b.emit(Relu {}, &[x])),
        2 => Some(b.add(x, other)),
        3 => Some(b.mul(x, other)),
        4 => {
            let mask = b.compare(kiln_ir::Comparison::Gt, x, other);
            Some(b.masked(mask, other))
        }
        5 if rank > 0 => {
            let small = b.emit(Tanh {}, &[x]);
            Some(b.sum(small, &[axis], random.below(2) == 0))
        }
        6 if rank > 0 => {
            let max = op(graph, Amax { axes: vec![axis], keep: true }.into(), &[x])?;
            let mut b = Builder::new(graph, Place::NONE);
            let max = b.expand(max, &ty.shape);
            Some(b.sub(x, max))
        }
        7 if rank == 2 => {
            let total = b.sum(x, &[1], true);
            let total = b.expand(total, &ty.shape);
            Some(b.sub(x, total))
        }
        8 if fixed && ty.dim(axis).factor > 2 => {
            let (start, step) = (random.below(2), 1 + random.below(2));
            let length = (ty.dim(axis).factor - start).div_ceil(step);
            op(graph, Slice { axis, start, length, step }.into(), &[x])
        }
        9 if fixed => {
            let (low, high, interior) = (random.below(2), random.below(3), random.below(2));
            op(graph, Pad { axis, low, high, interior, value: Number::new(0.5) }.into(), &[x])
        }
        10 if fixed => op(graph, Concat { axis }.into(), &[x, other]),
        11 if rank > 2 => {
            let mut dims: Vec<usize> = (0..rank).collect();
            dims.swap(1, rank - 1);
            op(graph, Permute { dims }.into(), &[x])
        }
        12 if rank > 1 => {
            let rest: usize = ty.shape.0[1..].iter().map(|dim| dim.factor).product();
            Some(b.reshape(x, &Shape(vec![ty.dim(0), Dim::fixed(rest)])))
        }
        13 if rank == 2 && !ty.dim(1).batch => {
            let width = ty.dim(1).factor;
            let weight = b.full(0.5, &Type::new(DType::F32, [3, width]));
            let slope = b.emit(Iota { axis: 1, dtype: DType::F32, shape: vec![Dim::fixed(3), Dim::fixed(width)] }, &[]);
            let weight = b.mul(weight, slope);
            let weight = b.emit(Sin {}, &[weight]);
            Some(b.emit(Einsum::new("bi,oi->bo"), &[x, weight]))
        }
        14 if rank == 4 && ty.dim(2).factor >= 3 && ty.dim(3).factor >= 3 => {
            let channels = ty.dim(1).factor;
            let slope = b.emit(
                Iota {
                    axis: 0,
                    dtype: DType::F32,
                    shape: vec![Dim::fixed(2), Dim::fixed(channels), Dim::fixed(3), Dim::fixed(3)],
                },
                &[],
            );
            let weight = b.emit(Cos {}, &[slope]);
            let stride = 1 + random.below(2);
            let conv = Conv { stride: vec![stride; 2], padding: vec![1; 2], dilation: vec![1; 2], groups: 1 };
            Some(b.emit(conv, &[x, weight]))
        }
        15 if rank == 4 && ty.dim(2).factor >= 2 && ty.dim(3).factor >= 2 => {
            let pool = MaxPool {
                kernel: vec![2; 2],
                stride: vec![2; 2],
                padding: vec![0; 2],
                dilation: vec![1; 2],
                ceil: random.below(2) == 0,
            };
            Some(b.emit(pool, &[x]))
        }
        _ => Some(b.neg(x)),
    }
}
