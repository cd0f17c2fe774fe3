//! Kernels: the loop tree as it stands. The schedule is ignored: it may not change what is computed.

use super::memory::{Memory, OUTSIDE};
use super::{Accumulator, InterpretError, Precision, Scalar, Scope, Value};
use crate::kernel::{Kernel, Reduction, Statement};
use crate::{AxisId, Expr, LocalId};

/// Runs a kernel on one value for each of its tensors, in order, and leaves in them what it writes. Fails where an access breaks
/// the declared [`crate::kernel::Access`], and where an element of a written tensor is not stored exactly once.
pub fn run_kernel(
    kernel: &Kernel,
    tensors: &mut [Value],
    batch: usize,
    precision: Precision,
) -> Result<(), InterpretError> {
    run(kernel, tensors, batch, precision).map_err(|error| error.within(format!("kernel `{}`", kernel.name)))
}

fn run(kernel: &Kernel, tensors: &mut [Value], batch: usize, precision: Precision) -> Result<(), InterpretError> {
    let mut launch = Launch {
        kernel,
        batch,
        precision,
        axes: vec![None; kernel.axes.len()],
        locals: vec![None; kernel.locals.len()],
        memory: Memory::new(kernel, tensors, batch)?,
    };
    let mut last = OUTSIDE;
    for statement in &kernel.body {
        match statement {
            Statement::For(axes, body) => launch.for_each(axes, &mut |launch, _| {
                last += 1;
                launch.memory.begin(last);
                launch.block(body)
            })?,
            other => {
                launch.memory.iteration = OUTSIDE;
                launch.statement(other)?;
            }
        }
    }
    launch.memory.require_stored()
}

/// A kernel at a point of its loops.
struct Launch<'a> {
    kernel: &'a Kernel,
    batch: usize,
    precision: Precision,
    axes: Vec<Option<i64>>,
    locals: Vec<Option<Scalar>>,
    memory: Memory<'a>,
}

impl Launch<'_> {
    /// Statements in order; what they bind is not visible after them.
    fn block(&mut self, statements: &[Statement]) -> Result<(), InterpretError> {
        for statement in statements {
            self.statement(statement)?;
        }
        for statement in statements {
            match statement {
                Statement::Let(local, _) => self.unbind(*local),
                Statement::Reduce { results, .. } => results.iter().for_each(|result| self.unbind(result.local)),
                Statement::For(..) | Statement::Serial(..) | Statement::Store { .. } => {}
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), InterpretError> {
        match statement {
            Statement::Let(local, value) => self.bind_expr(*local, value),
            Statement::For(axes, body) => self.for_each(axes, &mut |launch, _| launch.block(body)),
            Statement::Serial(axes, body) => {
                self.memory.in_serial = true;
                self.for_each(axes, &mut |launch, _| launch.block(body))?;
                self.memory.in_serial = false;
                Ok(())
            }
            Statement::Reduce { axes, lets, results } => self.reduce(axes, lets, results),
            Statement::Store { tensor, index, value } => {
                let scope = self.scope();
                let value = scope.evaluate(value)?;
                let (name, _, shape) = scope.operands.describe(*tensor)?;
                let position = scope.position(index, shape)?.ok_or_else(|| scope.no_position(name, index, shape))?;
                self.memory.store(*tensor, position, value)
            }
        }
    }

    fn reduce(
        &mut self,
        axes: &[AxisId],
        lets: &[(LocalId, Expr)],
        results: &[Reduction],
    ) -> Result<(), InterpretError> {
        // The dtype of the values is the local's own, except of an ArgMax, whose accumulator starts without a value.
        let mut accumulators: Vec<Accumulator> =
            results.iter().map(|r| Accumulator::new(r.monoid, self.kernel.local(r.local).dtype)).collect();
        self.for_each(axes, &mut |launch, position| {
            for (local, value) in lets {
                launch.bind_expr(*local, value)?;
            }
            for (result, accumulator) in results.iter().zip(&mut accumulators) {
                accumulator.add(launch.scope().evaluate(&result.value)?, position)?;
            }
            Ok(())
        })?;
        lets.iter().for_each(|(local, _)| self.unbind(*local));
        for (result, accumulator) in results.iter().zip(accumulators) {
            self.bind(result.local, accumulator.finish(self.precision))?;
        }
        Ok(())
    }

    /// Calls `body` at every position of the axes, the first outermost, with the row-major number of the position.
    fn for_each(
        &mut self,
        axes: &[AxisId],
        body: &mut dyn FnMut(&mut Self, i64) -> Result<(), InterpretError>,
    ) -> Result<(), InterpretError> {
        self.for_each_from(axes, 0, body)
    }

    fn for_each_from(
        &mut self,
        axes: &[AxisId],
        outer: i64,
        body: &mut dyn FnMut(&mut Self, i64) -> Result<(), InterpretError>,
    ) -> Result<(), InterpretError> {
        let Some((&id, inner)) = axes.split_first() else { return body(self, outer) };
        let axis = self.kernel.axis(id);
        let extent = axis.extent.at(self.batch) as i64;
        for position in 0..extent {
            self.axes[id.0 as usize] = Some(position);
            if let Some((index, limit)) = &axis.limit {
                let reached = self.scope().index(index)?.ok_or(InterpretError::InexactDivision)?;
                if reached >= limit.at(self.batch) as i64 {
                    break;
                }
            }
            self.for_each_from(inner, outer * extent + position, body)?;
        }
        self.axes[id.0 as usize] = None;
        Ok(())
    }

    fn bind_expr(&mut self, local: LocalId, value: &Expr) -> Result<(), InterpretError> {
        let value = self.scope().evaluate(value)?;
        self.bind(local, value)
    }

    fn bind(&mut self, local: LocalId, value: Scalar) -> Result<(), InterpretError> {
        let (left, right) = (self.kernel.local(local).dtype, value.dtype());
        if left != right {
            return Err(InterpretError::MixedDTypes { node: "local", left, right });
        }
        self.locals[local.0 as usize] = Some(value);
        Ok(())
    }

    fn unbind(&mut self, local: LocalId) {
        self.locals[local.0 as usize] = None;
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            batch: self.batch,
            precision: self.precision,
            axes: &self.axes,
            locals: &self.locals,
            operands: &self.memory,
        }
    }
}
