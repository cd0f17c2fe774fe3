//! The op table by compiled code: every op with its gradient, in every dtype that it takes and at extents of 0, 1 and many, against the
//! interpreter.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln::runtime::philox::Philox4x32;
use kiln::runtime::{Input, Session};
use kiln_ir::interpret::{Precision, Value, evaluate};
use kiln_ir::ops::{Combine, Extent, Input as InputOp, Scatter};
use kiln_ir::{Builder, DType, Dim, Example, Graph, Init, Op, Place, Role, Shape, Type, ValueId, Vjp};
use kiln_passes::pipeline::{self, Request};
use kiln_tests::conformance::{Elements, value_of};

const BATCH: usize = 3;

/// Values in a range; of an integer dtype, the whole numbers there.
fn value(random: &mut Philox4x32, ty: &Type, [low, high]: [f64; 2]) -> Value {
    let mut draw = || {
        let unit = f64::from(random.below(1 << 20) as u32) / f64::from(1 << 20);
        match ty.dtype.is_float() {
            true => low + (high - low) * unit,
            false => low.ceil() + ((high.ceil() - low.ceil()) * unit).floor(),
        }
    };
    let shape = ty.shape.at(BATCH);
    let data = (0..shape.iter().product()).map(|_| draw()).collect();
    Value::new(ty.dtype, shape, data).expect("as many as the shape says").rounded(Precision::Declared)
}

fn input(graph: &mut Graph, name: &str, ty: &Type) -> ValueId {
    let op = InputOp { role: Role::Data, dtype: ty.dtype, shape: ty.shape.0.clone(), init: Init::Zeros };
    graph.add(op, &[], name, &Place::NONE).expect("an input fits its type")
}

/// The example and the gradients of its operands, with values for its inputs.
fn graph_of(example: &Example) -> (Graph, BTreeMap<String, Value>) {
    let mut graph = Graph::new(example.op.name());
    graph.max_batch = Some(BATCH);
    let mut random = Philox4x32::new(7, 0);
    let mut inputs = BTreeMap::new();
    let mut operands = Vec::new();
    for (n, (ty, domain)) in example.operands.iter().enumerate() {
        operands.push(input(&mut graph, &format!("x{n}"), ty));
        inputs.insert(format!("x{n}"), value(&mut random, ty, *domain));
    }
    let y = graph.add(example.op.clone(), &operands, "y", &Place::NONE).expect("the operands fit");
    graph.add_output("y", y);
    let ty = graph.ty(y).clone();
    if ty.dtype.is_float() {
        let g = input(&mut graph, "g", &ty);
        inputs.insert("g".to_owned(), value(&mut random, &ty, [-1.0, 1.0]));
        let gradients = example.op.vjp(&mut Vjp::new(&mut graph, y, g));
        for (n, gradient) in gradients.into_iter().enumerate() {
            if let Some(gradient) = gradient {
                graph.add_output(format!("d_x{n}"), gradient);
            }
        }
    }
    (graph, inputs)
}

/// Every output by compiled code.
fn compiled(graph: &Graph, inputs: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let predict = Some(graph.clone());
    let request = Request { name: graph.name.clone(), predict, ..Request::default() };
    let program = pipeline::run(&request, &mut ()).unwrap_or_else(|error| panic!("{}: {error}", graph.name));
    let program = Arc::new(program.expect("nothing stops the pipeline"));
    let code = kiln_codegen_cpu::jit(program, kiln_codegen_cpu::Options { verify: true, ..Default::default() });
    let code = code.unwrap_or_else(|error| panic!("{}: {error}", graph.name)).into_runtime_program();
    let mut session = Session::new(code, 0).expect("the compiler makes sound programs");
    let entry = session.entry("predict").expect("it was asked for").clone();
    let name = |slot: &u32| session.program().slots[*slot as usize].name.to_string();
    let elements: Vec<Elements> = entry.inputs.iter().map(|slot| Elements::new(&inputs[&name(slot)])).collect();
    let outputs: Vec<String> = entry.outputs.iter().map(name).collect();
    let borrowed: Vec<Input<'_>> = elements.iter().map(Elements::input).collect();
    let batch = if session.program().max_batch == 0 { 1 } else { BATCH as u64 };
    session.run("predict", batch, &borrowed).expect("the inputs fit");
    let read = |name: String| {
        let slot = session.slot(&name).expect("an output has a slot");
        (name, value_of(slot).expect("a slot is a tensor"))
    };
    outputs.into_iter().map(read).collect()
}

/// Fails unless compiled code gives what the interpreter gives, to some units in the last place of the greatest value.
fn check(graph: &Graph, inputs: &BTreeMap<String, Value>, what: &str) {
    let expected =
        evaluate(graph, inputs, BATCH, Precision::Declared).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = compiled(graph, inputs);
    for output in graph.outputs() {
        let (expected, found) = (expected.value(output.value), &found[&output.name]);
        assert_eq!((expected.dtype, &expected.shape), (found.dtype, &found.shape), "{what}: `{}`", output.name);
        let unit = match expected.dtype {
            DType::F16 => 2f64.powi(-9),
            DType::BF16 => 2f64.powi(-6),
            DType::F32 => 2f64.powi(-20),
            _ => 1e-13,
        };
        let scale =
            expected.data.iter().fold(1.0, |scale: f64, x| if x.is_finite() { scale.max(x.abs()) } else { scale });
        for (at, (a, b)) in expected.data.iter().zip(&found.data).enumerate() {
            let near = if expected.dtype.is_float() { (a - b).abs() <= unit * scale } else { false };
            assert!(a == b || near || a.is_nan() && b.is_nan(), "{what}: {}[{at}] is {b}, not {a}", output.name);
        }
    }
}

