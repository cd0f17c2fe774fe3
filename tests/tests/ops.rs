//! Every op of the table as a compiled program, with its gradients: the interpreter's values, and the same bits for any number of threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln::runtime::{Input, Pool, Session};
use kiln_codegen_cpu::{Options, jit};
use kiln_ir::interpret::{Precision, Value, evaluate};
use kiln_ir::kernel::Statement;
use kiln_ir::verify::{marked, verify_kernel};
use kiln_ir::{DType, Example, Graph, Init, Op, Place, Program, Role, Type, ValueId, Vjp, ops};

/// Of `f32` results, the largest among them being 1.
const TOLERANCE: f64 = 2e-6;
const BATCH: usize = 3;

/// The elements of an input, as the runtime takes them.
enum Elements {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// An example as a graph whose outputs are the result and every gradient, and its inputs in their order.
fn graph(example: &Example) -> (Graph, BTreeMap<String, Value>) {
    let mut graph = Graph::new(example.op.name());
    graph.max_batch = Some(BATCH);
    let (mut operands, mut inputs) = (Vec::new(), BTreeMap::new());
    let mut noise = (1u64..).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64);
    let mut input = |graph: &mut Graph, name: String, ty: &Type, [low, high]: [f64; 2]| -> ValueId {
        let op = ops::Input { role: Role::Data, dtype: ty.dtype, shape: ty.shape.0.clone(), init: Init::Zeros };
        let data = noise.by_ref().take(ty.shape.count().at(BATCH)).map(|unit| low + (high - low) * unit);
        let data = data.map(|x| if ty.dtype.is_float() { f64::from(x as f32) } else { x.floor() }).collect();
        inputs.insert(name.clone(), Value::new(ty.dtype, ty.shape.at(BATCH), data).expect("as many as the shape says"));
        graph.add(op, &[], &name, &Place::NONE).expect("an input has any type")
    };
    for (n, (ty, domain)) in example.operands.iter().enumerate() {
        operands.push(input(&mut graph, format!("x{n}"), ty, *domain));
    }
    let result = graph.add(example.op.clone(), &operands, "y", &Place::NONE).expect("an example fits its op");
    graph.add_output("y", result);
    let ty = graph.ty(result).clone();
    if ty.dtype.is_float() {
        let cotangent = input(&mut graph, "g".to_owned(), &ty, [-1.0, 1.0]);
        let gradients = example.op.vjp(&mut Vjp::new(&mut graph, result, cotangent));
        for (n, gradient) in gradients.into_iter().enumerate() {
            gradient.into_iter().for_each(|gradient| graph.add_output(format!("d_x{n}"), gradient));
        }
    }
    graph.remove_dead();
    (graph, inputs)
}

/// The program, with an item for every iteration of each outermost loop: as many as threads could ever divide.
fn program(graph: Graph) -> Program {
    let mut program = kiln_passes::program::run("ops", vec![("run".to_owned(), graph)]);
    for kernel in &mut program.kernels {
        if let ([Statement::For(axes, inner)], []) = (kernel.body.as_slice(), kernel.schedule.contracts.as_slice()) {
            let in_lanes = kernel.schedule.vector.iter().any(|vector| axes.contains(&vector.axis));
            let plain = axes.iter().take_while(|axis| !kernel.schedule.unroll.contains(axis)).count();
            let whole =
                inner.iter().any(|statement| !matches!(statement, Statement::Let(..) | Statement::Store { .. }));
            let count = if whole && !in_lanes { plain } else { plain.min(axes.len() - 1) };
            kernel.schedule.thread = axes[..count].to_vec();
            kernel.schedule.grain = 1;
        }
        let findings = verify_kernel(kernel);
        assert!(findings.is_empty(), "{}", marked(&kernel.to_string(), &findings));
    }
    program
}

/// The outputs of a run, each element as its bits.
fn run(program: &Arc<kiln::runtime::abi::Program>, inputs: &BTreeMap<String, Value>, threads: usize) -> Vec<Vec<f64>> {
    let pool = Pool::new(threads).expect("threads start");
    let mut session = Session::with_pool(program.clone(), 1, pool).expect("the program loads");
    let entry = &program.entries[0];
    let name = |slot: &u32| program.slots[*slot as usize].name.as_ref();
    let elements = entry.inputs.iter().map(|slot| {
        let value = &inputs[name(slot)];
        match value.dtype {
            DType::F32 => Elements::F32(value.data.iter().map(|&x| x as f32).collect()),
            _ => Elements::I64(value.data.iter().map(|&x| x as i64).collect()),
        }
    });
    let elements: Vec<Elements> = elements.collect();
    let inputs = elements.iter().map(|elements| match elements {
        Elements::F32(elements) => Input::from(elements),
        Elements::I64(elements) => Input::from(elements),
    });
    // Without a symbolic axis there is a batch of one.
    let batch = session.batch();
    session.run("run", batch, &inputs.collect::<Vec<Input<'_>>>()).expect("it runs");
    let output = |slot: &u32| {
        let view = session.slot(name(slot)).expect("an output is a slot");
        match view.elements::<f32>() {
            Ok(elements) => elements.iter().map(|&x| f64::from(x)).collect(),
            Err(_) => view.elements::<i64>().expect("f32 or i64").iter().map(|&x| x as f64).collect(),
        }
    };
    entry.outputs.iter().map(output).collect()
}

/// Whether the inputs and outputs here can hold it. A program without inputs has no batch to take its extents from.
fn is_plain(example: &Example) -> bool {
    let types: Vec<Type> = example.operands.iter().map(|(ty, _)| ty.clone()).collect();
    let result = example.op.infer(&types).expect("an example fits its op");
    !types.is_empty() && types.iter().chain([&result]).all(|ty| matches!(ty.dtype, DType::F32 | DType::I64))
}

#[test]
fn every_op_compiles_to_what_it_means() {
    let mut seen = 0;
    for example in Op::examples().iter().filter(|example| is_plain(example)) {
        let (graph, inputs) = graph(example);
        let expected = evaluate(&graph, &inputs, BATCH, Precision::Exact).expect("the interpreter runs every op");
        let program = jit(Arc::new(program(graph.clone())), Options::default()).expect("it compiles");
        let program = program.into_runtime_program();
        let one = run(&program, &inputs, 1);
        for ((name, expected), found) in expected.outputs().zip(&one) {
            let scale = expected.data.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * scale;
            let equal = expected.data.len() == found.len() && expected.data.iter().zip(found).all(close);
            assert!(equal, "`{name}` of {:?} is {found:?}, not {:?}", example.op, expected.data);
        }
        for threads in [2, 3] {
            let other = run(&program, &inputs, threads);
            let bits = |all: &[Vec<f64>]| all.concat().iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
            assert_eq!(bits(&one), bits(&other), "{:?} depends on {threads} threads", example.op);
        }
        seen += 1;
    }
    assert!(seen > 60, "only {seen} examples were compiled");
}
