//! Puts values that are used once back where they are used, so that a kernel reads like the formula it is, and drops what nothing uses:
//! also the choices that another around them has made.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::{Kernel, Local, Reduction, Statement};
use kiln_ir::statements::{map_exprs, substitute_locals};
use kiln_ir::{AxisId, Expr, LocalId, TensorId};

/// Tidies the whole loop tree and renumbers its locals.
pub fn run(kernel: &mut Kernel) {
    loop {
        let mut uses = BTreeMap::new();
        count_block(&kernel.body, &mut uses);
        let body = map_exprs(&block(&kernel.body, &uses), &mut decided);
        if body == kernel.body {
            break;
        }
        kernel.body = body;
    }
    renumber_locals(kernel);
    unique_names(kernel);
}

/// Gives each tensor, axis and local a name of its own; tensors keep theirs, which are the user's.
pub fn unique_names(kernel: &mut Kernel) {
    let mut taken: BTreeSet<String> = kernel.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let axes = kernel.axes.iter_mut().map(|axis| &mut axis.name);
    for name in axes.chain(kernel.locals.iter_mut().map(|local| &mut local.name)) {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        *name = free.expect("there are more numbers than names");
        taken.insert(name.clone());
    }
}

type Uses = BTreeMap<LocalId, usize>;

fn count(expr: &Expr, uses: &mut Uses) {
    expr.for_each(&mut |x| {
        if let Expr::Local(id) = x {
            *uses.entry(*id).or_default() += 1;
        }
    });
}

/// Uses in the statements themselves, not in the loops among them.
fn count_direct(statements: &[Statement], uses: &mut Uses) {
    for statement in statements {
        match statement {
            Statement::Let(_, value) => count(value, uses),
            Statement::Store { index, value, .. } => {
                count(value, uses);
                index.iter().for_each(|component| count(&Expr::Index(component.clone()), uses));
            }
            Statement::For(..) | Statement::Serial(..) | Statement::Reduce { .. } => {}
        }
    }
}

fn count_block(statements: &[Statement], uses: &mut Uses) {
    count_direct(statements, uses);
    for statement in statements {
        match statement {
            Statement::For(_, inner) | Statement::Serial(_, inner) => count_block(inner, uses),
            Statement::Reduce { lets, results, .. } => {
                lets.iter().for_each(|(_, value)| count(value, uses));
                results.iter().for_each(|result| count(&result.value, uses));
            }
            Statement::Let(..) | Statement::Store { .. } => {}
        }
    }
}

fn loads(expr: &Expr, tensor: TensorId) -> bool {
    let mut found = false;
    expr.for_each(&mut |x| found |= matches!(x, Expr::Load(load) if load.tensor == tensor));
    found
}

/// What costs nothing to repeat.
fn is_trivial(expr: &Expr) -> bool {
    matches!(expr, Expr::Number(..) | Expr::Local(_) | Expr::Index(_) | Expr::Extent(_))
}

fn block(statements: &[Statement], uses: &Uses) -> Vec<Statement> {
    let mut direct = Uses::new();
    count_direct(statements, &mut direct);
    let mut moved: BTreeMap<LocalId, Expr> = BTreeMap::new();
    let mut result = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let statement = replace(std::slice::from_ref(statement), &moved).remove(0);
        if let Statement::Store { tensor, .. } = statement {
            // A load of what is overwritten here stays in front.
            let mut later = Uses::new();
            count_block(&statements[at + 1..], &mut later);
            let stays = |local: &LocalId, value: &Expr| later.contains_key(local) && loads(value, tensor);
            let kept: Vec<LocalId> =
                moved.iter().filter(|(local, value)| stays(local, value)).map(|(&local, _)| local).collect();
            result.extend(
                kept.into_iter().filter_map(|local| moved.remove(&local).map(|value| Statement::Let(local, value))),
            );
        }
        match statement {
            Statement::Let(local, value) => {
                let total = uses.get(&local).copied().unwrap_or(0);
                if total == 1 && direct.get(&local) == Some(&1) || total > 0 && is_trivial(&value) {
                    moved.insert(local, value);
                } else if total > 0 {
                    result.push(Statement::Let(local, value));
                }
            }
            Statement::For(axes, inner) => result.push(Statement::For(axes, block(&inner, uses))),
            Statement::Serial(axes, inner) => result.push(Statement::Serial(axes, block(&inner, uses))),
            Statement::Reduce { axes, lets, results } => result.push(reduce(axes, lets, results, uses)),
            store => result.push(store),
        }
    }
    result
}

