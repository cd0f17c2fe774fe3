//! Gradients of whole graphs against central differences in `f64`, along one random direction and for a random upstream; gradients of
//! gradients; and what autodiff leaves out.

mod support;

use kiln_ir::interpret::Precision;
use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Graph, Op, Place, Role, Shape, Type, ValueId};
use kiln_passes::autodiff;
use support::{Inputs, Random, assert_verified, dot, input, inputs_of, run};

const BATCH: usize = 3;
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-6;

fn ty(dims: &[usize]) -> Type {
    Type::new(DType::F32, dims)
}

fn batched(dims: &[usize]) -> Type {
    Type::new(DType::F32, std::iter::once(Dim::BATCH).chain(dims.iter().map(|&dim| dim.into())).collect::<Vec<Dim>>())
}

fn new_graph() -> Graph {
    let mut graph = Graph::new("test");
    graph.max_batch = Some(BATCH);
    graph
}

/// `Σ value · upstream` with a random upstream, which is an input: the scalar that is differentiated.
fn weigh(graph: &mut Graph, value: ValueId) -> ValueId {
    let ty = graph.ty(value).clone();
    let upstream = input(graph, "upstream", Role::Data, &ty);
    let mut cx = Builder::new(graph, Place::NONE);
    let weighted = cx.mul(value, upstream);
    cx.sum(weighted, &(0..ty.rank()).collect::<Vec<_>>(), false)
}

/// Moves `wrt` along a random direction and compares the change of `scalar` with what the gradients say.
fn check(graph: &Graph, inputs: &Inputs, scalar: ValueId, wrt: &[ValueId], gradients: &[ValueId]) {
    assert_verified(graph, "a graph with gradients");
    let centre = run(graph, inputs, BATCH, Precision::Exact);
    let (mut random, mut ahead, mut behind) = (Random(5), inputs.clone(), inputs.clone());
    let mut said = 0.0;
    for (&value, &gradient) in wrt.iter().zip(gradients) {
        assert_eq!(graph.ty(value), graph.ty(gradient));
        let direction = random.value(graph.ty(value), [-1.0, 1.0], BATCH);
        said += dot(centre.value(gradient), &direction);
        for (inputs, step) in [(&mut ahead, STEP), (&mut behind, -STEP)] {
            let data = &mut inputs.get_mut(graph.name_of(value)).unwrap().data;
            data.iter_mut().zip(&direction.data).for_each(|(x, d)| *x += step * d);
        }
    }
    let at = |inputs: &Inputs| run(graph, inputs, BATCH, Precision::Exact).value(scalar).data[0];
    let found = (at(&ahead) - at(&behind)) / (2.0 * STEP);
    assert!(found.abs() > 1e-3, "a flat place tells nothing: {found}");
    assert!((found - said).abs() <= TOLERANCE * (1.0 + found.abs()), "gradients say {said}, differences {found}");
}

/// Checks the gradients of `scalar`, then those of the squared norm of its gradients.
fn check_twice(mut graph: Graph, scalar: ValueId, wrt: &[ValueId]) {
    let gradients = autodiff::run(&mut graph, scalar, wrt).unwrap();
    let inputs = inputs_of(&graph, 3, BATCH);
    check(&graph, &inputs, scalar, wrt, &gradients);

    let mut cx = Builder::new(&mut graph, Place::NONE);
    let mut norm = cx.full(0.0, &Type::scalar(DType::F32));
    for gradient in gradients {
        let square = cx.mul(gradient, gradient);
        let axes: Vec<usize> = (0..cx.ty(square).rank()).collect();
        let sum = cx.sum(square, &axes, false);
        norm = cx.add(norm, sum);
    }
    let second = autodiff::run(&mut graph, norm, wrt).unwrap();
    check(&graph, &inputs, norm, wrt, &second);
}

