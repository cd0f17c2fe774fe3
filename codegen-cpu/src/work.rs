//! What runs inside a loop nest, and what the loops must know about it: its expressions, its cost, whether it may run twice.

use kiln_ir::kernel::{Reduction, Statement};
use kiln_ir::{AxisId, Expr, LocalId};

use crate::emit::{Emitter, Position};
use crate::reduce::Cell;

/// What runs inside a loop nest.
#[derive(Clone, Copy)]
pub(crate) enum Work<'w> {
    /// Statements.
    Statements(&'w [Statement]),
    /// One iteration of a reduction.
    Reduce { lets: &'w [(LocalId, Expr)], results: &'w [Reduction], cells: &'w [Cell] },
}

impl<'a> Emitter<'a> {
    /// Calls `visit` with every expression of a nest, those of written-out axes once for each position.
    pub(crate) fn visit(&mut self, axes: &[AxisId], work: Work<'_>, visit: &mut dyn FnMut(&Emitter<'a>, &Expr)) {
        if let Some((&axis, rest)) = axes.split_first() {
            if !self.is_written_out(axis) {
                return self.visit(rest, work, visit);
            }
            for position in 0..self.fixed_trip(axis).unwrap_or(1) {
                self.standing(axis, Position::Constant(position), &mut |e| e.visit(rest, work, visit));
            }
            return;
        }
        match work {
            Work::Reduce { lets, results, .. } => {
                for (_, value) in lets {
                    value.for_each(&mut |expr| visit(self, expr));
                }
                for result in results {
                    result.value.for_each(&mut |expr| visit(self, expr));
                }
            }
            Work::Statements(statements) => {
                for statement in statements {
                    match statement {
                        Statement::Let(_, value) => value.for_each(&mut |expr| visit(self, expr)),
                        Statement::Store { index, value, .. } => {
                            index
                                .iter()
                                .for_each(|i| i.for_each_value(&mut |x| x.for_each(&mut |expr| visit(self, expr))));
                            value.for_each(&mut |expr| visit(self, expr));
                        }
                        Statement::For(axes, body) => self.visit(axes, Work::Statements(body), visit),
                        Statement::Serial(_, body) => self.visit(&[], Work::Statements(body), visit),
                        Statement::Reduce { axes, lets, results } => {
                            self.visit(axes, Work::Reduce { lets, results, cells: &[] }, visit);
                        }
                    }
                }
            }
        }
    }

    /// Whether an iteration may run twice: it reads nothing that it writes, adds nothing up and reports nothing.
    pub(crate) fn is_repeatable(&mut self, rest: &[AxisId], work: Work<'_>) -> bool {
        let Work::Statements(statements) = work else { return false };
        let mut stored = Vec::new();
        for statement in statements {
            match statement {
                Statement::Let(..) => {}
                Statement::Store { tensor, .. } => stored.push(*tensor),
                Statement::For(..) | Statement::Serial(..) | Statement::Reduce { .. } => return false,
            }
        }
        let mut repeatable = true;
        self.visit(rest, work, &mut |_, expr| match expr {
            Expr::Check(..) => repeatable = false,
            Expr::Load(load) => repeatable &= !stored.contains(&load.tensor),
            _ => {}
        });
        repeatable
    }

    /// About how many instructions one iteration is.
    pub(crate) fn cost(&mut self, rest: &[AxisId], work: Work<'_>) -> usize {
        let mut cost = 0;
        self.visit(rest, work, &mut |_, expr| cost += cost_of(expr));
        cost
    }

    /// Whether each position of an axis has its own code.
    pub(crate) fn is_written_out(&self, axis: AxisId) -> bool {
        self.unroll[axis.0 as usize] || self.fixed_trip(axis) == Some(1)
    }

    /// Whether no loop is left inside once axes are written out.
    pub(crate) fn is_flat(&self, work: Work<'_>) -> bool {
        match work {
            Work::Reduce { .. } => true,
            Work::Statements(statements) => statements.iter().all(|statement| match statement {
                Statement::Let(..) | Statement::Store { .. } => true,
                Statement::Serial(..) => false,
                Statement::For(axes, body) => {
                    axes.iter().all(|axis| self.is_written_out(*axis)) && self.is_flat(Work::Statements(body))
                }
                Statement::Reduce { axes, .. } => axes.iter().all(|axis| self.is_written_out(*axis)),
            }),
        }
    }
}

/// About how many instructions a node is, to choose how many registers run side by side.
fn cost_of(expr: &Expr) -> usize {
    match expr {
        Expr::Unary(op, _) if op.is_transcendental() => 30,
        Expr::Load(load) if load.fill.is_some() => 4,
        Expr::Number(..) | Expr::Local(_) => 0,
        Expr::Check(..) => 10,
        Expr::Random { .. } => 30,
        _ => 1,
    }
}
