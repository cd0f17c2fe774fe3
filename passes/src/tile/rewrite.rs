//! Changes to the loops of a kernel that keep what it computes.

use kiln_ir::kernel::{Axis, Kernel, Statement};
use kiln_ir::statements::map_exprs;
use kiln_ir::{AxisId, Dim, Expr, Index, Load};

use crate::bounds;

/// Splits an axis of a constant extent into an outer axis and an inner one of `size` positions, which divides the extent. The caller
/// puts both where the axis was.
pub fn split(kernel: &mut Kernel, axis: AxisId, size: usize, names: (&str, &str)) -> (AxisId, AxisId) {
    let Axis { name, extent, .. } = kernel.axis(axis).clone();
    // The axis itself becomes the outer one.
    let outer = axis;
    kernel.axes[axis.0 as usize] =
        Axis { name: format!("{name}{}", names.0), extent: Dim::fixed(extent.factor / size), limit: None };
    kernel.axes.push(Axis { name: format!("{name}{}", names.1), extent: Dim::fixed(size), limit: None });
    let inner = AxisId(kernel.axes.len() as u32 - 1);
    let position = Index::axis(outer).times(size as i64).plus(&Index::axis(inner));
    substitute_axis(kernel, axis, &position);
    (outer, inner)
}

/// Replaces an axis in every index.
fn substitute_axis(kernel: &mut Kernel, axis: AxisId, by: &Index) {
    let extents: Vec<Axis> = kernel.axes.clone();
    // A symbolic extent takes part in no division, so one position stands for all.
    let ranges = |id: AxisId| bounds::of_extent(extents[id.0 as usize].extent, 1);
    let symbolic = |index: &Index| {
        let mut found = false;
        index.for_each_axis(&mut |id| found |= extents[id.0 as usize].extent.batch);
        found
    };
    let replace = |index: &Index| {
        let index = index.substitute(&mut |id| if id == axis { by.clone() } else { Index::axis(id) }, &mut Expr::clone);
        if symbolic(&index) { index } else { bounds::simplify(&index, &ranges) }
    };
    kernel.body = map_indices(&kernel.body, &replace);
}

/// Numbers the axes as the loops come and drops those without a loop.
pub fn renumber_axes(kernel: &mut Kernel) {
    let mut axes: Vec<AxisId> = Vec::new();
    looped(&kernel.body, &mut axes);
    let number = |id: AxisId| AxisId(axes.iter().position(|&held| held == id).expect("a used axis has a loop") as u32);
    let in_index = |index: &Index| index.substitute(&mut |id| Index::axis(number(id)), &mut Expr::clone);
    kernel.body = relooped(map_indices(&kernel.body, &in_index), &number);
    kernel.axes = axes.iter().map(|&axis| kernel.axis(axis).clone()).collect();
    let schedule = &mut kernel.schedule;
    schedule.thread.iter_mut().chain(&mut schedule.unroll).for_each(|axis| *axis = number(*axis));
    schedule.vector.iter_mut().for_each(|vector| vector.axis = number(vector.axis));
    for contract in &mut schedule.contracts {
        let tiles = contract.m.iter_mut().chain(&mut contract.n).chain(&mut contract.k);
        tiles.for_each(|tile| tile.axis = number(tile.axis));
    }
}

fn looped(statements: &[Statement], axes: &mut Vec<AxisId>) {
    for statement in statements {
        match statement {
            Statement::For(own, inner) | Statement::Serial(own, inner) => {
                axes.extend(own);
                looped(inner, axes);
            }
            Statement::Reduce { axes: own, .. } => axes.extend(own),
            Statement::Let(..) | Statement::Store { .. } => {}
        }
    }
}

fn relooped(statements: Vec<Statement>, number: &dyn Fn(AxisId) -> AxisId) -> Vec<Statement> {
    let axes = |axes: Vec<AxisId>| axes.into_iter().map(number).collect();
    let statement = |statement| match statement {
        Statement::For(own, inner) => Statement::For(axes(own), relooped(inner, number)),
        Statement::Serial(own, inner) => Statement::Serial(axes(own), relooped(inner, number)),
        Statement::Reduce { axes: own, lets, results } => Statement::Reduce { axes: axes(own), lets, results },
        other => other,
    };
    statements.into_iter().map(statement).collect()
}

/// The statements with every index replaced.
pub fn map_indices(statements: &[Statement], index: &dyn Fn(&Index) -> Index) -> Vec<Statement> {
    let mapped = map_exprs(statements, &mut |expr| expr_indices(expr, index));
    mapped.into_iter().map(|statement| store_indices(statement, index)).collect()
}

fn store_indices(statement: Statement, index: &dyn Fn(&Index) -> Index) -> Statement {
    match statement {
        Statement::Store { tensor, index: at, value } => {
            Statement::Store { tensor, index: at.iter().map(index).collect(), value }
        }
        Statement::For(axes, inner) => Statement::For(axes, stores_in(inner, index)),
        Statement::Serial(axes, inner) => Statement::Serial(axes, stores_in(inner, index)),
        other => other,
    }
}

fn stores_in(statements: Vec<Statement>, index: &dyn Fn(&Index) -> Index) -> Vec<Statement> {
    statements.into_iter().map(|statement| store_indices(statement, index)).collect()
}

/// The expression with every index replaced, those inside the values of an index first.
pub fn expr_indices(expr: &Expr, index: &dyn Fn(&Index) -> Index) -> Expr {
    match expr {
        Expr::Index(_) | Expr::Load(_) => match expr.map_operands(&mut |x| expr_indices(x, index)) {
            Expr::Index(at) => Expr::Index(index(&at)),
            Expr::Load(load) => Expr::Load(Load { index: load.index.iter().map(index).collect(), ..load }),
            other => other,
        },
        _ => expr.map_operands(&mut |x| expr_indices(x, index)),
    }
}

/// The elements by which a load moves for one step of an axis; `None` where that is not one number.
pub fn stride(kernel: &Kernel, tensor: kiln_ir::TensorId, index: &[Index], axis: AxisId) -> Option<i64> {
    let strides = kernel.tensor(tensor).ty.shape.strides();
    let mut total = 0;
    for (component, stride) in index.iter().zip(strides) {
        for (atom, factor) in &component.terms {
            match atom {
                kiln_ir::Atom::Axis(id) if *id == axis => total += factor * stride as i64,
                kiln_ir::Atom::Axis(_) => {}
                _ => {
                    let mut inside = false;
                    Index::atom(atom.clone()).for_each_axis(&mut |id| inside |= id == axis);
                    if inside {
                        return None;
                    }
                }
            }
        }
    }
    Some(total)
}

/// The axes that an expression names.
pub fn axes_of(expr: &Expr) -> Vec<AxisId> {
    let mut axes = Vec::new();
    let mut note = |index: &Index| {
        index.for_each_axis(&mut |id| {
            if !axes.contains(&id) {
                axes.push(id);
            }
        });
    };
    expr.for_each(&mut |x| match x {
        Expr::Index(index) => note(index),
        Expr::Load(load) => load.index.iter().for_each(&mut note),
        _ => {}
    });
    axes
}

/// The divisor of `extent` in `low..=high` that is nearest to `wanted`, the smaller of two.
pub fn divisor(extent: usize, low: usize, wanted: usize, high: usize) -> Option<usize> {
    (low..=high.min(extent)).filter(|size| extent.is_multiple_of(*size)).min_by_key(|size| size.abs_diff(wanted))
}
