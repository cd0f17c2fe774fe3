//! Ops that change nothing, or not much.

use kiln_ir::ops::*;
use kiln_ir::{DType, Dim, Number, Op, ValueId};

use super::Maker;

impl Maker<'_> {
    /// Something that simplification should see through.
    pub(super) fn idle(&mut self, x: ValueId) -> ValueId {
        let choice = self.random.below(19);
        let other = self.value();
        let mut cx = self.builder();
        let ty = cx.ty(x);
        let last = ty.rank().checked_sub(1).filter(|&axis| !ty.dim(axis).batch);
        if !ty.dtype.is_float() {
            let wide = cx.cast(x, DType::I64);
            return cx.cast(wide, DType::F64);
        }
        match (choice, last) {
            (0, _) => {
                let zero = cx.full_like(x, 0.0);
                cx.add(zero, x)
            }
            (1, _) => {
                let one = cx.full_like(x, 1.0);
                let product = cx.mul(one, x);
                cx.div(product, one)
            }
            (2, _) => {
                let negated = cx.neg(x);
                let back = cx.neg(negated);
                let difference = cx.sub(back, negated);
                cx.add(negated, difference)
            }
            (3, _) => {
                let doubled = cx.scale(x, 2.0);
                let more = cx.scale(doubled, 3.0);
                let eight = cx.full_like(x, 8.0);
                cx.div(more, eight)
            }
            (4, _) => {
                let wide = cx.cast(x, DType::F64);
                cx.cast(wide, ty.dtype)
            }
            (5, _) => {
                let yes = cx.full(1.0, &ty.with_dtype(DType::Bool));
                let y = cx.neg(x);
                cx.select(yes, x, y)
            }
            (6, _) => {
                let bounded = cx.emit(Tanh {}, &[x]);
                let two = cx.full_like(x, 2.0);
                cx.emit(Pow {}, &[bounded, two])
            }
            (7, Some(axis)) => {
                let split = ty.shape.0[..axis].iter().copied().chain([Dim::ONE, ty.dim(axis)]).collect::<Vec<Dim>>();
                let split = cx.reshape(x, &split.into());
                let y = cx.emit(Relu {}, &[split]);
                cx.reshape(y, &ty.shape)
            }
            (8, Some(axis)) => {
                let part = cx.emit(Slice { axis, start: 0, length: ty.dim(axis).factor, step: 1 }, &[x]);
                cx.emit(Pad { axis, low: 0, high: 0, interior: 0, value: Number::new(1.0) }, &[part])
            }
            (9, Some(axis)) => {
                let pad = Pad { axis, low: 1, high: 2, interior: 1, value: Number::new(0.0) };
                let padded = cx.emit(pad, &[x]);
                cx.emit(Slice { axis, start: 1, length: ty.dim(axis).factor, step: 2 }, &[padded])
            }
            (10, Some(axis)) if axis >= 1 => {
                let sum = cx.emit(Sum { axes: vec![axis], keep: false }, &[x]);
                cx.emit(Sum { axes: vec![axis - 1], keep: true }, &[sum])
            }
            (11, Some(axis)) if axis >= 2 || (axis == 1 && !ty.dim(0).batch) => {
                let mut dims: Vec<usize> = (0..ty.rank()).collect();
                dims.swap(axis, axis - 1);
                let there = cx.emit(Permute { dims: dims.clone() }, &[x]);
                cx.emit(Permute { dims }, &[there])
            }
            (12, _) => {
                let extended = [vec![Dim::ONE], vec![Dim::fixed(2)]].concat();
                let scalar = cx.sum(x, &(0..ty.rank()).collect::<Vec<_>>(), false);
                let once = cx.expand(scalar, &vec![Dim::fixed(2)].into());
                let wide = cx.expand(once, &extended.into());
                cx.emit(Amax { axes: vec![0], keep: false }, &[wide])
            }
            (13, Some(axis)) => {
                let ones = ty.shape.0[..=axis].iter().copied().chain([Dim::ONE]).collect::<Vec<Dim>>();
                let tall = cx.reshape(x, &ones.into());
                cx.emit(Sum { axes: vec![axis, axis + 1], keep: false }, &[tall])
            }
            (14, _) => cx.emit(Detach {}, &[x]),
            (15, Some(axis)) if ty.dim(axis).factor >= 4 => {
                let part = cx.emit(Slice { axis, start: 0, length: ty.dim(axis).factor / 2, step: 2 }, &[x]);
                cx.emit(Slice { axis, start: 1, length: 1, step: 1 }, &[part])
            }
            (16, _) => {
                // Zeros on both sides of the comparisons.
                let (zero, positive) = (cx.full_like(x, 0.0), cx.emit(Relu {}, &[x]));
                let op: [Op; 4] = [Lt {}.into(), Le {}.into(), Gt {}.into(), Ge {}.into()];
                let holds = cx.emit(op[ty.rank() % 4].clone(), &[zero, positive]);
                let not = cx.emit(Not {}, &[holds]);
                cx.select(not, x, positive)
            }
            _ if cx.ty(other) == ty => {
                let (a, b) = (cx.mul(x, other), cx.mul(other, x));
                cx.sub(a, b)
            }
            _ => cx.emit(Relu {}, &[x]),
        }
    }
}
