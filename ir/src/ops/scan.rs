//! Recurrences along one axis, and the product, whose derivative is made of them.
//!
//! A running sum is `scan` of ones and `x`, a running product `scan` of `x` and zeros from 1. The derivative of a recurrence is a recurrence
//! in the other direction, so the table is closed, and it divides by nothing: zeros in a product are as good as other numbers.

use super::reduce::{reduced, reduction, repeat};
use super::{Pad, Slice, checks};
use crate::op::{Example, Operator, op};
use crate::{
    AxisId, Binary, Body, DType, Diagnostic, Dim, Expr, Index, Monoid, Number, Sweep, Type, ValueId, Vjp, accumulator,
    axes, load,
};

op! {
    /// `y_i = a_i·y_(i-1) + b_i` along an axis, from `y_(-1) = start`; reversed, `y_i = a_i·y_(i+1) + b_i` from the end. Half types do not
    /// hold long sums: convert to `f32` before.
    ///
    /// Gradients: of `b`, the recurrence `λ_i = g_i + a_(i+1)·λ_(i+1)`; of `a`, `λ_i·y_(i-1)`.
    Scan(a, b) {
        /// The axis; not the batch axis.
        axis: usize,
        /// Whether it runs from the end.
        reverse: bool,
        /// The value before the first.
        start: Number,
    }
}

impl Operator for Scan {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let ty = &operands[0];
        checks::same("scan", ty, &operands[1])?;
        checks::number("scan", ty)?;
        checks::dtype("scan", ty, "a dtype that sums are kept in", accumulator(ty.dtype) == ty.dtype)?;
        checks::axis("scan", ty, self.axis)?;
        checks::fixed("scan", ty, self.axis)?;
        Ok(ty.clone())
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let (rank, extent) = (result.rank(), operands[0].dim(self.axis));
        let step = Index::axis(AxisId(rank as u32));
        let place = if self.reverse { step.times(-1).shifted(extent.factor as i64 - 1) } else { step };
        let at = |component: Index| {
            let mut index = axes(0, rank);
            index[self.axis] = component;
            index
        };
        let before = at(place.shifted(if self.reverse { 1 } else { -1 }));
        let held = load(2, before, Some(self.start.value()));
        let (a, b) = (load(0, at(place.clone()), None), load(1, at(place.clone()), None));
        let value = Expr::binary(Binary::Add, Expr::binary(Binary::Mul, a, held), b);
        Body::sweep(Sweep { axis: self.axis, steps: vec![extent], start: None, place }, value)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let Scan { axis, reverse, start } = *self;
        let (g, a, y) = (cx.cotangent(), cx.operand(0), cx.result());
        let factor = neighbour(cx, a, axis, !reverse, 0.0);
        let back = cx.emit(Scan { axis, reverse: !reverse, start: Number::new(0.0) }, &[factor, g]);
        let before = neighbour(cx, y, axis, reverse, start.value());
        vec![Some(cx.mul(back, before)), Some(back)]
    }

    fn examples() -> Vec<Example> {
        let example = |shape: Vec<Dim>, axis, reverse, start| {
            let ty = Type::new(DType::F32, shape);
            Example::new(Scan { axis, reverse, start: Number::new(start) }, [ty.clone(), ty])
        };
        vec![
            example(vec![Dim::BATCH, 4.into()], 1, false, 0.0),
            example(vec![Dim::BATCH, 3.into(), 2.into()], 1, true, 1.0),
        ]
    }
}

/// The element before each along an axis, or after it; `outside` where there is none.
fn neighbour(cx: &mut Vjp<'_>, x: ValueId, axis: usize, after: bool, outside: f64) -> ValueId {
    let length = cx.ty(x).dim(axis).factor;
    let (low, high) = if after { (0, 1) } else { (1, 0) };
    let padded = cx.emit(Pad { axis, low, high, interior: 0, value: Number::new(outside) }, &[x]);
    cx.emit(Slice { axis, start: high, length, step: 1 }, &[padded])
}

op! {
    /// The product along an axis. Gradient: `g` times the product of the others, which is right where some are zero.
    Prod(x) {
        /// The axis; not the batch axis.
        axis: usize,
        /// Whether it stays, with extent 1.
        keep: bool,
    }
}

impl Operator for Prod {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axis("prod", &operands[0], self.axis)?;
        checks::fixed("prod", &operands[0], self.axis)?;
        checks::number("prod", &operands[0])?;
        Ok(operands[0].with_shape(reduced(&operands[0], &[self.axis], self.keep)))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        reduction(Monoid::Product, &operands[0], &[self.axis], self.keep, result.rank())
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, x, axis) = (cx.cotangent(), cx.operand(0), self.axis);
        let dtype = cx.ty(x).dtype;
        let x = cx.cast(x, accumulator(dtype));
        let zeros = cx.full_like(x, 0.0);
        let [before, after] = [false, true].map(|reverse| {
            let products = cx.emit(Scan { axis, reverse, start: Number::new(1.0) }, &[x, zeros]);
            neighbour(cx, products, axis, reverse, 1.0)
        });
        let others = cx.mul(before, after);
        let (others, g) = (cx.cast(others, dtype), repeat(cx, g, &[axis]));
        vec![Some(cx.mul(g, others))]
    }

    fn examples() -> Vec<Example> {
        let ty = Type::new(DType::F32, [Dim::BATCH, 3.into(), 4.into()]);
        vec![
            Example::new(Prod { axis: 2, keep: false }, [ty.clone()]),
            Example::new(Prod { axis: 1, keep: true }, [ty]),
        ]
    }
}
