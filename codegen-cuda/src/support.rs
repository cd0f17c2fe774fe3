//! Which kernels can be written, found out before a line of them is.
//!
//! After this check the writers need no error path.

use kiln_ir::kernel::Statement;
use kiln_ir::{Atom, Binary, DType, Expr, Index, Kernel, Monoid, Unary};

use crate::Error;

/// The first thing in the kernel that this back end cannot write.
pub(crate) fn check(kernel: &Kernel) -> Result<(), Error> {
    if let Some(tensor) = kernel.tensors.get(kernel.arguments().len()) {
        return Err(Error::UnsupportedScratch { kernel: kernel.name.clone(), tensor: tensor.name.clone() });
    }
    let held = kernel.tensors.iter().map(|tensor| tensor.ty.dtype).chain(kernel.locals.iter().map(|local| local.dtype));
    for dtype in held {
        check_dtype(kernel, dtype)?;
    }
    let mut result = Ok(());
    for_each_expr(kernel, &mut |expr| {
        if result.is_ok() {
            result = check_expr(kernel, expr);
        }
    });
    result?;
    check_reductions(kernel, &kernel.body)
}

/// Calls `visit` with every expression of the kernel, also those inside others and inside indices.
pub(crate) fn for_each_expr(kernel: &Kernel, visit: &mut dyn FnMut(&Expr)) {
    for axis in &kernel.axes {
        if let Some((index, _)) = &axis.limit {
            visit_index(index, visit);
        }
    }
    visit_statements(&kernel.body, visit);
}

fn visit_statements(statements: &[Statement], visit: &mut dyn FnMut(&Expr)) {
    for statement in statements {
        match statement {
            Statement::Let(_, value) => value.for_each(visit),
            Statement::For(_, body) | Statement::Serial(_, body) => visit_statements(body, visit),
            Statement::Reduce { lets, results, .. } => {
                lets.iter().for_each(|(_, value)| value.for_each(visit));
                results.iter().for_each(|result| result.value.for_each(visit));
            }
            Statement::Store { index, value, .. } => {
                index.iter().for_each(|index| visit_index(index, visit));
                value.for_each(visit);
            }
        }
    }
}

fn visit_index(index: &Index, visit: &mut dyn FnMut(&Expr)) {
    for (atom, _) in &index.terms {
        match atom {
            Atom::Axis(_) => {}
            Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => visit_index(inner, visit),
            Atom::Value(value) => value.for_each(visit),
        }
    }
}

fn check_expr(kernel: &Kernel, expr: &Expr) -> Result<(), Error> {
    let refuse = |function, dtype| Err(Error::UnsupportedFunction { kernel: kernel.name.clone(), function, dtype });
    match expr {
        Expr::Number(_, dtype) | Expr::Cast(dtype, _) => check_dtype(kernel, *dtype),
        Expr::Unary(op, x) => match (op, kernel.dtype(x)) {
            (Unary::Not, DType::Bool) => Ok(()),
            (Unary::Not, dtype) | (_, dtype @ DType::Bool) => refuse(op.name(), dtype),
            (Unary::Neg | Unary::Abs, _) => Ok(()),
            _ if op.is_rounding() => Ok(()),
            (_, dtype) if dtype.is_integer() => refuse(op.name(), dtype),
            _ => Ok(()),
        },
        Expr::Binary(op, x, _) => match (op, kernel.dtype(x)) {
            (Binary::And | Binary::Or | Binary::Max | Binary::Min, DType::Bool) => Ok(()),
            (Binary::And | Binary::Or, dtype) | (_, dtype @ DType::Bool) => refuse(op.name(), dtype),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_reductions(kernel: &Kernel, statements: &[Statement]) -> Result<(), Error> {
    for statement in statements {
        match statement {
            Statement::For(_, body) | Statement::Serial(_, body) => check_reductions(kernel, body)?,
            Statement::Reduce { results, .. } => {
                for result in results {
                    let dtype = kernel.dtype(&result.value);
                    if dtype == DType::Bool && matches!(result.monoid, Monoid::Sum | Monoid::Product) {
                        let function = result.monoid.name();
                        return Err(Error::UnsupportedFunction { kernel: kernel.name.clone(), function, dtype });
                    }
                }
            }
            Statement::Let(..) | Statement::Store { .. } => {}
        }
    }
    Ok(())
}

fn check_dtype(kernel: &Kernel, dtype: DType) -> Result<(), Error> {
    match dtype {
        DType::F16 | DType::BF16 => Err(Error::UnsupportedDType { kernel: kernel.name.clone(), dtype }),
        _ => Ok(()),
    }
}
