//! Functions of elements at one position. Operands have equal shapes and dtypes: broadcasting and promotion are explicit in the IR,
//! so that their derivatives are those of `expand` and `cast`.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Binary, Body, Comparison, DType, Diagnostic, Expr, Type, Unary, ValueId, Vjp, operand};

fn example_type() -> Type {
    Type::new(DType::F32, [crate::Dim::BATCH, 3.into()])
}

/// A differentiable function of one floating tensor: its formula over `x`, and its derivative times the cotangent.
macro_rules! unary {
    ($($(#[doc = $text:literal])* $name:ident in [$low:literal, $high:literal]: |$x:ident, $dtype:ident| $value:expr; |$cx:ident| $vjp:expr;)*) => {$(
        op! { $(#[doc = $text])* $name(x) }

        impl Operator for $name {
            fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
                checks::float(super::Op::from(self.clone()).name(), &operands[0])?;
                Ok(operands[0].clone())
            }

            fn body(&self, operands: &[Type], _: &Type) -> Body {
                let ($x, $dtype) = (operand(0, operands), operands[0].dtype);
                let _ = $dtype;
                Body::pointwise($value)
            }

            fn vjp(&self, $cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                vec![Some($vjp)]
            }

            fn examples() -> Vec<Example> {
                vec![Example::new($name {}, [example_type()]).domain(0, $low, $high)]
            }
        }
    )*};
}

unary! {
    /// `e^x`. Gradient: `g·e^x`.
    Exp in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Exp, x);
        |cx| { let (g, y) = (cx.cotangent(), cx.result()); cx.mul(g, y) };
    /// Natural logarithm. Gradient: `g/x`.
    Log in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Log, x);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); cx.div(g, x) };
    /// Square root. Gradient: `g/(2·√x)`.
    Sqrt in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Sqrt, x);
        |cx| { let (g, y) = (cx.cotangent(), cx.result()); let twice = cx.scale(y, 2.0); cx.div(g, twice) };
    /// Hyperbolic tangent. Gradient: `g·(1 - tanh² x)`.
    Tanh in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Tanh, x);
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let (one, square) = (cx.full_like(y, 1.0), cx.mul(y, y));
            let slope = cx.sub(one, square);
            cx.mul(g, slope)
        };
    /// The error function. Gradient: `g·2/√π·e^(-x²)`.
    Erf in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Erf, x);
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let square = cx.mul(x, x);
            let exponent = cx.neg(square);
            let bell = cx.emit(Exp {}, &[exponent]);
            let slope = cx.scale(bell, std::f64::consts::FRAC_2_SQRT_PI);
            cx.mul(g, slope)
        };
    /// Sine of radians. Gradient: `g·cos x`.
    Sin in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Sin, x);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let slope = cx.emit(Cos {}, &[x]); cx.mul(g, slope) };
    /// Cosine of radians. Gradient: `-g·sin x`.
    Cos in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Cos, x);
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let slope = cx.emit(Sin {}, &[x]);
            let product = cx.mul(g, slope);
            cx.neg(product)
        };
    /// `|x|`. Gradient: `g·sign x`, 0 at 0.
    Abs in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Abs, x);
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let zero = cx.full_like(x, 0.0);
            let (above, below) = (cx.compare(Comparison::Gt, x, zero), cx.compare(Comparison::Lt, x, zero));
            let (falling, rising) = (cx.neg(g), cx.masked(above, g));
            cx.select(below, falling, rising)
        };
    /// `-x`. Gradient: `-g`.
    Neg in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Neg, x);
        |cx| { let g = cx.cotangent(); cx.neg(g) };
    /// `max(x, 0)`, NaN for NaN. Gradient: `g` where `x > 0`, else 0.
    Relu in [-2.0, 2.0]: |x, dtype| Expr::binary(Binary::Max, x, Expr::number(0.0, dtype));
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let zero = cx.full_like(y, 0.0);
            let positive = cx.compare(Comparison::Gt, y, zero);
            cx.masked(positive, g)
        };
    /// `1 / (1 + e^-x)`. Gradient: `g·y·(1 - y)`.
    Sigmoid in [-2.0, 2.0]: |x, dtype| {
            let one = Expr::number(1.0, dtype);
            let exponential = Expr::unary(Unary::Exp, Expr::unary(Unary::Neg, x));
            Expr::binary(Binary::Div, one.clone(), Expr::binary(Binary::Add, one, exponential))
        };
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let one = cx.full_like(y, 1.0);
            let rest = cx.sub(one, y);
            let slope = cx.mul(y, rest);
            cx.mul(g, slope)
        };
}

