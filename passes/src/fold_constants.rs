//! Computes while compiling what depends on nothing else: ops whose operands are all known become `full` where every element is the
//! same, and `constant` otherwise.
//!
//! The interpreter evaluates them in the precision of the declared dtypes. Pointwise ops and views of `full`s become a `full` at
//! any size, also with a batch axis; everything else is folded only where it stays small, so that a program does not grow by what a loop
//! would compute. Element counts of fixed extents become `full`s, and so does what has no elements or combines none. What the interpreter refuses, such as an integer division by zero, stays
//! and is reported when it runs.
//!
//! **Before:** a verified graph. **After:** the bounds below hold of every `constant` that was made here; types are the same.
//!
//! ```text
//! %n = extent {extent = [10]} : f32[]     →   %scale = full {value = 0.1} : f32[]
//! %one = full {value = 1.0} : f32[]
//! %scale = div %one, %n : f32[]
//! ```
//!
//! **Order:** after `merge_common`, so that each value is evaluated once; before autodiff, which then sees numbers instead of formulas.
//! **Source:** Wegman and Zadeck, "Constant propagation with conditional branches", without the branches.

use kiln_ir::interpret::{Accumulator, Precision, Value, evaluate_body};
use kiln_ir::ops::{Constant, Full};
use kiln_ir::{Body, Builder, Dim, Expr, Graph, Kind, Number, Op, Shape, Type, ValueId};

use crate::rewrite::{fill_of, is_known, replace};

/// The greatest number of elements of a constant that folding makes.
const MAX_ELEMENTS: usize = 4096;
/// How many times the elements of its operands a constant may have; a `full` counts as one element.
const MAX_GROWTH: usize = 4;
/// The greatest number of scalar evaluations for one value.
const MAX_WORK: usize = 1 << 15;

/// Folds every value that is known.
pub fn run(graph: &mut Graph) {
    for value in graph.order() {
        if let Some(op) = known(graph, value) {
            let place = graph.node(value).place.clone();
            let folded = Builder::new(graph, place).emit(op, &[]);
            replace(graph, value, folded);
        }
    }
    graph.remove_dead();
}

/// The leaf that stands for a value, if its op is not one already.
fn known(graph: &Graph, value: ValueId) -> Option<Op> {
    let (node, operands) = (graph.node(value), graph.operands(value));
    let body = node.op.body(&graph.operand_types(value), &node.ty)?;
    if let Some(number) = of_nothing(graph, value, &body) {
        return Some(full(number, &node.ty));
    }
    if matches!(node.op, Op::Full(_) | Op::Iota(_)) || !operands.iter().all(|&operand| is_known(graph, operand)) {
        return None;
    }
    let fills: Option<Vec<f64>> = operands.iter().map(|&operand| fill_of(graph, operand)).collect();
    if let Some(number) = fills.and_then(|fills| uniform(graph, value, &body, &fills)) {
        return Some(full(number, &node.ty));
    }
    let elements = elements(graph, value, &body)?;
    match elements.first() {
        Some(&first) if elements.iter().all(|element| element.to_bits() == first.to_bits()) => {
            Some(full(first, &node.ty))
        }
        _ => {
            let stored: usize = operands.iter().map(|&operand| stored_elements(graph, operand)).sum();
            let fits = elements.len() <= MAX_ELEMENTS && elements.len() <= MAX_GROWTH * stored;
            let data = elements.into_iter().map(Number::new).collect();
            fits.then(|| Constant { dtype: node.ty.dtype, shape: node.ty.shape.0.clone(), data }.into())
        }
    }
}

/// What a value is where there is nothing to compute: no element of its own, or none to combine.
fn of_nothing(graph: &Graph, value: ValueId, body: &Body) -> Option<f64> {
    let node = graph.node(value);
    if node.ty.shape.is_empty() {
        return (!matches!(node.op, Op::Full(_))).then_some(0.0);
    }
    let monoid = body.monoid.filter(|_| body.reduction.iter().any(|dim| dim.factor == 0))?;
    Some(Accumulator::new(monoid, node.ty.dtype).finish(Precision::Declared).to_f64())
}

/// The one number that a pointwise op or a view makes of operands that are one number each, at any size.
fn uniform(graph: &Graph, value: ValueId, body: &Body, fills: &[f64]) -> Option<f64> {
    let node = graph.node(value);
    match (body.kind, &node.op) {
        (Kind::View, Op::Pad(pad)) => (pad.value.value().to_bits() == fills[0].to_bits()).then_some(fills[0]),
        (Kind::View, _) => fills.iter().all(|fill| fill.to_bits() == fills[0].to_bits()).then_some(fills[0]),
        (Kind::Pointwise, _) if !depends_on_position_or_batch(body) => {
            let one = |ty: &Type| Shape(vec![Dim::ONE; ty.rank()]).at(1);
            let types = graph.operand_types(value);
            let values = types.iter().zip(fills).map(|(ty, &fill)| Value::filled(ty.dtype, one(ty), fill));
            let result = node.ty.with_shape(Shape(vec![Dim::ONE; node.ty.rank()]));
            Some(evaluate(body, &values.collect::<Vec<_>>(), &result)?[0])
        }
        _ => None,
    }
}

/// Every element, if all extents are fixed and there is not too much to evaluate.
fn elements(graph: &Graph, value: ValueId, body: &Body) -> Option<Vec<f64>> {
    let node = graph.node(value);
    let count = node.ty.shape.count().as_fixed()?;
    let work = body.inner().iter().try_fold(count, |work, dim| work.checked_mul(dim.as_fixed()?))?;
    let mut operands = Vec::new();
    for operand in graph.operands(value) {
        let ty = graph.ty(operand);
        let count = ty.shape.count().as_fixed().filter(|&count| count <= MAX_WORK)?;
        let data = match &graph.node(operand).op {
            Op::Constant(constant) => constant.data.iter().map(|number| number.value()).collect(),
            _ => vec![fill_of(graph, operand)?; count],
        };
        operands.push(Value::new(ty.dtype, ty.shape.at(1), data).ok()?);
    }
    if work > MAX_WORK || depends_on_batch(body) {
        return None;
    }
    evaluate(body, &operands, &node.ty)
}

fn evaluate(body: &Body, operands: &[Value], result: &Type) -> Option<Vec<f64>> {
    let named: Vec<(&str, &Value)> = operands.iter().map(|operand| ("", operand)).collect();
    Some(evaluate_body(body, &named, result, 1, Precision::Declared).ok()?.data)
}

fn full(number: f64, ty: &Type) -> Op {
    Full { value: Number::new(number), dtype: ty.dtype, shape: ty.shape.0.clone() }.into()
}

fn stored_elements(graph: &Graph, value: ValueId) -> usize {
    match &graph.node(value).op {
        Op::Constant(constant) => constant.data.len(),
        _ => 1,
    }
}

fn depends_on_position_or_batch(body: &Body) -> bool {
    let mut found = depends_on_batch(body);
    body.value.for_each(&mut |expr| found |= matches!(expr, Expr::Index(_)));
    found
}

/// Whether an element count of the batch, or a bound by it, is part of the value.
fn depends_on_batch(body: &Body) -> bool {
    let mut found = false;
    body.for_each_expr(&mut |expr| {
        expr.for_each(&mut |x| found |= matches!(x, Expr::Extent(dim) | Expr::Check(_, dim, _) if dim.batch));
    });
    found
}
