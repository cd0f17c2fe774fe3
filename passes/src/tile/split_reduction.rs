//! Long reductions with few results become two kernels: partial results, one for each position of the outermost summed axis, and their
//! combination, which has the epilogue.
//!
//! How many partial results there are follows from the shape alone, so the bits do not depend on the threads. For the weight gradient of a
//! convolution they are the gradients of single samples; for a sum over a whole tensor those of its first axis.

use kiln_ir::kernel::{Access, Kernel, Local, Reduction, Schedule, Statement, Tensor};
use kiln_ir::program::Class;
use kiln_ir::statements::{for_each_load, for_each_store, with_tensors};
use kiln_ir::{AxisId, Dim, Expr, Index, Init, Load, LocalId, Monoid, TensorId, Type};

use super::{MACHINE, rewrite, threads};
use crate::lower::tidy;
use crate::steps::{Slot, Step, Steps};

/// More results than this are enough for threads.
const MANY_RESULTS: usize = 64;
/// More results than this in one tile make a contraction worth running whole.
const MANY_TILES: usize = 64;
/// The most memory for partial results.
const MAX_PARTIAL_BYTES: usize = 8 << 20;
/// Fewer summed positions than this beside the split axis are not worth storing a partial result.
const MIN_INNER: usize = 16;
/// The most parts into which a single axis is cut.
const MAX_PARTS: usize = 64;

/// Splits where it pays.
pub fn run(steps: &mut Steps) {
    for at in 0..steps.steps.len() {
        let max_batch = steps.max_batch;
        let mut kernel = steps.steps[at].kernel.clone();
        let Some(axis) = splittable(&mut kernel, max_batch) else { continue };
        let step = &steps.steps[at];
        let parts = parts(&kernel, axis);
        let slot = steps.slots.len();
        let (partial, partial_slots) = partial(&kernel, axis, &parts, &step.slots, slot);
        let (combine, combine_slots) = combine(&kernel, axis, &parts, &step.slots, slot);
        let (after, place) = (step.after.clone(), step.place.clone());
        for (number, part) in parts.iter().enumerate() {
            debug_assert_eq!(number, part.number);
            let name = format!("{}_partial", part.name);
            steps.slots.push(Slot { name, ty: part.ty.clone(), class: Class::Workspace, init: Init::Zeros });
        }
        let first = steps.steps.len();
        steps.steps[at] = Step {
            kernel: combine,
            slots: combine_slots,
            after: after.iter().copied().chain([first]).collect(),
            place: place.clone(),
        };
        steps.steps.push(Step { kernel: partial, slots: partial_slots, after, place });
    }
}

/// A reduction's partial results.
struct Part {
    number: usize,
    name: String,
    ty: Type,
}

/// The summed axis whose positions get partial results.
fn splittable(kernel: &mut Kernel, max_batch: usize) -> Option<AxisId> {
    let (shared, inner): (Vec<AxisId>, &[Statement]) = match kernel.body.as_slice() {
        [Statement::For(axes, inner)] => (axes.clone(), inner),
        inner => (Vec::new(), inner),
    };
    let (Statement::Reduce { axes, results, .. }, rest) = inner.split_first()? else { return None };
    let flat = rest.iter().all(|statement| matches!(statement, Statement::Let(..) | Statement::Store { .. }));
    if !flat || results.iter().any(|result| result.monoid == Monoid::ArgMax) {
        return None;
    }
    let count = |axes: &[AxisId]| axes.iter().map(|&axis| kernel.axis(axis).extent.at(max_batch)).product::<usize>();
    let (results_count, summed) = (count(&shared), count(axes));
    let contraction = matches!(results.as_slice(), [result] if matches!(result.value, Expr::Binary(kiln_ir::Binary::Mul, ..)) && shared.len() > 1);
    let operations = threads::cost(kernel, &kernel.body, max_batch);
    let long = match contraction {
        true => {
            results_count / (MACHINE.rows * MACHINE.columns) < MANY_TILES
                && operations / MACHINE.products_per_ns > MACHINE.chunk_ns
        }
        false => results_count < MANY_RESULTS && operations / MACHINE.operations_per_ns > MACHINE.chunk_ns,
    };
    if !long || shared.iter().any(|&axis| kernel.axis(axis).extent.batch) {
        return None;
    }
    let axes = axes.clone();
    let axis = axes.iter().copied().find(|&axis| kernel.axis(axis).extent.batch).unwrap_or(axes[0]);
    let positions = kernel.axis(axis).extent.at(max_batch);
    let size = results_count * positions * 4 * results.len();
    if summed / positions >= MIN_INNER && size <= MAX_PARTIAL_BYTES {
        return Some(axis);
    }
    // One long axis of a constant extent: equal parts of it.
    let extent = kernel.axis(axis).extent.as_fixed()?;
    let size =
        rewrite::divisor(extent, extent.div_ceil(MAX_PARTS).max(MIN_INNER), extent.div_ceil(MAX_PARTS), extent / 2)?;
    let (outer, rest) = rewrite::split(kernel, axis, size, ("_part", ""));
    let body = match kernel.body.as_mut_slice() {
        [Statement::For(_, inner)] => inner.as_mut_slice(),
        inner => inner,
    };
    if let Some(Statement::Reduce { axes, .. }) = body.first_mut() {
        let at = axes.iter().position(|&held| held == axis)?;
        axes.splice(at..=at, [outer, rest]);
    }
    Some(outer)
}