/// A function of two tensors of a `number` or `float` dtype: its formula, and the gradients of both.
macro_rules! binary {
    ($($(#[doc = $text:literal])* $name:ident of $check:ident in [$low:literal, $high:literal]: $op:expr; |$cx:ident, $g:ident, $a:ident, $b:ident| $vjp:expr;)*) => {$(
        op! { $(#[doc = $text])* $name(a, b) }

        impl Operator for $name {
            fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
                let name = super::Op::from(self.clone()).name();
                checks::same(name, &operands[0], &operands[1])?;
                checks::$check(name, &operands[0])?;
                Ok(operands[0].clone())
            }

            fn body(&self, operands: &[Type], _: &Type) -> Body {
                Body::pointwise(Expr::binary($op, operand(0, operands), operand(1, operands)))
            }

            fn vjp(&self, $cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                let ($g, $a, $b) = ($cx.cotangent(), $cx.operand(0), $cx.operand(1));
                let (da, db) = $vjp;
                vec![Some(da), Some(db)]
            }

            fn examples() -> Vec<Example> {
                let example = Example::new($name {}, [example_type(), example_type()]);
                vec![example.domain(0, $low, $high).domain(1, $low, $high)]
            }
        }
    )*};
}

binary! {
    /// `a + b`. Gradients: `g`, `g`.
    Add of number in [-2.0, 2.0]: Binary::Add; |cx, g, _a, _b| (g, g);
    /// `a - b`. Gradients: `g`, `-g`.
    Sub of number in [-2.0, 2.0]: Binary::Sub; |cx, g, _a, _b| (g, cx.neg(g));
    /// `a * b`. Gradients: `g·b`, `g·a`.
    Mul of number in [-2.0, 2.0]: Binary::Mul; |cx, g, a, b| (cx.mul(g, b), cx.mul(g, a));
    /// `a / b`; integers truncate towards zero. Gradients: `g/b`, `-g·(a/b)/b`.
    Div of number in [0.5, 2.0]: Binary::Div; |cx, g, _a, b| {
        let (da, y) = (cx.div(g, b), cx.result());
        let product = cx.mul(da, y);
        (da, cx.neg(product))
    };
    /// The greater; NaN if either is. Gradients: `g` to the greater, half to each where they are equal.
    Maximum of number in [-2.0, 2.0]: Binary::Max; |cx, g, a, b| share(cx, Comparison::Gt, g, a, b);
    /// The smaller; NaN if either is. Gradients: `g` to the smaller, half to each where they are equal.
    Minimum of number in [-2.0, 2.0]: Binary::Min; |cx, g, a, b| share(cx, Comparison::Lt, g, a, b);
    /// `a` to the power of `b`. Gradients: `g·b·a^(b-1)`, 0 where `b` is 0; `g·a^b·log a`, 0 where `a` is 0 (PyTorch).
    Pow of float in [0.5, 2.0]: Binary::Pow; |cx, g, a, b| {
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
        let base = cx.compare(Comparison::Ne, a, zero);
        (da, cx.masked(base, db))
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
        let from = |dtype| example_type().with_dtype(dtype);
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
        vec![Example::new(Detach {}, [example_type()])]
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
