//! Adding nodes to a graph from inside the compiler: for derivatives, update rules and passes.
//!
//! Types are right by construction here, so a mismatch is a bug of the caller and panics with the op and its operands; user input goes
//! through [`Graph::add`], which reports.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use crate::ops::*;
use crate::{Comparison, DType, Dim, Graph, Number, Place, Shape, Type, ValueId};

/// A graph, and the place and name that new nodes take.
pub struct Builder<'g> {
    /// The graph.
    pub graph: &'g mut Graph,
    /// The place of new nodes.
    pub place: Place,
    /// The name of new nodes, before a number is added; empty: the op's.
    pub hint: String,
}

impl<'g> Builder<'g> {
    /// A builder whose nodes have this place.
    pub fn new(graph: &'g mut Graph, place: Place) -> Builder<'g> {
        Builder { graph, place, hint: String::new() }
    }

    /// Adds an op.
    #[track_caller]
    pub fn emit(&mut self, op: impl Into<Op>, operands: &[ValueId]) -> ValueId {
        self.graph.add(op, operands, &self.hint, &self.place).unwrap_or_else(|diagnostic| {
            let types: Vec<String> = operands.iter().map(|&v| self.graph.ty(v).to_string()).collect();
            panic!("bug in the compiler: {diagnostic} (operands {})", types.join(", "))
        })
    }

    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> Type {
        self.graph.ty(value).clone()
    }

    /// A tensor of one value.
    pub fn full(&mut self, value: f64, ty: &Type) -> ValueId {
        self.emit(Full { value: Number::new(value), dtype: ty.dtype, shape: ty.shape.0.clone() }, &[])
    }

    /// One value in the type of another tensor.
    pub fn full_like(&mut self, like: ValueId, value: f64) -> ValueId {
        let ty = self.ty(like);
        self.full(value, &ty)
    }

    /// `a + b`.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(Add {}, &[a, b])
    }

    /// `a - b`.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(Sub {}, &[a, b])
    }

    /// `a * b`.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(Mul {}, &[a, b])
    }

    /// `a / b`.
    pub fn div(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(Div {}, &[a, b])
    }

    /// `-x`.
    pub fn neg(&mut self, x: ValueId) -> ValueId {
        self.emit(Neg {}, &[x])
    }

    /// `x * factor`.
    pub fn scale(&mut self, x: ValueId, factor: f64) -> ValueId {
        let factor = self.full_like(x, factor);
        self.mul(x, factor)
    }

    /// A comparison.
    pub fn compare(&mut self, op: Comparison, a: ValueId, b: ValueId) -> ValueId {
        let op: Op = match op {
            Comparison::Eq => Eq {}.into(),
            Comparison::Ne => Ne {}.into(),
            Comparison::Lt => Lt {}.into(),
            Comparison::Le => Le {}.into(),
            Comparison::Gt => Gt {}.into(),
            Comparison::Ge => Ge {}.into(),
        };
        self.emit(op, &[a, b])
    }

    /// `condition ? a : b`.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> ValueId {
        self.emit(Where {}, &[condition, a, b])
    }

    /// `x` where `condition`, zero elsewhere.
    pub fn masked(&mut self, condition: ValueId, x: ValueId) -> ValueId {
        let zero = self.full_like(x, 0.0);
        self.select(condition, x, zero)
    }

    /// Conversion; the value itself when it has the dtype already.
    pub fn cast(&mut self, x: ValueId, dtype: DType) -> ValueId {
        if self.graph.ty(x).dtype == dtype { x } else { self.emit(Cast { dtype }, &[x]) }
    }

    /// The sum over axes, which stay with extent 1 if `keep`.
    pub fn sum(&mut self, x: ValueId, axes: &[usize], keep: bool) -> ValueId {
        if axes.is_empty() { x } else { self.emit(Sum { axes: axes.to_vec(), keep }, &[x]) }
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: ValueId, shape: &Shape) -> ValueId {
        if &self.graph.ty(x).shape == shape { x } else { self.emit(Reshape { shape: shape.0.clone() }, &[x]) }
    }

    /// Repetition along axes of extent 1 and new leading axes.
    pub fn expand(&mut self, x: ValueId, shape: &Shape) -> ValueId {
        if &self.graph.ty(x).shape == shape { x } else { self.emit(Expand { shape: shape.0.clone() }, &[x]) }
    }

    /// The transpose of [`Builder::expand`]: sums what was repeated.
    pub fn sum_to(&mut self, x: ValueId, shape: &Shape) -> ValueId {
        let from = self.ty(x).shape;
        let new = from.rank() - shape.rank();
        let grown = |axis: &usize| *axis < new || (from.0[*axis] != Dim::ONE && shape.0[*axis - new] == Dim::ONE);
        let axes: Vec<usize> = (0..from.rank()).filter(grown).collect();
        let summed = self.sum(x, &axes, true);
        self.reshape(summed, shape)
    }

    /// Adds the values of another graph, with their places, where `inputs` stand for its inputs in their order, and gives what is made of its
    /// outputs.
    pub fn inline(&mut self, graph: &Graph, inputs: &[ValueId]) -> Vec<ValueId> {
        let given = graph.inputs().into_iter().map(|(input, _)| input).zip(inputs.iter().copied());
        let mut values: BTreeMap<ValueId, ValueId> = given.collect();
        for value in graph.order() {
            if !values.contains_key(&value) {
                let node = graph.node(value);
                let operands: Vec<ValueId> = graph.operands(value).iter().map(|operand| values[operand]).collect();
                let mut builder = Builder { graph: self.graph, place: node.place.clone(), hint: node.name.clone() };
                values.insert(value, builder.emit(node.op.clone(), &operands));
            }
        }
        graph.outputs().iter().map(|output| values[&output.value]).collect()
    }
}

