//! What an op computes, in one form for all ops: for every position `i` of the result,
//! `result[i] = monoid over r of value(i, r)`.
//!
//! The kind says what a pass may rely on; the interpreter, the lowering and so both back ends need nothing but the formula.

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
}

/// An op as a formula. Axes `0..rank` are the result's; the axes of the reduction follow.
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
}

impl Body {
    /// A pointwise body: `value` sees the operands through [`operand`].
    pub fn pointwise(value: Expr) -> Body {
        Body { kind: Kind::Pointwise, reduction: Vec::new(), monoid: None, value }
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
        let value = load(0, index, fill);
        Body { kind: Kind::View, reduction: Vec::new(), monoid: None, value }
    }

    /// A reduction.
    pub fn reduce(kind: Kind, monoid: Monoid, reduction: Vec<Dim>, value: Expr) -> Body {
        Body { kind, reduction, monoid: Some(monoid), value }
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

/// The index of one row-major layout seen through another of the same element count: the view that a reshape is.
pub fn reshape_index(from: &Type, to: &Type) -> Vec<Index> {
    let linear = position(to);
    (0..from.rank())
        .zip(from.shape.strides())
        .map(|(axis, stride)| match (axis, from.dim(axis)) {
            (_, Dim::ONE) => Index::constant(0),
            // The outermost axis needs no remainder, and may be the symbolic one.
            (0, _) => linear.div(stride as i64),
            (_, dim) => linear.div(stride as i64).rem(dim.factor as i64),
        })
        .collect()
}

/// The dtype in which sums of this dtype are kept.
pub fn accumulator(dtype: DType) -> DType {
    if dtype.is_half() { DType::F32 } else { dtype }
}
