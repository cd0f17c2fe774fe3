//! Which elements a kernel touches: loads and stores stay inside their tensors, every element that is written is written once, and an
//! update in place reads no element that another iteration writes. What serial loops store belongs to the iterations around them.

use super::access::{Accesses, Stored};
use super::{Bound, Ranges, Report, scratch};
use crate::kernel::{Access, Kernel};
use crate::text::{Names, index_text, lines_before_body, load_text};
use crate::{Atom, AxisId, Code, Dim, Index, Place};

/// Reports on a kernel that is well formed otherwise.
pub(super) fn check(kernel: &Kernel, place: &Place, report: &mut Report) {
    let (names, ranges) = (Names::of(kernel), Ranges::new(kernel));
    let accesses = Accesses::of(kernel);
    let outside = |name: &str, index: &[Index], shape: &crate::Shape| {
        let at = (0..index.len()).find(|&at| !ranges.is_within(&index[at], shape.0[at]))?;
        let range = match ranges.index(&index[at]) {
            Some(range) => format!("from {} to {}", range.low, range.high),
            None => "anything".to_owned(),
        };
        let (index, extent) = (index_text(&index[at], &names), shape.0[at]);
        Some(format!("index {at} of {name} stays below {extent}: `{index}` is {range}"))
    };
    for loaded in &accesses.loads {
        let (line, load) = (loaded.line, &loaded.load);
        let tensor = kernel.tensor(load.tensor);
        if load.fill.is_none()
            && let Some(message) = outside(&format!("`{}`", load_text(load, &names)), &load.index, &tensor.ty.shape)
        {
            report.add(line, Code::IndexOutOfBounds, message, place);
        }
        let mut stores = accesses.stores.iter().filter(|store| store.tensor == load.tensor);
        if tensor.access == Access::Update && !stores.all(|store| store.serial > 0 || loaded.is_own(kernel, store)) {
            let load = load_text(load, &names);
            let message = format!("an update reads no element that another iteration writes, found `{load}`");
            report.add(line, Code::BadKernel, message, place);
        }
        let mut stores = accesses.stores.iter().filter(|store| store.tensor == load.tensor);
        if tensor.access == Access::Write && stores.all(|store| store.serial == 0) {
            let load = load_text(load, &names);
            let message = format!("a tensor that no serial loop writes is not loaded: `{load}`");
            report.add(line, Code::BadKernel, message, place);
        }
    }
    for store in &accesses.stores {
        let tensor = kernel.tensor(store.tensor);
        if let Some(message) = outside(&format!("the store to `{}`", tensor.name), store.index, &tensor.ty.shape) {
            report.add(store.line, Code::IndexOutOfBounds, message, place);
        }
        let private = kernel.private_axes(store.tensor).len();
        let mut fors = store.fors().iter().skip(private);
        let missing = fors.find(|axis| kernel.axis(**axis).extent != Dim::ONE && !store.names(**axis));
        if let Some(axis) = missing {
            let name = &kernel.axis(*axis).name;
            let message = format!("no two iterations store one element: the index does not name the axis `{name}`");
            report.add(store.line, Code::BadKernel, message, place);
        }
        if let Some(axis) = shared_axis(kernel, &accesses, store).filter(|_| store.serial > 0) {
            let name = &kernel.axis(axis).name;
            let message = format!(
                "threads share nothing that a serial loop stores: `{name}` is not an index of every access to `{}`",
                tensor.name
            );
            report.add(store.line, Code::BadKernel, message, place);
        }
    }
    for (at, tensor) in kernel.tensors.iter().enumerate().filter(|(_, tensor)| tensor.access != Access::Read) {
        let stores: Vec<&Stored<'_>> = accesses.stores.iter().filter(|s| s.tensor.0 as usize == at).collect();
        let Some(last) = stores.last() else {
            report.add(1, Code::BadKernel, format!("`{}` is written, but there is no store to it", tensor.name), place);
            continue;
        };
        let (serial, plain): (Vec<&Stored<'_>>, Vec<&Stored<'_>>) = stores.iter().partition(|store| store.serial > 0);
        let first = if plain.is_empty() { serial } else { plain };
        let repeats = |store: &&&Stored<'_>| {
            let is_named = |axis: &AxisId| kernel.axis(*axis).extent == Dim::ONE || store.names(*axis);
            store.is_computed() || !store.axes.iter().all(is_named)
        };
        if let Some(store) =
            first.iter().find(repeats).filter(|store| store.serial > 0 && tensor.access == Access::Write)
        {
            let message =
                format!("a tensor has its first values before a serial loop stores elements again: `{}`", tensor.name);
            report.add(store.line, Code::BadKernel, message, place);
            continue;
        }
        let count = Bound::from(tensor.ty.shape.count());
        let stored = first.iter().try_fold(Bound::fixed(0), |sum, store| {
            let elements = Bound::from(iterations(kernel, store.axes.as_slice())?);
            sum.plus(elements)
        });
        if let Some(stored) = stored.filter(|&stored| tensor.access == Access::Write && stored != count) {
            let message =
                format!("every element of `{}` is stored once: it has {count}, stored are {stored}", tensor.name);
            report.add(last.line, Code::BadKernel, message, place);
        }
    }
    // The first line of a body whose one statement is a `for` is that loop's.
    scratch::check(kernel, &accesses, lines_before_body(kernel) + 1, place, report);
}

/// An axis of the `for`s around a serial store that is not, alone, one and the same index of every access to the tensor.
fn shared_axis(kernel: &Kernel, accesses: &Accesses<'_>, store: &Stored<'_>) -> Option<AxisId> {
    let stores = accesses.stores.iter().filter(|held| held.tensor == store.tensor).map(|held| held.index);
    let loads = accesses.loads.iter().filter(|held| held.load.tensor == store.tensor).map(|held| &*held.load.index);
    let all: Vec<&[Index]> = stores.chain(loads).collect();
    let is_alone = |axis: AxisId| (0..store.index.len()).any(|at| all.iter().all(|i| i[at].as_axis() == Some(axis)));
    store.fors().iter().copied().find(|&axis| kernel.axis(axis).extent != Dim::ONE && !is_alone(axis))
}

/// How often loops over these axes run, if the limits of split axes let that be told: the pair of `p` and `i in 8 while 8*p + i < 28` runs
/// 28 times.
pub(super) fn iterations(kernel: &Kernel, axes: &[AxisId]) -> Option<Dim> {
    let mut count = Dim::ONE;
    let mut merged = Vec::new();
    for &axis in axes {
        let Some((index, below)) = &kernel.axis(axis).limit else { continue };
        let outer = match index.terms.as_slice() {
            [(Atom::Axis(a), outer), (Atom::Axis(b), 1)] if *b == axis => (*a, *outer),
            [(Atom::Axis(a), 1), (Atom::Axis(b), outer)] if *a == axis => (*b, *outer),
            _ => return None,
        };
        let size = i64::try_from(kernel.axis(axis).extent.as_fixed()?).ok()?;
        let covered = Bound::from(kernel.axis(outer.0).extent.product(Dim::fixed(usize::try_from(size).ok()?))?);
        if outer.1 != size || index.offset != 0 || !Bound::from(*below).at_most(covered) {
            return None;
        }
        merged.extend([axis, outer.0]);
        count = count.product(*below)?;
    }
    let whole = axes.iter().filter(|axis| !merged.contains(axis)).map(|&axis| kernel.axis(axis).extent);
    whole.into_iter().try_fold(count, Dim::product)
}
