//! The order of elements along an axis. Sorting is made of it: the positions scattered to their ranks are `argsort`, and the elements
//! gathered there are sorted.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{
    AxisId, Binary, Body, Comparison, DType, Diagnostic, Dim, Expr, Index, Kind, Monoid, Type, Unary, ValueId, Vjp,
    axes, load,
};

op! {
    /// The position of each element in the sorted order of its line, as `i64`. Equal elements keep their order, and NaN is greater than
    /// every number (PyTorch's stable `sort`). No gradient.
    ///
    /// Each element is compared with every other of its line: `n` comparisons, all independent, which is quick for lines of up to some thousand
    /// elements and slow beyond.
    RankOf(x) {
        /// The axis.
        axis: usize,
        /// Whether the greatest comes first.
        descending: bool,
    }
}

impl Operator for RankOf {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axis("rank_of", &operands[0], self.axis)?;
        checks::number("rank_of", &operands[0])?;
        Ok(operands[0].with_dtype(DType::I64))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let ty = &operands[0];
        let (own, other) = (Index::axis(AxisId(self.axis as u32)), Index::axis(AxisId(ty.rank() as u32)));
        let element = |position: &Index| {
            let mut index = axes(0, ty.rank());
            index[self.axis] = position.clone();
            load(0, index, None)
        };
        let (x, y) = (element(&own), element(&other));
        let (low, high) = if self.descending { (&x, &y) } else { (&y, &x) };
        let first = Expr::compare(Comparison::Lt, Expr::Index(other), Expr::Index(own));
        // Whether `y` comes before `x`: of equals the one in front does.
        let in_front = Expr::unary(Unary::Not, is_less(high, low, ty.dtype));
        let before = Expr::select(first, in_front, is_less(low, high, ty.dtype));
        Body::reduce(Kind::Reduce, Monoid::Sum, vec![ty.dim(self.axis)], Expr::cast(DType::I64, before))
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None]
    }

    fn examples() -> Vec<Example> {
        let ty = Type::new(DType::F32, [Dim::BATCH, 5.into(), 2.into()]);
        vec![
            Example::new(RankOf { axis: 1, descending: false }, [ty.clone()]),
            Example::new(RankOf { axis: 2, descending: true }, [ty]),
        ]
    }
}

/// `a < b` in the order that ends with NaN.
fn is_less(a: &Expr, b: &Expr, dtype: DType) -> Expr {
    let less = Expr::compare(Comparison::Lt, a.clone(), b.clone());
    if !dtype.is_float() {
        return less;
    }
    let is_number = Expr::compare(Comparison::Eq, a.clone(), a.clone());
    let is_nan = Expr::compare(Comparison::Ne, b.clone(), b.clone());
    Expr::binary(Binary::Or, less, Expr::binary(Binary::And, is_number, is_nan))
}