/// A linear layer: `x·wᵀ + b`.
fn linear(graph: &mut Graph, name: &str, x: ValueId, inner: usize, outer: usize) -> (ValueId, [ValueId; 2]) {
    let weight = input(graph, &format!("{name}.weight"), Role::Parameter, &ty(&[outer, inner]));
    let bias = input(graph, &format!("{name}.bias"), Role::Parameter, &ty(&[outer]));
    let mut cx = Builder::new(graph, Place::NONE);
    let product = cx.emit(Einsum::new("bi,oi->bo"), &[x, weight]);
    let shape = cx.ty(product).shape;
    let wide = cx.expand(bias, &shape);
    (cx.add(product, wide), [weight, bias])
}

/// `-log softmax(logits)[label]` of each sample, from primitives.
fn cross_entropy(graph: &mut Graph, logits: ValueId, labels: ValueId) -> ValueId {
    let mut cx = Builder::new(graph, Place::NONE);
    let shape = cx.ty(logits).shape;
    let largest = cx.emit(Amax { axes: vec![1], keep: true }, &[logits]);
    let still = cx.emit(Detach {}, &[largest]);
    let wide = cx.expand(still, &shape);
    let shifted = cx.sub(logits, wide);
    let powers = cx.emit(Exp {}, &[shifted]);
    let sum = cx.sum(powers, &[1], false);
    let log = cx.emit(Log {}, &[sum]);
    let here = cx.emit(OneHot { classes: shape.0[1].factor, checked: true }, &[labels]);
    let picked = cx.masked(here, shifted);
    let picked = cx.sum(picked, &[1], false);
    cx.sub(log, picked)
}

fn mlp() -> (Graph, ValueId, Vec<ValueId>, ValueId) {
    let mut graph = new_graph();
    let x = input(&mut graph, "x", Role::Data, &batched(&[4]));
    let labels = input(&mut graph, "labels", Role::Data, &Type::new(DType::I64, [Dim::BATCH]));
    let (hidden, first) = linear(&mut graph, "fc1", x, 4, 8);
    let hidden = Builder::new(&mut graph, Place::NONE).emit(Relu {}, &[hidden]);
    let (logits, second) = linear(&mut graph, "fc2", hidden, 8, 3);
    let losses = cross_entropy(&mut graph, logits, labels);
    let loss = weigh(&mut graph, losses);
    (graph, loss, [first, second].concat(), x)
}

#[test]
fn a_classifier_of_two_layers() {
    let (graph, loss, mut wrt, x) = mlp();
    wrt.push(x);
    check_twice(graph, loss, &wrt);
}

#[test]
fn a_convolutional_classifier() {
    let mut graph = new_graph();
    let x = input(&mut graph, "x", Role::Data, &batched(&[2, 6, 6]));
    let labels = input(&mut graph, "labels", Role::Data, &Type::new(DType::I64, [Dim::BATCH]));
    let weight = input(&mut graph, "conv.weight", Role::Parameter, &ty(&[3, 2, 3, 3]));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let conv = Conv { stride: vec![1, 1], padding: vec![1, 1], dilation: vec![1, 1], groups: 1 };
    let y = cx.emit(conv, &[x, weight]);
    let y = cx.emit(Relu {}, &[y]);
    let pool =
        MaxPool { kernel: vec![2; 2], stride: vec![2; 2], padding: vec![0; 2], dilation: vec![1; 2], ceil: false };
    let y = cx.emit(pool, &[y]);
    let y = cx.reshape(y, &vec![Dim::BATCH, Dim::fixed(27)].into());
    let (logits, linear) = linear(&mut graph, "fc", y, 27, 4);
    let losses = cross_entropy(&mut graph, logits, labels);
    let loss = weigh(&mut graph, losses);
    check_twice(graph, loss, &[weight, linear[0], linear[1], x]);
}

