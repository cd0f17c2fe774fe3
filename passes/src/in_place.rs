//! Makes a kernel write over one of the tensors that it reads.

use kiln_ir::kernel::{Access, Kernel, Local, Statement};
use kiln_ir::statements;
use kiln_ir::{Expr, Index, Load, LocalId, TensorId};

use crate::lower::tidy;

/// The kernel with `read` and `written` as one tensor, updated in place and named as `read`. `None` where an element is read anywhere but
/// beside the statement that overwrites it. The place of `read` in the list of tensors goes.
pub fn run(kernel: &Kernel, read: TensorId, written: TensorId) -> Option<Kernel> {
    if kernel.tensor(read).ty != kernel.tensor(written).ty || kernel.tensor(written).access != Access::Write {
        return None;
    }
    let mut kernel = kernel.clone();
    let mut locals = std::mem::take(&mut kernel.locals);
    let loads = loads_in(&kernel.body, read);
    let body = rewrite(&kernel.body, read, written, loads, &kernel.tensors[read.0 as usize], &mut locals)?;
    kernel.locals = locals;
    let merge = |id: TensorId| {
        let id = if id == read { written } else { id };
        TensorId(id.0 - u32::from(id.0 > read.0))
    };
    kernel.body = statements::with_tensors(body, &merge);
    let name = kernel.tensors[read.0 as usize].name.clone();
    let target = &mut kernel.tensors[written.0 as usize];
    (target.access, target.name) = (Access::Update, name);
    kernel.tensors.remove(read.0 as usize);
    tidy::run(&mut kernel);
    Some(kernel)
}

/// The block that stores `written`, if all `loads` of `read` are in it and at the stored element. Those after the store are bound before it.
fn rewrite(
    statements: &[Statement],
    read: TensorId,
    written: TensorId,
    loads: usize,
    tensor: &kiln_ir::kernel::Tensor,
    locals: &mut Vec<Local>,
) -> Option<Vec<Statement>> {
    for (at, statement) in statements.iter().enumerate() {
        match statement {
            Statement::For(axes, inner) => {
                if let Some(inner) = rewrite(inner, read, written, loads, tensor, locals) {
                    let mut statements = statements.to_vec();
                    statements[at] = Statement::For(axes.clone(), inner);
                    return Some(statements);
                }
            }
            Statement::Store { tensor: stored, index, .. } if *stored == written => {
                let here = |statement: &&Statement| matches!(statement, Statement::Let(..) | Statement::Store { .. });
                let direct: Vec<Statement> = statements.iter().filter(here).cloned().collect();
                let same = loads_at(&direct, read, index) == loads;
                return same.then(|| bind_later_loads(statements, at, read, index, tensor, locals));
            }
            _ => {}
        }
    }
    None
}

fn bind_later_loads(
    statements: &[Statement],
    store: usize,
    read: TensorId,
    index: &[Index],
    tensor: &kiln_ir::kernel::Tensor,
    locals: &mut Vec<Local>,
) -> Vec<Statement> {
    let (before, after) = statements.split_at(store + 1);
    if loads_in(after, read) == 0 {
        return statements.to_vec();
    }
    let name = format!("{}_before", tensor.name);
    locals.push(Local { name, dtype: tensor.ty.dtype });
    let local = LocalId(locals.len() as u32 - 1);
    let load = Expr::Load(Load { tensor: read, index: index.to_vec(), fill: None });
    let mut result = before[..store].to_vec();
    result.push(Statement::Let(local, load.clone()));
    result.push(before[store].clone());
    result.extend(statements::map_exprs(after, &mut |expr| with_local(expr, &load, local)));
    result
}

fn with_local(expr: &Expr, load: &Expr, local: LocalId) -> Expr {
    if expr == load { Expr::Local(local) } else { expr.map_operands(&mut |x| with_local(x, load, local)) }
}

fn loads_in(statements: &[Statement], tensor: TensorId) -> usize {
    count(statements, &|load| load.tensor == tensor)
}

fn loads_at(statements: &[Statement], tensor: TensorId, index: &[Index]) -> usize {
    count(statements, &|load| load.tensor == tensor && load.index == index && load.fill.is_none())
}

fn count(body: &[Statement], holds: &dyn Fn(&Load) -> bool) -> usize {
    let mut total = 0;
    statements::for_each_load(body, &mut |load| total += usize::from(holds(load)));
    total
}
