//! Sums of products over labelled axes: every matrix product, batched or transposed, is one op, and its derivative is the same op.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Body, DType, Diagnostic, Dim, Expr, Index, Kind, Monoid, Type, ValueId, Vjp, accumulator, load};

op! {
    /// Einstein summation of two operands, as in `"bi,oi->bo"`: `result = Σ lhs·rhs` over the labels that the result lacks. Sums are
    /// kept in f32 for half types. Every label occurs in at least two of the three terms and at most once in each, so the gradients
    /// are einsums too: of `g` and the other operand, with the terms exchanged.
    Einsum(lhs, rhs) {
        /// `lhs,rhs->result`, one letter an axis.
        equation: String,
    }
}

/// The three terms of an equation.
struct Terms<'a> {
    lhs: &'a str,
    rhs: &'a str,
    result: &'a str,
}

impl Einsum {
    /// An einsum of this equation.
    pub fn new(equation: impl Into<String>) -> Einsum {
        Einsum { equation: equation.into() }
    }

    fn terms(&self) -> Option<Terms<'_>> {
        let (operands, result) = self.equation.split_once("->")?;
        let (lhs, rhs) = operands.split_once(',')?;
        Some(Terms { lhs, rhs, result })
    }

    fn valid_terms(&self) -> Terms<'_> {
        self.terms().expect("infer has checked the equation")
    }

    /// Labels that are summed, in the order of the left term.
    fn summed(&self) -> impl Iterator<Item = char> {
        let Terms { lhs, result, .. } = self.valid_terms();
        lhs.chars().filter(move |label| !result.contains(*label))
    }
}

impl Operator for Einsum {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::same_dtype("einsum", &operands[0], &operands[1])?;
        checks::number("einsum", &operands[0])?;
        let malformed = || checks::argument("einsum", &format!("an equation `ab,bc->ac`, found `{}`", self.equation));
        let Terms { lhs, rhs, result } = self.terms().ok_or_else(malformed)?;
        let terms = [lhs, rhs, result];
        for term in terms {
            for (position, label) in term.char_indices() {
                let elsewhere = terms.iter().filter(|term| term.contains(label)).count();
                if !label.is_ascii_lowercase() || term[..position].contains(label) || elsewhere < 2 {
                    return Err(malformed());
                }
            }
        }
        for (name, term, ty) in [("lhs", lhs, &operands[0]), ("rhs", rhs, &operands[1])] {
            checks::rank("einsum", name, ty, term.len())?;
        }
        for (axis, label) in lhs.char_indices() {
            if let Some(other) = rhs.find(label) {
                let (a, b) = (operands[0].dim(axis), operands[1].dim(other));
                checks::extent("einsum", &format!("equal extents for `{label}` of `{}`", self.equation), a, b)?;
            }
        }
        let extent = |label| match lhs.find(label) {
            Some(axis) => operands[0].dim(axis),
            None => rhs.find(label).map_or(Dim::ONE, |axis| operands[1].dim(axis)),
        };
        Ok(operands[0].with_shape(result.chars().map(extent).collect::<Vec<Dim>>()))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let Terms { lhs, rhs, result: out } = self.valid_terms();
        let order: Vec<char> = out.chars().chain(self.summed()).collect();
        let index = |term: &str| -> Vec<Index> {
            let axis = |label| order.iter().position(|&l| l == label).expect("every label is in the result or summed");
            term.chars().map(|label| Index::axis(crate::AxisId(axis(label) as u32))).collect()
        };
        let extents = self.summed().map(|label| operands[0].dim(lhs.find(label).expect("summed labels are in lhs")));
        let dtype = result.dtype;
        product(extents.collect(), load(0, index(lhs), None), load(1, index(rhs), None), dtype)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let Terms { lhs, rhs, result } = self.valid_terms();
        let (a, b, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let da = cx.emit(Einsum::new(format!("{result},{rhs}->{lhs}")), &[g, b]);
        let db = cx.emit(Einsum::new(format!("{result},{lhs}->{rhs}")), &[g, a]);
        vec![Some(da), Some(db)]
    }

    fn examples() -> Vec<Example> {
        let ty = |dims: &[Dim]| Type::new(DType::F32, dims.to_vec());
        let (b, two, three, four) = (Dim::BATCH, Dim::fixed(2), Dim::fixed(3), Dim::fixed(4));
        vec![
            Example::new(Einsum::new("bi,oi->bo"), [ty(&[b, three]), ty(&[four, three])]),
            Example::new(Einsum::new("bo,bi->oi"), [ty(&[b, four]), ty(&[b, three])]),
            Example::new(Einsum::new("nij,njk->nik"), [ty(&[b, two, three]), ty(&[b, three, four])]),
            Example::new(Einsum::new("i,j->ij"), [ty(&[three]), ty(&[four])]),
            Example::new(Einsum::new("i,i->"), [ty(&[three]), ty(&[three])]),
        ]
    }
}

/// The body of a contraction. Half types are multiplied and summed in f32: the reduction has that dtype, and whoever stores
/// the result rounds it once.
pub(super) fn product(reduction: Vec<Dim>, a: Expr, b: Expr, dtype: DType) -> Body {
    let to = |target, x| if accumulator(dtype) == dtype { x } else { Expr::cast(target, x) };
    let value = to(accumulator(dtype), a) * to(accumulator(dtype), b);
    if reduction.is_empty() {
        return Body::pointwise(to(dtype, value));
    }
    Body::reduce(Kind::Contract, Monoid::Sum, reduction, value)
}
