//! The op table as a whole, over the examples of every op: derivatives against central differences in `f64` along one random direction
//! (as in JAX's `check_grads`), their derivatives in turn, and the agreement of shape rules, formulas and dtypes.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::interpret::{Evaluation, Precision, Value, evaluate};
use kiln_ir::ops::{Add, Input};
use kiln_ir::{Builder, DType, Example, Graph, Init, Op, Place, Role, Type, ValueId, Vjp};

/// The step of the central differences, whose error is about its square.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-6;
const BATCH: usize = 3;

/// Deterministic random numbers: splitmix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    /// Uniform on `[0, 1)`.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Values in `[low, high)`; of an integer dtype, the whole numbers there.
    fn value(&mut self, ty: &Type, [low, high]: [f64; 2], batch: usize) -> Value {
        let mut draw = || match ty.dtype.is_float() {
            true => low + (high - low) * self.unit(),
            false => low.ceil() + ((high.ceil() - low.ceil()) * self.unit()).floor(),
        };
        let shape = ty.shape.at(batch);
        let data = (0..shape.iter().product()).map(|_| draw()).collect();
        Value::new(ty.dtype, shape, data).unwrap().rounded(Precision::Exact)
    }
}

type Inputs = BTreeMap<String, Value>;

fn add_input(graph: &mut Graph, name: &str, ty: &Type) -> ValueId {
    let op = Input { role: Role::Data, dtype: ty.dtype, shape: ty.shape.0.clone(), init: Init::Zeros };
    graph.add(op, &[], name, &Place::NONE).unwrap()
}

/// A graph of inputs `x0`, `x1`, ... and the op on them, with values for the inputs.
fn example_graph(example: &Example, batch: usize) -> (Graph, ValueId, Inputs) {
    let mut graph = Graph::new(example.op.name());
    let mut random = Random(7);
    let (mut operands, mut inputs) = (Vec::new(), Inputs::new());
    for (n, (ty, domain)) in example.operands.iter().enumerate() {
        let name = format!("x{n}");
        operands.push(add_input(&mut graph, &name, ty));
        inputs.insert(name, random.value(ty, *domain, batch));
    }
    let result = graph.add(example.op.clone(), &operands, "y", &Place::NONE);
    (graph, result.unwrap_or_else(|error| panic!("{example:?}: {error}")), inputs)
}

fn run<'a>(graph: &'a Graph, inputs: &Inputs, batch: usize) -> Evaluation<'a> {
    evaluate(graph, inputs, batch, Precision::Exact).unwrap_or_else(|error| panic!("{}: {error}", graph.name))
}

fn dot(a: &Value, b: &Value) -> f64 {
    a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()
}

/// Fails unless the derivative of `<weight, value>` along a random change of `moved` is `Σ <gradient, change>`. `gradients` has the
/// gradient of each of `moved`; without one it is zero.
fn check_direction(
    graph: &Graph,
    inputs: &Inputs,
    (value, weight): (ValueId, &Value),
    moved: &[ValueId],
    gradients: &[Option<ValueId>],
) {
    let mut random = Random(11);
    let (mut ahead, mut behind) = (inputs.clone(), inputs.clone());
    let centre = run(graph, inputs, BATCH);
    let mut derivative = 0.0;
    for (&input, gradient) in moved.iter().zip(gradients) {
        let direction = random.value(graph.ty(input), [-1.0, 1.0], BATCH);
        derivative += gradient.map_or(0.0, |gradient| dot(centre.value(gradient), &direction));
        for (inputs, step) in [(&mut ahead, STEP), (&mut behind, -STEP)] {
            let data = &mut inputs.get_mut(graph.name_of(input)).unwrap().data;
            data.iter_mut().zip(&direction.data).for_each(|(x, d)| *x += step * d);
        }
    }
    let (ahead, behind) = (run(graph, &ahead, BATCH), run(graph, &behind, BATCH));
    let parts = || {
        let pairs = ahead.value(value).data.iter().zip(&behind.value(value).data);
        pairs.zip(&weight.data).map(|((ahead, behind), weight)| weight * (ahead - behind) / (2.0 * STEP))
    };
    let (difference, scale): (f64, f64) = (parts().sum(), parts().map(f64::abs).sum());
    let names: Vec<&str> = moved.iter().map(|&input| graph.name_of(input)).collect();
    assert!(
        (difference - derivative).abs() <= TOLERANCE * (scale + 1e-3),
        "{:?} along {names:?}: the gradient says {derivative}, differences say {difference}",
        graph.node(graph.find("y").unwrap()).op,
    );
}

