//! Blocks: straight-line code for several elements at once, inside the loops over the others.
//!
//! ```text
//! for n in B, u in 7, v in 7, c in 64
//!   t0 = x[n, c, 4*u, 4*v]                         // what the elements share
//!   ..
//!   d[n, 0, u, v, c] = t6 + t8                     // the elements
//!   d[n, 1, u, v, c] = t7 - t9
//! ```

use std::collections::BTreeSet;

use kiln_ir::kernel::{Axis, Statement};
use kiln_ir::statements::{for_each_load, for_each_store, substitute_locals};
use kiln_ir::{AxisId, Block, Dim, Element, Expr, Index, LocalId, TensorId, ValueId};

use super::axis_names;
use super::emit::Emitter;
use super::values::Formula;
use crate::fuse::facts;

/// More elements than this stay in different lines, which push each other out of the first cache where they are far apart.
const MOST_STORES: usize = 8;

impl Emitter<'_> {
    /// The statements of a kernel whose one member is a block: the elements in groups, each with a loop of its own along the memory.
    pub(super) fn block(&mut self, member: ValueId) {
        let graph = self.cx.graph;
        let body = facts::body(graph, member);
        let block = body.block.as_ref().expect("it is a block");
        let names = axis_names::of_reduction(graph, member);
        let steps: Vec<Option<AxisId>> = (block.steps.iter().zip(&names))
            .map(|(&extent, name)| (extent != Dim::ONE).then(|| self.axis(name, extent)))
            .collect();
        self.order.extend(steps.iter().copied().flatten());
        // What fills an axis says where.
        let steps = steps.into_iter().map(|step| step.map_or(Index::constant(0), Index::axis));
        let index: Vec<Index> = self.shared_index(member).into_iter().chain(steps).collect();
        let operands = graph.operands(member);
        let count = block.elements.len();
        let size = (1..=MOST_STORES).rfind(|size| count.is_multiple_of(*size)).unwrap_or(1);
        let mut inner = None;
        for elements in block.elements.chunks(size) {
            // Each loop has an axis of its own.
            let axis = inner.map(|axis: AxisId| {
                let Axis { name, extent, .. } = self.axes[axis.0 as usize].clone();
                (axis, self.axis(&name, extent))
            });
            let moved = |index: &Index| {
                index.substitute(
                    &mut |id| Index::axis(axis.filter(|(old, _)| *old == id).map_or(id, |(_, new)| new)),
                    &mut Expr::clone,
                )
            };
            let index: Vec<Index> = index.iter().map(moved).collect();
            let lines = self.lines(block, elements, Formula { value: member, operands: &operands, index: &index });
            if inner.is_none() && size < count {
                self.innermost_contiguous(&lines);
                inner = self.order.pop();
            }
            match axis.map(|(_, new)| new).or(inner) {
                Some(axis) => self.rows.push(Statement::For(vec![axis], lines)),
                None => self.rows.extend(lines),
            }
        }
        if inner.is_none() {
            let lines = std::mem::take(&mut self.rows);
            self.innermost_contiguous(&lines);
            self.rows = lines;
        }
    }

    /// What some elements need, and the elements.
    fn lines(&mut self, block: &Block, elements: &[Element], formula: Formula<'_>) -> Vec<Statement> {
        let graph = self.cx.graph;
        let mut lines = Vec::new();
        let mut locals: Vec<Option<LocalId>> = Vec::new();
        let renamed = |value: &Expr, locals: &[Option<LocalId>]| {
            substitute_locals(value, &|id| Expr::Local(locals[id.0 as usize].expect("what is needed comes first")))
        };
        let needed = needed(block, elements);
        for (at, value) in block.lets.iter().enumerate() {
            if !needed.contains(&at) {
                locals.push(None);
                continue;
            }
            let value = renamed(value, &locals);
            let tensor = |id: TensorId| graph.ty(formula.operands[id.0 as usize]).dtype;
            let dtype = value.dtype(&tensor, &|id| self.locals[id.0 as usize].dtype);
            let value = self.line(&value, formula, &mut lines);
            let local = self.local(&format!("t{at}"), dtype);
            lines.push(Statement::Let(local, value));
            locals.push(Some(local));
        }
        for Element { place, value } in elements {
            let value = self.line(&renamed(value, &locals), formula, &mut lines);
            let mut at = formula.index[..graph.ty(formula.value).rank()].to_vec();
            for (axis, place) in block.axes.iter().zip(place) {
                at[*axis] = self.index(place, formula);
            }
            let store = self.store(formula.value, &at, value);
            lines.push(store);
        }
        // The next group is another loop.
        self.row_values.clear();
        self.inner_values.clear();
        lines
    }

    /// A formula, with everything that it needs bound before it.
    fn line(&mut self, value: &Expr, formula: Formula<'_>, lines: &mut Vec<Statement>) -> Expr {
        let finished = self.rows.len();
        let value = self.substitute(value, formula);
        lines.extend(self.rows.drain(finished..));
        lines.extend(std::mem::take(&mut self.inner).into_iter().map(|(local, value)| Statement::Let(local, value)));
        value
    }

    /// Moves the loop inside along which most accesses are of neighbours.
    fn innermost_contiguous(&mut self, lines: &[Statement]) {
        let mut neighbours = vec![0; self.axes.len()];
        let mut note = |index: &[Index]| {
            if let Some(AxisId(axis)) = index.last().and_then(Index::as_axis) {
                neighbours[axis as usize] += 1;
            }
        };
        for_each_load(lines, &mut |load| note(&load.index));
        for_each_store(lines, &mut |_, index| note(index));
        if let Some(&best) = self.order.iter().max_by_key(|axis| neighbours[axis.0 as usize]) {
            self.order.retain(|&axis| axis != best);
            self.order.push(best);
        }
    }
}

/// The lets on which some elements depend.
fn needed(block: &Block, elements: &[Element]) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut pending: Vec<&Expr> = elements.iter().map(|element| &element.value).collect();
    while let Some(value) = pending.pop() {
        value.for_each(&mut |x| {
            if let Expr::Local(LocalId(at)) = x
                && needed.insert(*at as usize)
            {
                pending.push(&block.lets[*at as usize]);
            }
        });
    }
    needed
}
