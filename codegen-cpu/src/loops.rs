//! Loops, and how the innermost one is cut into pieces.
//!
//! A loop whose body is straight-line code, or that the schedule puts in lanes, is written as
//!
//! ```text
//!   for i in start..low        one at a time, every load guarded
//!   for i in low..high         in lanes, several registers at a time; then in lanes; then one at a time
//!   for i in high..end         one at a time, every load guarded
//! ```
//!
//! where `[low, high)` are the positions at which all guards that move with `i` hold. Without such guards there is only the
//! middle. Each piece that is known to be empty is left out. A short end that may run twice runs in lanes over positions that have run
//! already.

use cranelift_codegen::ir::{InstBuilder, Value};
use kiln_ir::kernel::Statement;
use kiln_ir::{AxisId, Dim, Expr, Index};

use crate::emit::{Emitter, Position};
use crate::wide;
use crate::work::Work;

/// Positions of a loop.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: Value,
    pub(crate) end: Value,
    /// Both, where they are known when the kernel is compiled.
    pub(crate) known: Option<(i64, i64)>,
}

impl Emitter<'_> {
    /// Statements in order.
    pub(crate) fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Let(local, value) => {
                    let value = self.eval(value);
                    self.locals[local.0 as usize] = Some(value);
                }
                Statement::For(axes, body) => self.nest(axes, Work::Statements(body)),
                Statement::Serial(axes, body) => self.serial(axes, body),
                Statement::Reduce { axes, lets, results } => self.reduce(axes, lets, results),
                Statement::Store { tensor, index, value } => {
                    let value = self.eval(value);
                    self.store(*tensor, index, &value);
                }
            }
        }
    }

    /// Loops whose iterations follow one another: never in lanes, never in pieces, never twice.
    fn serial(&mut self, axes: &[AxisId], body: &[Statement]) {
        let Some((&axis, rest)) = axes.split_first() else { return self.statements(body) };
        let (start, end) = (self.int(0), self.trip(axis));
        let nonempty = self.fixed_trip(axis).is_some_and(|trip| trip > 0);
        self.counted_loop(start, end, 1, nonempty, &mut |e, position| {
            e.at(axis, position, &mut |e| e.serial(rest, body));
        });
    }

    /// Loops over whole axes, the first outermost.
    pub(crate) fn nest(&mut self, axes: &[AxisId], work: Work<'_>) {
        let Some((&axis, rest)) = axes.split_first() else { return self.work(work) };
        let fixed = self.fixed_trip(axis);
        if fixed == Some(0) {
            return;
        }
        if self.unroll[axis.0 as usize] || fixed == Some(1) {
            let trip = fixed.expect("only axes of known extent are written out");
            for position in 0..trip {
                self.standing(axis, Position::Constant(position), &mut |e| e.nest(rest, work));
            }
            return;
        }
        let (start, end) = (self.int(0), self.trip(axis));
        self.span(axis, Span { start, end, known: fixed.map(|trip| (0, trip)) }, rest, work);
    }

    /// A loop over part of an axis, with whole axes inside.
    pub(crate) fn span(&mut self, axis: AxisId, span: Span, rest: &[AxisId], work: Work<'_>) {
        let last = rest.iter().all(|axis| self.is_written_out(*axis));
        let in_lanes = last && self.lanes == 1 && self.vector[axis.0 as usize] > 1;
        if !(in_lanes || last && self.is_flat(work)) {
            return self.counted_loop(span.start, span.end, 1, span.known.is_some(), &mut |e, position| {
                e.at(axis, position, &mut |e| e.nest(rest, work));
            });
        }
        let mut guards = Vec::new();
        self.visit(rest, work, &mut |e, expr| {
            if let Expr::Load(load) = expr {
                e.peelable(load, axis, &mut guards);
            }
        });
        let scheduled = self.vector.clone();
        if in_lanes {
            // Loops inside run plainly in each lane. In the scalar tail they must add up in the same order.
            self.vector
                .iter_mut()
                .enumerate()
                .filter(|(id, _)| *id != axis.0 as usize)
                .for_each(|(_, lanes)| *lanes = 1);
        }
        self.cut(axis, span, &guards, in_lanes, rest, work);
        self.vector = scheduled;
    }

    /// The pieces of a loop before, where and after its guards hold.
    fn cut(
        &mut self,
        axis: AxisId,
        span: Span,
        guards: &[(Index, Dim)],
        in_lanes: bool,
        rest: &[AxisId],
        work: Work<'_>,
    ) {
        if guards.is_empty() {
            return self.middle(axis, span, in_lanes, rest, work);
        }
        let [before, inside, after] = self.pieces(axis, guards, span);
        // Of a single guard it is known as well where it fails.
        let refuted = if guards.len() == 1 { guards.to_vec() } else { Vec::new() };
        let held = std::mem::replace(&mut self.refuted, refuted);
        self.one_at_a_time(axis, before, rest, work);
        let refuted = std::mem::replace(&mut self.refuted, held.clone());
        let count = self.proven.len();
        self.proven.extend_from_slice(guards);
        self.middle(axis, inside, in_lanes, rest, work);
        self.proven.truncate(count);
        self.refuted = refuted;
        self.one_at_a_time(axis, after, rest, work);
        self.refuted = held;
    }

    /// The lanes of one step, for each loop over a vector axis: the widest first.
    /// They depend on the axis alone, not on the part of it in hand.
    pub(crate) fn widths(&mut self, axis: AxisId, rest: &[AxisId], work: Work<'_>) -> Vec<usize> {
        let (lanes, fixed) = (self.vector[axis.0 as usize], self.fixed_trip(axis));
        let registers = match (work, self.cost(rest, work)) {
            // As many sums as a wide loop has.
            (Work::Reduce { .. }, _) | (_, 0..=24) => 4,
            (_, 25..=100) => 2,
            _ => 1,
        };
        let wide = (lanes * registers).min(16.max(lanes));
        let mut widths = vec![wide, lanes];
        widths.dedup();
        widths.retain(|&width| fixed.is_none_or(|trip| trip >= width as i64));
        widths
    }

    fn work(&mut self, work: Work<'_>) {
        match work {
            Work::Statements(statements) => self.statements(statements),
            Work::Reduce { lets, results, cells } => {
                for (local, value) in lets {
                    let value = self.eval(value);
                    self.locals[local.0 as usize] = Some(value);
                }
                for (result, cell) in results.iter().zip(cells) {
                    self.accumulate(result, cell);
                }
            }
        }
    }

    /// The positions at which no moving guard is left.
    fn middle(&mut self, axis: AxisId, span: Span, in_lanes: bool, rest: &[AxisId], work: Work<'_>) {
        let mut left = span;
        let mut widths = if in_lanes { self.widths(axis, rest, work) } else { Vec::new() };
        if in_lanes && let Some(number) = self.wide_loop(axis, span) {
            match work {
                Work::Statements(_) => return self.wide_statements(number, axis, span, rest, work),
                Work::Reduce { lets, results, cells } => {
                    if let Some(rest) = self.wide_reduction(number, axis, span, rest, (lets, results, cells)) {
                        left = rest;
                        widths.retain(|&width| width < wide::LANES);
                    }
                }
            }
        }
        for width in widths {
            let step = width as i64;
            let after = self.after_full_steps(left, step);
            match left.known.map(|(start, end)| (start, (end - start) / step)) {
                Some((start, steps)) if steps <= 1 || steps <= 3 && self.cost(rest, work) <= 8 => {
                    for at in 0..steps {
                        let position = self.int(start + at * step);
                        self.in_lanes_at(axis, position, width, rest, work);
                    }
                }
                steps => self.counted_loop(left.start, after.start, step, steps.is_some(), &mut |e, position| {
                    e.in_lanes_at(axis, position, width, rest, work);
                }),
            }
            left = after;
        }
        if let (true, Some((start, end)), Some((first, _))) = (in_lanes, left.known, span.known) {
            let lanes = self.vector[axis.0 as usize] as i64;
            if start < end && end - first >= lanes && self.is_repeatable(rest, work) {
                // The last positions run in lanes too, together with some that have run already.
                let position = self.int(end - lanes);
                return self.in_lanes_at(axis, position, lanes as usize, rest, work);
            }
        }
        self.one_at_a_time(axis, left, rest, work);
    }

    /// What is left of a span after all full steps.
    pub(crate) fn after_full_steps(&mut self, span: Span, step: i64) -> Span {
        let (start, known) = match span.known {
            Some((start, end)) => {
                let stop = start + (end - start) / step * step;
                (self.int(stop), Some((stop, end)))
            }
            None => {
                let length = self.b.ins().isub(span.end, span.start);
                let whole = self.b.ins().band_imm_s(length, -step);
                (self.b.ins().iadd(span.start, whole), None)
            }
        };
        Span { start, end: span.end, known }
    }

    pub(crate) fn in_lanes_at(&mut self, axis: AxisId, base: Value, width: usize, rest: &[AxisId], work: Work<'_>) {
        let depth = self.depth;
        self.lanes = width;
        self.standing(axis, Position::Lane { base, depth }, &mut |e| e.nest(rest, work));
        self.lanes = 1;
    }

    fn one_at_a_time(&mut self, axis: AxisId, span: Span, rest: &[AxisId], work: Work<'_>) {
        if let Some((start, end)) = span.known {
            let cost = self.cost(rest, work) as i64 + 2;
            if end - start <= 1 || (end - start) * cost <= 16 {
                for position in start..end {
                    let position = self.int(position);
                    self.at(axis, position, &mut |e| e.nest(rest, work));
                }
                return;
            }
        }
        self.counted_loop(span.start, span.end, 1, span.known.is_some(), &mut |e, position| {
            e.at(axis, position, &mut |e| e.nest(rest, work));
        });
    }
}
