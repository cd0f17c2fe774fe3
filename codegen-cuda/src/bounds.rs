//! Ranges of index expressions: which guards and which floor divisions a kernel needs.
//!
//! An axis runs over `0..extent`, so its range at the greatest batch size holds for every batch size. A range that is too wide
//! only costs a comparison that is always true.

use kiln_ir::{Atom, Dim, Expr, Index, Kernel};

/// Least and greatest value, both included.
type Range = (i64, i64);

/// The range of an index; `None` where a value loaded from memory decides it.
pub(crate) fn range(index: &Index, kernel: &Kernel, max_batch: usize) -> Option<Range> {
    let mut sum = (index.offset, index.offset);
    for (atom, factor) in &index.terms {
        let (low, high) = atom_range(atom, kernel, max_batch)?;
        let (a, b) = (low.saturating_mul(*factor), high.saturating_mul(*factor));
        sum = (sum.0.saturating_add(a.min(b)), sum.1.saturating_add(a.max(b)));
    }
    Some(sum)
}

/// Whether the index is never below zero.
pub(crate) fn is_natural(index: &Index, kernel: &Kernel, max_batch: usize) -> bool {
    range(index, kernel, max_batch).is_some_and(|(low, _)| low >= 0)
}

/// Whether the index always lies in `0..extent`.
pub(crate) fn is_inside(index: &Index, extent: Dim, kernel: &Kernel, max_batch: usize) -> bool {
    match extent.as_fixed() {
        Some(extent) => range(index, kernel, max_batch).is_some_and(|(low, high)| low >= 0 && high < extent as i64),
        // Against a symbolic extent only an axis of that very extent is known to be inside.
        None => index.as_axis().is_some_and(|axis| kernel.axis(axis).extent == extent),
    }
}

fn atom_range(atom: &Atom, kernel: &Kernel, max_batch: usize) -> Option<Range> {
    match atom {
        Atom::Axis(axis) => Some((0, (kernel.axis(*axis).extent.at(max_batch) as i64 - 1).max(0))),
        Atom::Div(inner, by) | Atom::ExactDiv(inner, by) => {
            let (low, high) = range(inner, kernel, max_batch)?;
            Some((low.div_euclid(*by), high.div_euclid(*by)))
        }
        Atom::Mod(inner, by) => match range(inner, kernel, max_batch) {
            Some((low, high)) if low >= 0 && high < *by => Some((low, high)),
            _ => Some((0, by - 1)),
        },
        Atom::Value(value) => match &**value {
            Expr::Index(index) => range(index, kernel, max_batch),
            Expr::Check(_, bound, _) => Some((0, bound.at(max_batch) as i64 - 1)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use kiln_ir::AxisId;
    use kiln_ir::kernel::{Axis, Schedule};

    use super::*;

    fn kernel(extents: &[Dim]) -> Kernel {
        let axis = |(number, &extent): (usize, &Dim)| Axis { name: format!("i{number}"), extent, limit: None };
        Kernel {
            name: "k".into(),
            tensors: Vec::new(),
            axes: extents.iter().enumerate().map(axis).collect(),
            locals: Vec::new(),
            body: Vec::new(),
            schedule: Schedule::default(),
            places: Vec::new(),
        }
    }

    #[test]
    fn a_padded_window_is_not_inside_and_an_unpadded_one_is() {
        let kernel = kernel(&[Dim::fixed(24), Dim::fixed(5)]);
        let window = Index::axis(AxisId(0)).plus(&Index::axis(AxisId(1)));
        assert_eq!(range(&window, &kernel, 1), Some((0, 27)));
        assert!(is_inside(&window, Dim::fixed(28), &kernel, 1));
        assert!(!is_inside(&window.shifted(-2), Dim::fixed(28), &kernel, 1));
        assert!(!is_inside(&window.shifted(1), Dim::fixed(28), &kernel, 1));
        assert!(is_natural(&window.rem(7), &kernel, 1));
    }

    #[test]
    fn the_batch_axis_is_inside_its_own_extent_only() {
        let kernel = kernel(&[Dim::BATCH, Dim::fixed(1)]);
        let n = Index::axis(AxisId(0));
        assert!(is_inside(&n, Dim::BATCH, &kernel, 64));
        assert!(!is_inside(&n.shifted(1), Dim::BATCH, &kernel, 64));
        assert!(!is_inside(&n, Dim::fixed(32), &kernel, 64));
        assert!(is_inside(&n, Dim::fixed(64), &kernel, 64));
    }
}
