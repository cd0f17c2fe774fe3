//! Memory of one item: a stage stores it whole, and only later stages load it, so that no item sees what another has left there.

use super::access::{Accesses, Stored};
use super::{Bound, Report, bounds};
use crate::kernel::{Access, Kernel, Statement};
use crate::{AxisId, Code, Dim, Place};

/// Reports on the scratch tensors of a kernel that is well formed otherwise.
pub(super) fn check(kernel: &Kernel, accesses: &Accesses<'_>, first_line: u32, place: &Place, report: &mut Report) {
    let Some((shared, stages)) = kernel.stages() else {
        if kernel.arguments().len() < kernel.tensors.len() {
            let message = "a kernel with scratch tensors is one `for`, whose statements are its stages";
            report.add(first_line, Code::BadKernel, message, place);
        }
        return;
    };
    // The line of each stage's end.
    let ends: Vec<u32> = stages
        .iter()
        .scan(first_line, |line, stage| {
            *line += lines(stage);
            Some(*line)
        })
        .collect();
    let stage = |line: u32| ends.iter().position(|&end| line <= end).unwrap_or(ends.len());
    let scratch = |at: &usize| kernel.tensors[*at].access == Access::Scratch;
    for at in (0..kernel.tensors.len()).filter(scratch) {
        let tensor = &kernel.tensors[at];
        let stores: Vec<&Stored<'_>> = accesses.stores.iter().filter(|store| store.tensor.0 as usize == at).collect();
        let Some(last) = stores.last() else { continue };
        let named = shared.iter().find(|axis| stores.iter().any(|store| store.names(**axis)));
        if let Some(axis) = named {
            let axis = &kernel.axis(*axis).name;
            let message = format!("scratch memory is that of one item: `{axis}` is no index of `{}`", tensor.name);
            report.add(last.line, Code::BadKernel, message, place);
        }
        if stores.iter().any(|store| store.serial > 0 || stage(store.line) != stage(last.line)) {
            let message = format!("one stage stores all of a scratch tensor, each element once: `{}`", tensor.name);
            report.add(last.line, Code::BadKernel, message, place);
        }
        let own = |store: &Stored<'_>| -> Vec<AxisId> {
            store.axes.iter().copied().filter(|axis| !shared.contains(axis)).collect()
        };
        let stored = stores
            .iter()
            .try_fold(Bound::fixed(0), |sum, store| sum.plus(Bound::from(bounds::iterations(kernel, &own(store))?)));
        let count = Bound::from(tensor.ty.shape.count());
        if let Some(stored) = stored.filter(|&stored| stored != count) {
            let message =
                format!("every element of `{}` is stored once: it has {count}, stored are {stored}", tensor.name);
            report.add(last.line, Code::BadKernel, message, place);
        }
        let early = accesses.loads.iter().filter(|loaded| loaded.load.tensor.0 as usize == at);
        for loaded in early.filter(|loaded| stage(loaded.line) <= stage(last.line)) {
            let message = format!("an item loads what an earlier stage has stored: `{}` is not", tensor.name);
            report.add(loaded.line, Code::BadKernel, message, place);
        }
        if tensor.ty.shape.dims().iter().any(|dim: &Dim| dim.batch) {
            let message = format!("scratch memory has a fixed size: `{}` is {}", tensor.name, tensor.ty);
            report.add(1, Code::BadKernel, message, place);
        }
    }
}

/// The lines of a statement's text.
fn lines(statement: &Statement) -> u32 {
    match statement {
        Statement::Let(..) | Statement::Store { .. } => 1,
        Statement::For(_, body) | Statement::Serial(_, body) => 1 + body.iter().map(lines).sum::<u32>(),
        Statement::Reduce { lets, .. } => 1 + lets.len() as u32,
    }
}
