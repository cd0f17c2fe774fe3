//! The checks of a kernel, as messages know them: whose index it is, and where it came from.

use std::collections::BTreeSet;

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::{Expr, LocalId};

/// Every text that a check says whose index it is with, sorted, once each: a fault has its number, however loops are rewritten.
pub(crate) fn sites(kernel: &Kernel) -> Vec<String> {
    let mut sites = BTreeSet::new();
    for_each_expr(&kernel.body, &mut |expr| {
        expr.for_each(&mut |x| {
            if let Expr::Check(_, _, site) = x {
                sites.insert(site.clone());
            }
        });
    });
    sites.into_iter().collect()
}

/// What a `let` binds a local to.
pub(crate) fn definition(kernel: &Kernel, local: LocalId) -> Option<&Expr> {
    fn find(statements: &[Statement], local: LocalId) -> Option<&Expr> {
        statements.iter().find_map(|statement| match statement {
            Statement::Let(held, value) => (*held == local).then_some(value),
            Statement::For(_, body) | Statement::Serial(_, body) => find(body, local),
            Statement::Reduce { lets, .. } => lets.iter().find(|(held, _)| *held == local).map(|(_, value)| value),
            Statement::Store { .. } => None,
        })
    }
    find(&kernel.body, local)
}

fn for_each_expr(statements: &[Statement], visit: &mut dyn FnMut(&Expr)) {
    for statement in statements {
        match statement {
            Statement::Let(_, value) => visit(value),
            Statement::For(_, body) | Statement::Serial(_, body) => for_each_expr(body, visit),
            Statement::Reduce { lets, results, .. } => {
                lets.iter().for_each(|(_, value)| visit(value));
                results.iter().for_each(|result| visit(&result.value));
            }
            Statement::Store { index, value, .. } => {
                index.iter().for_each(|index| index.for_each_value(visit));
                visit(value);
            }
        }
    }
}
