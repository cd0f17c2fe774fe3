//! Chains of the ops of networks, each on what the last ones made, in the same few shapes: what fusion merges, and what it must not.

use kiln_ir::ops::*;
use kiln_ir::{Comparison, DType, Dim, Number, Shape, Type, ValueId};

use super::Maker;

impl Maker<'_> {
    /// One more value made of `x`, a float, and others of its type.
    pub(super) fn chained(&mut self, x: ValueId) -> ValueId {
        let ty = self.graph.ty(x).clone();
        let alike: Vec<ValueId> = self.pool.iter().copied().filter(|&value| *self.graph.ty(value) == ty).collect();
        let other = if alike.is_empty() { x } else { *self.random.pick(&alike) };
        let rank = ty.rank();
        let axis = if rank > 0 { self.random.below(rank) } else { 0 };
        let fixed = rank > 0 && !ty.dim(axis).batch;
        let (choice, bits) = (self.random.below(16), self.random.below(12));
        let (odd, third) = (bits % 2, bits / 2 % 3);
        let mut b = self.builder();
        match choice {
            0 => b.emit(Tanh {}, &[x]),
            1 => b.emit(Relu {}, &[x]),
            2 => b.add(x, other),
            3 => b.mul(x, other),
            4 => {
                let mask = b.compare(Comparison::Gt, x, other);
                b.masked(mask, other)
            }
            5 if rank > 0 => {
                let small = b.emit(Tanh {}, &[x]);
                b.sum(small, &[axis], odd == 0)
            }
            6 if rank > 0 => {
                let max = b.emit(Amax { axes: vec![axis], keep: true }, &[x]);
                let max = b.expand(max, &ty.shape);
                b.sub(x, max)
            }
            7 if rank == 2 => {
                let total = b.sum(x, &[1], true);
                let total = b.expand(total, &ty.shape);
                b.sub(x, total)
            }
            8 if fixed && ty.dim(axis).factor > 2 => {
                let (start, step) = (odd, 1 + third % 2);
                let length = (ty.dim(axis).factor - start).div_ceil(step);
                b.emit(Slice { axis, start, length, step }, &[x])
            }
            9 if fixed => {
                let (low, high, interior) = (odd, third, bits / 6);
                b.emit(Pad { axis, low, high, interior, value: Number::new(0.5) }, &[x])
            }
            10 if fixed => b.emit(Concat { axis }, &[x, other]),
            11 if rank > 2 => {
                let mut dims: Vec<usize> = (0..rank).collect();
                dims.swap(1, rank - 1);
                b.emit(Permute { dims }, &[x])
            }
            12 if rank > 1 => {
                let rest: usize = ty.shape.0[1..].iter().map(|dim| dim.factor).product();
                b.reshape(x, &Shape(vec![ty.dim(0), Dim::fixed(rest)]))
            }
            13 if rank == 2 && !ty.dim(1).batch => {
                let width = ty.dim(1).factor;
                let weight = b.full(0.5, &Type::new(DType::F32, [3, width]));
                let slope =
                    b.emit(Iota { axis: 1, dtype: DType::F32, shape: vec![Dim::fixed(3), Dim::fixed(width)] }, &[]);
                let weight = b.mul(weight, slope);
                let weight = b.emit(Sin {}, &[weight]);
                b.emit(Einsum::new("bi,oi->bo"), &[x, weight])
            }
            14 if rank == 4 && ty.dim(0).batch && ty.dim(2).factor >= 3 && ty.dim(3).factor >= 3 => {
                let channels = ty.dim(1).factor;
                let slope = b.emit(
                    Iota {
                        axis: 0,
                        dtype: DType::F32,
                        shape: vec![Dim::fixed(2), Dim::fixed(channels), Dim::fixed(3), Dim::fixed(3)],
                    },
                    &[],
                );
                let weight = b.emit(Cos {}, &[slope]);
                let stride = 1 + odd;
                let conv = Conv { stride: vec![stride; 2], padding: vec![1; 2], dilation: vec![1; 2], groups: 1 };
                b.emit(conv, &[x, weight])
            }
            15 if rank == 4 && ty.dim(0).batch && ty.dim(2).factor >= 2 && ty.dim(3).factor >= 2 => {
                let pool = MaxPool {
                    kernel: vec![2; 2],
                    stride: vec![2; 2],
                    padding: vec![0; 2],
                    dilation: vec![1; 2],
                    ceil: odd == 0,
                };
                b.emit(pool, &[x])
            }
            _ => b.neg(x),
        }
    }
}
