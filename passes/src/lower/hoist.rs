//! Moves what does not change out of inner loops. A value is bound in the loops whose axes its index names; this finds the parts of
//! formulas that depend on less: the checked label inside a loop over classes, the factor of a row.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::{Access, Kernel, Local, Statement};
use kiln_ir::statements::map_exprs;
use kiln_ir::{AxisId, DType, Expr, LocalId};

use super::tidy;
use crate::tile::rewrite::axes_of;

/// Hoists into the shared loops, never out of them.
pub fn run(kernel: &mut Kernel) {
    // What is loaded from here has another value in the next step of a serial loop.
    let written = kernel.tensors.iter().map(|tensor| tensor.access != Access::Read).collect();
    let dtypes: Vec<DType> = kernel.tensors.iter().map(|tensor| tensor.ty.dtype).collect();
    let names: Vec<String> = kernel.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let mut hoisting = Hoisting { locals: std::mem::take(&mut kernel.locals), dtypes, names, written };
    kernel.body = match std::mem::take(&mut kernel.body) {
        body if body.len() != 1 => hoisting.block(body),
        mut body => match body.remove(0) {
            Statement::For(axes, inner) => vec![Statement::For(axes, hoisting.block(inner))],
            other => vec![other],
        },
    };
    kernel.locals = hoisting.locals;
    tidy::run(kernel);
}

struct Hoisting {
    locals: Vec<Local>,
    dtypes: Vec<DType>,
    names: Vec<String>,
    written: Vec<bool>,
}

impl Hoisting {
    fn block(&mut self, statements: Vec<Statement>) -> Vec<Statement> {
        let mut result = Vec::new();
        let mut hoisted: BTreeMap<Expr, LocalId> = BTreeMap::new();
        for statement in statements {
            if matches!(statement, Statement::Let(..) | Statement::Store { .. }) {
                result.push(statement);
                continue;
            }
            let (mut axes, mut bound) = (BTreeSet::new(), BTreeSet::new());
            inside(std::slice::from_ref(&statement), &mut axes, &mut bound);
            // The results of a reduction are known outside of it.
            if let Statement::Reduce { results, .. } = &statement {
                bound.retain(|local| results.iter().all(|result| result.local != *local));
            }
            let before = hoisted.len();
            let mut new = Vec::new();
            let mut replaced =
                map_exprs(&[statement], &mut |expr| self.expr(expr, &axes, &bound, &mut hoisted, &mut new));
            debug_assert_eq!(hoisted.len(), before + new.len());
            result.extend(new.into_iter().map(|(local, value)| Statement::Let(local, value)));
            result.append(&mut replaced);
        }
        result
    }

    fn expr(
        &mut self,
        expr: &Expr,
        axes: &BTreeSet<AxisId>,
        bound: &BTreeSet<LocalId>,
        hoisted: &mut BTreeMap<Expr, LocalId>,
        new: &mut Vec<(LocalId, Expr)>,
    ) -> Expr {
        if matches!(expr, Expr::Number(..) | Expr::Local(_) | Expr::Index(_) | Expr::Extent(_)) {
            return expr.clone();
        }
        let mut free = axes_of(expr).iter().all(|axis| !axes.contains(axis));
        expr.for_each(&mut |x| match x {
            Expr::Local(id) => free &= !bound.contains(id),
            Expr::Load(load) => free &= !self.written[load.tensor.0 as usize],
            _ => {}
        });
        if !free {
            return expr.map_operands(&mut |x| self.expr(x, axes, bound, hoisted, new));
        }
        let local = *hoisted.entry(expr.clone()).or_insert_with(|| {
            let local = self.local(expr);
            new.push((local, expr.clone()));
            local
        });
        Expr::Local(local)
    }

    fn local(&mut self, value: &Expr) -> LocalId {
        let dtype = value.dtype(&|id| self.dtypes[id.0 as usize], &|id| self.locals[id.0 as usize].dtype);
        let mut base = "factor".to_owned();
        value.for_each(&mut |x| match x {
            Expr::Load(load) => base = self.names[load.tensor.0 as usize].clone(),
            Expr::Local(id) if base == "factor" => base = self.locals[id.0 as usize].name.clone(),
            _ => {}
        });
        let taken = |name: &str| {
            self.locals.iter().any(|local| local.name == name) || self.names.iter().any(|held| held == name)
        };
        let numbered = |number: usize| if number == 1 { base.clone() } else { format!("{base}_{number}") };
        let name = (1..).map(numbered).find(|name| !taken(name)).expect("there are more numbers than names");
        self.locals.push(Local { name, dtype });
        LocalId(self.locals.len() as u32 - 1)
    }
}

/// The axes and locals that statements bind.
fn inside(statements: &[Statement], axes: &mut BTreeSet<AxisId>, locals: &mut BTreeSet<LocalId>) {
    for statement in statements {
        match statement {
            Statement::Let(local, _) => locals.extend([*local]),
            Statement::For(own, inner) | Statement::Serial(own, inner) => {
                axes.extend(own);
                inside(inner, axes, locals);
            }
            Statement::Reduce { axes: own, lets, results } => {
                axes.extend(own);
                locals.extend(lets.iter().map(|(local, _)| *local));
                locals.extend(results.iter().map(|result| result.local));
            }
            Statement::Store { .. } => {}
        }
    }
}
