//! Loops over lanes as `wide` takes them: one register an operation, in steps of its four lanes, marked for what is made of them.

use std::collections::HashSet;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, types};
use kiln_ir::kernel::Reduction;
use kiln_ir::{AxisId, Expr, LocalId};

use crate::emit::Emitter;
use crate::loops::Span;
use crate::ops;
use crate::reduce::Cell;
use crate::wide::{self, Marked};
use crate::work::Work;

/// Shorter loops are not worth it: a register under a mask is loaded and stored as slowly as one that is across two lines.
const LEAST: i64 = 2 * wide::LANES as i64;
/// Nor are shorter reductions, whose sums go through memory.
const LEAST_STEPS: i64 = 2;

/// Registers of a step that has loops inside.
const SIDE_BY_SIDE: usize = 4;

/// What the emitter knows of wide loops.
#[derive(Debug, Default)]
pub(crate) struct Widening {
    /// Loops that must be written for four lanes, by number.
    pub(crate) refused: HashSet<usize>,
    pub(crate) marked: Vec<Marked>,
    /// How many loops over lanes there have been.
    count: usize,
    /// The loop in hand.
    now: Option<usize>,
}

impl Widening {
    /// All loops but these may become wide.
    pub(crate) fn all_but(refused: HashSet<usize>) -> Widening {
        Widening { refused, ..Widening::default() }
    }
}

/// What one step of a reduction is: what is bound, what is added up, and where.
type Step<'w> = (&'w [(LocalId, Expr)], &'w [Reduction], &'w [Cell]);

