//! Sweeps: the start of every line, then the steps along it, one after another.

use super::body::advance;
use super::tensor::UNSET;
use super::{InterpretError, Named, Operands, Precision, Scalar, Scope, Value};
use crate::{Body, DType, Sweep, TensorId, Type, axes};

/// The result of a body with a sweep.
pub(super) fn evaluate_sweep(
    body: &Body,
    sweep: &Sweep,
    operands: &[(&str, &Value)],
    result: &Type,
    batch: usize,
    precision: Precision,
) -> Result<Value, InterpretError> {
    let shape = result.shape.at(batch);
    let steps: Vec<usize> = sweep.steps.iter().map(|dim| dim.at(batch)).collect();
    let rank = shape.len();
    let mut place = axes(0, rank);
    place[sweep.axis] = sweep.place.clone();
    let mut lines = Lines {
        operands: Named(operands),
        result: Value::filled(result.dtype, shape.clone(), UNSET),
        batch,
        precision,
    };
    let mut positions = vec![Some(0); rank + steps.len()];
    let element = |value: Scalar| {
        if value.dtype() != result.dtype {
            let (left, right) = (result.dtype, value.dtype());
            return Err(InterpretError::MixedDTypes { node: "result", left, right });
        }
        value.to_element()
    };
    if let Some(start) = &sweep.start {
        for at in 0..lines.result.data.len() {
            lines.result.data[at] = element(lines.scope(&positions).evaluate(start)?)?;
            advance(&mut positions[..rank], &shape);
        }
    }
    let mut across = shape.clone();
    across[sweep.axis] = 1;
    for _ in 0..across.iter().product() {
        for _ in 0..steps.iter().product() {
            let scope = lines.scope(&positions);
            let value = element(scope.evaluate(&body.value)?)?;
            let at = scope.position(&place, &shape)?.ok_or_else(|| scope.no_position("result", &place, &shape))?;
            lines.result.data[at] = value;
            advance(&mut positions[rank..], &steps);
        }
        advance(&mut positions[..rank], &across);
    }
    Ok(lines.result)
}

/// The operands, and after them the result so far.
struct Lines<'a> {
    operands: Named<'a>,
    result: Value,
    batch: usize,
    precision: Precision,
}

impl Lines<'_> {
    fn scope<'s>(&'s self, axes: &'s [Option<i64>]) -> Scope<'s> {
        Scope { batch: self.batch, precision: self.precision, axes, locals: &[], operands: self }
    }
}

impl Operands for Lines<'_> {
    fn describe(&self, tensor: TensorId) -> Result<(&str, DType, &[usize]), InterpretError> {
        match tensor.0 as usize == self.operands.0.len() {
            true => Ok(("result", self.result.dtype, &self.result.shape)),
            false => self.operands.describe(tensor),
        }
    }

    fn element(&self, tensor: TensorId, position: usize) -> Result<f64, InterpretError> {
        match tensor.0 as usize == self.operands.0.len() {
            true => Ok(self.result.data[position]),
            false => self.operands.element(tensor, position),
        }
    }
}
