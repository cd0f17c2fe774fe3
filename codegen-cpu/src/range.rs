//! Bounds of index expressions that hold whatever the loop positions, to drop guards that are always true.

use kiln_ir::{Atom, Dim, Index};

use crate::emit::{Emitter, Position};

/// Least and greatest value; `None` is unbounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    pub(crate) least: Option<i64>,
    pub(crate) greatest: Option<i64>,
}

impl Emitter<'_> {
    /// The bounds of an index.
    pub(crate) fn range(&self, index: &Index) -> Range {
        let start = Range { least: Some(index.offset), greatest: Some(index.offset) };
        index.terms.iter().fold(start, |sum, (atom, factor)| sum.plus(self.atom_range(atom).times(*factor)))
    }

    /// Whether an index is always inside an extent.
    pub(crate) fn always_inside(&self, index: &Index, dim: Dim) -> bool {
        let range = self.range(index);
        if range.least.is_none_or(|least| least < 0) {
            return false;
        }
        match dim.as_fixed() {
            Some(extent) => range.greatest.is_some_and(|greatest| greatest < extent as i64),
            // The batch is at least 1, so positions below the factor are inside; so is an axis of the same extent.
            None => {
                range.greatest.is_some_and(|greatest| greatest < dim.factor as i64)
                    || index.as_axis().is_some_and(|axis| self.kernel.axis(axis).extent == dim)
            }
        }
    }

    fn atom_range(&self, atom: &Atom) -> Range {
        match atom {
            Atom::Axis(axis) => match self.positions[axis.0 as usize] {
                Position::Constant(position) => Range { least: Some(position), greatest: Some(position) },
                _ => Range { least: Some(0), greatest: self.greatest[axis.0 as usize] },
            },
            Atom::Div(inner, by) | Atom::ExactDiv(inner, by) => {
                let inner = self.range(inner);
                let divided = |bound: Option<i64>| bound.map(|bound| bound.div_euclid(*by));
                Range { least: divided(inner.least), greatest: divided(inner.greatest) }
            }
            Atom::Mod(inner, by) => {
                let inner = self.range(inner);
                match (inner.least, inner.greatest) {
                    (Some(least), Some(greatest)) if least >= 0 && greatest < *by => inner,
                    _ => Range { least: Some(0), greatest: Some(by - 1) },
                }
            }
            Atom::Value(_) => Range { least: None, greatest: None },
        }
    }
}

impl Range {
    fn plus(self, other: Range) -> Range {
        let sum = |a: Option<i64>, b: Option<i64>| a?.checked_add(b?);
        Range { least: sum(self.least, other.least), greatest: sum(self.greatest, other.greatest) }
    }

    fn times(self, factor: i64) -> Range {
        let scaled = |bound: Option<i64>| bound?.checked_mul(factor);
        let (least, greatest) = (scaled(self.least), scaled(self.greatest));
        if factor < 0 { Range { least: greatest, greatest: least } } else { Range { least, greatest } }
    }
}