/// The example with its vjp for the cotangent `g`: the graph, the result, `g`, the inputs' values and the gradients.
fn example_vjp(example: &Example) -> (Graph, ValueId, ValueId, Inputs, Vec<Option<ValueId>>) {
    let (mut graph, result, mut inputs) = example_graph(example, BATCH);
    let ty = graph.ty(result).clone();
    let cotangent = add_input(&mut graph, "g", &ty);
    inputs.insert("g".to_owned(), Random(13).value(&ty, [-1.0, 1.0], BATCH));
    let gradients = example.op.vjp(&mut Vjp::new(&mut graph, result, cotangent));
    assert_eq!(gradients.len(), example.operands.len(), "{:?}", example.op);
    (graph, result, cotangent, inputs, gradients)
}

/// Examples whose result is floating, and so can have a cotangent.
fn differentiable() -> impl Iterator<Item = Example> {
    Op::examples().into_iter().filter(|example| {
        let types: Vec<Type> = example.operands.iter().map(|(ty, _)| ty.clone()).collect();
        example.op.infer(&types).is_ok_and(|ty| ty.dtype.is_float())
    })
}

/// Ops that exist for a gradient that is not their value's.
fn says_its_gradient(op: &Op) -> bool {
    matches!(op, Op::Detach(_) | Op::CustomVjp(_) | Op::CustomResult(_))
}

#[test]
fn gradients_agree_with_central_differences() {
    for example in differentiable() {
        let (graph, result, _, inputs, gradients) = example_vjp(&example);
        for (operand, gradient) in graph.operands(result).into_iter().zip(gradients) {
            let ty = graph.ty(operand);
            let Some(gradient) = gradient else {
                let stops = !ty.dtype.is_float() || says_its_gradient(&example.op);
                assert!(stops, "{:?} has no gradient for `{}`", example.op, graph.name_of(operand));
                continue;
            };
            assert_eq!(graph.ty(gradient), ty, "{:?}", example.op);
            if says_its_gradient(&example.op) {
                continue;
            }
            check_direction(&graph, &inputs, (result, &inputs["g"]), &[operand], &[Some(gradient)]);
        }
    }
}

#[test]
fn gradients_of_gradients_agree_with_central_differences() {
    for example in differentiable().filter(|example| !says_its_gradient(&example.op)) {
        let (mut graph, result, cotangent, mut inputs, gradients) = example_vjp(&example);
        let operands = graph.operands(result);
        for (n, gradient) in gradients.iter().enumerate() {
            let Some(gradient) = *gradient else { continue };
            let ty = graph.ty(gradient).clone();
            let name = format!("c{n}");
            let second = add_input(&mut graph, &name, &ty);
            inputs.insert(name.clone(), Random(17).value(&ty, [-1.0, 1.0], BATCH));
            let moved: Vec<ValueId> =
                operands.iter().copied().filter(|&x| graph.ty(x).dtype.is_float()).chain([cotangent]).collect();
            let cotangents = backpropagate(&mut graph, gradient, second);
            let gradients: Vec<Option<ValueId>> = moved.iter().map(|x| cotangents.get(x).copied()).collect();
            check_direction(&graph, &inputs, (gradient, &inputs[&name]), &moved, &gradients);
        }
    }
}

/// The cotangents of everything that `value` depends on: plain reverse accumulation.
fn backpropagate(graph: &mut Graph, value: ValueId, cotangent: ValueId) -> BTreeMap<ValueId, ValueId> {
    let mut cotangents = BTreeMap::from([(value, cotangent)]);
    for node in graph.order().into_iter().rev() {
        let Some(&cotangent) = cotangents.get(&node) else { continue };
        let op = graph.node(node).op.clone();
        let parts = op.vjp(&mut Vjp::new(graph, node, cotangent));
        for (operand, part) in graph.operands(node).into_iter().zip(parts) {
            let Some(part) = part else { continue };
            let sum = match cotangents.get(&operand) {
                Some(&held) => Builder::new(graph, Place::NONE).emit(Add {}, &[held, part]),
                None => part,
            };
            cotangents.insert(operand, sum);
        }
    }
    cotangents
}

