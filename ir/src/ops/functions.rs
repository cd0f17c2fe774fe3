//! The elementary functions, of one element and of two. A formula is over the few functions that every back end has, in a form that
//! loses no digits and overflows only where its result does; special values are those of the C library and so of PyTorch.

use std::f64::consts::{FRAC_PI_2, LN_2, LOG2_E, PI};

use super::checks;
use super::elementwise::{binary, unary};
use crate::op::{Example, Operator, op};
use crate::{Binary, Body, Comparison, DType, Diagnostic, Expr, Type, Unary, ValueId, Vjp};

unary! {
    /// `e^x`. Gradient: `g·e^x`.
    Exp of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Exp, x);
        |cx| { let (g, y) = (cx.cotangent(), cx.result()); cx.mul(g, y) };
    /// `2^x`. Gradient: `g·2^x·log 2`.
    Exp2 of float in [-2.0, 2.0]: |x, dtype| Expr::binary(Binary::Pow, Expr::number(2.0, dtype), x);
        |cx| { let (g, y) = (cx.cotangent(), cx.result()); let product = cx.mul(g, y); cx.scale(product, LN_2) };
    /// `e^x - 1` without loss near 0: `tanh(x/2)·(e^x + 1)`. Gradient: `g·(y + 1)`.
    Expm1 of float in [-2.0, 2.0]: |x, dtype| {
            let half = Expr::unary(Unary::Tanh, x.clone() * Expr::number(0.5, dtype));
            half * (Expr::unary(Unary::Exp, x) + Expr::number(1.0, dtype))
        };
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let product = cx.mul(g, y);
            cx.add(product, g)
        };
    /// Natural logarithm. Gradient: `g/x`.
    Log of float in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Log, x);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); cx.div(g, x) };
    /// Logarithm to base 2. Gradient: `g/(x·log 2)`.
    Log2 of float in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Log, x) * Expr::number(LOG2_E, dtype);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let scaled = cx.scale(x, LN_2); cx.div(g, scaled) };
    /// `log(1 + x)` without loss near 0: `log w·x/(w - 1)` with `w = 1 + x` (HP-15C Advanced Functions Handbook). Gradient: `g/(1 + x)`.
    Log1p of float in [-0.8, 3.0]: |x, dtype| {
            let (zero, one) = (Expr::number(0.0, dtype), Expr::number(1.0, dtype));
            let w = one.clone() + x.clone();
            let above = w.clone() - one.clone();
            // Where the sum lost nothing there is nothing to put right; so -1 and infinity need no division.
            let exact = Expr::compare(Comparison::Eq, above.clone(), x.clone());
            let correction = Expr::select(exact, one, x.clone() / above.clone());
            let logarithm = Expr::unary(Unary::Log, w) * correction;
            Expr::select(Expr::compare(Comparison::Eq, above, zero), x, logarithm)
        };
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let one = cx.full_like(x, 1.0);
            let sum = cx.add(x, one);
            cx.div(g, sum)
        };
    /// Square root. Gradient: `g/(2·√x)`.
    Sqrt of float in [0.2, 3.0]: |x, dtype| Expr::unary(Unary::Sqrt, x);
        |cx| { let (g, y) = (cx.cotangent(), cx.result()); let twice = cx.scale(y, 2.0); cx.div(g, twice) };
    /// `1/√x`. Gradient: `-g·y³/2`.
    Rsqrt of float in [0.2, 3.0]: |x, dtype| Expr::number(1.0, dtype) / Expr::unary(Unary::Sqrt, x);
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let square = cx.mul(y, y);
            let cube = cx.mul(square, y);
            let slope = cx.scale(cube, -0.5);
            cx.mul(g, slope)
        };
    /// Sine of radians. Gradient: `g·cos x`.
    Sin of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Sin, x);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let slope = cx.emit(Cos {}, &[x]); cx.mul(g, slope) };
    /// Cosine of radians. Gradient: `-g·sin x`.
    Cos of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Cos, x);
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let slope = cx.emit(Sin {}, &[x]);
            let product = cx.mul(g, slope);
            cx.neg(product)
        };
    /// Tangent of radians. Gradient: `g·(1 + tan² x)`.
    Tan of float in [-1.2, 1.2]: |x, dtype| Expr::unary(Unary::Sin, x.clone()) / Expr::unary(Unary::Cos, x);
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let slope = one_plus_square(cx, y);
            cx.mul(g, slope)
        };
    /// Inverse sine, in `[-π/2, π/2]`; NaN outside `[-1, 1]`: `2·atan(x/(1 + √(1 - x²)))`. Gradient: `g/√(1 - x²)`.
    Asin of float in [-0.8, 0.8]: |x, dtype| {
            let one = Expr::number(1.0, dtype);
            let cosine = Expr::unary(Unary::Sqrt, (one.clone() - x.clone()) * (one.clone() + x.clone()));
            Expr::number(2.0, dtype) * Expr::unary(Unary::Atan, x / (one + cosine))
        };
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let slope = inverse_sine_slope(cx, x); cx.mul(g, slope) };
    /// Inverse cosine, in `[0, π]`; NaN outside `[-1, 1]`: `2·atan √((1 - x)/(1 + x))`. Gradient: `-g/√(1 - x²)`.
    Acos of float in [-0.8, 0.8]: |x, dtype| {
            let one = Expr::number(1.0, dtype);
            let ratio = (one.clone() - x.clone()) / (one + x);
            Expr::number(2.0, dtype) * Expr::unary(Unary::Atan, Expr::unary(Unary::Sqrt, ratio))
        };
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let slope = inverse_sine_slope(cx, x);
            let product = cx.mul(g, slope);
            cx.neg(product)
        };
    /// Inverse tangent, in `[-π/2, π/2]`. Gradient: `g/(1 + x²)`.
    Atan of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Atan, x);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let slope = one_plus_square(cx, x); cx.div(g, slope) };
    /// Hyperbolic sine, `tanh x·cosh x`. Gradient: `g·cosh x`.
    Sinh of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Tanh, x.clone()) * hyperbolic_cosine(x, dtype);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let slope = cx.emit(Cosh {}, &[x]); cx.mul(g, slope) };
    /// Hyperbolic cosine, `(e^x + e^-x)/2`. Gradient: `g·sinh x`.
    Cosh of float in [-2.0, 2.0]: |x, dtype| hyperbolic_cosine(x, dtype);
        |cx| { let (g, x) = (cx.cotangent(), cx.operand(0)); let slope = cx.emit(Sinh {}, &[x]); cx.mul(g, slope) };
    /// Hyperbolic tangent. Gradient: `g·(1 - tanh² x)`.
    Tanh of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Tanh, x);
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let (one, square) = (cx.full_like(y, 1.0), cx.mul(y, y));
            let slope = cx.sub(one, square);
            cx.mul(g, slope)
        };
    /// The error function. Gradient: `g·2/√π·e^(-x²)`.
    Erf of float in [-2.0, 2.0]: |x, dtype| Expr::unary(Unary::Erf, x);
        |cx| {
            let (g, x) = (cx.cotangent(), cx.operand(0));
            let square = cx.mul(x, x);
            let exponent = cx.neg(square);
            let bell = cx.emit(Exp {}, &[exponent]);
            let slope = cx.scale(bell, std::f64::consts::FRAC_2_SQRT_PI);
            cx.mul(g, slope)
        };
    /// `1 / (1 + e^-x)`. Gradient: `g·y·(1 - y)`.
    Sigmoid of float in [-2.0, 2.0]: |x, dtype| {
            let one = Expr::number(1.0, dtype);
            one.clone() / (one + Expr::unary(Unary::Exp, -x))
        };
        |cx| {
            let (g, y) = (cx.cotangent(), cx.result());
            let one = cx.full_like(y, 1.0);
            let rest = cx.sub(one, y);
            let slope = cx.mul(y, rest);
            cx.mul(g, slope)
        };
}

