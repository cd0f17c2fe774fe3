//! Arithmetic on elements at one position. Operands have equal shapes and dtypes: broadcasting and promotion are explicit in the IR,
//! so that their derivatives are those of `expand` and `cast`.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::ops::{Log, Or};
use crate::{Binary, Body, Comparison, DType, Diagnostic, Expr, Type, Unary, ValueId, Vjp, operand};

/// A function of one tensor of a `number` or `float` dtype: its formula over `x`, and its derivative times the cotangent.
macro_rules! unary {
    ($($(#[doc = $text:literal])* $name:ident of $check:ident in [$low:literal, $high:literal]: |$x:ident, $dtype:ident| $value:expr; |$cx:ident| $vjp:expr;)*) => {$(
        op! { $(#[doc = $text])* $name(x) }

        impl Operator for $name {
            fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
                checks::$check(super::Op::from(self.clone()).name(), &operands[0])?;
                Ok(operands[0].clone())
            }

            fn body(&self, operands: &[Type], _: &Type) -> Body {
                Body::formula(operands, |[$x], $dtype| {
                    let _ = $dtype;
                    $value
                })
            }

            fn vjp(&self, $cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                vec![Some($vjp)]
            }

            fn examples() -> Vec<Example> {
                let ty = Type::new(DType::F32, [crate::Dim::BATCH, 3.into()]);
                vec![Example::new($name {}, [ty]).domain(0, $low, $high)]
            }
        }
    )*};
}

/// A function of two tensors of `any`, a `number` or a `float` dtype: its formula over the elements, and the gradients of both.
macro_rules! binary {
    ($($(#[doc = $text:literal])* $name:ident of $check:ident in [$low:literal, $high:literal]: |$x:ident, $y:ident, $dtype:ident| $value:expr;
        |$cx:ident, $g:ident, $a:ident, $b:ident| $vjp:expr;)*) => {$(
        op! { $(#[doc = $text])* $name(a, b) }

        impl Operator for $name {
            fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
                let name = super::Op::from(self.clone()).name();
                checks::same(name, &operands[0], &operands[1])?;
                checks::$check(name, &operands[0])?;
                Ok(operands[0].clone())
            }

            fn body(&self, operands: &[Type], _: &Type) -> Body {
                Body::formula(operands, |[$x, $y], $dtype| {
                    let _ = $dtype;
                    $value
                })
            }

            fn vjp(&self, $cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                let ($g, $a, $b) = ($cx.cotangent(), $cx.operand(0), $cx.operand(1));
                let (da, db) = $vjp;
                vec![Some(da), Some(db)]
            }

            fn examples() -> Vec<Example> {
                let ty = Type::new(DType::F32, [crate::Dim::BATCH, 3.into()]);
                let example = Example::new($name {}, [ty.clone(), ty]);
                vec![example.domain(0, $low, $high).domain(1, $low, $high)]
            }
        }
    )*};
}

pub(super) use {binary, unary};

unary! {
    /// `-x`. Gradient: `-g`.
    Neg of number in [-2.0, 2.0]: |x, dtype| -x;
        |cx| { let g = cx.cotangent(); cx.neg(g) };
    /// `|x|`. Gradient: `g·sign x`, 0 at 0.
    Abs of number in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Abs, x);
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let zero = cx.full_like(x, 0.0);
            let (above, below) = (cx.compare(Comparison::Gt, x, zero), cx.compare(Comparison::Lt, x, zero));
            let (falling, rising) = (cx.neg(g), cx.masked(above, g));
            cx.select(below, falling, rising)
        };
    /// -1, 0 or 1; 0 for NaN. Gradient: 0.
    Sign of number in [-2.0, 2.0]: |x, dtype| {
            let holds = |op| Expr::cast(dtype, Expr::compare(op, x.clone(), Expr::number(0.0, dtype)));
            holds(Comparison::Gt) - holds(Comparison::Lt)
        };
        |cx| { let g = cx.cotangent(); cx.full_like(g, 0.0) };
    /// `max(x, 0)`, NaN for NaN. Gradient: `g` where `x > 0`, else 0.
    Relu of number in [-2.0, 2.0]: |x, dtype| Expr::binary(Binary::Max, x, Expr::number(0.0, dtype));
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let zero = cx.full_like(y, 0.0);
            let positive = cx.compare(Comparison::Gt, y, zero);
            cx.masked(positive, g)
        };
    /// The greatest integer that is not above. Gradient: 0.
    Floor of number in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Floor, x);
        |cx| { let g = cx.cotangent(); cx.full_like(g, 0.0) };
    /// The least integer that is not below. Gradient: 0.
    Ceil of number in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Ceil, x);
        |cx| { let g = cx.cotangent(); cx.full_like(g, 0.0) };
    /// The next integer in the direction of 0. Gradient: 0.
    Trunc of number in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Trunc, x);
        |cx| { let g = cx.cotangent(); cx.full_like(g, 0.0) };
    /// The nearest integer, the even one of two. Gradient: 0.
    Round of number in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Round, x);
        |cx| { let g = cx.cotangent(); cx.full_like(g, 0.0) };
}

