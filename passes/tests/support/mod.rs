//! What the tests of passes share: deterministic random numbers, inputs and graphs, and the comparison of results.

#![allow(dead_code)]

pub mod program;
pub mod random_graph;
mod schedule;

use std::collections::BTreeMap;

use kiln_ir::interpret::{Evaluation, Precision, Value, evaluate};
use kiln_ir::ops::Input;
use kiln_ir::verify::{marked, verify_graph};
use kiln_ir::{DType, Graph, Init, Place, Role, Type, ValueId};

pub type Inputs = BTreeMap<String, Value>;

/// Deterministic random numbers: splitmix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uniform on `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform on `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Values in `[low, high)`; of an integer dtype, the whole numbers there.
    pub fn value(&mut self, ty: &Type, [low, high]: [f64; 2], batch: usize) -> Value {
        let mut draw = || match ty.dtype.is_float() {
            true => low + (high - low) * self.unit(),
            false => low.ceil() + ((high.ceil() - low.ceil()) * self.unit()).floor(),
        };
        let shape = ty.shape.at(batch);
        let data = (0..shape.iter().product()).map(|_| draw()).collect();
        Value::new(ty.dtype, shape, data).unwrap()
    }
}

/// Adds an input.
pub fn input(graph: &mut Graph, name: &str, role: Role, ty: &Type) -> ValueId {
    let op = Input { role, dtype: ty.dtype, shape: ty.shape.0.clone(), init: Init::Zeros };
    graph.add(op, &[], name, &Place::NONE).unwrap()
}

/// Random values for every input of a graph; what is divided by or rooted in practice (running variances, moments, rates) is positive.
pub fn inputs_of(graph: &Graph, seed: u64, batch: usize) -> Inputs {
    let mut random = Random(seed);
    let domain = |dtype: DType, role: Role| match (dtype.is_float(), role) {
        (false, _) => [0.0, 2.0],
        (true, Role::State | Role::Buffer) => [0.5, 1.5],
        (true, Role::Scalar) => [0.1, 0.9],
        (true, _) => [-1.5, 1.5],
    };
    let value = |(value, input): (ValueId, &Input)| {
        let ty = graph.ty(value);
        (graph.name_of(value).to_owned(), random.value(ty, domain(ty.dtype, input.role), batch))
    };
    graph.inputs().into_iter().map(value).collect()
}

pub fn run<'a>(graph: &'a Graph, inputs: &Inputs, batch: usize, precision: Precision) -> Evaluation<'a> {
    evaluate(graph, inputs, batch, precision).unwrap_or_else(|error| panic!("{}: {error}\n{graph}", graph.name))
}

/// Every output and update, in order.
pub fn results(graph: &Graph, inputs: &Inputs, batch: usize, precision: Precision) -> Vec<Value> {
    let evaluation = run(graph, inputs, batch, precision);
    graph.outputs().iter().map(|output| evaluation.value(output.value).clone()).collect()
}

pub fn assert_verified(graph: &Graph, context: &str) {
    let findings = verify_graph(graph);
    assert!(findings.is_empty(), "{context}\n{}", marked(&graph.to_string(), &findings));
}

/// [`assert_close`] for lists.
pub fn assert_same(expected: &[Value], found: &[Value], tolerance: f64, context: impl Fn() -> String) {
    assert_eq!(expected.len(), found.len(), "{}", context());
    for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_close(expected, found, tolerance, || format!("output {n}: {}", context()));
    }
}

/// Equal numbers (zeros of both signs are equal, and so are NaNs), or, with a tolerance, close ones.
pub fn assert_close(expected: &Value, found: &Value, tolerance: f64, context: impl Fn() -> String) {
    assert_eq!((expected.dtype, &expected.shape), (found.dtype, &found.shape), "{}", context());
    let scale = expected.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (at, (a, b)) in expected.data.iter().zip(&found.data).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * scale;
        assert!(same, "at {at}: expected {a:e}, found {b:e}\n{}", context());
    }
}

pub fn dot(a: &Value, b: &Value) -> f64 {
    a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()
}