#[test]
fn every_op_of_a_derivative_has_examples_itself() {
    let names: BTreeSet<&str> = Op::examples().iter().map(|example| example.op.name()).collect();
    for example in differentiable() {
        let (graph, ..) = example_vjp(&example);
        for value in graph.order() {
            let op = &graph.node(value).op;
            assert!(
                names.contains(op.name()) || matches!(op, Op::Input(_) | Op::Constant(_)),
                "{} uses {}",
                graph.name,
                op.name()
            );
        }
    }
    let without: Vec<&&str> = Op::NAMES.iter().filter(|name| !names.contains(**name)).collect();
    assert_eq!(without, [&"input", &"constant"]);
}

#[test]
fn formulas_stay_inside_their_operands_at_every_batch_size() {
    for example in Op::examples() {
        for batch in [1, 3] {
            let (graph, result, inputs) = example_graph(&example, batch);
            let ty = graph.ty(result).clone();
            for precision in [Precision::Exact, Precision::Declared] {
                let values = evaluate(&graph, &inputs, batch, precision);
                let values = values.unwrap_or_else(|error| panic!("{:?}: {error}", example.op));
                let value = values.value(result);
                assert_eq!((value.dtype, &value.shape), (ty.dtype, &ty.shape.at(batch)), "{:?}", example.op);
                assert!(value.data.iter().all(|x| x.is_finite()), "{:?}: {:?}", example.op, value.data);
            }
        }
    }
}

#[test]
fn every_dtype_that_an_op_takes_computes() {
    for example in Op::examples() {
        for dtype in DType::ALL {
            let mut example = example.clone();
            for (ty, _) in example.operands.iter_mut().filter(|(ty, _)| ty.dtype == DType::F32) {
                ty.dtype = dtype;
            }
            let types: Vec<Type> = example.operands.iter().map(|(ty, _)| ty.clone()).collect();
            if example.op.infer(&types).is_err() {
                continue;
            }
            let (graph, result, inputs) = example_graph(&example, 2);
            let inputs = inputs.into_iter().map(|(name, x)| (name, x.rounded(Precision::Declared))).collect();
            let of = |precision| {
                let values = evaluate(&graph, &inputs, 2, precision);
                values.unwrap_or_else(|error| panic!("{:?} of {dtype}: {error}", example.op)).value(result).clone()
            };
            let (exact, declared) = (of(Precision::Exact), of(Precision::Declared));
            if !exact.dtype.is_float() {
                assert_eq!(exact, declared, "{:?} of {dtype}", example.op);
            } else {
                // A formula has few roundings, each of half a unit of 8 bits of mantissa at worst; sums are rounded once.
                let scale = exact.data.iter().fold(1.0, |scale: f64, x| scale.max(x.abs()));
                let close = exact.data.iter().zip(&declared.data).all(|(a, b)| (a - b).abs() <= 0.02 * scale);
                assert!(close, "{:?} of {dtype}: {:?} and {:?}", example.op, exact.data, declared.data);
            }
        }
    }
}

#[test]
fn powers_of_and_to_zero_have_finite_gradients() {
    // 0^0, 2^0 and 0^2, with PyTorch's gradients: for the base, and for the exponent.
    let ty = Type::new(DType::F32, [BATCH]);
    let example = Example::new(kiln_ir::ops::Pow {}, [ty.clone(), ty]);
    let (graph, _, _, mut inputs, gradients) = example_vjp(&example);
    for (name, data) in [("x0", [0.0, 2.0, 0.0]), ("x1", [0.0, 0.0, 2.0]), ("g", [1.0; 3])] {
        inputs.get_mut(name).unwrap().data = data.to_vec();
    }
    let values = run(&graph, &inputs, BATCH);
    let of = |operand: usize| &values.value(gradients[operand].unwrap()).data;
    assert_eq!((of(0), of(1)), (&vec![0.0; 3], &vec![0.0, 2f64.ln(), 0.0]));
}