binary! {
    /// `a + b`. Gradients: `g`, `g`.
    Add of number in [-2.0, 2.0]: |x, y, dtype| x + y; |cx, g, _a, _b| (g, g);
    /// `a - b`. Gradients: `g`, `-g`.
    Sub of number in [-2.0, 2.0]: |x, y, dtype| x - y; |cx, g, _a, _b| (g, cx.neg(g));
    /// `a * b`. Gradients: `g·b`, `g·a`.
    Mul of number in [-2.0, 2.0]: |x, y, dtype| x * y; |cx, g, a, b| (cx.mul(g, b), cx.mul(g, a));
    /// `a / b`; integers truncate towards zero. Gradients: `g/b`, `-g·(a/b)/b`.
    Div of number in [0.5, 2.0]: |x, y, dtype| x / y; |cx, g, _a, b| {
        let (da, y) = (cx.div(g, b), cx.result());
        let product = cx.mul(da, y);
        (da, cx.neg(product))
    };
    /// `a - b·trunc(a / b)`, exact, with the sign of `a`: C's `fmod`. Gradients: `g`, `-g·trunc(a / b)`.
    Fmod of number in [0.5, 2.0]: |x, y, dtype| Expr::binary(Binary::Rem, x, y); |cx, g, a, b| {
        let quotient = cx.div(a, b);
        let whole = cx.emit(Trunc {}, &[quotient]);
        let product = cx.mul(g, whole);
        (g, cx.neg(product))
    };
    /// `a - b·floor(a / b)`, with the sign of `b`: Python's `%`. Gradients: `g`, `-g·floor(a / b)`.
    Remainder of number in [0.5, 2.0]: |x, y, dtype| {
        let rest = Expr::binary(Binary::Rem, x, y.clone());
        let compare = |op, x: &Expr| Expr::compare(op, x.clone(), Expr::number(0.0, dtype));
        let signs = Expr::compare(Comparison::Ne, compare(Comparison::Lt, &rest), compare(Comparison::Lt, &y));
        let differs = Expr::binary(Binary::And, compare(Comparison::Ne, &rest), signs);
        Expr::select(differs, rest.clone() + y, rest)
    };
    |cx, g, a, b| {
        let quotient = cx.div(a, b);
        let whole = cx.emit(Floor {}, &[quotient]);
        let product = cx.mul(g, whole);
        (g, cx.neg(product))
    };
    /// The greater; NaN if either is. Gradients: `g` to the greater, half to each where they are equal.
    Maximum of any in [-2.0, 2.0]: |x, y, dtype| Expr::binary(Binary::Max, x, y); |cx, g, a, b| share(cx, Comparison::Gt, g, a, b);
    /// The smaller; NaN if either is. Gradients: `g` to the smaller, half to each where they are equal.
    Minimum of any in [-2.0, 2.0]: |x, y, dtype| Expr::binary(Binary::Min, x, y); |cx, g, a, b| share(cx, Comparison::Lt, g, a, b);
    /// `a` to the power of `b`; of integers it wraps, and is rounded towards zero where `b` is negative. Gradients: `g·b·a^(b-1)`, 0 where `b` is 0; `g·a^b·log a`, 0 where `a` is 0 and `b` is not negative (PyTorch).
    Pow of number in [0.5, 2.0]: |x, y, dtype| Expr::binary(Binary::Pow, x, y); |cx, g, a, b| {
        let (one, y) = (cx.full_like(b, 1.0), cx.result());
        let lower = cx.sub(b, one);
        let power = cx.emit(Pow {}, &[a, lower]);
        let slope = cx.mul(b, power);
        let da = cx.mul(g, slope);
        let zero = cx.full_like(b, 0.0);
        let exponent = cx.compare(Comparison::Ne, b, zero);
        let da = cx.masked(exponent, da);
        let logarithm = cx.emit(Log {}, &[a]);
        let slope = cx.mul(y, logarithm);
        let db = cx.mul(g, slope);
        // 0^b is constant where b > 0; where it is infinite, so is its slope.
        let (base, rising) = (cx.compare(Comparison::Ne, a, zero), cx.compare(Comparison::Lt, b, zero));
        let varies = cx.emit(Or {}, &[base, rising]);
        (da, cx.masked(varies, db))
    };
}

op! {
    /// Conversion as PyTorch's `to`: floats to integers truncate towards zero, anything to `bool` is `!= 0`. Gradient: `g` in the
    /// operand's dtype, if both are floating.
    Cast(x) {
        /// The dtype.
        dtype: DType,
    }
}

impl Operator for Cast {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        Ok(operands[0].with_dtype(self.dtype))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        Body::pointwise(Expr::cast(self.dtype, operand(0, operands)))
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let from = cx.ty(cx.operand(0)).dtype;
        let g = cx.cotangent();
        vec![(from.is_float() && self.dtype.is_float()).then(|| cx.cast(g, from))]
    }

    fn examples() -> Vec<Example> {
        let from = |dtype| Type::new(dtype, [crate::Dim::BATCH, 3.into()]);
        vec![
            Example::new(Cast { dtype: DType::F64 }, [from(DType::F32)]),
            Example::new(Cast { dtype: DType::F32 }, [from(DType::I64)]),
            Example::new(Cast { dtype: DType::I64 }, [from(DType::F32)]),
            Example::new(Cast { dtype: DType::Bool }, [from(DType::F32)]),
        ]
    }
}

op! {
    /// The value itself, with no gradient: PyTorch's `detach`.
    Detach(x)
}

impl Operator for Detach {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        Ok(operands[0].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        Body::pointwise(operand(0, operands))
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None]
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Detach {}, [Type::new(DType::F32, [crate::Dim::BATCH, 3.into()])])]
    }
}

/// The cotangent goes to the side that wins the comparison; ties share it.
fn share(cx: &mut Vjp<'_>, wins: Comparison, g: ValueId, a: ValueId, b: ValueId) -> (ValueId, ValueId) {
    let equal = cx.compare(Comparison::Eq, a, b);
    let half = cx.scale(g, 0.5);
    let mut side = |x, y| {
        let winning = cx.compare(wins, x, y);
        let whole = cx.masked(winning, g);
        cx.select(equal, half, whole)
    };
    (side(a, b), side(b, a))
}
