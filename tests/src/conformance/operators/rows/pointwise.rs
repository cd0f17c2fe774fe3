//! Arithmetic, comparisons and functions of one element.

use kiln::prelude::*;
use kiln::{Rounding, where_};

use super::super::arguments::{Args, Either, Stop};
use super::{Results, Row};

/// The rows.
pub const ROWS: &[Row] = &[
    ("add", |a| scaled(a, |x, y| x + y)),
    ("sub", |a| scaled(a, |x, y| x - y)),
    ("mul", |a| binary(a, |x, y| x * y)),
    ("div", |a| {
        let (x, y) = a.pair("input", "other")?;
        Ok(match a.text("rounding_mode") {
            None => x / y,
            Some(word) => x.div_with(y, word.parse::<Rounding>()?),
        }
        .into())
    }),
    ("pow", |a| {
        let (x, y) = a.pair("input", "exponent")?;
        Ok(x.pow(y).into())
    }),
    ("fmod", |a| binary(a, |x, y| x.fmod(y))),
    ("remainder", |a| binary(a, |x, y| x.remainder(y))),
    ("atan2", |a| binary(a, |x, y| x.atan2(y))),
    ("maximum", |a| binary(a, |x, y| x.maximum(y))),
    ("minimum", |a| binary(a, |x, y| x.minimum(y))),
    ("eq", |a| binary(a, |x, y| x.eq(y))),
    ("ne", |a| binary(a, |x, y| x.ne(y))),
    ("lt", |a| binary(a, |x, y| x.lt(y))),
    ("le", |a| binary(a, |x, y| x.le(y))),
    ("gt", |a| binary(a, |x, y| x.gt(y))),
    ("ge", |a| binary(a, |x, y| x.ge(y))),
    ("logical_and", |a| binary(a, |x, y| x.logical_and(y))),
    ("logical_or", |a| binary(a, |x, y| x.logical_or(y))),
    ("logical_xor", |a| binary(a, |x, y| x.logical_xor(y))),
    ("logical_not", |a| unary(a, Tensor::logical_not)),
    ("exp", |a| unary(a, Tensor::exp)),
    ("exp2", |a| unary(a, Tensor::exp2)),
    ("expm1", |a| unary(a, Tensor::expm1)),
    ("log", |a| unary(a, Tensor::log)),
    ("log1p", |a| unary(a, Tensor::log1p)),
    ("log2", |a| unary(a, Tensor::log2)),
    ("sqrt", |a| unary(a, Tensor::sqrt)),
    ("rsqrt", |a| unary(a, Tensor::rsqrt)),
    ("abs", |a| unary(a, Tensor::abs)),
    ("neg", |a| unary(a, |x| -x)),
    ("sign", |a| unary(a, Tensor::sign)),
    ("sin", |a| unary(a, Tensor::sin)),
    ("cos", |a| unary(a, Tensor::cos)),
    ("tan", |a| unary(a, Tensor::tan)),
    ("asin", |a| unary(a, Tensor::asin)),
    ("acos", |a| unary(a, Tensor::acos)),
    ("atan", |a| unary(a, Tensor::atan)),
    ("sinh", |a| unary(a, Tensor::sinh)),
    ("cosh", |a| unary(a, Tensor::cosh)),
    ("tanh", |a| unary(a, Tensor::tanh)),
    ("erf", |a| unary(a, Tensor::erf)),
    ("sigmoid", |a| unary(a, Tensor::sigmoid)),
    ("reciprocal", |a| unary(a, Tensor::reciprocal)),
    ("square", |a| unary(a, Tensor::square)),
    ("floor", |a| unary(a, Tensor::floor)),
    ("ceil", |a| unary(a, Tensor::ceil)),
    ("trunc", |a| unary(a, Tensor::trunc)),
    ("round", |a| Ok(a.tensor("input")?.round_to(a.int("decimals", 0)? as i32).into())),
    ("isnan", |a| unary(a, Tensor::isnan)),
    ("isinf", |a| unary(a, Tensor::isinf)),
    ("isfinite", |a| unary(a, Tensor::isfinite)),
    ("clamp", |a| {
        let bound = |name: &str| a.get(name).map(|_| a.either(name)).transpose();
        Ok(a.tensor("input")?.clamp(bound("min")?, bound("max")?).into())
    }),
    ("where", |a| Ok(where_(a.tensor("condition")?, a.either("input")?, a.either("other")?).into())),
    ("masked_fill", |a| Ok(a.tensor("input")?.masked_fill(a.tensor("mask")?, a.either("value")?).into())),
    ("lerp", |a| Ok(a.tensor("input")?.lerp(a.tensor("end")?, a.either("weight")?).into())),
    ("addcmul", |a| {
        Ok(a.tensor("input")?.addcmul(a.tensor("tensor1")?, a.tensor("tensor2")?, a.scalar("value", 1)?).into())
    }),
    ("addcdiv", |a| {
        Ok(a.tensor("input")?.addcdiv(a.tensor("tensor1")?, a.tensor("tensor2")?, a.scalar("value", 1)?).into())
    }),
];

fn unary(a: &Args<'_>, function: fn(Tensor) -> Tensor) -> Result<Results, Stop> {
    Ok(function(a.tensor("input")?).into())
}

fn binary(a: &Args<'_>, function: fn(Tensor, Tensor) -> Tensor) -> Result<Results, Stop> {
    let (x, y) = a.pair("input", "other")?;
    Ok(function(x, y).into())
}

/// With `other` times `alpha`.
fn scaled(a: &Args<'_>, function: fn(Tensor, Tensor) -> Tensor) -> Result<Results, Stop> {
    let (x, y) = a.pair("input", "other")?;
    let alpha = a.scalar("alpha", 1)?;
    let scaled = if a.get("alpha").is_some() { y * Either::Scalar(alpha) } else { y };
    Ok(function(x, scaled).into())
}
