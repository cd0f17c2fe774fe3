//! Walks over the statements of a kernel, which passes and back ends share.

use crate::kernel::{Reduction, Statement};
use crate::{Expr, Index, Load, LocalId, TensorId};

/// Calls `visit` with every expression of the statements, whole.
pub fn for_each_expr(statements: &[Statement], visit: &mut dyn FnMut(&Expr)) {
    for statement in statements {
        match statement {
            Statement::Let(_, value) => visit(value),
            Statement::For(_, inner) | Statement::Serial(_, inner) => for_each_expr(inner, visit),
            Statement::Reduce { lets, results, .. } => {
                lets.iter().for_each(|(_, value)| visit(value));
                results.iter().for_each(|result| visit(&result.value));
            }
            Statement::Store { index, value, .. } => {
                // An index may hold values: those of a scatter.
                index.iter().for_each(|component| component.for_each_value(visit));
                visit(value);
            }
        }
    }
}

/// Calls `visit` with every load, also those inside indices.
pub fn for_each_load(statements: &[Statement], visit: &mut dyn FnMut(&Load)) {
    for_each_expr(statements, &mut |expr| {
        expr.for_each(&mut |x| {
            if let Expr::Load(load) = x {
                visit(load);
            }
        });
    });
}

/// Calls `visit` with every stored tensor and its index.
pub fn for_each_store(statements: &[Statement], visit: &mut dyn FnMut(TensorId, &[Index])) {
    for statement in statements {
        match statement {
            Statement::Store { tensor, index, .. } => visit(*tensor, index),
            Statement::For(_, inner) | Statement::Serial(_, inner) => for_each_store(inner, visit),
            Statement::Let(..) | Statement::Reduce { .. } => {}
        }
    }
}

/// Whether a serial loop is one of the statements.
pub fn has_serial(statements: &[Statement]) -> bool {
    statements.iter().any(|statement| matches!(statement, Statement::Serial(..)))
}

/// The statements with every expression replaced.
pub fn map_exprs(statements: &[Statement], expr: &mut dyn FnMut(&Expr) -> Expr) -> Vec<Statement> {
    let mut result = Vec::new();
    for statement in statements {
        result.push(match statement {
            Statement::Let(local, value) => Statement::Let(*local, expr(value)),
            Statement::For(axes, inner) => Statement::For(axes.clone(), map_exprs(inner, expr)),
            Statement::Serial(axes, inner) => Statement::Serial(axes.clone(), map_exprs(inner, expr)),
            Statement::Reduce { axes, lets, results } => Statement::Reduce {
                axes: axes.clone(),
                lets: lets.iter().map(|(local, value)| (*local, expr(value))).collect(),
                results: results.iter().map(|r| Reduction { value: expr(&r.value), ..r.clone() }).collect(),
            },
            Statement::Store { tensor, index, value } => {
                let at = index.iter().map(|component| component.substitute(&mut Index::axis, &mut |x| expr(x)));
                Statement::Store { tensor: *tensor, index: at.collect(), value: expr(value) }
            }
        });
    }
    result
}

/// The statements with other tensors.
pub fn with_tensors(statements: Vec<Statement>, tensor: &dyn Fn(TensorId) -> TensorId) -> Vec<Statement> {
    let statements = map_exprs(&statements, &mut |expr| tensors_in(expr, tensor));
    stores_to(statements, tensor)
}

/// The expression with every local replaced.
pub fn substitute_locals(expr: &Expr, local: &dyn Fn(LocalId) -> Expr) -> Expr {
    match expr {
        Expr::Local(id) => local(*id),
        _ => expr.map_operands(&mut |x| substitute_locals(x, local)),
    }
}

fn stores_to(statements: Vec<Statement>, tensor: &dyn Fn(TensorId) -> TensorId) -> Vec<Statement> {
    let statement = |statement| match statement {
        Statement::For(axes, inner) => Statement::For(axes, stores_to(inner, tensor)),
        Statement::Serial(axes, inner) => Statement::Serial(axes, stores_to(inner, tensor)),
        Statement::Store { tensor: id, index, value } => Statement::Store { tensor: tensor(id), index, value },
        other => other,
    };
    statements.into_iter().map(statement).collect()
}

fn tensors_in(expr: &Expr, tensor: &dyn Fn(TensorId) -> TensorId) -> Expr {
    match expr {
        Expr::Load(load) => {
            let at = load.index.iter().map(|c| c.substitute(&mut Index::axis, &mut |x| tensors_in(x, tensor)));
            Expr::Load(Load { tensor: tensor(load.tensor), index: at.collect(), fill: load.fill })
        }
        _ => expr.map_operands(&mut |x| tensors_in(x, tensor)),
    }
}
