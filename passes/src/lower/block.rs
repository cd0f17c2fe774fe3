//! Blocks: straight-line code for several elements at once, inside the loops over the others.
//!
//! ```text
//! for n in B, u in 7, v in 7, c in 64
//!   t0 = x[n, c, 4*u, 4*v]                         // what the elements share
//!   ..
//!   d[n, 0, u, v, c] = t6 + t8                     // the elements
//!   d[n, 1, u, v, c] = t7 - t9
//! ```

use kiln_ir::kernel::Statement;
use kiln_ir::{AxisId, Expr, Index, LocalId, ValueId};

use super::emit::Emitter;
use super::values::Formula;
use crate::fuse::facts;
use crate::statements::{for_each_load, for_each_store, substitute_locals};

impl Emitter<'_> {
    /// The statements of a kernel whose one member is a block.
    pub(super) fn block(&mut self, member: ValueId) {
        let graph = self.cx.graph;
        let body = facts::body(graph, member);
        let block = body.block.as_ref().expect("it is a block");
        let (tensor, operands) = (self.output(member), graph.operands(member));
        let index = self.shared_index(member);
        let formula = Formula { value: member, operands: &operands, index: &index };
        let mut locals: Vec<LocalId> = Vec::new();
        let renamed =
            |value: &Expr, locals: &[LocalId]| substitute_locals(value, &|id| Expr::Local(locals[id.0 as usize]));
        for (at, value) in block.lets.iter().enumerate() {
            let value = renamed(value, &locals);
            let dtype =
                value.dtype(&|id| graph.ty(operands[id.0 as usize]).dtype, &|id| self.locals[id.0 as usize].dtype);
            let value = self.substitute(&value, formula);
            let local = self.local(&format!("t{at}"), dtype);
            self.rows.push(Statement::Let(local, value));
            locals.push(local);
        }
        let extents: Vec<usize> = block.axes.iter().map(|&axis| graph.ty(member).dim(axis).factor).collect();
        for (at, element) in block.elements.iter().enumerate() {
            let value = self.substitute(&renamed(element, &locals), formula);
            let (mut place, mut rest) = (index.clone(), at);
            for (&axis, &extent) in block.axes.iter().zip(&extents).rev() {
                place[axis] = Index::constant((rest % extent) as i64);
                rest /= extent;
            }
            self.rows.push(Statement::Store { tensor, index: place, value });
        }
        self.innermost_contiguous();
    }

    /// Moves the loop inside along which most accesses are of neighbours.
    fn innermost_contiguous(&mut self) {
        let mut neighbours = vec![0; self.axes.len()];
        let mut note = |index: &[Index]| {
            if let Some(AxisId(axis)) = index.last().and_then(Index::as_axis) {
                neighbours[axis as usize] += 1;
            }
        };
        for_each_load(&self.rows, &mut |load| note(&load.index));
        for_each_store(&self.rows, &mut |_, index| note(index));
        if let Some(&best) = self.shared.iter().max_by_key(|axis| neighbours[axis.0 as usize]) {
            self.shared.retain(|&axis| axis != best);
            self.shared.push(best);
        }
    }
}
