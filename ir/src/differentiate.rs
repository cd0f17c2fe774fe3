//! Reverse-mode differentiation, graph → graph: adds what a cotangent of some values is for others.
//!
//! Walks the values that lie between `wrt` and the results backwards; each op's own rule (`Operator::vjp`) says what its operands
//! receive, and cotangents that meet are added in the order in which they arise. No op is named here, and rules emit ordinary ops, so
//! the result can be differentiated again.
//!
//! It is a function of the op table and not of a pass: the front end calls it while it traces, so that a gradient inside of a `forward` is
//! ordinary graph, and the pass `autodiff` calls it for the loss. What it makes is named `d_<name>`, unless it is another value's cotangent
//! too, as both operands of a sum have the sum's, or was there before.
//!
//! Source: Griewank and Walther, "Evaluating Derivatives", chapter 3; the form of the rules is JAX's `vjp`.

use std::collections::{BTreeMap, BTreeSet};

use crate::ops::{Add, Full};
use crate::{Builder, Code, Diagnostic, Graph, Number, Place, Type, ValueId, Vjp};

/// Adds the gradients of `scalar` for each of `wrt`, in their order: of its type, zero where the scalar does not depend on it.
///
/// # Errors
/// K0108 if it is no floating scalar.
pub fn differentiate(graph: &mut Graph, scalar: ValueId, wrt: &[ValueId]) -> Result<Vec<ValueId>, Diagnostic> {
    let ty = graph.ty(scalar).clone();
    if ty.rank() != 0 || !ty.dtype.is_float() {
        let message = format!("a gradient needs a floating scalar: `{}` is {ty}", graph.name_of(scalar));
        let help = "reduce it first, for example with `.mean_all()`";
        let place = graph.node(scalar).place.clone();
        return Err(Diagnostic::new(Code::NotDifferentiable, message).at(place).help(help));
    }
    let mut walk = Walk::new(graph, &[scalar], wrt);
    if walk.between.contains(&scalar) {
        let seed = full(graph, scalar, 1.0);
        walk.cotangents.insert(scalar, seed);
    }
    let gradients = walk.run(graph, wrt);
    let whole = |(gradient, &value): (Option<ValueId>, &ValueId)| gradient.unwrap_or_else(|| full(graph, value, 0.0));
    Ok(gradients.into_iter().zip(wrt).map(whole).collect())
}

/// Adds the sum over all `(value, cotangent)` of the vector-Jacobian products for each of `wrt`, in their order; `None` where no value
/// depends on it. A cotangent has its value's type.
pub fn pull_back(graph: &mut Graph, given: &[(ValueId, ValueId)], wrt: &[ValueId]) -> Vec<Option<ValueId>> {
    let values: Vec<ValueId> = given.iter().map(|(value, _)| *value).collect();
    let mut walk = Walk::new(graph, &values, wrt);
    for &(value, cotangent) in given.iter().filter(|(value, _)| walk.between.contains(value)).collect::<Vec<_>>() {
        walk.receive(graph, value, cotangent);
    }
    walk.run(graph, wrt)
}

struct Walk {
    /// The values there were before, operands first; those keep their names.
    order: Vec<ValueId>,
    given: BTreeSet<ValueId>,
    /// The values on a path from `wrt` to the results along which gradients could flow.
    between: BTreeSet<ValueId>,
    cotangents: BTreeMap<ValueId, ValueId>,
}

impl Walk {
    fn new(graph: &Graph, results: &[ValueId], wrt: &[ValueId]) -> Walk {
        let order = graph.order();
        let mut depends: BTreeSet<ValueId> = wrt.iter().copied().collect();
        for &value in &order {
            let float = graph.ty(value).dtype.is_float();
            if float && graph.operands(value).iter().any(|operand| depends.contains(operand)) {
                depends.insert(value);
            }
        }
        let mut between = BTreeSet::new();
        let mut pending = results.to_vec();
        while let Some(value) = pending.pop() {
            if depends.contains(&value) && between.insert(value) {
                pending.extend(graph.operands(value));
            }
        }
        let given = order.iter().copied().collect();
        Walk { order, given, between, cotangents: BTreeMap::new() }
    }

    /// Goes backwards from the cotangents that are there already.
    fn run(mut self, graph: &mut Graph, wrt: &[ValueId]) -> Vec<Option<ValueId>> {
        for value in std::mem::take(&mut self.order).into_iter().rev() {
            let Some(&cotangent) = self.cotangents.get(&value) else { continue };
            if graph.operands(value).iter().any(|operand| self.between.contains(operand)) {
                self.apply_rule(graph, value, cotangent);
            }
        }
        wrt.iter().map(|value| self.cotangents.get(value).copied()).collect()
    }

    /// Applies one op's rule and adds what its operands receive to what they already have.
    fn apply_rule(&mut self, graph: &mut Graph, value: ValueId, cotangent: ValueId) {
        let op = graph.node(value).op.clone();
        let operands = graph.operands(value);
        let parts = op.vjp(&mut Vjp::new(graph, value, cotangent).among(&self.cotangents));
        for (operand, part) in operands.into_iter().zip(parts) {
            if let (true, Some(part)) = (self.between.contains(&operand), part) {
                self.receive(graph, operand, part);
            }
        }
    }

    fn receive(&mut self, graph: &mut Graph, value: ValueId, part: ValueId) {
        let name = format!("d_{}", graph.name_of(value));
        let total = match self.cotangents.get(&value) {
            None => part,
            Some(&earlier) => {
                // The name is for the sum of all that arrive.
                if graph.name_of(earlier) == name && !self.given.contains(&earlier) {
                    graph.rename(earlier, &format!("{name}_part"));
                }
                let place = place_of(graph, value);
                Builder::new(graph, place).emit(Add {}, &[earlier, part])
            }
        };
        // An op may hand its own cotangent on (`add` does); that value keeps its first name.
        if !graph.name_of(total).starts_with("d_") && !self.given.contains(&total) {
            graph.rename(total, &name);
        }
        self.cotangents.insert(value, total);
    }
}

fn full(graph: &mut Graph, like: ValueId, value: f64) -> ValueId {
    let Type { dtype, shape } = graph.ty(like).clone();
    let place = place_of(graph, like);
    let name = format!("d_{}", graph.name_of(like));
    let mut builder = Builder::new(graph, place);
    builder.hint = name;
    builder.emit(Full { value: Number::new(value), dtype, shape: shape.0 }, &[])
}

fn place_of(graph: &Graph, value: ValueId) -> Place {
    graph.node(value).place.clone()
}
