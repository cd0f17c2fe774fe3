//! Reductions over whole axes.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Body, Comparison, DType, Diagnostic, Dim, Index, Kind, Monoid, Shape, Type, ValueId, Vjp, load};

/// The shape without `axes`, or with extent 1 there.
pub(super) fn reduced(ty: &Type, axes: &[usize], keep: bool) -> Shape {
    let kept = ty.shape.0.iter().enumerate().filter_map(|(axis, dim)| match axes.contains(&axis) {
        true => keep.then_some(Dim::ONE),
        false => Some(*dim),
    });
    Shape(kept.collect())
}

/// The operand's element at the kept axes of the result and the reduction's axes, in the operand's order.
pub(super) fn reduction(monoid: Monoid, ty: &Type, axes: &[usize], keep: bool, result_rank: usize) -> Body {
    let mut next_kept = 0;
    let mut next_reduced = result_rank as u32;
    let mut extents = Vec::new();
    let index = (0..ty.rank()).map(|axis| {
        let number = if axes.contains(&axis) {
            extents.push(ty.dim(axis));
            next_kept += u32::from(keep);
            &mut next_reduced
        } else {
            &mut next_kept
        };
        *number += 1;
        Index::axis(crate::AxisId(*number - 1))
    });
    let value = load(0, index.collect(), None);
    Body::reduce(Kind::Reduce, monoid, extents, value)
}

/// `value`, which has the result's shape, repeated over the operand's.
pub(super) fn repeat(cx: &mut Vjp<'_>, value: ValueId, axes: &[usize]) -> ValueId {
    let ty = cx.ty(cx.operand(0));
    let kept = cx.reshape(value, &reduced(&ty, axes, true));
    cx.expand(kept, &ty.shape)
}

fn example(op: impl Into<super::Op>) -> Example {
    Example::new(op, [Type::new(DType::F32, [Dim::BATCH, 3.into(), 4.into()])])
}

macro_rules! reductions {
    ($($(#[doc = $doc:literal])* $name:ident of $check:ident $text:literal $monoid:ident; |$cx:ident, $axes:ident| $vjp:expr;)*) => {$(
        op! {
            $(#[doc = $doc])*
            $name(x) {
                /// The axes that are reduced.
                axes: Vec<usize>,
                /// Whether they stay, with extent 1.
                keep: bool,
            }
        }

        impl Operator for $name {
            fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
                checks::axes($text, &operands[0], &self.axes)?;
                checks::$check($text, &operands[0])?;
                Ok(operands[0].with_shape(reduced(&operands[0], &self.axes, self.keep)))
            }

            fn body(&self, operands: &[Type], result: &Type) -> Body {
                reduction(Monoid::$monoid, &operands[0], &self.axes, self.keep, result.rank())
            }

            fn vjp(&self, $cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                let $axes = &self.axes;
                vec![Some($vjp)]
            }

            fn examples() -> Vec<Example> {
                vec![
                    example($name { axes: vec![2], keep: false }),
                    example($name { axes: vec![0, 2], keep: true }),
                    example($name { axes: vec![0, 1, 2], keep: false }),
                ]
            }
        }
    )*};
}

reductions! {
    /// The sum over axes. Gradient: `g` repeated.
    Sum of number "sum" Sum; |cx, axes| { let g = cx.cotangent(); repeat(cx, g, axes) };
    /// The maximum over axes, NaN if any is; of `bool`s, whether any holds. Gradient: `g` shared evenly among equal maxima (PyTorch's `amax`).
    Amax of any "amax" Max; |cx, axes| share(cx, axes);
    /// The minimum over axes, NaN if any is; of `bool`s, whether all hold. Gradient: `g` shared evenly among equal minima (PyTorch's `amin`).
    Amin of any "amin" Min; |cx, axes| share(cx, axes);
}

/// `g / count` where the operand equals the result, with the number of such places as the count.
fn share(cx: &mut Vjp<'_>, axes: &[usize]) -> ValueId {
    let (x, y, g) = (cx.operand(0), cx.result(), cx.cotangent());
    let extreme = repeat(cx, y, axes);
    let equal = cx.compare(Comparison::Eq, x, extreme);
    let ones = cx.full_like(x, 1.0);
    let hits = cx.masked(equal, ones);
    let count = cx.sum(hits, axes, true);
    let shape = cx.ty(y).shape;
    let count = cx.reshape(count, &shape);
    let part = cx.div(g, count);
    let part = repeat(cx, part, axes);
    cx.masked(equal, part)
}

op! {
    /// The row-major position, in the reduced axes, of the first maximum, as `i64`; NaN counts as greatest. No gradient.
    Argmax(x) {
        /// The axes that are reduced.
        axes: Vec<usize>,
        /// Whether they stay, with extent 1.
        keep: bool,
    }
}

impl Operator for Argmax {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axes("argmax", &operands[0], &self.axes)?;
        checks::number("argmax", &operands[0])?;
        let shape = reduced(&operands[0], &self.axes, self.keep);
        Ok(Type::new(DType::I64, shape))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        reduction(Monoid::ArgMax, &operands[0], &self.axes, self.keep, result.rank())
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None]
    }

    fn examples() -> Vec<Example> {
        vec![example(Argmax { axes: vec![2], keep: false }), example(Argmax { axes: vec![1, 2], keep: true })]
    }
}
