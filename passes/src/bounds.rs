//! What an index expression can be, from the extents of its axes: proves loads in range and removes divisions that do nothing.
//!
//! Ranges are inclusive and taken at the greatest batch, so what they prove holds for every batch.

use kiln_ir::{Atom, AxisId, Dim, Expr, Index, Load};

/// The positions of an axis, first and last.
pub type Range = (i64, i64);

/// The range of an axis of this extent.
pub fn of_extent(extent: Dim, max_batch: usize) -> Range {
    (0, (extent.at(max_batch) as i64 - 1).max(0))
}

/// The range of an index; `None` where it depends on a value.
pub fn range(index: &Index, axis: &dyn Fn(AxisId) -> Range) -> Option<Range> {
    let mut sum = (index.offset, index.offset);
    for (atom, factor) in &index.terms {
        let (low, high) = match atom {
            Atom::Axis(id) => axis(*id),
            Atom::Div(inner, by) | Atom::ExactDiv(inner, by) => {
                let (low, high) = range(inner, axis)?;
                (low.div_euclid(*by), high.div_euclid(*by))
            }
            Atom::Mod(_, by) => (0, by - 1),
            Atom::Value(_) => return None,
        };
        let ends = (low * factor, high * factor);
        sum = (sum.0 + ends.0.min(ends.1), sum.1 + ends.0.max(ends.1));
    }
    Some(sum)
}

/// The same index with every division and remainder that its range decides carried out.
pub fn simplify(index: &Index, axis: &dyn Fn(AxisId) -> Range) -> Index {
    let mut result = Index::constant(index.offset);
    for (atom, factor) in &index.terms {
        let simple = match atom {
            Atom::Axis(_) => Index::atom(atom.clone()),
            Atom::Value(expr) => Index::atom(Atom::Value(Box::new(simplify_expr(expr, axis)))),
            Atom::ExactDiv(inner, by) => simplify(inner, axis).exact_div(*by),
            Atom::Div(inner, by) => {
                let inner = simplify(inner, axis);
                match quotient(&inner, *by, axis) {
                    Some(quotient) => Index::constant(quotient),
                    None => decided(inner.div(*by), axis),
                }
            }
            Atom::Mod(inner, by) => {
                let inner = simplify(inner, axis);
                match quotient(&inner, *by, axis) {
                    Some(quotient) => inner.shifted(-quotient * by),
                    None => decided(inner.rem(*by), axis),
                }
            }
        };
        result = result.plus(&simple.times(*factor));
    }
    result
}

/// [`simplify`] in every index of an expression.
pub fn simplify_expr(expr: &Expr, axis: &dyn Fn(AxisId) -> Range) -> Expr {
    match expr {
        Expr::Index(index) => Expr::Index(simplify(index, axis)),
        Expr::Load(load) => {
            let index = load.index.iter().map(|index| simplify(index, axis)).collect();
            Expr::Load(Load { tensor: load.tensor, index, fill: load.fill })
        }
        _ => expr.map_operands(&mut |x| simplify_expr(x, axis)),
    }
}

/// Whether an index has an exact division, whose remainder decides whether there is an element at all.
pub fn has_exact_division(index: &Index) -> bool {
    index.terms.iter().any(|(atom, _)| match atom {
        Atom::ExactDiv(..) => true,
        Atom::Div(inner, _) | Atom::Mod(inner, _) => has_exact_division(inner),
        Atom::Axis(_) | Atom::Value(_) => false,
    })
}

/// Whether every position that an index can take lies in an axis of this extent. Symbolic axes are never padded or sliced, so an
/// index of one is always in range.
pub fn is_inside(index: &Index, extent: Dim, axis: &dyn Fn(AxisId) -> Range) -> bool {
    if has_exact_division(index) {
        return false;
    }
    match (extent.as_fixed(), range(index, axis)) {
        (None, _) => true,
        (Some(extent), Some((low, high))) => low >= 0 && high < extent as i64,
        (Some(_), None) => false,
    }
}

/// One round more for what a division left: taking multiples out can have made its rest small.
fn decided(index: Index, axis: &dyn Fn(AxisId) -> Range) -> Index {
    let mut result = Index::constant(index.offset);
    for (atom, factor) in &index.terms {
        let simple = match atom {
            Atom::Div(inner, by) => quotient(inner, *by, axis).map(Index::constant),
            Atom::Mod(inner, by) => quotient(inner, *by, axis).map(|quotient| inner.shifted(-quotient * by)),
            _ => None,
        };
        let simple = simple.unwrap_or_else(|| Index::atom(atom.clone()));
        result = result.plus(&simple.times(*factor));
    }
    result
}

/// The quotient, where it is the same at both ends of the range.
fn quotient(index: &Index, by: i64, axis: &dyn Fn(AxisId) -> Range) -> Option<i64> {
    let (low, high) = range(index, axis)?;
    (low.div_euclid(by) == high.div_euclid(by)).then(|| low.div_euclid(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(id: u32) -> Index {
        Index::axis(AxisId(id))
    }

    #[test]
    fn a_reshape_there_and_back_is_nothing() {
        // [8, 16, 5, 5] seen as [8, 400] and back.
        let extents = [8, 16, 5, 5];
        let ranges = |id: AxisId| (0, extents[id.0 as usize] - 1);
        let flat = axis(1).times(25).plus(&axis(2).times(5)).plus(&axis(3));
        let linear = axis(0).times(400).plus(&flat);
        assert_eq!(simplify(&linear.div(400), &ranges), axis(0));
        assert_eq!(simplify(&linear.rem(400), &ranges), flat);
        assert_eq!(simplify(&flat.div(25).rem(16), &ranges), axis(1));
        assert_eq!(simplify(&flat.div(5).rem(5), &ranges), axis(2));
        assert_eq!(simplify(&flat.rem(5), &ranges), axis(3));
    }

    #[test]
    fn a_window_at_the_edge_is_not_inside() {
        let ranges = |id: AxisId| if id.0 == 0 { (0, 27) } else { (0, 4) };
        let inner = axis(0).plus(&axis(1));
        assert!(is_inside(&inner, Dim::fixed(32), &ranges));
        assert!(!is_inside(&inner.shifted(-2), Dim::fixed(32), &ranges));
        assert!(!is_inside(&inner.exact_div(2), Dim::fixed(32), &ranges));
    }
}