impl Emitter<'_> {
    /// The number of a loop over lanes, if it may be wide.
    pub(crate) fn wide_loop(&mut self, axis: AxisId, span: Span) -> Option<usize> {
        let lanes = self.vector[axis.0 as usize];
        let widening = self.widening.as_mut()?;
        let number = widening.count;
        widening.count += 1;
        let extent = self.kernel.axis(axis).extent.as_fixed().map(|extent| extent as i64);
        let longest = span.known.map(|(start, end)| end - start).or(extent);
        let is_long = longest.is_none_or(|length| length >= LEAST);
        (lanes == 4 && is_long && !widening.refused.contains(&number)).then_some(number)
    }

    /// Something is written that is different in each of four lanes: the loop in hand cannot stand for more.
    pub(crate) fn only_four_lanes(&mut self) {
        if let Some(widening) = &mut self.widening {
            widening.refused.extend(widening.now);
        }
    }

    /// Whether what is written stands for more lanes than there are.
    pub(crate) fn is_wide(&self) -> bool {
        self.widening.as_ref().is_some_and(|widening| widening.now.is_some())
    }

    /// How many registers' distance the next register of a value is.
    pub(crate) fn spread(&self) -> usize {
        if self.is_wide() { wide::TIMES } else { 1 }
    }

    /// A loop over a whole span: where there are loops inside, first in steps of several registers, of which each holds a sum of its own.
    pub(crate) fn wide_statements(&mut self, number: usize, axis: AxisId, span: Span, rest: &[AxisId], work: Work<'_>) {
        let mut left = span;
        let step = (SIDE_BY_SIDE * wide::LANES) as i64;
        let is_long = span.known.is_none_or(|(start, end)| end - start >= step);
        if is_long && !self.is_flat(work) {
            left = self.after_full_steps(span, step);
            let part =
                Span { start: span.start, end: left.start, known: span.known.zip(left.known).map(|(a, b)| (a.0, b.0)) };
            self.marked_loop(number, axis, part, SIDE_BY_SIDE, true, rest, work);
        }
        self.marked_loop(number, axis, left, 1, false, rest, work);
    }

    #[expect(clippy::too_many_arguments, reason = "a loop, and what runs in it")]
    fn marked_loop(
        &mut self,
        number: usize,
        axis: AxisId,
        span: Span,
        registers: usize,
        is_whole: bool,
        rest: &[AxisId],
        work: Work<'_>,
    ) {
        if span.known.is_some_and(|(start, end)| start >= end) {
            return;
        }
        let lanes = 4 * registers;
        self.counted_loop(span.start, span.end, lanes as i64, span.known.is_some(), &mut |e, position| {
            let mark = |header| Marked { number, header, lanes: lanes as i64, is_whole, after: None };
            e.wide_step(number, |e| e.in_lanes_at(axis, position, lanes, rest, work), mark);
        });
    }

    /// One step of a loop whose header is the block in hand.
    fn wide_step(
        &mut self,
        number: usize,
        body: impl FnOnce(&mut Self),
        mark: impl FnOnce(cranelift_codegen::ir::Block) -> Marked,
    ) {
        let header = self.b.current_block().expect("a loop has begun");
        let widening = self.widening.as_mut().expect("only then are there wide loops");
        widening.now = Some(number);
        widening.marked.push(mark(header));
        body(self);
        self.widening.as_mut().expect("it is still there").now = None;
    }

    /// The full steps of a reduction. Its sums, of which a register of four lanes holds but a quarter, go through memory; what is left of the
    /// span is returned. `None`: it must be written for four lanes.
    pub(crate) fn wide_reduction(
        &mut self,
        number: usize,
        axis: AxisId,
        span: Span,
        rest: &[AxisId],
        (lets, results, cells): Step<'_>,
    ) -> Option<Span> {
        let lanes = wide::LANES as i64;
        let is_long = span.known.is_none_or(|(start, end)| end - start >= LEAST_STEPS * lanes);
        if !is_long || cells.iter().any(|cell| cell.registers.len() != 4) {
            return None;
        }
        let left = self.after_full_steps(span, lanes);
        let stop = left.start;
        let flags = MemFlagsData::trusted();
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 64 * cells.len() as u32, 6);
        let slot = self.b.create_sized_stack_slot(slot);
        let place = self.b.ins().stack_addr(types::I64, slot, 0);
        let quarters = |cell: usize| (0..4).map(move |quarter| (quarter, (64 * cell + 16 * quarter) as i32));
        for (at, cell) in cells.iter().enumerate() {
            for (quarter, offset) in quarters(at) {
                let held = self.b.use_var(cell.registers[quarter]);
                // Another type than that of the loop: what is stored here is not all of what is read there.
                let ty = other(self.b.func.dfg.value_type(held));
                let held = ops::bitcast(&mut self.b, ty, held);
                self.b.ins().store(flags, held, place, offset);
            }
        }
        let wide: Vec<Cell> = cells.iter().map(|cell| self.wide_cell(cell)).collect();
        let (inside, after, beyond) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let position = self.b.append_block_param(inside, types::I64);
        let any = self.b.ins().icmp(IntCC::SignedLessThan, span.start, stop);
        self.b.ins().brif(any, inside, &[span.start.into()], beyond, &[]);
        self.b.switch_to_block(inside);
        self.depth += 1;
        let work = Work::Reduce { lets, results, cells: &wide };
        let body = |e: &mut Self| e.in_lanes_at(axis, position, 4, rest, work);
        self.wide_step(number, body, |header| Marked { number, header, lanes: 4, is_whole: true, after: Some(after) });
        self.depth -= 1;
        let next = self.b.ins().iadd_imm_s(position, 4);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, stop);
        self.b.ins().brif(more, inside, &[next.into()], after, &[]);
        self.b.seal_block(inside);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
        for (at, cell) in wide.iter().enumerate() {
            let sum = self.b.use_var(cell.registers[0]);
            self.b.ins().store(flags, sum, place, 64 * at as i32);
        }
        self.b.ins().jump(beyond, &[]);
        self.b.seal_block(beyond);
        self.b.switch_to_block(beyond);
        for (at, cell) in cells.iter().enumerate() {
            for (quarter, offset) in quarters(at) {
                let ty = ops::vector_type(cell.dtype).expect("registers have a vector type");
                let held = self.b.ins().load(other(ty), flags, place, offset);
                let held = ops::bitcast(&mut self.b, ty, held);
                self.b.def_var(cell.registers[quarter], held);
            }
        }
        Some(left)
    }
}

/// The other type of four lanes of 32 bits.
fn other(ty: cranelift_codegen::ir::Type) -> cranelift_codegen::ir::Type {
    if ty == types::F32X4 { types::I32X4 } else { types::F32X4 }
}
