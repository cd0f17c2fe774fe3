//! Reverse-mode differentiation, graph → graph: adds the gradients of one scalar.
//!
//! Walks the values that lie between `wrt` and the scalar backwards; each op's own rule (`Operator::vjp`) says what its operands
//! receive, and cotangents that meet are added in the order in which they arise. No op is named here, and rules emit ordinary ops, so
//! the result can be differentiated again.
//!
//! **Before:** a verified graph. **After:** the same values, and for each of `wrt` a value of its type, zero where the scalar does not
//! depend on it. It is named `d_<name>`, unless it is another value's cotangent too, as both operands of a sum have the sum's.
//!
//! ```text
//! %y = mul %x, %x : f32[]        →  %d_x_part = mul %d_y, %x : f32[]
//!                                   %mul = mul %d_y, %x : f32[]
//!                                   %d_x = add %d_x_part, %mul : f32[]
//! ```
//!
//! **Order:** after the forward graph is canonical, so that its tidy form is differentiated, and before anything is fused.
//! **Source:** Griewank and Walther, "Evaluating Derivatives", chapter 3; the form of the rules is JAX's `vjp`.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::ops::{Add, Full};
use kiln_ir::{Builder, Code, Diagnostic, Graph, Number, Type, ValueId, Vjp};

/// Adds the gradients of `scalar` for each of `wrt`, in their order.
pub fn run(graph: &mut Graph, scalar: ValueId, wrt: &[ValueId]) -> Result<Vec<ValueId>, Diagnostic> {
    let ty = graph.ty(scalar).clone();
    if ty.rank() != 0 || !ty.dtype.is_float() {
        let message = format!("a gradient needs a floating scalar: `{}` is {ty}", graph.name_of(scalar));
        let help = "reduce it first, for example with `.mean_all()`";
        let place = graph.node(scalar).place.clone();
        return Err(Diagnostic::new(Code::NotDifferentiable, message).at(place).help(help));
    }
    let between = between(graph, scalar, wrt);
    let mut cotangents: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    if between.contains(&scalar) {
        cotangents.insert(scalar, full(graph, scalar, 1.0));
    }
    let order = graph.order();
    for &value in order.iter().rev().filter(|value| between.contains(value)) {
        let Some(&cotangent) = cotangents.get(&value) else { continue };
        if graph.operands(value).iter().any(|operand| between.contains(operand)) {
            pull_back(graph, value, cotangent, &between, &mut cotangents);
        }
    }
    let gradient = |graph: &mut Graph, value| match cotangents.get(&value) {
        Some(&gradient) => gradient,
        None => full(graph, value, 0.0),
    };
    Ok(wrt.iter().map(|&value| gradient(graph, value)).collect())
}

/// Applies one op's rule and adds what its operands receive to what they already have.
fn pull_back(
    graph: &mut Graph,
    value: ValueId,
    cotangent: ValueId,
    between: &BTreeSet<ValueId>,
    cotangents: &mut BTreeMap<ValueId, ValueId>,
) {
    let op = graph.node(value).op.clone();
    let operands = graph.operands(value);
    let parts = op.vjp(&mut Vjp::new(graph, value, cotangent));
    for (operand, part) in operands.into_iter().zip(parts) {
        let (true, Some(part)) = (between.contains(&operand), part) else { continue };
        let name = format!("d_{}", graph.name_of(operand));
        let total = match cotangents.get(&operand) {
            None => part,
            Some(&earlier) => {
                // The name is for the sum of all that arrive.
                if graph.name_of(earlier) == name {
                    graph.rename(earlier, &format!("{name}_part"));
                }
                let place = place_of(graph, operand);
                Builder::new(graph, place).emit(Add {}, &[earlier, part])
            }
        };
        // An op may hand its own cotangent on (`add` does); that value keeps its first name.
        if !graph.name_of(total).starts_with("d_") {
            graph.rename(total, &name);
        }
        cotangents.insert(operand, total);
    }
}

/// The values on a path from `wrt` to `scalar` along which gradients could flow.
fn between(graph: &Graph, scalar: ValueId, wrt: &[ValueId]) -> BTreeSet<ValueId> {
    let mut depends: BTreeSet<ValueId> = wrt.iter().copied().collect();
    for value in graph.order() {
        let float = graph.ty(value).dtype.is_float();
        if float && graph.operands(value).iter().any(|operand| depends.contains(operand)) {
            depends.insert(value);
        }
    }
    let mut reached = BTreeSet::new();
    let mut pending = vec![scalar];
    while let Some(value) = pending.pop() {
        if depends.contains(&value) && reached.insert(value) {
            pending.extend(graph.operands(value));
        }
    }
    reached
}

fn full(graph: &mut Graph, like: ValueId, value: f64) -> ValueId {
    let Type { dtype, shape } = graph.ty(like).clone();
    let place = place_of(graph, like);
    let name = format!("d_{}", graph.name_of(like));
    let mut builder = Builder::new(graph, place);
    builder.hint = name;
    builder.emit(Full { value: Number::new(value), dtype, shape: shape.0 }, &[])
}

fn place_of(graph: &Graph, value: ValueId) -> kiln_ir::Place {
    graph.node(value).place.clone()
}
