//! Adaptive pooling: `out` windows that cover an axis of `in` positions, from `⌊i·in/out⌋` to `⌈(i + 1)·in/out⌉`. They overlap where `out`
//! does not divide `in`.
//!
//! Position `p` is in window `i` exactly when window `p` of the axis turned around, `out` into `in`, holds `i`: the sum is its own
//! transpose.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{
    AxisId, Body, Comparison, DType, Diagnostic, Dim, Expr, Index, Kind, Monoid, Type, ValueId, Vjp, axes, load,
};

/// The extent of the longest window.
fn longest(input: usize, output: usize) -> usize {
    (0..output).map(|at| ((at + 1) * input).div_ceil(output) - at * input / output).max().unwrap_or(0)
}

/// Where `tap` of the window at `position` reads, and whether it is in the window.
fn tap(position: &Index, tap: u32, input: usize, output: usize) -> (Index, Expr) {
    let (input, output) = (input as i64, output as i64);
    let at = position.times(input).div(output).plus(&Index::axis(AxisId(tap)));
    let end = position.times(input).shifted(input + output - 1).div(output);
    let inside = Expr::compare(Comparison::Lt, Expr::Index(at.clone()), Expr::Index(end));
    (at, inside)
}

op! {
    /// The sum of each of `output` windows that cover one axis. Gradient: `adaptive_sum` of `g` back to the operand's extent.
    AdaptiveSum(x) {
        /// The axis; not the batch axis.
        axis: usize,
        /// The number of windows.
        output: usize,
    }
}

impl Operator for AdaptiveSum {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::float("adaptive_sum", &operands[0])?;
        checks::axis("adaptive_sum", &operands[0], self.axis)?;
        checks::fixed("adaptive_sum", &operands[0], self.axis)?;
        let mut shape = operands[0].shape.clone();
        shape.0[self.axis] = Dim::fixed(self.output);
        Ok(operands[0].with_shape(shape))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let input = operands[0].dim(self.axis).factor;
        let mut index = axes(0, result.rank());
        let (at, inside) = tap(&index[self.axis], result.rank() as u32, input, self.output.max(1));
        index[self.axis] = at;
        let value = Expr::select(inside, load(0, index, Some(0.0)), Expr::number(0.0, result.dtype));
        Body::reduce(Kind::Window, Monoid::Sum, vec![Dim::fixed(longest(input, self.output))], value)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, output) = (cx.cotangent(), cx.operand_shape(0).0[self.axis].factor);
        vec![Some(cx.emit(AdaptiveSum { axis: self.axis, output }, &[g]))]
    }

    fn examples() -> Vec<Example> {
        let x = Type::new(DType::F32, [Dim::BATCH, 7.into(), 4.into()]);
        let sum = |axis, output| Example::new(AdaptiveSum { axis, output }, [x.clone()]);
        vec![sum(1, 3), sum(1, 4), sum(2, 6), sum(2, 2)]
    }
}

op! {
    /// Where in its window the first maximum of each of `output` windows of `[batch, channels, spatial..]` is: the row-major number of the
    /// tap in windows of the longest extents, as `i64`. No gradient.
    AdaptiveArgmax(x) {
        /// The number of windows on each spatial axis.
        output: Vec<usize>,
    }
}

impl AdaptiveArgmax {
    /// The extents of the longest windows, in which taps are numbered.
    pub fn kernel(&self, input: &[usize]) -> Vec<usize> {
        input.iter().zip(&self.output).map(|(&input, &output)| longest(input, output)).collect()
    }
}

impl Operator for AdaptiveArgmax {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::float("adaptive_argmax", &operands[0])?;
        checks::rank("adaptive_argmax", "x", &operands[0], self.output.len() + 2)?;
        for axis in 2..operands[0].rank() {
            checks::fixed("adaptive_argmax", &operands[0], axis)?;
        }
        let output = self.output.iter().map(|&extent| Dim::fixed(extent));
        let shape: Vec<Dim> = operands[0].shape.0[..2].iter().copied().chain(output).collect();
        Ok(Type::new(DType::I64, shape))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let rank = result.rank();
        let input: Vec<usize> = operands[0].shape.0[2..].iter().map(|dim| dim.factor).collect();
        let (mut index, mut outside) = (axes(0, rank), Vec::new());
        for (axis, (&input, &output)) in input.iter().zip(&self.output).enumerate() {
            let (at, inside) = tap(&index[axis + 2], (rank + axis) as u32, input, output.max(1));
            index[axis + 2] = at;
            outside.push(inside);
        }
        let least = || Expr::number(f64::NEG_INFINITY, operands[0].dtype);
        let element = load(0, index, Some(f64::NEG_INFINITY));
        let value = outside.into_iter().fold(element, |value, inside| Expr::select(inside, value, least()));
        let reduction = self.kernel(&input).into_iter().map(Dim::fixed).collect();
        Body::reduce(Kind::Window, Monoid::ArgMax, reduction, value)
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None]
    }

    fn examples() -> Vec<Example> {
        let x = Type::new(DType::F32, [Dim::BATCH, 2.into(), 5.into(), 7.into()]);
        vec![Example::new(AdaptiveArgmax { output: vec![3, 4] }, [x])]
    }
}
