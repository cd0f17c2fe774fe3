//! Elements that are found, or placed, through index values. Every index is checked when it is used: one that is out of range stops the
//! step with the op, the position in the index tensor, the value and the bound, and touches no memory.
//!
//! `gather` and `scatter` with `add` are each other's transposes. Lines along the axis are independent of each other, so their work is
//! divided over threads, and inside one the order is that of the index: the bits of a sum do not depend on the machine.

use serde::{Deserialize, Serialize};

use super::checks;
use crate::expr::named_enum;
use crate::op::{Example, Operator, op};
use crate::{
    Atom, Attribute, AttributeValue, AxisId, Binary, Body, Code, Comparison, DType, Diagnostic, Dim, Expr, Index, Kind,
    Sweep, Type, ValueId, Vjp, accumulator, axes, load, operand,
};

named_enum! {
    /// What `scatter` makes of the element that is there and the one that comes.
    Combine {
        /// The one that comes; the last one stays.
        Replace = "replace",
        /// The sum.
        Add = "add",
        /// The product.
        Multiply = "multiply",
        /// The greater; NaN if either is.
        Amax = "amax",
        /// The smaller; NaN if either is.
        Amin = "amin",
    }
}

impl AttributeValue for Combine {
    fn to_attribute(&self) -> Attribute {
        Attribute::Text(self.name().to_owned())
    }

    fn from_attribute(attribute: &Attribute) -> Option<Combine> {
        Combine::ALL.iter().copied().find(|combine| combine.to_attribute() == *attribute)
    }
}

/// The rules that `gather` and `scatter` share: an `i64` index with the other's extents on every axis but one.
fn check(op: &str, what: &str, x: &Type, index: &Type, axis: usize) -> Result<(), Diagnostic> {
    checks::axis(op, x, axis)?;
    checks::exactly(op, index, DType::I64)?;
    checks::rank(op, "index", index, x.rank())?;
    for other in (0..x.rank()).filter(|&other| other != axis) {
        let needed = format!("`index` with the extents of `{what}` but on axis {axis}, found on axis {other}");
        checks::extent(op, &needed, index.dim(other), x.dim(other))?;
    }
    if x.dim(axis).factor == 0 && index.shape.count().factor != 0 {
        let message = format!("{op} needs an element for an index to name: axis {axis} of {x} has none");
        return Err(Diagnostic::new(Code::ShapeMismatch, message));
    }
    Ok(())
}

/// A checked index value, as a component of an index.
fn checked(index: Expr, bound: Dim) -> Index {
    Index::atom(Atom::Value(Box::new(Expr::check(index, bound))))
}

/// `axes 0..rank`, with another component for one of them.
fn along(rank: usize, axis: usize, component: Index) -> Vec<Index> {
    let mut index = axes(0, rank);
    index[axis] = component;
    index
}

op! {
    /// `result[.., i, ..] = x[.., index[.., i, ..], ..]` (PyTorch's `gather` for equal extents elsewhere). Gradient: `g` added to zeros at
    /// the places that were read.
    Gather(x, index) {
        /// The axis that the index replaces.
        axis: usize,
    }
}

impl Operator for Gather {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let [x, index] = operands else { unreachable!("gather has two operands") };
        check("gather", "x", x, index, self.axis)?;
        Ok(x.with_shape(index.shape.clone()))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let place = checked(operand(1, operands), operands[0].dim(self.axis));
        Body::single(Kind::Gather, load(0, along(operands[0].rank(), self.axis, place), None))
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (x, index, g) = (cx.ty(cx.operand(0)), cx.operand(1), cx.cotangent());
        // Many cotangents may meet in one element: half types are summed in f32.
        let wide = x.with_dtype(accumulator(x.dtype));
        let (zeros, g) = (cx.full(0.0, &wide), cx.cast(g, wide.dtype));
        let sum = cx.emit(Scatter { axis: self.axis, combine: Combine::Add }, &[zeros, index, g]);
        vec![Some(cx.cast(sum, x.dtype)), None]
    }

    fn examples() -> Vec<Example> {
        let example = |axis: usize, x: [Dim; 2], index: [Dim; 2]| {
            let bound = x[axis].at(1) as f64;
            let operands = [Type::new(DType::F32, x), Type::new(DType::I64, index)];
            Example::new(Gather { axis }, operands).domain(1, 0.0, bound)
        };
        vec![
            example(1, [Dim::BATCH, 5.into()], [Dim::BATCH, 7.into()]),
            example(0, [5.into(), 3.into()], [Dim::BATCH, 3.into()]),
        ]
    }
}

