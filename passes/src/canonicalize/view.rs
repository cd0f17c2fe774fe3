//! Rules for views and for the reductions that are views.

use kiln_ir::ops::*;
use kiln_ir::{Dim, Expr, Graph, Kind, ValueId, accumulator};

use super::arithmetic::builder;
use crate::rewrite::{fill_of, is_output};

/// A view that changes nothing: a reshape, expansion or slice to the same shape, a permutation in order, padding by nothing, one part
/// alone.
pub(super) fn same_type(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let unchanged = match &graph.node(value).op {
        Op::Reshape(_) | Op::Expand(_) | Op::Slice(_) => graph.ty(graph.operands(value)[0]) == graph.ty(value),
        Op::Permute(permute) => permute.dims.is_sorted(),
        Op::Pad(pad) => pad.low + pad.high == 0 && (pad.interior == 0 || graph.ty(value).dim(pad.axis).factor <= 1),
        Op::Concat(_) => graph.operands(value).len() == 1,
        _ => false,
    };
    unchanged.then(|| graph.operands(value)[0])
}

/// Two views of one kind in a row are one.
pub(super) fn view_of_view(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let &[inner] = graph.operands(value).as_slice() else { return None };
    let op: Op = match (&graph.node(inner).op, &graph.node(value).op) {
        (Op::Reshape(_), Op::Reshape(outer)) => outer.clone().into(),
        (Op::Expand(_), Op::Expand(outer)) => outer.clone().into(),
        (Op::Permute(inner), Op::Permute(outer)) => {
            Permute { dims: outer.dims.iter().map(|&axis| inner.dims[axis]).collect() }.into()
        }
        (Op::Slice(inner), Op::Slice(outer)) if inner.axis == outer.axis => {
            let start = inner.start + outer.start * inner.step;
            Slice { axis: outer.axis, start, length: outer.length, step: outer.step * inner.step }.into()
        }
        _ => return None,
    };
    let x = graph.operands(inner)[0];
    Some(builder(graph, value).emit(op, &[x]))
}

/// A permutation that only moves axes of extent 1 is a reshape.
pub(super) fn permute_of_ones(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Permute(Permute { dims }) = &graph.node(value).op else { return None };
    let x = graph.operands(value)[0];
    let ty = graph.ty(x);
    if !dims.iter().filter(|&&axis| ty.dim(axis) != Dim::ONE).is_sorted() {
        return None;
    }
    let shape = graph.ty(value).shape.clone();
    Some(builder(graph, value).reshape(x, &shape))
}

/// An expansion that repeats nothing is a reshape.
pub(super) fn expand_by_ones(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Expand(_) = graph.node(value).op else { return None };
    let x = graph.operands(value)[0];
    let shape = graph.ty(value).shape.clone();
    (graph.ty(x).shape.count() == shape.count()).then(|| builder(graph, value).reshape(x, &shape))
}

/// An expansion makes leading axes itself: `expand(reshape x)` where the reshape only puts axes of extent 1 in front.
pub(super) fn expand_of_new_axes(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (Op::Expand(expand), inner) = (graph.node(value).op.clone(), *graph.operands(value).first()?) else {
        return None;
    };
    let Op::Reshape(_) = graph.node(inner).op else { return None };
    let x = graph.operands(inner)[0];
    let (from, to) = (&graph.ty(x).shape.0, &graph.ty(inner).shape.0);
    let new = to.len().checked_sub(from.len())?;
    let only_new = to[..new].iter().all(|dim| *dim == Dim::ONE) && to[new..] == from[..];
    only_new.then(|| builder(graph, value).emit(expand, &[x]))
}

/// A slice of exactly what was padded.
pub(super) fn slice_of_pad(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Slice(slice) = &graph.node(value).op else { return None };
    let padded = graph.operands(value)[0];
    let Op::Pad(pad) = &graph.node(padded).op else { return None };
    let same = (slice.axis, slice.start, slice.step) == (pad.axis, pad.low, pad.interior + 1);
    let x = graph.operands(padded)[0];
    (same && graph.ty(x) == graph.ty(value)).then_some(x)
}

/// A reduction over no axes, or over nothing but axes of extent 1, is a reshape.
pub(super) fn reduction_of_ones(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (Op::Sum(Sum { axes, .. }) | Op::Amax(Amax { axes, .. }) | Op::Amin(Amin { axes, .. })) = &graph.node(value).op
    else {
        return None;
    };
    let x = graph.operands(value)[0];
    if axes.iter().any(|&axis| graph.ty(x).dim(axis) != Dim::ONE) {
        return None;
    }
    let shape = graph.ty(value).shape.clone();
    Some(builder(graph, value).reshape(x, &shape))
}

