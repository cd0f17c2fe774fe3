//! Views: every element of the result is one element of an operand, or a constant.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{
    Atom, AxisId, Body, Code, Comparison, DType, Diagnostic, Dim, Expr, Index, Kind, Number, Shape, Type, ValueId, Vjp,
    axes, load, reshape_index,
};

op! {
    /// The same elements in row-major order in another shape of the same count. Gradient: `g` in the operand's shape.
    Reshape(x) {
        /// The shape of the result.
        shape: Vec<Dim>,
    }
}

impl Operator for Reshape {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let result = operands[0].with_shape(self.shape.clone());
        // A symbolic axis may absorb or give away constant factors, but only in front: there it never enters a stride.
        if !result.shape.is_batch_leading() {
            let message = format!("reshape needs the batch axis in front: its result would be {result}");
            return Err(Diagnostic::new(Code::BatchAxis, message));
        }
        if result.shape.count() == operands[0].shape.count() {
            return Ok(result);
        }
        let message = format!(
            "reshape needs equal element counts: {} has {} and {} has {}",
            operands[0].shape,
            operands[0].shape.count(),
            result.shape,
            result.shape.0.iter().map(Dim::to_string).collect::<Vec<_>>().join("·"),
        );
        Err(Diagnostic::new(Code::ShapeMismatch, message))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        Body::view(reshape_index(&operands[0], result), None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, shape) = (cx.cotangent(), cx.operand_shape(0));
        vec![Some(cx.reshape(g, &shape))]
    }

    fn examples() -> Vec<Example> {
        let from = Type::new(DType::F32, [Dim::BATCH, 2.into(), 6.into()]);
        vec![
            Example::new(Reshape { shape: vec![Dim::BATCH, 3.into(), 4.into()] }, [from.clone()]),
            Example::new(Reshape { shape: vec![Dim { factor: 2, batch: true }, 6.into()] }, [from]),
        ]
    }
}

op! {
    /// `result` has the operand's axes in the order `dims`. Gradient: the inverse permutation of `g`.
    Permute(x) {
        /// Which operand axis each result axis is.
        dims: Vec<usize>,
    }
}

impl Operator for Permute {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axes("permute", &operands[0], &self.dims)?;
        if self.dims.len() != operands[0].rank() {
            return Err(checks::argument(
                "permute",
                &format!("all {} axes, found {:?}", operands[0].rank(), self.dims),
            ));
        }
        let dims: Vec<Dim> = self.dims.iter().map(|&axis| operands[0].dim(axis)).collect();
        Ok(operands[0].with_shape(dims))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let mut index = vec![Index::default(); operands[0].rank()];
        for (to, &from) in self.dims.iter().enumerate() {
            index[from] = Index::axis(AxisId(to as u32));
        }
        Body::view(index, None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let mut inverse = vec![0; self.dims.len()];
        for (to, &from) in self.dims.iter().enumerate() {
            inverse[from] = to;
        }
        let g = cx.cotangent();
        vec![Some(cx.emit(Permute { dims: inverse }, &[g]))]
    }

    fn examples() -> Vec<Example> {
        let from = Type::new(DType::F32, [Dim::BATCH, 2.into(), 3.into()]);
        vec![Example::new(Permute { dims: vec![0, 2, 1] }, [from])]
    }
}

op! {
    /// Repeats along axes of extent 1 and along new leading axes: NumPy's broadcasting made explicit. Gradient: `g` summed over what
    /// was repeated.
    Expand(x) {
        /// The shape of the result.
        shape: Vec<Dim>,
    }
}

impl Operator for Expand {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let (from, to) = (&operands[0].shape, Shape(self.shape.clone()));
        let new = to.rank().checked_sub(from.rank());
        let fits = new.is_some_and(|new| from.0.iter().zip(&to.0[new..]).all(|(a, b)| a == b || *a == Dim::ONE));
        if fits {
            return Ok(operands[0].with_shape(to));
        }
        let message = format!("expand needs trailing axes that are equal or 1: {from} and {to}");
        Err(Diagnostic::new(Code::ShapeMismatch, message))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let new = result.rank() - operands[0].rank();
        let index = axes(new, operands[0].rank()).into_iter().enumerate();
        let index = index.map(|(axis, index)| match operands[0].dim(axis) == Dim::ONE {
            true => Index::constant(0),
            false => index,
        });
        Body::view(index.collect(), None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, shape) = (cx.cotangent(), cx.operand_shape(0));
        vec![Some(cx.sum_to(g, &shape))]
    }

    fn examples() -> Vec<Example> {
        let to = vec![Dim::BATCH, 3.into(), 2.into()];
        vec![
            Example::new(Expand { shape: to.clone() }, [Type::new(DType::F32, [3, 1])]),
            Example::new(Expand { shape: to }, [Type::scalar(DType::F32)]),
        ]
    }
}

op! {
    /// `result[.., i, ..] = x[.., start + i·step, ..]` on one axis. Gradient: `g` padded back with zeros.
    Slice(x) {
        /// The axis; not the batch axis.
        axis: usize,
        /// The first position.
        start: usize,
        /// The number of positions.
        length: usize,
        /// The distance between positions.
        step: usize,
    }
}