fn reduce(axes: Vec<AxisId>, lets: Vec<(LocalId, Expr)>, results: Vec<Reduction>, uses: &Uses) -> Statement {
    let mut moved: BTreeMap<LocalId, Expr> = BTreeMap::new();
    let mut kept = Vec::new();
    for (local, value) in lets {
        let value = replaced(&value, &moved);
        match uses.get(&local).copied().unwrap_or(0) {
            0 => {}
            many if many == 1 || is_trivial(&value) => moved.extend([(local, value)]),
            _ => kept.push((local, value)),
        }
    }
    let results = results.into_iter().map(|r| Reduction { value: replaced(&r.value, &moved), ..r }).collect();
    Statement::Reduce { axes, lets: kept, results }
}

fn replaced(expr: &Expr, moved: &BTreeMap<LocalId, Expr>) -> Expr {
    substitute_locals(expr, &|id| moved.get(&id).cloned().unwrap_or(Expr::Local(id)))
}

fn replace(statements: &[Statement], moved: &BTreeMap<LocalId, Expr>) -> Vec<Statement> {
    map_exprs(statements, &mut |expr| replaced(expr, moved))
}

/// What an expression around has decided. `select(c, select(c, a, ..), b)` is `select(c, a, b)`: part of a concatenation is guarded by the condition that chooses it.
fn decided(expr: &Expr) -> Expr {
    match expr.map_operands(&mut decided) {
        Expr::Select(condition, yes, no) => {
            let yes = match *yes {
                Expr::Select(again, inner, _) if again == condition => inner,
                yes => Box::new(yes),
            };
            let no = match *no {
                Expr::Select(again, _, inner) if again == condition => inner,
                no => Box::new(no),
            };
            Expr::Select(condition, yes, no)
        }
        // What is in range is not checked against it again.
        Expr::Check(x, bound, site) => match *x {
            Expr::Check(_, held, _) if held == bound => *x,
            _ => Expr::Check(x, bound, site),
        },
        other => other,
    }
}

fn renumber_locals(kernel: &mut Kernel) {
    let mut order: Vec<LocalId> = Vec::new();
    bound(&kernel.body, &mut order);
    let locals: Vec<Local> = order.iter().map(|&id| kernel.local(id).clone()).collect();
    let number =
        |id: LocalId| LocalId(order.iter().position(|&held| held == id).expect("a used local is bound") as u32);
    let body = map_exprs(&kernel.body, &mut |expr| substitute_locals(expr, &|id| Expr::Local(number(id))));
    kernel.body = rebound(body, &number);
    kernel.locals = locals;
}

fn bound(statements: &[Statement], order: &mut Vec<LocalId>) {
    for statement in statements {
        match statement {
            Statement::Let(local, _) => order.push(*local),
            Statement::For(_, inner) | Statement::Serial(_, inner) => bound(inner, order),
            Statement::Reduce { lets, results, .. } => {
                order.extend(lets.iter().map(|(local, _)| *local));
                order.extend(results.iter().map(|result| result.local));
            }
            Statement::Store { .. } => {}
        }
    }
}

fn rebound(statements: Vec<Statement>, number: &dyn Fn(LocalId) -> LocalId) -> Vec<Statement> {
    let rename = |statement| match statement {
        Statement::Let(local, value) => Statement::Let(number(local), value),
        Statement::For(axes, inner) => Statement::For(axes, rebound(inner, number)),
        Statement::Serial(axes, inner) => Statement::Serial(axes, rebound(inner, number)),
        Statement::Reduce { axes, lets, results } => Statement::Reduce {
            axes,
            lets: lets.into_iter().map(|(local, value)| (number(local), value)).collect(),
            results: results.into_iter().map(|r| Reduction { local: number(r.local), ..r }).collect(),
        },
        store => store,
    };
    statements.into_iter().map(rename).collect()
}