#[test]
fn second_derivatives_of_pointwise_ops() {
    let mut graph = new_graph();
    let x = input(&mut graph, "x", Role::Data, &batched(&[5]));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let (tanh, sigmoid) = (cx.emit(Tanh {}, &[x]), cx.emit(Sigmoid {}, &[x]));
    let product = cx.mul(tanh, sigmoid);
    let two = cx.full_like(x, 2.0);
    let above = cx.add(product, two);
    let (sine, cosine, root) = (cx.emit(Sin {}, &[x]), cx.emit(Cos {}, &[product]), cx.emit(Sqrt {}, &[above]));
    let quotient = cx.div(sine, above);
    let logarithm = cx.emit(Log {}, &[root]);
    let bell = cx.emit(Erf {}, &[quotient]);
    let power = cx.emit(Pow {}, &[above, cosine]);
    let sum = cx.add(bell, logarithm);
    let sum = cx.add(sum, power);
    let scalar = weigh(&mut graph, sum);
    check_twice(graph, scalar, &[x]);
}

#[test]
fn second_derivatives_of_contractions_and_pools() {
    let geometry = |stride| (vec![stride, 1], vec![1, 0], vec![1, 1]);
    let pool =
        |ceil| MaxPool { kernel: vec![2; 2], stride: vec![2; 2], padding: vec![0; 2], dilation: vec![1; 2], ceil };
    let ops: [(Op, Type); 5] = [
        (Einsum::new("bchw,oh->bcow").into(), ty(&[3, 5])),
        (
            {
                let (stride, padding, dilation) = geometry(2);
                Conv { stride, padding, dilation, groups: 2 }.into()
            },
            ty(&[4, 1, 3, 2]),
        ),
        (
            {
                let (stride, padding, dilation) = geometry(1);
                Conv { stride, padding, dilation, groups: 1 }.into()
            },
            ty(&[3, 2, 2, 3]),
        ),
        (pool(true).into(), ty(&[1])),
        (
            SumPool { kernel: vec![3; 2], stride: vec![2; 2], padding: vec![1; 2], dilation: vec![1; 2], ceil: false }
                .into(),
            ty(&[1]),
        ),
    ];
    for (op, weight) in ops {
        let mut graph = new_graph();
        let x = input(&mut graph, "x", Role::Data, &batched(&[2, 5, 6]));
        let w = input(&mut graph, "w", Role::Parameter, &weight);
        let mut cx = Builder::new(&mut graph, Place::NONE);
        // Curved on both sides, so that the second derivative of a linear op does not vanish.
        let curved = cx.emit(Sin {}, &[x]);
        let shape = cx.ty(curved).shape;
        let (y, wrt) = match &op {
            Op::MaxPool(_) | Op::SumPool(_) => {
                let scale = cx.reshape(w, &Shape::SCALAR);
                let scale = cx.expand(scale, &shape);
                let scaled = cx.mul(curved, scale);
                (cx.emit(op, &[scaled]), [x, w])
            }
            _ => (cx.emit(op, &[curved, w]), [x, w]),
        };
        let y = cx.emit(Tanh {}, &[y]);
        let scalar = weigh(&mut graph, y);
        check_twice(graph, scalar, &wrt);
    }
}

#[test]
fn views_and_reductions_pass_gradients_on() {
    let mut graph = new_graph();
    let x = input(&mut graph, "x", Role::Data, &batched(&[4, 6]));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let turned = cx.emit(Permute { dims: vec![0, 2, 1] }, &[x]);
    let part = cx.emit(Slice { axis: 1, start: 1, length: 2, step: 3 }, &[turned]);
    let both = cx.emit(Concat { axis: 1 }, &[part, turned]);
    let curved = cx.mul(both, both);
    let (largest, sum) = (cx.emit(Amax { axes: vec![1], keep: false }, &[both]), cx.sum(curved, &[1], false));
    let y = cx.mul(largest, sum);
    let scalar = weigh(&mut graph, y);
    check_twice(graph, scalar, &[x]);
}

