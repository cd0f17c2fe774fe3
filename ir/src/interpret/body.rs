//! The body of an op: for every position of the result, its value combined over the reduction.

use super::{Accumulator, InterpretError, Named, Precision, Scope, Value};
use crate::{Body, DType, Monoid, Type};

/// The result of a body on its operands, each with a name for messages.
pub fn evaluate_body(
    body: &Body,
    operands: &[(&str, &Value)],
    result: &Type,
    batch: usize,
    precision: Precision,
) -> Result<Value, InterpretError> {
    let operands = Named(operands);
    let evaluate =
        |axes: &[Option<i64>]| Scope { batch, precision, axes, locals: &[], operands: &operands }.evaluate(&body.value);
    let value_dtype = match body.monoid {
        Some(Monoid::ArgMax) | None => result.dtype,
        Some(_) => body.value.dtype(&|id| operands.0[id.0 as usize].1.dtype, &|_| DType::I64),
    };
    let shape = result.shape.at(batch);
    let reduction: Vec<usize> = body.reduction.iter().map(|dim| dim.at(batch)).collect();
    let mut data = Vec::new();
    for outer in positions(&shape) {
        let element = match body.monoid {
            None => evaluate(&outer)?,
            Some(monoid) => {
                let mut held = Accumulator::new(monoid, value_dtype);
                for (count, inner) in positions(&reduction).enumerate() {
                    held.add(evaluate(&[outer.as_slice(), &inner].concat())?, count as i64)?;
                }
                held.finish(precision)
            }
        };
        if element.dtype() != result.dtype {
            let (left, right) = (result.dtype, element.dtype());
            return Err(InterpretError::MixedDTypes { node: "result", left, right });
        }
        data.push(element.to_element()?);
    }
    Value::new(result.dtype, shape, data)
}

/// Every index of a shape, row-major.
fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<Option<i64>>> + '_ {
    (0..shape.iter().product()).map(move |mut position: usize| {
        let mut index = vec![None; shape.len()];
        for (component, extent) in index.iter_mut().zip(shape).rev() {
            *component = Some((position % extent) as i64);
            position /= extent;
        }
        index
    })
}