/// A reduction that keeps its axes, only to lose them in a reshape, does not keep them.
pub(super) fn reduction_reshaped(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Reshape(_) = graph.node(value).op else { return None };
    let reduction = graph.operands(value)[0];
    let op: Op = match graph.node(reduction).op.clone() {
        Op::Sum(Sum { axes, keep: true }) => Sum { axes, keep: false }.into(),
        Op::Amax(Amax { axes, keep: true }) => Amax { axes, keep: false }.into(),
        Op::Amin(Amin { axes, keep: true }) => Amin { axes, keep: false }.into(),
        _ => return None,
    };
    let x = graph.operands(reduction)[0];
    let fits = op.infer(&[graph.ty(x).clone()]).is_ok_and(|ty| ty == *graph.ty(value));
    (fits && is_only_for(graph, reduction, value)).then(|| builder(graph, value).emit(op, &[x]))
}

/// A sum of sums that nothing else reads is one sum. Not for half types, whose inner sum is rounded to a half.
pub(super) fn sum_of_sum(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Sum(outer) = graph.node(value).op.clone() else { return None };
    let middle = graph.operands(value)[0];
    let Op::Sum(inner) = graph.node(middle).op.clone() else { return None };
    let dtype = graph.ty(value).dtype;
    if accumulator(dtype) != dtype || !is_only_for(graph, middle, value) {
        return None;
    }
    let x = graph.operands(middle)[0];
    let kept: Vec<usize> = (0..graph.ty(x).rank()).filter(|axis| inner.keep || !inner.axes.contains(axis)).collect();
    let mut axes: Vec<usize> = inner.axes.iter().copied().chain(outer.axes.iter().map(|&axis| kept[axis])).collect();
    axes.sort_unstable();
    axes.dedup();
    let shape = graph.ty(value).shape.clone();
    let mut cx = builder(graph, value);
    let sum = cx.emit(Sum { axes, keep: outer.keep && inner.keep }, &[x]);
    Some(cx.reshape(sum, &shape))
}

/// `relu(reshape x) → reshape(relu x)` where `x` is computed and the reshape serves the op alone: then `x` and the op fuse, and the reshape,
/// which moves nothing, no longer stands between them.
pub(super) fn reshape_sinks(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (operands, ty) = (graph.operands(value), graph.ty(value).clone());
    let mut varying: Vec<ValueId> = operands.iter().copied().filter(|&x| fill_of(graph, x).is_none()).collect();
    varying.dedup();
    let &[reshaped] = varying.as_slice() else { return None };
    let Op::Reshape(_) = graph.node(reshaped).op else { return None };
    let x = graph.operands(reshaped)[0];
    let computed = kind(graph, x).is_some_and(|kind| kind != Kind::View) && !graph.operands(x).is_empty();
    if !computed || ty.shape != graph.ty(reshaped).shape || !is_only_for(graph, reshaped, value) {
        return None;
    }
    if kind(graph, value) != Some(Kind::Pointwise) || depends_on_position(graph, value) {
        return None;
    }
    let (op, inner) = (graph.node(value).op.clone(), graph.ty(x).shape.clone());
    let mut cx = builder(graph, value);
    let operands: Vec<ValueId> = (operands.into_iter())
        .map(|operand| match fill_of(cx.graph, operand) {
            Some(number) => {
                let ty = cx.ty(operand).with_shape(inner.clone());
                cx.full(number, &ty)
            }
            None => x,
        })
        .collect();
    let result = cx.emit(op, &operands);
    let place = cx.graph.node(reshaped).place.clone();
    cx.place = place;
    Some(cx.reshape(result, &ty.shape))
}

fn is_only_for(graph: &Graph, value: ValueId, user: ValueId) -> bool {
    graph.users(value) == [user] && !is_output(graph, value)
}

fn kind(graph: &Graph, value: ValueId) -> Option<Kind> {
    let node = graph.node(value);
    Some(node.op.body(&graph.operand_types(value), &node.ty)?.kind)
}

fn depends_on_position(graph: &Graph, value: ValueId) -> bool {
    let node = graph.node(value);
    let mut found = false;
    if let Some(body) = node.op.body(&graph.operand_types(value), &node.ty) {
        body.value.for_each(&mut |expr| found |= matches!(expr, Expr::Index(_)));
    }
    found
}
