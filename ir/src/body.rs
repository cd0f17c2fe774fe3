//! What an op computes, in one form for all ops: for every position `i` of the result,
//! `result[i] = monoid over r of value(i, r)`.
//!
//! The kind says what a pass may rely on; the interpreter, the lowering and so both back ends need nothing but the formula.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{AxisId, DType, Dim, Expr, Index, Load, Monoid, Number, TensorId, Type};

/// The shape of a computation, as fusion sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Each element depends on the operands' elements at its own position (and on the position).
    Pointwise,
    /// Each element is one element of the operand, or a constant outside it.
    View,
    /// A reduction over whole axes of one operand.
    Reduce,
    /// A reduction over windows of the operands.
    Window,
    /// A sum of products of two operands: matrix products and convolutions.
    Contract,
    /// An element found through an index value.
    Gather,
    /// Elements that follow from one another, or whose places are values: a [`Sweep`].
    Sweep,
    /// Elements that are computed together: a [`Block`].
    Block,
}

/// An op as a formula. Axes `0..rank` are the result's; the axes of the reduction, or the steps of the sweep, follow.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Body {
    /// What a pass may rely on.
    pub kind: Kind,
    /// Extents of the reduction axes; empty when nothing is reduced.
    pub reduction: Vec<Dim>,
    /// How `value` is combined over the reduction axes; `None` exactly when there are none.
    pub monoid: Option<Monoid>,
    /// The element: `TensorId(n)` is the n-th operand.
    pub value: Expr,
    /// Where the values go, if it is not simply one to each position of the result.
    pub sweep: Option<Sweep>,
    /// The elements of a whole block of the result, of which `value` is the first.
    pub block: Option<Block>,
}

/// Lines along one axis of the result, each filled by steps that run one after another:
///
/// ```text
/// result[.., j, ..] = start(j)                                for every j, if there is a start
/// result[.., place(t), ..] = value(t)                         for t = 0, 1, ...
/// ```
///
/// `value` may load the result so far, on its own line: it is the tensor after the operands. Neither it nor `place` names the axis. Without
/// a start, `place` takes each position once. This is a recurrence (`place` is `t`), or a scatter (`place` is a checked value).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// The axis of the result.
    pub axis: usize,
    /// The extents of the steps, which run row-major.
    pub steps: Vec<Dim>,
    /// The element before the first step.
    pub start: Option<Expr>,
    /// The position on the axis that a step stores.
    pub place: Index,
}

/// Straight-line code for several elements of the result at once, which so share what they have in common:
///
/// ```text
/// result[.., place(e, t), ..] = value(e, t)                   for every element e and all steps t, given the lets
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// The axes of the result that the elements and the steps fill, ascending. No formula names them.
    pub axes: Vec<usize>,
    /// The extents of the steps, in any order.
    pub steps: Vec<Dim>,
    /// What the elements share: `LocalId(n)` is the n-th, and may be named by those after it.
    pub lets: Vec<Expr>,
    /// Each position on `axes` is the place of one element at one step.
    pub elements: Vec<Element>,
}

/// One element of a block.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Element {
    /// Its position on each of the block's axes.
    pub place: Vec<Index>,
    /// What it is.
    pub value: Expr,
}

impl Body {
    /// A pointwise body: `value` sees the operands through [`operand`].
    pub fn pointwise(value: Expr) -> Body {
        Body::single(Kind::Pointwise, value)
    }

    /// A pointwise body whose formula sees the operands' elements, all of one dtype, and computes in the dtype of sums: a formula over
    /// halves is worked out in `f32` and rounded once, as PyTorch does.
    pub fn formula<const N: usize>(operands: &[Type], value: impl FnOnce([Expr; N], DType) -> Expr) -> Body {
        let (dtype, wide) = (operands[0].dtype, accumulator(operands[0].dtype));
        let to = |target, x| if dtype == wide { x } else { Expr::cast(target, x) };
        let arguments = std::array::from_fn(|n| to(wide, operand(n as u32, operands)));
        Body::pointwise(to(dtype, value(arguments, wide)))
    }

    /// A view of the first operand through one index per operand axis.
    pub fn view(index: Vec<Index>, fill: Option<f64>) -> Body {
        Body::single(Kind::View, load(0, index, fill))
    }

    /// A reduction.
    pub fn reduce(kind: Kind, monoid: Monoid, reduction: Vec<Dim>, value: Expr) -> Body {
        Body { kind, reduction, monoid: Some(monoid), value, sweep: None, block: None }
    }

    /// One value for each position, without a reduction.
    pub fn single(kind: Kind, value: Expr) -> Body {
        Body { kind, reduction: Vec::new(), monoid: None, value, sweep: None, block: None }
    }

    /// A sweep that stores `value`.
    pub fn sweep(sweep: Sweep, value: Expr) -> Body {
        Body { sweep: Some(sweep), ..Body::single(Kind::Sweep, value) }
    }

