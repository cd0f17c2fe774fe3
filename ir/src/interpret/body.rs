//! The body of an op: for every position of the result, its value combined over the reduction.

use super::block::evaluate_block;
use super::sweep::evaluate_sweep;
use super::{Accumulator, InterpretError, Named, Precision, Scope, Value};
use crate::{Body, DType, Type, accumulator};

/// The result of a body on its operands, each with a name for messages. The body's value has the result's dtype, or the dtype in
/// which sums of the result's dtype are kept: then it is rounded to the result's at the end.
pub fn evaluate_body(
    body: &Body,
    operands: &[(&str, &Value)],
    result: &Type,
    batch: usize,
    precision: Precision,
) -> Result<Value, InterpretError> {
    if let Some(sweep) = &body.sweep {
        return evaluate_sweep(body, sweep, operands, result, batch, precision);
    }
    if let Some(block) = &body.block {
        return evaluate_block(block, operands, result, batch, precision);
    }
    let operands = Named(operands);
    let evaluate =
        |axes: &[Option<i64>]| Scope { batch, precision, axes, locals: &[], operands: &operands }.evaluate(&body.value);
    let value_dtype = body.value.dtype(&|id| operands.0[id.0 as usize].1.dtype, &|_| DType::I64);
    let shape = result.shape.at(batch);
    let reduction: Vec<usize> = body.reduction.iter().map(|dim| dim.at(batch)).collect();
    let (rank, count, steps) = (shape.len(), shape.iter().product(), reduction.iter().product::<usize>());
    let mut axes = vec![Some(0); rank + reduction.len()];
    let mut data = Vec::with_capacity(count);
    for _ in 0..count {
        let element = match body.monoid {
            None => evaluate(&axes)?,
            Some(monoid) => {
                let mut held = Accumulator::new(monoid, value_dtype);
                for position in 0..steps {
                    held.add(evaluate(&axes)?, position as i64)?;
                    advance(&mut axes[rank..], &reduction);
                }
                held.finish(precision)
            }
        };
        if element.dtype() != result.dtype && element.dtype() != accumulator(result.dtype) {
            let (left, right) = (result.dtype, element.dtype());
            return Err(InterpretError::MixedDTypes { node: "result", left, right });
        }
        data.push(element.cast(result.dtype, precision).to_element()?);
        advance(&mut axes[..rank], &shape);
    }
    Value::new(result.dtype, shape, data)
}

/// The next index of a shape, row-major; after the last one comes the first.
pub(super) fn advance(index: &mut [Option<i64>], shape: &[usize]) {
    for (component, &extent) in index.iter_mut().zip(shape).rev() {
        let next = component.map_or(0, |position| position + 1);
        if next < extent as i64 {
            *component = Some(next);
            return;
        }
        *component = Some(0);
    }
}
