//! Sweeps: a loop that gives each line its start, and a serial loop over the steps along it.
//!
//! ```text
//! for n in B                                       // the lines
//!   for i in 4
//!     y[n, i] = base[n, i]                         // the start, if there is one
//!   serial t in 6
//!     place = check(index[n, t], 4)
//!     y[n, [place]] = y[n, [place]] + src[n, t]
//! ```

use kiln_ir::kernel::Statement;
use kiln_ir::{AxisId, DType, Dim, Expr, Index, ValueId};

use super::axis_names;
use super::emit::Emitter;
use super::values::Formula;
use crate::fuse::facts;

impl Emitter<'_> {
    /// The statements of a kernel whose one member is a sweep.
    pub(super) fn sweep(&mut self, member: ValueId) {
        let graph = self.cx.graph;
        let body = facts::body(graph, member);
        let sweep = body.sweep.as_ref().expect("it is a sweep");
        let (axis, name) = (sweep.axis, axis_names::of_result(graph, member)[sweep.axis].clone());
        // It is a tensor of the kernel that is written, before the first formula reads it.
        self.output(member);
        let mut operands = graph.operands(member);
        operands.push(member);
        let mut index = self.shared_index(member);
        let step_name = match &sweep.start {
            None => name,
            Some(start) => {
                let extent = self.cx.facts[&member].result[axis];
                let axes: Vec<AxisId> = (extent != Dim::ONE).then(|| self.axis(&name, extent)).into_iter().collect();
                index[axis] = axes.first().map_or(Index::constant(0), |&id| Index::axis(id));
                let value = self.substitute(start, Formula { value: member, operands: &operands, index: &index });
                let store = self.store(member, &index, value);
                let statements = self.inner_statements(store);
                match axes.is_empty() {
                    true => self.rows.extend(statements),
                    false => self.rows.push(Statement::For(axes, statements)),
                }
                "t".to_owned()
            }
        };
        let steps: Vec<AxisId> = sweep.steps.iter().map(|&extent| self.axis(&step_name, extent)).collect();
        // No formula names the axis itself.
        index[axis] = Index::constant(0);
        let at: Vec<Index> = index.iter().cloned().chain(steps.iter().map(|&id| Index::axis(id))).collect();
        let formula = Formula { value: member, operands: &operands, index: &at };
        let place = self.index(&sweep.place, formula);
        // The place is a name, so that it is checked once for the load and the store.
        let mut named: Vec<(Expr, Expr)> = Vec::new();
        index[axis] = place.substitute(&mut Index::axis, &mut |value| {
            let local = self.local("place", DType::I64);
            self.inner.push((local, value.clone()));
            named.push((value.clone(), Expr::Local(local)));
            Expr::Local(local)
        });
        let value = with_names(&self.substitute(&body.value, formula), &named);
        let store = self.store(member, &index, value);
        let statements = self.inner_statements(store);
        self.rows.push(Statement::Serial(steps, statements));
    }

    /// What has been bound for a statement, and the statement.
    fn inner_statements(&mut self, statement: Statement) -> Vec<Statement> {
        self.inner_values.clear();
        let lets = std::mem::take(&mut self.inner).into_iter().map(|(local, value)| Statement::Let(local, value));
        lets.chain([statement]).collect()
    }
}

fn with_names(expr: &Expr, named: &[(Expr, Expr)]) -> Expr {
    match named.iter().find(|(value, _)| value == expr) {
        Some((_, name)) => name.clone(),
        None => expr.map_operands(&mut |x| with_names(x, named)),
    }
}
