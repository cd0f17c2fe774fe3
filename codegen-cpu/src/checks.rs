//! The checks of a kernel, as messages know them: whose index it is.

use std::collections::BTreeSet;

use kiln_ir::Expr;
use kiln_ir::kernel::{Kernel, Statement};

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

pub(crate) fn for_each_expr(statements: &[Statement], visit: &mut dyn FnMut(&Expr)) {
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
