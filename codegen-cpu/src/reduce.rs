//! Reductions, in one fixed order that no thread count changes.
//!
//! Plainly, values are combined one after the other, starting from the identity. Where the last axis runs in lanes there are two sets
//! of partial results for the whole nest: registers, one partial result a lane and up to four registers, and one scalar for the
//! positions that fill no register or that are guarded. At the end the registers are combined in order, then the lanes of the
//! result in order, then the scalar. Where an axis *around* the reduction runs in lanes, each lane has its own result and the
//! order is the plain one.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::Variable;
use kiln_ir::kernel::Reduction;
use kiln_ir::{AxisId, DType, Expr, Index, LocalId, Monoid};

use crate::emit::Emitter;
use crate::lanes::Lanes;
use crate::ops;
use crate::work::Work;

/// The partial results of one reduction.
pub(crate) struct Cell {
    pub(crate) dtype: DType,
    /// One variable outside lanes; otherwise registers or one scalar a lane, as the lanes around need.
    plain: Vec<Variable>,
    /// Registers over the last axis, where that runs in lanes.
    pub(crate) registers: Vec<Variable>,
    /// `ArgMax`: the positions, beside `plain`'s values, and the position of the iteration.
    arg_max: Option<(Vec<Variable>, Index)>,
}

impl Emitter<'_> {
    /// Runs a reduction and binds its results.
    pub(crate) fn reduce(&mut self, axes: &[AxisId], lets: &[(LocalId, Expr)], results: &[Reduction]) {
        let last = axes.iter().rposition(|axis| !self.is_written_out(*axis));
        let vector_axis = last.map(|last| axes[last]);
        let planned = Work::Reduce { lets, results, cells: &[] };
        let width = last.and_then(|last| self.lanes_over(axes[last], results, &axes[last + 1..], planned));
        let scheduled = vector_axis.map(|axis| (axis.0 as usize, self.vector[axis.0 as usize]));
        if let (None, Some((axis, _))) = (width, scheduled) {
            self.vector[axis] = 1;
        }
        let cells: Vec<Cell> = results.iter().map(|result| self.cell(result, width, axes)).collect();
        self.nest(axes, Work::Reduce { lets, results, cells: &cells });
        if let Some((axis, lanes)) = scheduled {
            self.vector[axis] = lanes;
        }
        for (result, cell) in results.iter().zip(&cells) {
            let value = self.finish(result, cell);
            let dtype = self.dtype(&result.value);
            let value =
                if dtype.is_half() && cell.arg_max.is_none() { self.cast(cell.dtype, dtype, &value) } else { value };
            self.locals[result.local.0 as usize] = Some(value);
        }
    }

    /// Adds one iteration to a result.
    pub(crate) fn accumulate(&mut self, result: &Reduction, cell: &Cell) {
        let value = self.eval(&result.value);
        if let Some((positions, index)) = &cell.arg_max {
            return self.accumulate_arg_max(&value, cell, positions, index);
        }
        let over_lanes = self.lanes > 1 && !cell.registers.is_empty();
        let variables = if over_lanes { &cell.registers } else { &cell.plain };
        let values = match self.packable(cell.dtype) {
            Some(ty) => self.packed(&value, ty),
            None => self.split(&value, cell.dtype),
        };
        for (&variable, value) in variables.iter().zip(values) {
            let held = self.b.use_var(variable);
            let sum = self.combine(result.monoid, cell.dtype, held, value);
            self.b.def_var(variable, sum);
        }
    }

    /// The lanes of the widest step over the last axis, if the reduction can run in lanes.
    fn lanes_over(&mut self, axis: AxisId, results: &[Reduction], rest: &[AxisId], work: Work<'_>) -> Option<usize> {
        let lanes = self.vector[axis.0 as usize];
        let fits = |result: &Reduction| {
            let ty = ops::vector_type(self.dtype(&result.value));
            result.monoid != Monoid::ArgMax && ty.is_some_and(|ty| lanes.is_multiple_of(ty.lane_count() as usize))
        };
        if self.lanes > 1 || lanes == 1 || !results.iter().all(fits) {
            return None;
        }
        self.widths(axis, rest, work).first().copied()
    }

    fn cell(&mut self, result: &Reduction, width: Option<usize>, axes: &[AxisId]) -> Cell {
        // Halves are rounded once, at the end.
        let dtype = ops::held(self.dtype(&result.value));
        let identity = self.constant(dtype, identity(result.monoid, dtype));
        if result.monoid == Monoid::ArgMax {
            let zero = self.int(0);
            let plain = (0..self.lanes).map(|_| self.variable(identity)).collect();
            let positions = (0..self.lanes).map(|_| self.variable(zero)).collect();
            return Cell { dtype, plain, registers: Vec::new(), arg_max: Some((positions, self.row_major(axes))) };
        }
        let plain = match self.packable(dtype) {
            Some(ty) => self.vector_variables(identity, ty, self.lanes),
            None => (0..self.lanes).map(|_| self.variable(identity)).collect(),
        };
        let registers = match (width, ops::vector_type(dtype)) {
            (Some(width), Some(ty)) => self.vector_variables(identity, ty, width),
            _ => Vec::new(),
        };
        Cell { dtype, plain, registers, arg_max: None }
    }

    /// The partial results of a wide loop, where one register stands for all.
    pub(crate) fn wide_cell(&mut self, cell: &Cell) -> Cell {
        let start = self.b.use_var(cell.registers[0]);
        let registers = vec![self.variable(start)];
        Cell { dtype: cell.dtype, plain: Vec::new(), registers, arg_max: None }
    }

    fn finish(&mut self, result: &Reduction, cell: &Cell) -> Lanes {
        let held = |e: &mut Self, variables: &[Variable]| -> Vec<Value> {
            variables.iter().map(|&variable| e.b.use_var(variable)).collect()
        };
        if let Some((positions, _)) = &cell.arg_max {
            let positions = held(self, positions);
            return if self.lanes == 1 { Lanes::Uniform(positions[0]) } else { Lanes::Split(positions) };
        }
        let plain = held(self, &cell.plain);
        if self.lanes > 1 {
            return if self.packable(cell.dtype).is_some() { Lanes::Packed(plain) } else { Lanes::Split(plain) };
        }
        let registers = held(self, &cell.registers);
        let Some((&first, rest)) = registers.split_first() else { return Lanes::Uniform(plain[0]) };
        let sum = rest.iter().fold(first, |sum, &next| self.combine(result.monoid, cell.dtype, sum, next));
        let mut total = self.b.ins().extractlane(sum, 0);
        for lane in 1..self.b.func.dfg.value_type(sum).lane_count() {
            let next = self.b.ins().extractlane(sum, lane as u8);
            total = self.combine(result.monoid, cell.dtype, total, next);
        }
        Lanes::Uniform(self.combine(result.monoid, cell.dtype, total, plain[0]))
    }

    /// The first of equal maxima wins, and a NaN over every number.
    fn accumulate_arg_max(&mut self, value: &Lanes, cell: &Cell, positions: &[Variable], index: &Index) {
        let values = self.split(value, cell.dtype);
        for (lane, value) in values.into_iter().enumerate() {
            let best = self.b.use_var(cell.plain[lane]);
            let greater = if cell.dtype.is_float() {
                let greater = self.b.ins().fcmp(FloatCC::GreaterThan, value, best);
                let is_nan = self.b.ins().fcmp(FloatCC::Unordered, value, value);
                let has_best = self.b.ins().fcmp(FloatCC::Ordered, best, best);
                let first_nan = self.b.ins().band(is_nan, has_best);
                self.b.ins().bor(greater, first_nan)
            } else if matches!(cell.dtype, DType::U8 | DType::Bool) {
                self.b.ins().icmp(IntCC::UnsignedGreaterThan, value, best)
            } else {
                self.b.ins().icmp(IntCC::SignedGreaterThan, value, best)
            };
            let (here, held) = (self.index_value(index, lane), self.b.use_var(positions[lane]));
            let (best, position) =
                (self.b.ins().select(greater, value, best), self.b.ins().select(greater, here, held));
            self.b.def_var(cell.plain[lane], best);
            self.b.def_var(positions[lane], position);
        }
    }

    /// The row-major position in the reduction's axes.
    fn row_major(&self, axes: &[AxisId]) -> Index {
        let mut index = Index::default();
        let mut stride = 1;
        for &axis in axes.iter().rev() {
            index = index.plus(&Index::axis(axis).times(stride));
            stride *= self.kernel.axis(axis).extent.factor as i64;
        }
        index
    }

    fn variable(&mut self, start: Value) -> Variable {
        let ty = self.b.func.dfg.value_type(start);
        let variable = self.b.declare_var(ty);
        self.b.def_var(variable, start);
        variable
    }

    fn vector_variables(&mut self, start: Value, ty: Type, lanes: usize) -> Vec<Variable> {
        let start = ops::splat(&mut self.b, ty, start);
        (0..lanes / ty.lane_count() as usize).map(|_| self.variable(start)).collect()
    }
}

/// The value that changes nothing. `ArgMax` starts at the least value, and position 0.
fn identity(monoid: Monoid, dtype: DType) -> f64 {
    let (least, greatest) = match dtype {
        DType::Bool => (0.0, 1.0),
        DType::U8 => (0.0, 255.0),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::I64 => (i64::MIN as f64, i64::MAX as f64),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    match monoid {
        Monoid::Sum => 0.0,
        Monoid::Product => 1.0,
        Monoid::Max | Monoid::ArgMax => least,
        Monoid::Min => greatest,
    }
}