/// What a derivative rule sees: the op's operands, its result, and the cotangent of the result.
pub struct Vjp<'g> {
    builder: Builder<'g>,
    operands: Vec<ValueId>,
    result: ValueId,
    cotangent: ValueId,
    others: Option<&'g BTreeMap<ValueId, ValueId>>,
}

impl<'g> Vjp<'g> {
    /// The rule's view of one node. New nodes take its place, so that a failing backward op names the forward line.
    pub fn new(graph: &'g mut Graph, node: ValueId, cotangent: ValueId) -> Vjp<'g> {
        let operands = graph.operands(node);
        let place = graph.node(node).place.clone();
        Vjp { builder: Builder::new(graph, place), operands, result: node, cotangent, others: None }
    }

    /// The same with the cotangents that other values have so far.
    pub fn among(self, others: &'g BTreeMap<ValueId, ValueId>) -> Vjp<'g> {
        Vjp { others: Some(others), ..self }
    }

    /// The n-th operand.
    pub fn operand(&self, n: usize) -> ValueId {
        self.operands[n]
    }

    /// The number of operands.
    pub fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// The shape of the n-th operand.
    pub fn operand_shape(&self, n: usize) -> Shape {
        self.builder.graph.ty(self.operands[n]).shape.clone()
    }

    /// The op's result.
    pub fn result(&self) -> ValueId {
        self.result
    }

    /// The cotangent of the result: same dtype and shape.
    pub fn cotangent(&self) -> ValueId {
        self.cotangent
    }

    /// The cotangent of another value, if it has one. That of a user of the op's result is complete, as the result's own is.
    pub fn cotangent_of(&self, value: ValueId) -> Option<ValueId> {
        self.others.and_then(|others| others.get(&value).copied())
    }
}

impl<'g> Deref for Vjp<'g> {
    type Target = Builder<'g>;

    fn deref(&self) -> &Builder<'g> {
        &self.builder
    }
}

impl<'g> DerefMut for Vjp<'g> {
    fn deref_mut(&mut self) -> &mut Builder<'g> {
        &mut self.builder
    }
}
