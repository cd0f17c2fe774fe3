//! Values of index expressions and addresses of elements.
//!
//! An address is the tensor's pointer plus one term for each atom of the linear index, those of outer loops first: every partial
//! sum then belongs to the outermost loop in which it is constant, and only the last addition is left in the innermost one,
//! where it becomes part of the addressing mode.

use cranelift_codegen::ir::{InstBuilder, Value};
use kiln_ir::{Atom, AxisId, DType, Expr, Index, TensorId};

use crate::emit::{Emitter, Position};
use crate::lanes::Lanes;
use crate::ops;

/// An address: a register and a constant that fits an instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) base: Value,
    pub(crate) offset: i32,
}

/// How an index changes from lane to lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// By a constant; 0 where lanes agree.
    Constant(i64),
    /// In no simple way.
    Irregular,
}

impl Emitter<'_> {
    /// The value of an index in one lane.
    pub(crate) fn index_value(&mut self, index: &Index, lane: usize) -> Value {
        let (terms, offset) = self.terms(index, 1, lane);
        match terms.split_first() {
            None => self.int(offset),
            Some((first, rest)) => {
                let sum = rest.iter().fold(*first, |sum, &term| self.b.ins().iadd(sum, term));
                if offset == 0 { sum } else { self.b.ins().iadd_imm_s(sum, offset) }
            }
        }
    }

    /// The value of an index in all lanes.
    pub(crate) fn index_lanes(&mut self, index: &Index) -> Lanes {
        let index = self.resolve(index);
        match (self.step(&index), self.packable(DType::I64)) {
            (Step::Constant(0), _) => Lanes::Uniform(self.index_value(&index, 0)),
            (Step::Constant(step), Some(ty)) => {
                let first = self.index_value(&index, 0);
                let first = self.b.ins().splat(ty, first);
                let registers = (0..self.lanes as i64 / 2).map(|register| {
                    let lanes = [2 * register * step, (2 * register + 1) * step].map(i64::to_le_bytes).concat();
                    let lanes = ops::vector_constant(&mut self.b, ty, &lanes);
                    self.b.ins().iadd(first, lanes)
                });
                Lanes::Packed(registers.collect())
            }
            _ => Lanes::Split((0..self.lanes).map(|lane| self.index_value(&index, lane)).collect()),
        }
    }

    /// Where a linear index (in elements) of a tensor lies in one lane. `extra` is added: bytes, known in its loop.
    pub(crate) fn address(&mut self, tensor: TensorId, linear: &Index, lane: usize, extra: Option<Value>) -> Address {
        let size = self.kernel.tensor(tensor).ty.dtype.size_bytes() as i64;
        let (terms, offset) = self.terms(linear, size, lane);
        let pointer = self.pointers[tensor.0 as usize];
        let base = extra.map_or(pointer, |extra| self.b.ins().iadd(pointer, extra));
        let base = terms.into_iter().fold(base, |sum, term| self.b.ins().iadd(sum, term));
        match i32::try_from(offset) {
            // Room is left for the offsets of a register's lanes.
            Ok(offset) if offset < i32::MAX - 4096 => Address { base, offset },
            _ => Address { base: self.b.ins().iadd_imm_s(base, offset), offset: 0 },
        }
    }

    /// The row-major position of an element.
    pub(crate) fn linear(&self, tensor: TensorId, index: &[Index]) -> Index {
        let strides = self.kernel.tensor(tensor).ty.shape.strides();
        index.iter().zip(strides).fold(Index::default(), |sum, (index, stride)| sum.plus(&index.times(stride as i64)))
    }

    /// How an index changes from lane to lane.
    pub(crate) fn step(&self, index: &Index) -> Step {
        let mut step = 0;
        for (atom, factor) in &index.terms {
            match atom {
                Atom::Axis(axis) if self.in_lanes(*axis) => step += factor,
                Atom::Axis(_) => {}
                Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => {
                    if self.step(inner) != Step::Constant(0) {
                        return Step::Irregular;
                    }
                }
                Atom::Value(value) => {
                    if self.varies(value) {
                        return Step::Irregular;
                    }
                }
            }
        }
        Step::Constant(step)
    }

    /// Whether an expression may differ from lane to lane.
    pub(crate) fn varies(&self, expr: &Expr) -> bool {
        if self.lanes == 1 {
            return false;
        }
        let mut varies = false;
        expr.for_each(&mut |expr| match expr {
            Expr::Local(local) => {
                varies |= !matches!(self.locals[local.0 as usize], Some(Lanes::Uniform(_)));
            }
            Expr::Index(index) => index.for_each_axis(&mut |axis| varies |= self.in_lanes(axis)),
            Expr::Load(load) => {
                for index in &load.index {
                    index.for_each_axis(&mut |axis| varies |= self.in_lanes(axis));
                }
            }
            _ => {}
        });
        varies
    }

    /// Whether an axis runs in lanes.
    pub(crate) fn in_lanes(&self, axis: AxisId) -> bool {
        matches!(self.positions[axis.0 as usize], Position::Lane { .. })
    }

    /// The terms of `index · scale` in one lane, those of outer loops first, and its constant part.
    fn terms(&mut self, index: &Index, scale: i64, lane: usize) -> (Vec<Value>, i64) {
        let index = self.resolve(index);
        let mut offset = index.offset * scale;
        let mut terms: Vec<(u32, &Atom, i64)> =
            index.terms.iter().map(|(atom, factor)| (self.atom_depth(atom), atom, factor * scale)).collect();
        terms.sort_by_key(|(depth, ..)| *depth);
        let values = terms
            .into_iter()
            .map(|(_, atom, factor)| {
                if matches!(atom, Atom::Axis(axis) if self.in_lanes(*axis)) {
                    offset += lane as i64 * factor;
                }
                let value = self.atom_value(atom, lane);
                self.scaled(value, factor)
            })
            .collect();
        (values, offset)
    }

    fn atom_depth(&self, atom: &Atom) -> u32 {
        let mut depth = 0;
        match atom {
            Atom::Axis(axis) => depth = self.axis_depth(*axis),
            Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => {
                inner.for_each_axis(&mut |axis| depth = depth.max(self.axis_depth(axis)));
            }
            Atom::Value(_) => depth = self.depth,
        }
        depth
    }

    fn axis_depth(&self, axis: AxisId) -> u32 {
        match self.positions[axis.0 as usize] {
            Position::Scalar { depth, .. } | Position::Lane { depth, .. } => depth,
            Position::Constant(_) | Position::Unbound => 0,
        }
    }

    /// The value of an atom in one lane; of an axis in lanes, the position of lane 0.
    fn atom_value(&mut self, atom: &Atom, lane: usize) -> Value {
        match atom {
            Atom::Axis(axis) => match self.positions[axis.0 as usize] {
                Position::Constant(position) => self.int(position),
                Position::Scalar { value, .. } | Position::Lane { base: value, .. } => value,
                Position::Unbound => unreachable!("the verifier rejects an axis outside its loop"),
            },
            Atom::Div(inner, by) | Atom::ExactDiv(inner, by) => self.floor_division(inner, *by, lane).0,
            Atom::Mod(inner, by) => self.floor_division(inner, *by, lane).1,
            Atom::Value(expr) => {
                let value = self.eval(expr);
                self.lane(&value, DType::I64, lane)
            }
        }
    }

    /// Quotient and remainder, rounded towards minus infinity.
    pub(crate) fn floor_division(&mut self, inner: &Index, by: i64, lane: usize) -> (Value, Value) {
        let x = self.index_value(inner, lane);
        if by.count_ones() == 1 {
            return (self.b.ins().sshr_imm_u(x, i64::from(by.trailing_zeros())), self.b.ins().band_imm_s(x, by - 1));
        }
        if self.range(inner).least.is_some_and(|least| least >= 0) {
            return (self.b.ins().udiv_imm_u(x, by), self.b.ins().urem_imm_u(x, by));
        }
        // Truncated division, put right where the remainder is negative.
        let quotient = self.b.ins().sdiv_imm_s(x, by);
        let remainder = self.b.ins().srem_imm_s(x, by);
        let borrow = self.b.ins().sshr_imm_u(remainder, 63);
        let correction = self.b.ins().band_imm_s(borrow, by);
        (self.b.ins().iadd(quotient, borrow), self.b.ins().iadd(remainder, correction))
    }
}
