//! Comparisons, logic and choice. Only `where` carries gradients.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{
    Binary, Body, Comparison, DType, Diagnostic, Dim, Expr, Index, Type, Unary, ValueId, Vjp, axes, load, operand,
};

fn example_type(dtype: DType) -> Type {
    Type::new(dtype, [Dim::BATCH, 3.into()])
}

/// An op without gradients whose result is `bool`.
macro_rules! predicates {
    ($($(#[doc = $text:literal])* $name:ident($($operand:ident),*) of $dtype:ident: $value:expr;)*) => {$(
        op! { $(#[doc = $text])* $name($($operand),*) }

        impl Operator for $name {
            fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
                let name = super::Op::from(self.clone()).name();
                for operand in operands {
                    checks::same(name, &operands[0], operand)?;
                    if DType::$dtype == DType::Bool {
                        checks::exactly(name, operand, DType::Bool)?;
                    }
                }
                Ok(operands[0].with_dtype(DType::Bool))
            }

            fn body(&self, operands: &[Type], _: &Type) -> Body {
                let value: fn(&dyn Fn(u32) -> Expr) -> Expr = $value;
                Body::pointwise(value(&|n| operand(n, operands)))
            }

            fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                vec![None; cx.operand_count()]
            }

            fn examples() -> Vec<Example> {
                let operands: &[&str] = &[$(stringify!($operand)),*];
                vec![Example::new($name {}, operands.iter().map(|_| example_type(DType::$dtype)))]
            }
        }
    )*};
}

predicates! {
    /// `a == b`, false where either is NaN.
    Eq(a, b) of F32: |x| Expr::compare(Comparison::Eq, x(0), x(1));
    /// `a != b`, true where either is NaN.
    Ne(a, b) of F32: |x| Expr::compare(Comparison::Ne, x(0), x(1));
    /// `a < b`.
    Lt(a, b) of F32: |x| Expr::compare(Comparison::Lt, x(0), x(1));
    /// `a <= b`.
    Le(a, b) of F32: |x| Expr::compare(Comparison::Le, x(0), x(1));
    /// `a > b`.
    Gt(a, b) of F32: |x| Expr::compare(Comparison::Gt, x(0), x(1));
    /// `a >= b`.
    Ge(a, b) of F32: |x| Expr::compare(Comparison::Ge, x(0), x(1));
    /// Both of two `bool`s.
    And(a, b) of Bool: |x| Expr::binary(Binary::And, x(0), x(1));
    /// Either of two `bool`s.
    Or(a, b) of Bool: |x| Expr::binary(Binary::Or, x(0), x(1));
    /// Not a `bool`.
    Not(x) of Bool: |x| Expr::unary(Unary::Not, x(0));
}

op! {
    /// `condition ? a : b`. Gradients: `g` where the operand was taken, 0 elsewhere.
    Where(condition, a, b)
}

impl Operator for Where {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::exactly("where", &operands[0], DType::Bool)?;
        checks::same("where", &operands[1], &operands[2])?;
        checks::same("where", &operands[0].with_dtype(operands[1].dtype), &operands[1])?;
        Ok(operands[1].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        Body::pointwise(Expr::select(operand(0, operands), operand(1, operands), operand(2, operands)))
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (condition, g) = (cx.operand(0), cx.cotangent());
        let zero = cx.full_like(g, 0.0);
        vec![None, Some(cx.select(condition, g, zero)), Some(cx.select(condition, zero, g))]
    }

    fn examples() -> Vec<Example> {
        let float = example_type(DType::F32);
        vec![Example::new(Where {}, [example_type(DType::Bool), float.clone(), float]).domain(0, 0.0, 2.0)]
    }
}

op! {
    /// `result[i.., c] = (labels[i..] == c)`. A label outside `0..classes` stops the step; without `checked` it matches nothing.
    OneHot(labels) {
        /// The extent of the new last axis.
        classes: usize,
        /// Whether a label must be a class.
        checked: bool,
    }
}

impl Operator for OneHot {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        checks::exactly("one_hot", &operands[0], DType::I64)?;
        let mut shape = operands[0].shape.clone();
        shape.0.push(Dim::fixed(self.classes));
        Ok(Type::new(DType::Bool, shape))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let rank = operands[0].rank();
        let label = load(0, axes(0, rank), None);
        let label = if self.checked { Expr::check(label, Dim::fixed(self.classes)) } else { label };
        let class = Expr::Index(Index::axis(crate::AxisId(rank as u32)));
        Body::pointwise(Expr::compare(Comparison::Eq, label, class))
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None]
    }

    fn examples() -> Vec<Example> {
        let labels = Type::new(DType::I64, [Dim::BATCH]);
        vec![Example::new(OneHot { classes: 3, checked: true }, [labels]).domain(0, 0.0, 3.0)]
    }
}
