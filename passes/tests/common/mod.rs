//! Runs a graph and the program made of it side by side.

#![allow(dead_code)]

mod schedule;

use std::collections::BTreeMap;

use kiln_ir::interpret::{Precision, ProgramState, Value, evaluate};
use kiln_ir::ops::Input;
use kiln_ir::{DType, Dim, Graph, Init, Number, Op, Place, Program, Role, Type, ValueId};

/// A linear congruential generator: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn float(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() as f64 / (1u64 << 31) as f64)
    }
}

/// Adds an input.
pub fn input(graph: &mut Graph, name: &str, role: Role, dtype: DType, shape: &[Dim]) -> ValueId {
    let op = Input { role, dtype, shape: shape.to_vec(), init: Init::Zeros };
    graph.add(op, &[], name, &Place::NONE).unwrap()
}

/// Values for every input: floats in [-1, 1), integers and booleans in 0..2, states positive.
pub fn random_inputs(graph: &Graph, batch: usize, random: &mut Random) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (id, input) in graph.inputs() {
        let ty = graph.ty(id);
        let shape = ty.shape.at(batch);
        let count = shape.iter().product();
        let draw = |_| match (ty.dtype.is_float(), input.role) {
            (true, Role::State | Role::Buffer) => random.float(0.5, 1.5),
            (true, Role::Scalar) => random.float(0.1, 0.9),
            (true, _) => random.float(-1.0, 1.0),
            (false, _) => random.below(2) as f64,
        };
        let data = (0..count).map(draw).collect();
        values.insert(graph.name_of(id).to_owned(), Value::new(ty.dtype, shape, data).unwrap());
    }
    values
}

/// Checks that a program of one entry computes what its graph does, for small, middle and full batches.
pub fn check(graph: &Graph) -> Program {
    let program = kiln_passes::program::run("test", vec![("entry".to_owned(), graph.clone())]);
    check_program(graph, "entry", &program);
    program
}

/// Checks one entry of a program against its graph.
pub fn check_program(graph: &Graph, entry: &str, program: &Program) {
    schedule::require_legal(program);
    require_disjoint(program);
    for kernel in &program.kernels {
        let findings = kiln_ir::verify::verify_kernel(kernel);
        assert!(findings.is_empty(), "{}", kiln_ir::verify::marked(&kernel.to_string(), &findings));
    }
    let text = program.to_string();
    let findings = kiln_ir::verify::verify_program(program);
    assert!(findings.is_empty(), "{}", kiln_ir::verify::marked(&text, &findings));
    match kiln_ir::text::parse_program(&text, "program.kir") {
        Ok(parsed) => assert!(parsed == *program, "reads back as something else:\n{text}\n{parsed}"),
        Err(errors) => panic!("{}\n{text}", errors[0]),
    }
    let max = program.max_batch;
    let mut batches = vec![1, max.div_ceil(2), max];
    batches.dedup();
    for batch in batches {
        let inputs = random_inputs(graph, batch, &mut Random(batch as u64 + 7));
        let expected = evaluate(graph, &inputs, batch, Precision::Exact).unwrap();
        let mut initial =
            |buffer: &kiln_ir::program::Buffer, count: usize| match (inputs.get(&buffer.name), &buffer.init) {
                (_, Init::Data(data)) => data.clone(),
                // Parameters and states have no batch axis.
                (Some(value), _) if value.data.len() == count => value.data.clone(),
                _ => vec![0.0; count],
            };
        let mut state = ProgramState::new(program, Precision::Exact, &mut initial).unwrap();
        let held = program.entries.iter().find(|held| held.name == entry).unwrap();
        let given: Vec<Value> = held.inputs.iter().map(|&id| inputs[&program.buffer(id).name].clone()).collect();
        let outputs = state.run_entry(entry, batch, &given).unwrap_or_else(|error| panic!("{error}\n{program}"));
        for ((name, expected), found) in expected.outputs().zip(&outputs) {
            compare(&format!("batch {batch}: output `{name}`"), expected, found, program);
        }
        for (name, expected) in expected.updates() {
            let id = program.buffers.iter().position(|buffer| buffer.name == name).unwrap();
            let found = state.read(kiln_ir::program::BufferId(id as u32), batch).unwrap();
            compare(&format!("batch {batch}: state `{name}`"), expected, &found, program);
        }
    }
}

fn compare(what: &str, expected: &Value, found: &Value, program: &Program) {
    assert_eq!(expected.shape, found.shape, "{what}");
    assert_eq!(expected.dtype, found.dtype, "{what}");
    for (at, (a, b)) in expected.data.iter().zip(&found.data).enumerate() {
        let close = (a - b).abs() <= 1e-9 * (1.0 + a.abs()) || (a.is_nan() && b.is_nan()) || a == b;
        assert!(close, "{what} at {at}: {a} became {b}\n{program}");
    }
}

/// A type of f32.
pub fn f32(shape: &[Dim]) -> Type {
    Type::new(DType::F32, shape.to_vec())
}

/// A value that is 1 at every element.
pub fn ones(graph: &mut Graph, ty: &Type) -> ValueId {
    let op = kiln_ir::ops::Full { value: Number::new(1.0), dtype: ty.dtype, shape: ty.shape.0.clone() };
    graph.add(op, &[], "", &Place::NONE).unwrap()
}

/// The names of the kernels in launch order.
pub fn launches(program: &Program) -> Vec<String> {
    program.entries[0].steps.iter().map(|step| program.kernel(step.kernel).name.clone()).collect()
}

/// The op examples of the table.
pub fn examples() -> Vec<kiln_ir::Example> {
    Op::examples()
}

/// Nothing that is alive at once overlaps.
pub fn require_disjoint(program: &Program) {
    let bytes = |at: usize| program.buffers[at].ty.size_bytes(program.max_batch);
    for a in 0..program.buffers.len() {
        for b in 0..a {
            let (first, second) = (&program.buffers[a], &program.buffers[b]);
            let alive = match (first.live, second.live) {
                (Some(x), Some(y)) => x.entry == y.entry && x.first <= y.last && y.first <= x.last,
                _ => true,
            };
            let apart = first.offset + bytes(a) <= second.offset || second.offset + bytes(b) <= first.offset;
            assert!(!alive || apart || bytes(a) * bytes(b) == 0, "`{}` and `{}` overlap", first.name, second.name);
        }
    }
}
