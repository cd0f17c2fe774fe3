//! Index expressions: quasi-affine functions of loop axes, and of values for gathers.
//!
//! `Σ factor·atom + offset`, kept in one normal form (terms sorted by atom, equal atoms merged, no zero factors), so that equal
//! expressions compare equal and print alike. The same type serves the op table, where axes are those of the result followed
//! by the reduction's, and the kernel level, where they are the kernel's.

use serde::{Deserialize, Serialize};

use crate::expr::Expr;

/// A loop axis. At graph level it numbers the axes of the result and then those of the reduction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AxisId(pub u32);

/// `Σ factor·atom + offset`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Index {
    /// Sorted by atom; factors are not zero and atoms are distinct.
    pub terms: Vec<(Atom, i64)>,
    /// The constant part.
    pub offset: i64,
}

/// What an index expression is made of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Atom {
    /// The position on a loop axis.
    Axis(AxisId),
    /// Division by a positive constant, rounded towards minus infinity.
    Div(Box<Index>, i64),
    /// The remainder of `Div`, never negative.
    Mod(Box<Index>, i64),
    /// Division that must be exact: a load whose index is not exact gives its fill value.
    ExactDiv(Box<Index>, i64),
    /// An integer value: the index of a gather.
    Value(Box<Expr>),
}

impl Index {
    /// A constant.
    pub fn constant(offset: i64) -> Index {
        Index { terms: Vec::new(), offset }
    }

    /// The position on one axis.
    pub fn axis(axis: AxisId) -> Index {
        Index::atom(Atom::Axis(axis))
    }

    /// One atom.
    pub fn atom(atom: Atom) -> Index {
        Index { terms: vec![(atom, 1)], offset: 0 }
    }

    /// The constant, if this is one.
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.offset)
    }

    /// The axis, if this is one axis and nothing else.
    pub fn as_axis(&self) -> Option<AxisId> {
        match (self.terms.as_slice(), self.offset) {
            ([(Atom::Axis(axis), 1)], 0) => Some(*axis),
            _ => None,
        }
    }

    /// The sum of two expressions.
    pub fn plus(&self, other: &Index) -> Index {
        let mut terms = self.terms.clone();
        for (atom, factor) in &other.terms {
            match terms.binary_search_by(|(held, _)| held.cmp(atom)) {
                Ok(at) => terms[at].1 += factor,
                Err(at) => terms.insert(at, (atom.clone(), *factor)),
            }
        }
        terms.retain(|(_, factor)| *factor != 0);
        Index { terms, offset: self.offset + other.offset }
    }

    /// The sum with a constant.
    pub fn shifted(&self, offset: i64) -> Index {
        Index { terms: self.terms.clone(), offset: self.offset + offset }
    }

    /// The product with a constant.
    pub fn times(&self, factor: i64) -> Index {
        if factor == 0 {
            return Index::constant(0);
        }
        let terms = self.terms.iter().map(|(atom, held)| (atom.clone(), held * factor)).collect();
        Index { terms, offset: self.offset * factor }
    }

    /// Floor division by a positive constant; multiples of the divisor leave it.
    pub fn div(&self, divisor: i64) -> Index {
        let (whole, rest) = self.split(divisor);
        if divisor == 1 || rest.as_constant().is_some() {
            return whole.shifted(rest.offset.div_euclid(divisor));
        }
        whole.plus(&Index::atom(Atom::Div(Box::new(rest), divisor)))
    }

    /// The remainder of [`Index::div`]; multiples of the divisor drop out.
    pub fn rem(&self, divisor: i64) -> Index {
        let (_, rest) = self.split(divisor);
        match rest.as_constant() {
            _ if divisor == 1 => Index::constant(0),
            Some(value) => Index::constant(value.rem_euclid(divisor)),
            None => Index::atom(Atom::Mod(Box::new(rest), divisor)),
        }
    }

    /// Exact division: what is known to divide is divided here, the rest is checked where it is loaded.
    pub fn exact_div(&self, divisor: i64) -> Index {
        let (whole, rest) = self.split(divisor);
        match rest.as_constant() {
            Some(0) => whole,
            _ if divisor == 1 => self.clone(),
            _ => whole.plus(&Index::atom(Atom::ExactDiv(Box::new(rest), divisor))),
        }
    }

    /// The expression with every axis replaced, and every value mapped.
    pub fn substitute(&self, axis: &mut dyn FnMut(AxisId) -> Index, value: &mut dyn FnMut(&Expr) -> Expr) -> Index {
        let mut result = Index::constant(self.offset);
        for (atom, factor) in &self.terms {
            let replaced = match atom {
                Atom::Axis(id) => axis(*id),
                Atom::Div(inner, by) => inner.substitute(axis, value).div(*by),
                Atom::Mod(inner, by) => inner.substitute(axis, value).rem(*by),
                Atom::ExactDiv(inner, by) => inner.substitute(axis, value).exact_div(*by),
                Atom::Value(expr) => Index::atom(Atom::Value(Box::new(value(expr)))),
            };
            result = result.plus(&replaced.times(*factor));
        }
        result
    }

    /// Calls `visit` with every axis that occurs, also inside divisions (not inside values).
    pub fn for_each_axis(&self, visit: &mut dyn FnMut(AxisId)) {
        for (atom, _) in &self.terms {
            match atom {
                Atom::Axis(axis) => visit(*axis),
                Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => inner.for_each_axis(visit),
                Atom::Value(_) => {}
            }
        }
    }

    /// Calls `visit` with every value that occurs, also inside divisions.
    pub fn for_each_value(&self, visit: &mut dyn FnMut(&Expr)) {
        for (atom, _) in &self.terms {
            match atom {
                Atom::Axis(_) => {}
                Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => inner.for_each_value(visit),
                Atom::Value(value) => visit(value),
            }
        }
    }

    /// `self = divisor·whole + rest`, with `rest` holding what the divisor does not divide.
    fn split(&self, divisor: i64) -> (Index, Index) {
        let (mut whole, mut rest) = (Index::default(), Index::default());
        for (atom, factor) in &self.terms {
            if factor % divisor == 0 {
                whole.terms.push((atom.clone(), factor / divisor));
            } else {
                rest.terms.push((atom.clone(), *factor));
            }
        }
        whole.offset = self.offset.div_euclid(divisor);
        rest.offset = self.offset.rem_euclid(divisor);
        (whole, rest)
    }
}

impl From<AxisId> for Index {
    fn from(axis: AxisId) -> Index {
        Index::axis(axis)
    }
}
