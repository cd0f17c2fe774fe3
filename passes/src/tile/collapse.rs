//! Makes short inner loops long: neighbouring axes over which every tensor is contiguous become one.
//!
//! ```text
//! for n, c, h in 28, w in 28                 for n, c, h_w in 784
//!   y[n, c, h, w] = max(x[n, c, h, w], 0) →    y[n, c, h_w] = max(x[n, c, h_w], 0)
//! ```
//!
//! The tensors are the same memory seen in another shape.

use kiln_ir::kernel::{Axis, Kernel, Statement};
use kiln_ir::statements::{for_each_expr, for_each_load, for_each_store, map_exprs};
use kiln_ir::{Atom, AxisId, Dim, Expr, Index, Load, Shape, TensorId};

/// Inner loops of this length have no need to be longer.
const LONG: usize = 256;

/// Collapses axes of a kernel, and the shapes in which it sees its tensors.
pub fn run(kernel: &mut Kernel) {
    while let Some((outer, inner)) = candidate(kernel) {
        collapse(kernel, outer, inner);
    }
}

/// Two neighbouring axes of one loop, the inner one short, that can be one.
fn candidate(kernel: &Kernel) -> Option<(AxisId, AxisId)> {
    let mut loops = Vec::new();
    collect(&kernel.body, &mut loops);
    let pairs = loops.iter().filter_map(|axes| match axes.as_slice() {
        [.., outer, inner] => Some((*outer, *inner)),
        _ => None,
    });
    let short = |axis: AxisId| kernel.axis(axis).extent.as_fixed().is_some_and(|extent| extent < LONG);
    let free = |axis: AxisId| kernel.axis(axis).limit.is_none() && !kernel.schedule.unroll.contains(&axis);
    pairs
        .into_iter()
        .find(|&(outer, inner)| short(inner) && free(outer) && free(inner) && together(kernel, outer, inner))
}

fn collect(statements: &[Statement], loops: &mut Vec<Vec<AxisId>>) {
    for statement in statements {
        match statement {
            Statement::For(axes, inner) => {
                loops.push(axes.clone());
                collect(inner, loops);
            }
            // The order of a serial loop's steps is its own.
            Statement::Reduce { axes, .. } => loops.push(axes.clone()),
            _ => {}
        }
    }
}

/// Where in an index the two axes stand next to each other, over whole tensor axes.
fn place(kernel: &Kernel, tensor: TensorId, index: &[Index], outer: AxisId, inner: AxisId) -> Option<usize> {
    let dims = &kernel.tensor(tensor).ty.shape.0;
    (1..index.len()).map(|at| at - 1).find(|&at| {
        index[at].as_axis() == Some(outer)
            && index[at + 1].as_axis() == Some(inner)
            && dims[at] == kernel.axis(outer).extent
            && dims[at + 1] == kernel.axis(inner).extent
    })
}

/// Whether every access names both axes side by side or neither, each tensor always in the same way, and no formula names one alone.
fn together(kernel: &Kernel, outer: AxisId, inner: AxisId) -> bool {
    let mut places: Vec<Option<Option<usize>>> = vec![None; kernel.tensors.len()];
    let mut fits = true;
    let names = |index: &Index| {
        let mut found = false;
        index.for_each_axis(&mut |axis| found |= axis == outer || axis == inner);
        found
    };
    let mut access = |tensor: TensorId, index: &[Index]| {
        let found = place(kernel, tensor, index, outer, inner);
        let rest =
            index.iter().enumerate().filter(|(at, _)| found.is_none_or(|found| *at != found && *at != found + 1));
        fits &= !rest.into_iter().any(|(_, component)| names(component));
        let held = places[tensor.0 as usize].get_or_insert(found);
        fits &= *held == found;
    };
    for_each_store(&kernel.body, &mut access);
    for_each_load(&kernel.body, &mut |load| access(load.tensor, &load.index));
    let mut alone = false;
    for_each_expr(&kernel.body, &mut |expr| {
        expr.for_each(&mut |x| {
            alone |= matches!(x, Expr::Index(index) if names(index) && joined(kernel, index, outer, inner).is_none());
        });
    });
    fits && !alone && kernel.axis(outer).extent.product(kernel.axis(inner).extent).is_some()
}