binary! {
    /// The angle of the point `(b, a)`, in `[-π, π]`, with the C library's values for zeros and infinities.
    /// Gradients: `g·b/(a² + b²)`, `-g·a/(a² + b²)`, 0 at the origin (PyTorch).
    Atan2 of float in [0.5, 2.0]: |y, x, dtype| angle(y, x, dtype); |cx, g, a, b| {
        let (aa, bb) = (cx.mul(a, a), cx.mul(b, b));
        let square = cx.add(aa, bb);
        let zero = cx.full_like(square, 0.0);
        let origin = cx.compare(Comparison::Eq, square, zero);
        let slope = cx.div(g, square);
        let slope = cx.select(origin, zero, slope);
        let (da, db) = (cx.mul(slope, b), cx.mul(slope, a));
        (da, cx.neg(db))
    };
}

/// `p + 1/(4p)` with `p = e^|x|/2` as a product of two roots: `e^|x|` alone overflows before the result does.
fn hyperbolic_cosine(x: Expr, dtype: DType) -> Expr {
    let (quarter, half) = (Expr::number(0.25, dtype), Expr::number(0.5, dtype));
    let root = Expr::unary(Unary::Exp, Expr::unary(Unary::Abs, x) * half.clone());
    let power = half * root.clone() * root;
    power.clone() + quarter / power
}

