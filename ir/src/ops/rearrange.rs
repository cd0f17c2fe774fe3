//! Views that put the positions of axes in another order.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Body, DType, Diagnostic, Dim, Type, ValueId, Vjp, axes};

op! {
    /// The axes from their end to their beginning: `result[i] = x[extent - 1 - i]` on each. Gradient: `flip` of `g`.
    Flip(x) {
        /// The axes; not the batch axis.
        axes: Vec<usize>,
    }
}

impl Operator for Flip {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axes("flip", &operands[0], &self.axes)?;
        for &axis in &self.axes {
            checks::fixed("flip", &operands[0], axis)?;
        }
        Ok(operands[0].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let mut index = axes(0, operands[0].rank());
        for &axis in &self.axes {
            index[axis] = index[axis].times(-1).shifted(operands[0].dim(axis).factor as i64 - 1);
        }
        Body::view(index, None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let g = cx.cotangent();
        vec![Some(cx.emit(self.clone(), &[g]))]
    }

    fn examples() -> Vec<Example> {
        let from = Type::new(DType::F32, [Dim::BATCH, 3.into(), 4.into()]);
        vec![Example::new(Flip { axes: vec![2] }, [from.clone()]), Example::new(Flip { axes: vec![1, 2] }, [from])]
    }
}

op! {
    /// `result[i + shift] = x[i]` on one axis, whose end goes on at its beginning. Gradient: `g` rolled back.
    Roll(x) {
        /// The axis; not the batch axis.
        axis: usize,
        /// How far, below the axis's extent.
        shift: usize,
    }
}

impl Operator for Roll {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::axis("roll", &operands[0], self.axis)?;
        let extent = checks::fixed("roll", &operands[0], self.axis)?;
        if self.shift >= extent.max(1) {
            return Err(checks::argument("roll", &format!("a shift in 0..{extent}, found {}", self.shift)));
        }
        Ok(operands[0].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let extent = operands[0].dim(self.axis).factor as i64;
        let mut index = axes(0, operands[0].rank());
        index[self.axis] = index[self.axis].shifted(extent - self.shift as i64).rem(extent.max(1));
        Body::view(index, None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, extent) = (cx.cotangent(), cx.operand_shape(0).0[self.axis].factor.max(1));
        let back = Roll { axis: self.axis, shift: (extent - self.shift) % extent };
        vec![Some(cx.emit(back, &[g]))]
    }

    fn examples() -> Vec<Example> {
        let from = Type::new(DType::F32, [Dim::BATCH, 5.into(), 2.into()]);
        vec![Example::new(Roll { axis: 1, shift: 2 }, [from])]
    }
}
