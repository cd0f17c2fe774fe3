//! Rules for convolutions.

use kiln_ir::ops::*;
use kiln_ir::{Dim, Graph, ValueId};

use super::arithmetic::builder;

/// A convolution by single taps that strides is one over the positions it sees: its gradient has no zeros to multiply then.
pub(super) fn single_taps(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Conv(conv) = graph.node(value).op.clone() else { return None };
    let [x, weight] = *graph.operands(value).as_slice() else { return None };
    let taps_are_single = (2..graph.ty(weight).rank()).all(|axis| graph.ty(weight).dim(axis) == Dim::ONE);
    let moves = conv.stride.iter().any(|&stride| stride > 1) && conv.padding.iter().all(|&padding| padding == 0);
    if !taps_are_single || !moves {
        return None;
    }
    let lengths: Vec<usize> = (2..graph.ty(value).rank()).map(|axis| graph.ty(value).dim(axis).factor).collect();
    let seen = conv.stride.iter().zip(lengths).enumerate().fold(x, |x, (at, (&step, length))| {
        builder(graph, value).emit(Slice { axis: at + 2, start: 0, length, step }, &[x])
    });
    let stride = vec![1; conv.stride.len()];
    Some(builder(graph, value).emit(Conv { stride, ..conv }, &[seen, weight]))
}