op! {
    /// `base` with `src[.., i, ..]` put to `[.., index[.., i, ..], ..]`, in the order of `i`. Gradients are PyTorch's.
    ///
    /// * `replace`: of `base`, `g` with zeros where something was put; of `src`, the `g` of its place (also where another came later).
    /// * `add`: `g`, and the `g` of its place.
    /// * `multiply`: `g` times the product of the others, for `src` also where one factor is zero.
    /// * `amax`, `amin`: `g` shared evenly among all that equal the result, `base` and `src` alike.
    Scatter(base, index, src) {
        /// The axis that the index replaces.
        axis: usize,
        /// What is made of two elements at one place.
        combine: Combine,
    }
}

impl Operator for Scatter {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let [base, index, src] = operands else { unreachable!("scatter has three operands") };
        check("scatter", "base", base, index, self.axis)?;
        checks::same_dtype("scatter", base, src)?;
        checks::same("scatter", index, &src.with_dtype(DType::I64))?;
        if self.combine != Combine::Replace {
            checks::number("scatter", base)?;
        }
        Ok(base.clone())
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let rank = result.rank();
        let step = along(rank, self.axis, Index::axis(AxisId(rank as u32)));
        let place = checked(load(1, step.clone(), None), result.dim(self.axis));
        let held = load(3, along(rank, self.axis, place.clone()), None);
        let new = load(2, step, None);
        let value = match self.combine {
            Combine::Replace => new,
            Combine::Add => Expr::binary(Binary::Add, held, new),
            Combine::Multiply => Expr::binary(Binary::Mul, held, new),
            Combine::Amax => Expr::binary(Binary::Max, held, new),
            Combine::Amin => Expr::binary(Binary::Min, held, new),
        };
        let steps = vec![operands[1].dim(self.axis)];
        let start = Some(operand(0, operands));
        Body::sweep(Sweep { axis: self.axis, steps, start, place }, value)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let g = cx.cotangent();
        let (base, src) = match self.combine {
            Combine::Replace => {
                let src = cx.operand(2);
                let zeros = cx.full_like(src, 0.0);
                (self.placed(cx, Combine::Replace, g, zeros), self.found(cx, g))
            }
            Combine::Add => (g, self.found(cx, g)),
            Combine::Multiply => self.factors(cx),
            Combine::Amax | Combine::Amin => self.shares(cx),
        };
        vec![Some(base), None, Some(src)]
    }

    fn examples() -> Vec<Example> {
        let example = |axis: usize, combine, base: [Dim; 2], index: [Dim; 2]| {
            let bound = base[axis].at(1) as f64;
            let [base, index, src] = [(DType::F32, base), (DType::I64, index), (DType::F32, index)]
                .map(|(dtype, shape)| Type::new(dtype, shape));
            Example::new(Scatter { axis, combine }, [base, index, src]).domain(1, 0.0, bound)
        };
        let (rows, places) = ([Dim::BATCH, 4.into()], [Dim::BATCH, 6.into()]);
        vec![
            // Central differences know one writer of a place, the last; so there is one.
            example(1, Combine::Replace, rows, [Dim::BATCH, 1.into()]),
            example(1, Combine::Add, rows, places),
            example(0, Combine::Add, [4.into(), 3.into()], [Dim::BATCH, 3.into()]),
            example(1, Combine::Multiply, rows, places).domain(0, 0.5, 2.0).domain(2, 0.5, 2.0),
            example(1, Combine::Amax, rows, places),
            example(1, Combine::Amin, rows, places),
        ]
    }
}