/// The example with other operands, if the op takes them.
fn with_types(example: &Example, change: impl Fn(&mut Type)) -> Option<Example> {
    let mut example = example.clone();
    example.operands.iter_mut().for_each(|(ty, _)| change(ty));
    let types: Vec<Type> = example.operands.iter().map(|(ty, _)| ty.clone()).collect();
    example.op.infer(&types).is_ok().then_some(example)
}

/// Checks every case, and lists those that fail.
fn check_all(cases: impl Iterator<Item = (String, Example)>) {
    let fails = |(what, example): &(String, Example)| {
        let check = || {
            let (graph, inputs) = graph_of(example);
            check(&graph, &inputs, what);
        };
        std::panic::catch_unwind(check).is_err()
    };
    let failed: Vec<String> = cases.filter(fails).map(|(what, _)| what).collect();
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
}

fn examples() -> impl Iterator<Item = Example> {
    // Without an operand nothing says the batch of a run.
    Op::examples().into_iter().filter(|example| !matches!(example.op, Op::Input(_) | Op::Extent(_)))
}

#[test]
fn every_op_in_every_dtype() {
    let cases = examples().flat_map(|example| {
        DType::ALL.into_iter().filter_map(move |dtype| {
            // Labels and conditions stay what they are.
            let mut other = with_types(&example, |ty| {
                if ty.dtype.is_float() {
                    ty.dtype = dtype
                }
            })?;
            if dtype.is_integer() {
                let changed = other.operands.iter_mut().zip(&example.operands).filter(|(a, b)| a.0 != b.0);
                changed.for_each(|((_, [low, high]), _)| (*low, *high) = (low.max(1.0), high.max(4.0)));
            }
            Some((format!("{:?} of {dtype}", example.op), other))
        })
    });
    check_all(cases);
}

#[test]
fn every_op_at_extents_of_zero_and_one() {
    let cases = examples().flat_map(|example| {
        let extents = [2, 3, 4, 5, 6].map(Dim::fixed).into_iter().chain([Dim::BATCH]);
        let replacements = extents.flat_map(|from| [0, 1, 7].map(|to| (from, Dim::fixed(to))));
        replacements.filter_map(move |(from, to)| {
            let change = |dim: &mut Dim| {
                if *dim == from {
                    *dim = to
                }
            };
            let mut other = with_types(&example, |ty| ty.shape.0.iter_mut().for_each(change))?;
            if other.operands == example.operands {
                return None;
            }
            // What names an element names one of those that are left.
            for (ty, [_, high]) in &mut other.operands {
                if ty.dtype == DType::I64 && *high == from.at(0) as f64 {
                    *high = high.min(to.at(0) as f64);
                }
            }
            Some((format!("{:?} with {to} for {from}", example.op), other))
        })
    });
    check_all(cases);
}

#[test]
fn every_op_without_axes() {
    let cases = examples().filter_map(|example| {
        let other = with_types(&example, |ty| ty.shape.0.clear())?;
        (!other.operands.is_empty()).then(|| (format!("{:?} without axes", example.op), other))
    });
    check_all(cases);
}

/// Rows that all go to one place run in lanes; of three rows in a table of two, at least two meet.
#[test]
fn rows_that_are_scattered() {
    let columns = Dim::fixed(37);
    for dtype in [DType::F16, DType::F32, DType::F64, DType::I64] {
        for &combine in Combine::ALL {
            let mut graph = Graph::new("rows");
            graph.max_batch = Some(BATCH);
            let mut random = Philox4x32::new(7, 0);
            let mut inputs = BTreeMap::new();
            let mut operand = |graph: &mut Graph, name: &str, ty: Type, domain| {
                inputs.insert(name.to_owned(), value(&mut random, &ty, domain));
                input(graph, name, &ty)
            };
            let base = operand(&mut graph, "base", Type::new(dtype, [2.into(), columns]), [-2.0, 2.0]);
            let at = operand(&mut graph, "at", Type::new(DType::I64, [Dim::BATCH]), [0.0, 2.0]);
            let src = operand(&mut graph, "src", Type::new(dtype, [Dim::BATCH, columns]), [-2.0, 2.0]);
            let mut builder = Builder::new(&mut graph, Place::NONE);
            let column = builder.reshape(at, &Shape::from([Dim::BATCH, Dim::ONE]));
            let index = builder.expand(column, &Shape::from([Dim::BATCH, columns]));
            let y = builder.emit(Scatter { axis: 0, combine }, &[base, index, src]);
            graph.add_output("y", y);
            check(&graph, &inputs, &format!("rows of {dtype} that {} what is there", combine.name()));
        }
    }
}

#[test]
fn the_mean_of_nothing_is_not_a_number() {
    let mut graph = Graph::new("mean");
    let x = input(&mut graph, "x", &Type::new(DType::F32, [2, 0]));
    let mut builder = Builder::new(&mut graph, Place::NONE);
    let sum = builder.sum(x, &[1], false);
    let count = builder.emit(Extent { extent: vec![Dim::fixed(0)], dtype: DType::F32 }, &[]);
    let count = builder.expand(count, &Shape::from([2]));
    let mean = builder.div(sum, count);
    graph.add_output("mean", mean);
    let inputs = BTreeMap::from([("x".to_owned(), Value::filled(DType::F32, vec![2, 0], 0.0))]);
    check(&graph, &inputs, "the mean of nothing");
    assert!(compiled(&graph, &inputs)["mean"].data.iter().all(|x| x.is_nan()));
}