/// The angle in the first octant, turned into the octant of the point.
fn angle(y: Expr, x: Expr, dtype: DType) -> Expr {
    let number = |value| Expr::number(value, dtype);
    let zero_or = |condition: Expr, value| Expr::select(condition, number(value), number(0.0));
    let sign = |negative: Expr| Expr::select(negative, number(-1.0), number(1.0));
    // The sign of -0 shows in its reciprocal.
    let is_negative = |x: Expr| {
        let is_zero = Expr::compare(Comparison::Eq, x.clone(), number(0.0));
        Expr::compare(Comparison::Lt, Expr::select(is_zero, number(1.0) / x.clone(), x), number(0.0))
    };
    let (height, width) = (Expr::unary(Unary::Abs, y.clone()), Expr::unary(Unary::Abs, x.clone()));
    let steep = Expr::compare(Comparison::Gt, height.clone(), width.clone());
    let short = Expr::binary(Binary::Min, height.clone(), width.clone());
    let long = Expr::binary(Binary::Max, height, width);
    // On the diagonals there is nothing to divide, least of all zeros and infinities.
    let diagonal = Expr::compare(Comparison::Eq, short.clone(), long.clone());
    let at_origin = Expr::compare(Comparison::Eq, long.clone(), number(0.0));
    let slope = Expr::select(diagonal, Expr::select(at_origin, number(0.0), number(1.0)), short / long);
    let in_octant = Expr::unary(Unary::Atan, slope);
    let in_quadrant = zero_or(steep.clone(), FRAC_PI_2) + sign(steep) * in_octant;
    let left = is_negative(x);
    sign(is_negative(y)) * (zero_or(left.clone(), PI) + sign(left) * in_quadrant)
}

/// `1 + x²`.
fn one_plus_square(cx: &mut Vjp<'_>, x: ValueId) -> ValueId {
    let (one, square) = (cx.full_like(x, 1.0), cx.mul(x, x));
    cx.add(one, square)
}

/// `1/√(1 - x²)`.
fn inverse_sine_slope(cx: &mut Vjp<'_>, x: ValueId) -> ValueId {
    let (one, square) = (cx.full_like(x, 1.0), cx.mul(x, x));
    let rest = cx.sub(one, square);
    cx.emit(Rsqrt {}, &[rest])
}
