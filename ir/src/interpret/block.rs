//! Blocks: what the elements of a block share, then each of them.

use super::body::advance;
use super::tensor::UNSET;
use super::{InterpretError, Named, Precision, Scalar, Scope, Value};
use crate::{Block, Element, Type, axes};

/// The result of a body with a block.
pub(super) fn evaluate_block(
    block: &Block,
    operands: &[(&str, &Value)],
    result: &Type,
    batch: usize,
    precision: Precision,
) -> Result<Value, InterpretError> {
    let shape = result.shape.at(batch);
    let operands = Named(operands);
    let base = Scope { batch, precision, axes: &[], locals: &[], operands: &operands };
    let mut loops = shape.clone();
    block.axes.iter().for_each(|&axis| loops[axis] = 1);
    loops.extend(block.steps.iter().map(|dim| dim.at(batch)));
    let mut filled = Value::filled(result.dtype, shape.clone(), UNSET);
    let mut positions = vec![Some(0); loops.len()];
    for _ in 0..loops.iter().product() {
        let mut locals: Vec<Option<Scalar>> = Vec::with_capacity(block.lets.len());
        for value in &block.lets {
            let value = Scope { axes: &positions, locals: &locals, ..base }.evaluate(value)?;
            locals.push(Some(value));
        }
        for Element { place, value } in &block.elements {
            let scope = Scope { axes: &positions, locals: &locals, ..base };
            let value = scope.evaluate(value)?;
            if value.dtype() != result.dtype {
                let (left, right) = (result.dtype, value.dtype());
                return Err(InterpretError::MixedDTypes { node: "result", left, right });
            }
            let mut index = axes(0, shape.len());
            block.axes.iter().zip(place).for_each(|(&axis, place)| index[axis] = place.clone());
            let at = scope.position(&index, &shape)?.ok_or_else(|| scope.no_position("result", &index, &shape))?;
            filled.data[at] = value.to_element()?;
        }
        advance(&mut positions, &loops);
    }
    Ok(filled)
}
