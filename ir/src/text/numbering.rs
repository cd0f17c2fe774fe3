//! Whether reading a kernel's text gives its axes and locals the numbers they have: those of their first definitions, in the order of
//! the text, and none used before. Otherwise the text declares them in lines of their own.

use crate::kernel::{Kernel, Statement};
use crate::{AxisId, Expr, Index, LocalId};

/// Whether axes and locals are numbered as their text would be.
pub(super) struct Numbering {
    pub axes_in_order: bool,
    pub locals_in_order: bool,
}

impl Numbering {
    pub fn of(kernel: &Kernel) -> Numbering {
        let mut reader = Reader { kernel, axes: Sequence::default(), locals: Sequence::default() };
        reader.block(&kernel.body);
        Numbering {
            axes_in_order: reader.axes.holds(kernel.axes.len()),
            locals_in_order: reader.locals.holds(kernel.locals.len()),
        }
    }
}

/// Ids as they come by.
#[derive(Default)]
struct Sequence {
    defined: u32,
    is_broken: bool,
}

impl Sequence {
    fn define(&mut self, id: u32) {
        self.is_broken |= id > self.defined;
        self.defined += u32::from(id == self.defined);
    }

    fn name(&mut self, id: u32) {
        self.is_broken |= id >= self.defined;
    }

    fn holds(&self, count: usize) -> bool {
        !self.is_broken && self.defined as usize == count
    }
}

/// Goes through a kernel in the order in which the parser defines things.
struct Reader<'k> {
    kernel: &'k Kernel,
    axes: Sequence,
    locals: Sequence,
}

impl Reader<'_> {
    fn block(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Let(local, value) => self.binding(*local, value),
                Statement::For(axes, body) | Statement::Serial(axes, body) => {
                    self.loops(axes);
                    self.block(body);
                }
                Statement::Reduce { axes, lets, results } => {
                    self.loops(axes);
                    lets.iter().for_each(|(local, value)| self.binding(*local, value));
                    results.iter().for_each(|result| self.expr(&result.value));
                    results.iter().for_each(|result| self.locals.define(result.local.0));
                }
                Statement::Store { index, value, .. } => {
                    index.iter().for_each(|index| self.index(index));
                    self.expr(value);
                }
            }
        }
    }

    fn binding(&mut self, local: LocalId, value: &Expr) {
        self.expr(value);
        self.locals.define(local.0);
    }

    fn loops(&mut self, axes: &[AxisId]) {
        for axis in axes {
            self.axes.define(axis.0);
            if let Some((index, _)) = self.kernel.axes.get(axis.0 as usize).and_then(|axis| axis.limit.as_ref()) {
                self.index(index);
            }
        }
    }

    fn index(&mut self, index: &Index) {
        index.for_each_axis(&mut |axis| self.axes.name(axis.0));
        index.for_each_value(&mut |value| self.expr(value));
    }

    fn expr(&mut self, expr: &Expr) {
        expr.for_each(&mut |x| match x {
            Expr::Local(local) => self.locals.name(local.0),
            Expr::Index(index) => index.for_each_axis(&mut |axis| self.axes.name(axis.0)),
            Expr::Load(load) => {
                load.index.iter().for_each(|index| index.for_each_axis(&mut |axis| self.axes.name(axis.0)));
            }
            _ => {}
        });
    }
}
