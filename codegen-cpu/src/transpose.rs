//! Packing with exchanged axes: the source is contiguous along another axis than the tile.
//!
//! Such a copy is one call of the runtime for each position of the axes that take no part.

use std::mem::offset_of;

use cranelift_codegen::ir::Value;
use kiln_ir::kernel::Statement;
use kiln_ir::{AxisId, DType, Expr, Index, TensorId};
use kiln_runtime::abi::{KernelContext, TransposeArgs};

use crate::emit::Emitter;
use crate::tiling::factor;

/// One matrix: `to[rows][columns]`.
pub(crate) struct Transpose {
    to: (TensorId, Index),
    to_stride: i64,
    from: (TensorId, Index),
    from_stride: i64,
    /// Contiguous in the source, the innermost last.
    rows: Vec<AxisId>,
    /// Contiguous in the tile, the innermost last.
    columns: Vec<AxisId>,
}

/// Shorter rows or columns are not worth a call.
const LEAST: i64 = 4;

impl Emitter<'_> {
    /// The axes to loop over, and the matrix inside them, if a packing loop is of this kind.
    pub(crate) fn transposition(&self, axes: &[AxisId], body: &[Statement]) -> Option<(Vec<AxisId>, Transpose)> {
        let [Statement::Store { tensor, index, value: Expr::Load(load) }] = body else { return None };
        if load.fill.is_some() || self.kernel.tensor(load.tensor).ty.dtype != DType::F32 {
            return None;
        }
        let (to, from) = (self.linear(*tensor, index), self.linear(load.tensor, &load.index));
        let strides = |position: &Index| axes.iter().map(|&axis| factor(position, axis)).collect::<Option<Vec<i64>>>();
        let (to_strides, from_strides) = (strides(&to)?, strides(&from)?);
        let long = |at: usize| self.fixed_trip(axes[at]) != Some(1);
        let unit = |strides: &[i64]| (0..axes.len()).rev().find(|&at| strides[at] == 1 && long(at));
        let (row, column) = (unit(&from_strides)?, unit(&to_strides)?);
        if row == column {
            return None;
        }
        let rows = self.merged(axes, &from_strides, &to_strides, row, column);
        let columns = self.merged(axes, &to_strides, &from_strides, column, row);
        let short = |members: &[usize]| {
            let known: Option<i64> = members.iter().map(|&at| self.fixed_trip(axes[at])).product();
            known.is_some_and(|count| count < LEAST)
        };
        if short(&rows) || short(&columns) {
            return None;
        }
        let outside = (0..axes.len()).filter(|at| !rows.contains(at) && !columns.contains(at));
        let outside = outside.map(|at| axes[at]).collect();
        let (to_stride, from_stride) = (to_strides[row], from_strides[column]);
        let named = |members: Vec<usize>| members.into_iter().map(|at| axes[at]).collect();
        let (to, from) = ((*tensor, to), (load.tensor, from));
        Some((outside, Transpose { to, to_stride, from, from_stride, rows: named(rows), columns: named(columns) }))
    }

    /// An axis with those around it that go on where it ends, in both tensors. The axis itself is whole.
    fn merged(&self, axes: &[AxisId], unit: &[i64], other: &[i64], axis: usize, except: usize) -> Vec<usize> {
        let mut members = vec![axis];
        while let Some(trip) = self.fixed_trip(axes[members[0]]) {
            let first = members[0];
            let follows = |&at: &usize| {
                at != except && at != first && unit[at] == unit[first] * trip && other[at] == other[first] * trip
            };
            let Some(next) = (0..axes.len()).find(|at| !members.contains(at) && follows(at)) else { break };
            members.insert(0, next);
        }
        members
    }

    /// Loops over the axes outside, with a call inside.
    pub(crate) fn transpose(&mut self, outside: &[AxisId], matrix: &Transpose) {
        if let Some((&axis, rest)) = outside.split_first() {
            let (start, end, fixed) = (self.int(0), self.trip(axis), self.fixed_trip(axis));
            return self.counted_loop(start, end, 1, fixed.is_some_and(|trip| trip > 0), &mut |e, position| {
                e.at(axis, position, &mut |e| e.transpose(rest, matrix));
            });
        }
        let axes = [matrix.rows.as_slice(), &matrix.columns].concat();
        let (to, from) = (&matrix.to, &matrix.from);
        let fields = [
            (offset_of!(TransposeArgs, rows), self.count(&matrix.rows)),
            (offset_of!(TransposeArgs, columns), self.count(&matrix.columns)),
            (offset_of!(TransposeArgs, to), self.first_element(&axes, to.0, &to.1)),
            (offset_of!(TransposeArgs, to_stride), self.int(matrix.to_stride)),
            (offset_of!(TransposeArgs, from), self.first_element(&axes, from.0, &from.1)),
            (offset_of!(TransposeArgs, from_stride), self.int(matrix.from_stride)),
        ];
        let arguments = self.stack_struct::<TransposeArgs>();
        self.call_with(KernelContext::OFFSET_TRANSPOSE_F32, arguments, &fields);
    }

    fn count(&mut self, axes: &[AxisId]) -> Value {
        let mut count = self.trip(axes[0]);
        for &axis in &axes[1..] {
            let trip = self.fixed_trip(axis).expect("only the outermost of merged axes may be short");
            count = self.scaled(count, trip);
        }
        count
    }
}