#[test]
fn frozen_parameters_leave_no_backward_nodes() {
    let count = |wrt: &dyn Fn(&[ValueId]) -> Vec<ValueId>| {
        let (mut graph, loss, parameters, _) = mlp();
        let gradients = autodiff::run(&mut graph, loss, &wrt(&parameters)).unwrap();
        for gradient in gradients {
            graph.add_output(graph.name_of(gradient).to_owned(), gradient);
        }
        graph.add_output("loss", loss);
        graph.remove_dead();
        let einsums = graph.order().into_iter().filter(|&v| matches!(graph.node(v).op, Op::Einsum(_))).count();
        (graph, einsums)
    };
    let (_, all) = count(&|parameters| parameters.to_vec());
    let (graph, last) = count(&|parameters| parameters[2..].to_vec());
    // Forward: two. Backward of all: both weights, and the hidden layer between them; of the last layer: its weight.
    assert_eq!((all, last), (5, 3));
    assert!(graph.find("d_fc1.weight").is_none() && graph.find("d_fc2.weight").is_some(), "{graph}");
    let (graph, none) = count(&|_| Vec::new());
    assert_eq!(none, 2);
    assert!(graph.order().into_iter().all(|value| !graph.name_of(value).starts_with("d_")), "{graph}");
}

#[test]
fn detach_stops_and_unused_values_get_zeros() {
    let mut graph = new_graph();
    let (x, unused) =
        (input(&mut graph, "x", Role::Data, &ty(&[3])), input(&mut graph, "unused", Role::Data, &ty(&[2])));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let still = cx.emit(Detach {}, &[x]);
    let y = cx.mul(x, still);
    let y = cx.sum(y, &[0], false);
    let gradients = autodiff::run(&mut graph, y, &[x, unused, still, y]).unwrap();
    let inputs = inputs_of(&graph, 1, BATCH);
    let values = run(&graph, &inputs, BATCH, Precision::Exact);
    // `still` counts as a leaf of its own, and the scalar's own gradient is 1.
    assert_eq!(values.value(gradients[0]).data, inputs["x"].data);
    assert_eq!(values.value(gradients[1]).data, [0.0, 0.0]);
    assert_eq!(values.value(gradients[2]).data, inputs["x"].data);
    assert_eq!(values.value(gradients[3]).data, [1.0]);
}

#[test]
fn integers_carry_no_gradient() {
    let mut graph = new_graph();
    let x = input(&mut graph, "x", Role::Data, &ty(&[3]));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let whole = cx.cast(x, DType::I64);
    let back = cx.cast(whole, DType::F32);
    let y = cx.sum(back, &[0], false);
    let gradient = autodiff::run(&mut graph, y, &[x]).unwrap()[0];
    let inputs = inputs_of(&graph, 1, BATCH);
    assert_eq!(run(&graph, &inputs, BATCH, Precision::Exact).value(gradient).data, [0.0; 3]);
}

#[test]
fn the_sum_of_all_cotangents_has_the_name() {
    let mut graph = new_graph();
    let x = input(&mut graph, "x", Role::Data, &ty(&[3]));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let (a, b, c) = (cx.emit(Exp {}, &[x]), cx.emit(Sin {}, &[x]), cx.emit(Tanh {}, &[x]));
    let sum = cx.add(a, b);
    let sum = cx.add(sum, c);
    let y = cx.sum(sum, &[0], false);
    let gradient = autodiff::run(&mut graph, y, &[x]).unwrap()[0];
    assert_eq!(graph.name_of(gradient), "d_x");
}

#[test]
fn only_a_floating_scalar_has_gradients() {
    for ty in [ty(&[3]), Type::scalar(DType::I64)] {
        let mut graph = new_graph();
        let x = input(&mut graph, "x", Role::Data, &ty);
        let error = autodiff::run(&mut graph, x, &[x]).unwrap_err();
        assert_eq!(error.code, kiln_ir::Code::NotDifferentiable);
    }
}
