//! Loads that may be out of range, of values that are computed in place.
//!
//! Outside, the load is its fill value: not the formula at some other position, and not the formula of the fill value. So either the
//! guard moves to the one load inside, where that is out of range exactly when this is, or a choice over the range stands around the formula.

use kiln_ir::{Atom, Binary, Comparison, DType, Dim, Expr, Index, Kind, Number, ValueId};

use super::emit::Emitter;
use crate::bounds;
use crate::fuse::facts;

impl Emitter<'_> {
    /// The element of an operand, or the fill value where the index is outside.
    pub(super) fn load(&mut self, value: ValueId, index: Vec<Index>, fill: Option<Number>) -> Expr {
        let graph = self.cx.graph;
        let ty = graph.ty(value).clone();
        if self.is_member(value) && self.cx.facts[&value].kind == Kind::Sweep {
            // The result so far.
            return self.load_tensor(value, ty, &index, fill);
        }
        let inside = index.iter().zip(&ty.shape.0).all(|(index, &dim)| bounds::is_inside(index, dim, &self.ranges()));
        let Some(number) = fill.filter(|_| !inside) else { return self.value(value, index) };
        if !self.is_member(value) && self.cx.is_materialised(value) {
            return self.load_tensor(value, ty, &index, fill);
        }
        if let Some(root) = self.reshaped(value) {
            return self.load_tensor(root, ty, &index, fill);
        }
        if let Some((inner, at)) = self.moved_guard(value, &index, number) {
            return self.load(inner, at, fill);
        }
        let fill = Expr::Number(number, ty.dtype);
        let condition = self.in_range(&index, &ty.shape.0);
        let floored: Vec<Index> = index.iter().map(floored).collect();
        self.speculative += 1;
        let formula = self.value(value, floored);
        self.speculative -= 1;
        Expr::select(condition, formula, fill)
    }

    /// The load inside a view, if each component that may be out of range is passed on as it is to an axis of the same extent.
    fn moved_guard(&mut self, value: ValueId, index: &[Index], fill: Number) -> Option<(ValueId, Vec<Index>)> {
        let graph = self.cx.graph;
        if self.is_member(value) {
            return None;
        }
        let Expr::Load(load) = facts::body(graph, value).value else { return None };
        let inner = graph.operands(value)[load.tensor.0 as usize];
        if load.fill.is_some_and(|held| held != fill) {
            return None;
        }
        let (outer_dims, inner_dims) = (&graph.ty(value).shape.0, &graph.ty(inner).shape.0);
        for (axis, component) in index.iter().enumerate() {
            let passed = load.index.iter().zip(inner_dims).any(|(inner, dim)| {
                inner.as_axis().is_some_and(|id| id.0 as usize == axis) && *dim == outer_dims[axis]
            });
            if !passed && !bounds::is_inside(component, outer_dims[axis], &self.ranges()) {
                return None;
            }
        }
        let at = load.index.iter().map(|inner| {
            let replaced = inner.substitute(&mut |id| index[id.0 as usize].clone(), &mut Expr::clone);
            bounds::simplify(&replaced, &self.ranges())
        });
        Some((inner, at.collect()))
    }

    /// Whether every component is in range and every exact division exact.
    fn in_range(&self, index: &[Index], shape: &[Dim]) -> Expr {
        let ranges = self.ranges();
        let mut conditions = Vec::new();
        for (component, &dim) in index.iter().zip(shape) {
            if bounds::is_inside(component, dim, &ranges) {
                continue;
            }
            exactness(component, &mut conditions);
            let (at, extent) = (floored(component), dim.factor as i64);
            let (low, high) = bounds::range(&at, &ranges).unwrap_or((i64::MIN, i64::MAX));
            let compare =
                |op, bound: i64| Expr::compare(op, Expr::Index(at.clone()), Expr::number(bound as f64, DType::I64));
            if low < 0 {
                conditions.push(compare(Comparison::Ge, 0));
            }
            if high >= extent {
                conditions.push(compare(Comparison::Lt, extent));
            }
        }
        let all = conditions.into_iter().reduce(|a, b| Expr::binary(Binary::And, a, b));
        all.unwrap_or_else(|| Expr::number(1.0, DType::Bool))
    }
}

/// The index with exact divisions rounded down, which always has a value.
fn floored(index: &Index) -> Index {
    let mut result = Index::constant(index.offset);
    for (atom, factor) in &index.terms {
        let replaced = match atom {
            Atom::ExactDiv(inner, by) | Atom::Div(inner, by) => floored(inner).div(*by),
            Atom::Mod(inner, by) => floored(inner).rem(*by),
            Atom::Axis(_) | Atom::Value(_) => Index::atom(atom.clone()),
        };
        result = result.plus(&replaced.times(*factor));
    }
    result
}

/// A condition for each exact division.
fn exactness(index: &Index, conditions: &mut Vec<Expr>) {
    for (atom, _) in &index.terms {
        if let Atom::ExactDiv(inner, by) = atom {
            exactness(inner, conditions);
            let rest = Expr::Index(floored(inner).rem(*by));
            conditions.push(Expr::compare(Comparison::Eq, rest, Expr::number(0.0, DType::I64)));
        }
    }
}