    /// A block of elements that are computed together. It is not empty.
    pub fn block(block: Block) -> Body {
        let value = block.elements[0].value.clone();
        Body { block: Some(block), ..Body::single(Kind::Block, value) }
    }

    /// The axes of the result that are no loops around the formula: it fills them whole.
    pub fn filled(&self) -> Vec<usize> {
        let swept = self.sweep.iter().map(|sweep| sweep.axis);
        swept.chain(self.block.iter().flat_map(|block| block.axes.iter().copied())).collect()
    }

    /// The extents of the axes after the result's: of the reduction, or of the steps.
    pub fn inner(&self) -> &[Dim] {
        match (&self.sweep, &self.block) {
            (Some(sweep), _) => &sweep.steps,
            (None, Some(block)) => &block.steps,
            (None, None) => &self.reduction,
        }
    }

    /// Calls `visit` with every expression of the formula, whole.
    pub fn for_each_expr(&self, visit: &mut dyn FnMut(&Expr)) {
        if let Some(block) = &self.block {
            return block.lets.iter().chain(block.elements.iter().map(|element| &element.value)).for_each(visit);
        }
        visit(&self.value);
        if let Some(sweep) = &self.sweep {
            sweep.start.iter().for_each(&mut *visit);
            sweep.place.for_each_value(visit);
        }
    }
}

/// The n-th operand's element at the result's own position.
pub fn operand(n: u32, operands: &[Type]) -> Expr {
    let index = (0..operands[n as usize].rank() as u32).map(|axis| Index::axis(AxisId(axis))).collect();
    load(n, index, None)
}

/// The n-th operand's element at an index.
pub fn load(n: u32, index: Vec<Index>, fill: Option<f64>) -> Expr {
    Expr::Load(Load { tensor: TensorId(n), index, fill: fill.map(Number::new) })
}

/// The axes `from..from + count`, as index expressions.
pub fn axes(from: usize, count: usize) -> Vec<Index> {
    (from..from + count).map(|axis| Index::axis(AxisId(axis as u32))).collect()
}

/// The row-major position of an element.
pub fn position(ty: &Type) -> Index {
    (0..ty.rank()).zip(ty.shape.strides()).fold(Index::default(), |sum, (axis, stride)| {
        if ty.dim(axis) == Dim::ONE { sum } else { sum.plus(&Index::axis(AxisId(axis as u32)).times(stride as i64)) }
    })
}

/// The index of one row-major layout seen through another of the same element count: the view that a reshape is. Panics where the counts differ.
pub fn reshape_index(from: &Type, to: &Type) -> Vec<Index> {
    if from.shape.is_empty() {
        // There is no element to find, and nothing to divide by.
        return vec![Index::constant(0); from.rank()];
    }
    let mut index = vec![Index::constant(0); from.rank()];
    for (members, seen) in groups(from, to) {
        // Only what a group of axes has in common is divided: the rest stays where it is.
        let stride = |ty: &Type, axes: &Range<usize>, axis: usize| -> i64 {
            (axis + 1..axes.end).map(|after| ty.dim(after).factor as i64).product()
        };
        let linear = seen.clone().filter(|&axis| to.dim(axis) != Dim::ONE).fold(Index::default(), |sum, axis| {
            sum.plus(&Index::axis(AxisId(axis as u32)).times(stride(to, &seen, axis)))
        });
        let first = members.clone().find(|&axis| from.dim(axis) != Dim::ONE);
        for axis in members.clone().filter(|&axis| from.dim(axis) != Dim::ONE) {
            let quotient = linear.div(stride(from, &members, axis));
            // The outermost axis needs no remainder, and may be the symbolic one.
            index[axis] = if Some(axis) == first { quotient } else { quotient.rem(from.dim(axis).factor as i64) };
        }
    }
    index
}

/// The shortest runs of axes, of one shape and of the other, that hold the same elements in the same order.
fn groups(from: &Type, to: &Type) -> Vec<(Range<usize>, Range<usize>)> {
    let mut groups = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < from.rank() && j < to.rank() {
        let (first, second) = (i, j);
        let (mut a, mut b) = (from.dim(i), to.dim(j));
        while a != b {
            let grows = if a.batch == b.batch { a.factor < b.factor } else { !a.batch };
            let (ty, at, count) = if grows { (from, &mut i, &mut a) } else { (to, &mut j, &mut b) };
            *at += 1;
            // There is a next axis: both shapes have the same count.
            *count =
                count.product(ty.dim(*at)).expect("the batch axis is in front, and the count of a type is a number");
        }
        (i, j) = (i + 1, j + 1);
        groups.push((first..i, second..j));
    }
    groups
}

/// The dtype in which sums of this dtype are kept.
pub fn accumulator(dtype: DType) -> DType {
    if dtype.is_half() { DType::F32 } else { dtype }
}