impl Scatter {
    /// `src` put into `base` at the op's places.
    fn placed(&self, cx: &mut Vjp<'_>, combine: Combine, base: ValueId, src: ValueId) -> ValueId {
        let index = cx.operand(1);
        cx.emit(Scatter { axis: self.axis, combine }, &[base, index, src])
    }

    /// The elements at the op's places.
    fn found(&self, cx: &mut Vjp<'_>, x: ValueId) -> ValueId {
        let index = cx.operand(1);
        cx.emit(Gather { axis: self.axis }, &[x, index])
    }

    /// `x` with ones where `zero`.
    fn filled(&self, cx: &mut Vjp<'_>, zero: ValueId, x: ValueId) -> ValueId {
        let one = cx.full_like(x, 1.0);
        cx.select(zero, one, x)
    }

    /// The gradients of a product: with zeros taken out, results divide by what is left. A single zero among the `src` of a place has the
    /// product of the others, two zeros have none.
    fn factors(&self, cx: &mut Vjp<'_>) -> (ValueId, ValueId) {
        let (g, base, src, y) = (cx.cotangent(), cx.operand(0), cx.operand(2), cx.result());
        let is_zero = |cx: &mut Vjp<'_>, x| {
            let zero = cx.full_like(x, 0.0);
            cx.compare(Comparison::Eq, x, zero)
        };
        let base_zero = is_zero(cx, base);
        let nonzero_base = self.filled(cx, base_zero, base);
        let product = self.placed(cx, Combine::Multiply, nonzero_base, src);
        let others = cx.div(product, nonzero_base);
        let of_base = cx.mul(g, others);

        let src_zero = is_zero(cx, src);
        let (none, ones) = (cx.full_like(base, 0.0), cx.full_like(src, 1.0));
        let zeros = cx.masked(src_zero, ones);
        let count = self.placed(cx, Combine::Add, none, zeros);
        let count = self.found(cx, count);
        let is_one = cx.compare(Comparison::Eq, count, ones);
        let single = cx.emit(super::And {}, &[src_zero, is_one]);
        let without = self.filled(cx, single, src);
        let product = self.placed(cx, Combine::Multiply, base, without);
        let slope = cx.mul(g, product);
        let at_single = self.found(cx, slope);
        let nonzero_src = self.filled(cx, src_zero, src);
        let slope = cx.mul(g, y);
        let slope = self.found(cx, slope);
        let elsewhere = cx.div(slope, nonzero_src);
        (of_base, cx.select(single, at_single, elsewhere))
    }

    /// The gradients of an extremum: equal shares to all that equal the result.
    fn shares(&self, cx: &mut Vjp<'_>) -> (ValueId, ValueId) {
        let (g, base, src, y) = (cx.cotangent(), cx.operand(0), cx.operand(2), cx.result());
        let found = self.found(cx, y);
        let base_hits = cx.compare(Comparison::Eq, base, y);
        let src_hits = cx.compare(Comparison::Eq, src, found);
        let (base_ones, src_ones) = (cx.full_like(base, 1.0), cx.full_like(src, 1.0));
        let (base_count, src_count) = (cx.masked(base_hits, base_ones), cx.masked(src_hits, src_ones));
        let count = self.placed(cx, Combine::Add, base_count, src_count);
        let share = cx.div(g, count);
        let found = self.found(cx, share);
        (cx.masked(base_hits, share), cx.masked(src_hits, found))
    }
}

op! {
    /// `index < 0 ? index + bound : index`, which must be a position: what the negative indices of `x[index]` become. No gradient.
    CheckIndex(index) {
        /// The extent that is indexed, as a product.
        bound: Vec<Dim>,
    }
}

impl Operator for CheckIndex {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::exactly("check_index", &operands[0], DType::I64)?;
        Ok(operands[0].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let bound = crate::Shape(self.bound.clone()).count();
        Body::pointwise(Expr::check(Expr::wrapped(operand(0, operands), bound), bound))
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None]
    }

    fn examples() -> Vec<Example> {
        let index = Type::new(DType::I64, [Dim::BATCH, 3.into()]);
        vec![Example::new(CheckIndex { bound: vec![4.into()] }, [index]).domain(0, -4.0, 4.0)]
    }
}
