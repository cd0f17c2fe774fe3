//! Whether the ids of a kernel name something. Kernels from text do; those that a pass made may not.

use super::access::for_each_statement;
use crate::kernel::{Kernel, Statement};
use crate::{Expr, Index};

/// What an id that names nothing is; everything else looks ids up.
pub(super) fn unknown_id(kernel: &Kernel) -> Option<String> {
    let mut unknown = None;
    let mut check = |kind: &str, id: u32, count: usize| {
        if id as usize >= count {
            unknown = Some(format!("there is no {kind} {id}: the kernel has {count}"));
        }
    };
    let (tensors, axes, locals) = (kernel.tensors.len(), kernel.axes.len(), kernel.locals.len());
    let indices = |index: &Index, check: &mut dyn FnMut(&str, u32, usize)| {
        index.for_each_axis(&mut |axis| check("axis", axis.0, axes));
    };
    let expr = |value: &Expr, check: &mut dyn FnMut(&str, u32, usize)| {
        value.for_each(&mut |x| match x {
            Expr::Local(local) => check("local", local.0, locals),
            Expr::Index(index) => indices(index, check),
            Expr::Load(load) => {
                check("tensor", load.tensor.0, tensors);
                load.index.iter().for_each(|index| indices(index, check));
            }
            _ => {}
        });
    };
    for (index, _) in kernel.axes.iter().filter_map(|axis| axis.limit.as_ref()) {
        expr(&Expr::Index(index.clone()), &mut check);
    }
    for_each_statement(&kernel.body, &mut |statement, _| match statement {
        Statement::Let(local, value) => {
            check("local", local.0, locals);
            expr(value, &mut check);
        }
        Statement::For(held, _) | Statement::Serial(held, _) => {
            held.iter().for_each(|axis| check("axis", axis.0, axes))
        }
        Statement::Reduce { axes: held, lets, results } => {
            held.iter().for_each(|axis| check("axis", axis.0, axes));
            for (local, value) in lets.iter().map(|(l, v)| (l, v)).chain(results.iter().map(|r| (&r.local, &r.value))) {
                check("local", local.0, locals);
                expr(value, &mut check);
            }
        }
        Statement::Store { tensor, index, value } => {
            check("tensor", tensor.0, tensors);
            index.iter().for_each(|index| expr(&Expr::Index(index.clone()), &mut check));
            expr(value, &mut check);
        }
    });
    let schedule = &kernel.schedule;
    let vector = schedule.vector.iter().map(|vector| vector.axis);
    let contract = schedule.contracts.iter().flat_map(|c| c.m.iter().chain(&c.n).chain(&c.k)).map(|tile| tile.axis);
    let scheduled = schedule.thread.iter().chain(&schedule.unroll).copied().chain(vector).chain(contract);
    scheduled.for_each(|axis| check("axis", axis.0, axes));
    unknown
}