/// A kernel of one reduction, taken apart.
struct Nest {
    shared: Vec<AxisId>,
    axes: Vec<AxisId>,
    lets: Vec<(LocalId, Expr)>,
    results: Vec<Reduction>,
    rest: Vec<Statement>,
}

fn take(kernel: &Kernel) -> Nest {
    let (shared, inner) = match kernel.body.as_slice() {
        [Statement::For(axes, inner)] => (axes.clone(), inner.as_slice()),
        inner => (Vec::new(), inner),
    };
    match inner.split_first() {
        Some((Statement::Reduce { axes, lets, results }, rest)) => {
            Nest { shared, axes: axes.clone(), lets: lets.clone(), results: results.clone(), rest: rest.to_vec() }
        }
        _ => Nest { shared, axes: Vec::new(), lets: Vec::new(), results: Vec::new(), rest: inner.to_vec() },
    }
}

fn parts(kernel: &Kernel, axis: AxisId) -> Vec<Part> {
    let Nest { shared, results, .. } = take(kernel);
    let shape: Vec<Dim> = [axis].iter().chain(&shared).map(|&axis| kernel.axis(axis).extent).collect();
    let part = |(number, result): (usize, &Reduction)| {
        let Local { name, dtype } = kernel.local(result.local).clone();
        Part { number, name, ty: Type::new(dtype, shape.clone()) }
    };
    results.iter().enumerate().map(part).collect()
}

/// The kernel that stores the partial results, and its slots.
fn partial(kernel: &Kernel, axis: AxisId, parts: &[Part], slots: &[usize], first: usize) -> (Kernel, Vec<usize>) {
    let Nest { shared, axes, lets, results, .. } = take(kernel);
    let loops: Vec<AxisId> = [axis].into_iter().chain(shared).collect();
    let index: Vec<Index> = loops.iter().map(|&axis| Index::axis(axis)).collect();
    let inner: Vec<AxisId> = axes.into_iter().filter(|&held| held != axis).collect();
    let mut body = Vec::new();
    let stores = parts.iter().zip(&results).map(|(part, result)| Statement::Store {
        tensor: TensorId((kernel.tensors.len() + part.number) as u32),
        index: index.clone(),
        value: Expr::Local(result.local),
    });
    let stores: Vec<Statement> = stores.collect();
    if inner.is_empty() {
        body.extend(lets.into_iter().map(|(local, value)| Statement::Let(local, value)));
        body.extend(results.iter().map(|result| Statement::Let(result.local, result.value.clone())));
    } else {
        body.push(Statement::Reduce { axes: inner, lets, results });
    }
    body.extend(stores);
    let mut partial = kernel.clone();
    partial.name = format!("{}_partial", kernel.name);
    partial.body = vec![Statement::For(loops, body)];
    let tensor =
        |part: &Part| Tensor { name: format!("{}_partial", part.name), ty: part.ty.clone(), access: Access::Write };
    partial.tensors.extend(parts.iter().map(tensor));
    finish(partial, slots, first)
}

/// The kernel that combines them, and its slots.
fn combine(kernel: &Kernel, axis: AxisId, parts: &[Part], slots: &[usize], first: usize) -> (Kernel, Vec<usize>) {
    let Nest { shared, results, rest, .. } = take(kernel);
    let index: Vec<Index> = [axis].iter().chain(&shared).map(|&axis| Index::axis(axis)).collect();
    let mut combine = kernel.clone();
    let load = |part: &Part| {
        let tensor = TensorId((kernel.tensors.len() + part.number) as u32);
        Expr::Load(Load { tensor, index: index.clone(), fill: None })
    };
    let results = parts.iter().zip(results).map(|(part, result)| Reduction { value: load(part), ..result }).collect();
    let mut body = vec![Statement::Reduce { axes: vec![axis], lets: Vec::new(), results }];
    body.extend(rest);
    combine.body = if shared.is_empty() { body } else { vec![Statement::For(shared, body)] };
    let tensor =
        |part: &Part| Tensor { name: format!("{}_partial", part.name), ty: part.ty.clone(), access: Access::Read };
    combine.tensors.extend(parts.iter().map(tensor));
    finish(combine, slots, first)
}

/// Drops axes, locals and tensors that a part of the kernel does not have, and puts what is only read first.
fn finish(mut kernel: Kernel, slots: &[usize], first: usize) -> (Kernel, Vec<usize>) {
    kernel.schedule = Schedule { grain: 1, ..Schedule::default() };
    let mut used: Vec<TensorId> = Vec::new();
    for_each_load(&kernel.body, &mut |load| used.push(load.tensor));
    for_each_store(&kernel.body, &mut |tensor, _| used.push(tensor));
    let all: Vec<usize> = slots.iter().copied().chain(first..).take(kernel.tensors.len()).collect();
    let mut order: Vec<usize> = (0..kernel.tensors.len()).filter(|&at| used.contains(&TensorId(at as u32))).collect();
    order.sort_by_key(|&at| kernel.tensors[at].access != Access::Read);
    let number = |id: TensorId| TensorId(order.iter().position(|&at| at == id.0 as usize).expect("it is used") as u32);
    kernel.body = with_tensors(std::mem::take(&mut kernel.body), &number);
    kernel.tensors = order.iter().map(|&at| kernel.tensors[at].clone()).collect();
    rewrite::renumber_axes(&mut kernel);
    tidy::run(&mut kernel);
    (kernel, order.iter().map(|&at| all[at]).collect())
}