/// An index that takes both axes as one, `28*outer + inner` with `inner in 28`, over the one axis that they become.
fn joined(kernel: &Kernel, index: &Index, outer: AxisId, inner: AxisId) -> Option<Index> {
    let is_axis = |atom: &Atom, axis: AxisId| *atom == Atom::Axis(axis);
    let factor = |axis: AxisId| index.terms.iter().find(|(atom, _)| is_axis(atom, axis)).map(|&(_, factor)| factor);
    let inner_extent = kernel.axis(inner).extent.as_fixed()? as i64;
    let step = factor(inner).filter(|step| factor(outer) == Some(step * inner_extent))?;
    let rest = index.terms.iter().filter(|(atom, _)| !is_axis(atom, outer) && !is_axis(atom, inner)).cloned();
    let rest = Index { terms: rest.collect(), offset: index.offset };
    let mut alone = true;
    rest.for_each_axis(&mut |axis| alone &= axis != outer && axis != inner);
    alone.then(|| rest.plus(&Index::axis(outer).times(step)))
}

fn collapse(kernel: &mut Kernel, outer: AxisId, inner: AxisId) {
    let before = kernel.clone();
    let at = |tensor: TensorId, index: &[Index]| -> Vec<Index> {
        let mut index = index.to_vec();
        if let Some(place) = place(&before, tensor, &index, outer, inner) {
            index.remove(place + 1);
        }
        index
    };
    let mut places: Vec<Option<usize>> = vec![None; kernel.tensors.len()];
    let mut note = |tensor: TensorId, index: &[Index]| {
        let held = &mut places[tensor.0 as usize];
        *held = held.or(place(&before, tensor, index, outer, inner));
    };
    for_each_store(&before.body, &mut note);
    for_each_load(&before.body, &mut |load| note(load.tensor, &load.index));
    for (tensor, place) in kernel.tensors.iter_mut().zip(places) {
        if let Some(place) = place {
            let Shape(dims) = &mut tensor.ty.shape;
            let removed = dims.remove(place + 1);
            dims[place] = dims[place].product(removed).expect("checked to be a shape");
        }
    }
    let position = |index: &Index| joined(&before, index, outer, inner).unwrap_or_else(|| index.clone());
    let body = map_exprs(&kernel.body, &mut |expr| moved(expr, &at, &position));
    kernel.body = merged(body, &at, inner);
    let (a, b) = (before.axis(outer), before.axis(inner));
    let extent: Dim = a.extent.product(b.extent).expect("checked to be an extent");
    kernel.axes[outer.0 as usize] = Axis { name: format!("{}_{}", a.name, b.name), extent, limit: None };
}

/// The statements without the inner axis, and with other indices of stores.
fn merged(statements: Vec<Statement>, at: &dyn Fn(TensorId, &[Index]) -> Vec<Index>, inner: AxisId) -> Vec<Statement> {
    let without = |axes: Vec<AxisId>| -> Vec<AxisId> { axes.into_iter().filter(|&axis| axis != inner).collect() };
    let statement = |statement| match statement {
        Statement::For(axes, body) => Statement::For(without(axes), merged(body, at, inner)),
        Statement::Serial(axes, body) => Statement::Serial(axes, merged(body, at, inner)),
        Statement::Reduce { axes, lets, results } => Statement::Reduce { axes: without(axes), lets, results },
        Statement::Store { tensor, index, value } => Statement::Store { tensor, index: at(tensor, &index), value },
        bound => bound,
    };
    statements.into_iter().map(statement).collect()
}

fn moved(expr: &Expr, at: &dyn Fn(TensorId, &[Index]) -> Vec<Index>, position: &dyn Fn(&Index) -> Index) -> Expr {
    // What is inside an index first.
    let inner = |expr: &Expr| expr.map_operands(&mut |x| moved(x, at, position));
    match expr {
        Expr::Index(index) => inner(&Expr::Index(position(index))),
        _ => match inner(expr) {
            Expr::Load(load) => {
                Expr::Load(Load { tensor: load.tensor, index: at(load.tensor, &load.index), fill: load.fill })
            }
            other => other,
        },
    }
}
