//! Blocks: what the elements of a block share, then each of them.

use super::body::advance;
use super::tensor::UNSET;
use super::{InterpretError, Named, Precision, Scalar, Scope, Value};
use crate::{Block, Type, axes};

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
    let extents: Vec<usize> = block.axes.iter().map(|&axis| shape[axis]).collect();
    let mut around = shape.clone();
    block.axes.iter().for_each(|&axis| around[axis] = 1);
    let mut filled = Value::filled(result.dtype, shape.clone(), UNSET);
    let mut positions = vec![Some(0); shape.len()];
    for _ in 0..around.iter().product() {
        let mut locals: Vec<Option<Scalar>> = Vec::with_capacity(block.lets.len());
        for value in &block.lets {
            let value = Scope { axes: &positions, locals: &locals, ..base }.evaluate(value)?;
            locals.push(Some(value));
        }
        let mut inside = vec![Some(0); extents.len()];
        for element in &block.elements {
            let value = Scope { axes: &positions, locals: &locals, ..base }.evaluate(element)?;
            if value.dtype() != result.dtype {
                let (left, right) = (result.dtype, value.dtype());
                return Err(InterpretError::MixedDTypes { node: "result", left, right });
            }
            let mut place = positions.clone();
            block.axes.iter().zip(&inside).for_each(|(&axis, &at)| place[axis] = at);
            let at = Scope { axes: &place, ..base }.position(&axes(0, shape.len()), &shape)?;
            filled.data[at.expect("the block is inside of the result")] = value.to_element()?;
            advance(&mut inside, &extents);
        }
        advance(&mut positions, &around);
    }
    Ok(filled)
}