impl Operator for Slice {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axis("slice", &operands[0], self.axis)?;
        let extent = checks::fixed("slice", &operands[0], self.axis)?;
        let end = if self.length == 0 { self.start } else { self.start + (self.length - 1) * self.step + 1 };
        if self.step == 0 || end > extent {
            let range = format!("positions {}..{end} by {} inside 0..{extent}", self.start, self.step);
            return Err(checks::argument("slice", &range));
        }
        let mut shape = operands[0].shape.clone();
        shape.0[self.axis] = Dim::fixed(self.length);
        Ok(operands[0].with_shape(shape))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let mut index = axes(0, operands[0].rank());
        index[self.axis] = index[self.axis].times(self.step as i64).shifted(self.start as i64);
        Body::view(index, None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, extent) = (cx.cotangent(), cx.operand_shape(0).0[self.axis].factor);
        let covered = if self.length == 0 { 0 } else { (self.length - 1) * self.step + 1 };
        let pad = Pad {
            axis: self.axis,
            low: self.start,
            high: extent - self.start - covered,
            interior: self.step - 1,
            value: Number::new(0.0),
        };
        vec![Some(cx.emit(pad, &[g]))]
    }

    fn examples() -> Vec<Example> {
        let from = Type::new(DType::F32, [Dim::BATCH, 7.into()]);
        vec![
            Example::new(Slice { axis: 1, start: 2, length: 3, step: 1 }, [from.clone()]),
            Example::new(Slice { axis: 1, start: 1, length: 3, step: 2 }, [from]),
        ]
    }
}

op! {
    /// Puts `value` before, after and between the positions of one axis. Gradient: the slice of `g` that is not padding.
    Pad(x) {
        /// The axis; not the batch axis.
        axis: usize,
        /// New positions in front.
        low: usize,
        /// New positions at the end.
        high: usize,
        /// New positions between each two.
        interior: usize,
        /// What they hold.
        value: Number,
    }
}

impl Operator for Pad {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axis("pad", &operands[0], self.axis)?;
        let extent = checks::fixed("pad", &operands[0], self.axis)?;
        let spread = extent + self.interior * extent.saturating_sub(1);
        let mut shape = operands[0].shape.clone();
        shape.0[self.axis] = Dim::fixed(self.low + spread + self.high);
        Ok(operands[0].with_shape(shape))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let mut index = axes(0, operands[0].rank());
        index[self.axis] = index[self.axis].shifted(-(self.low as i64)).exact_div(self.interior as i64 + 1);
        Body::view(index, Some(self.value.value()))
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, length) = (cx.cotangent(), cx.operand_shape(0).0[self.axis].factor);
        let slice = Slice { axis: self.axis, start: self.low, length, step: self.interior + 1 };
        vec![Some(cx.emit(slice, &[g]))]
    }

    fn examples() -> Vec<Example> {
        let from = Type::new(DType::F32, [Dim::BATCH, 3.into()]);
        let pad = |low, high, interior| Pad { axis: 1, low, high, interior, value: Number::new(0.5) };
        vec![Example::new(pad(2, 1, 0), [from.clone()]), Example::new(pad(0, 1, 1), [from])]
    }
}

op! {
    /// The operands one after another along an axis. Gradients: the slices of `g`.
    Concat(; variadic parts) {
        /// The axis; not the batch axis.
        axis: usize,
    }
}

impl Operator for Concat {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let mut result = operands[0].clone();
        checks::axis("concat", &result, self.axis)?;
        let mut total = 0;
        for operand in operands {
            checks::same_dtype("concat", &result, operand)?;
            let mut expected = operand.clone();
            if operand.rank() == result.rank() {
                total += checks::fixed("concat", operand, self.axis)?;
                expected.shape.0[self.axis] = result.dim(self.axis);
            }
            checks::same("concat", &result, &expected)?;
        }
        result.shape.0[self.axis] = Dim::fixed(total);
        Ok(result)
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let axis = AxisId(self.axis as u32);
        let rank = operands[0].rank();
        let mut start: i64 = operands.iter().map(|operand| operand.dim(self.axis).factor as i64).sum();
        let mut value: Option<Expr> = None;
        for (n, operand) in operands.iter().enumerate().rev() {
            let end = start;
            start -= operand.dim(self.axis).factor as i64;
            let mut index = axes(0, rank);
            index[self.axis] = Index { terms: vec![(Atom::Axis(axis), 1)], offset: -start };
            let part = load(n as u32, index, Some(0.0));
            value = Some(match value {
                None => part,
                Some(rest) => {
                    let position = Expr::Index(Index::axis(axis));
                    let here = Expr::compare(Comparison::Lt, position, Expr::number(end as f64, DType::I64));
                    Expr::select(here, part, rest)
                }
            });
        }
        let value = value.expect("infer has seen at least one operand");
        Body::single(Kind::View, value)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let g = cx.cotangent();
        let mut start = 0;
        (0..cx.operand_count())
            .map(|n| {
                let length = cx.operand_shape(n).0[self.axis].factor;
                let slice = Slice { axis: self.axis, start, length, step: 1 };
                start += length;
                Some(cx.emit(slice, &[g]))
            })
            .collect()
    }

    fn examples() -> Vec<Example> {
        let part = |extent: usize| Type::new(DType::F32, [Dim::BATCH, extent.into()]);
        vec![Example::new(Concat { axis: 1 }, [part(2), part(3), part(1)])]
    }
}
