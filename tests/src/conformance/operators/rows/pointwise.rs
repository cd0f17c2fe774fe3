//! Arithmetic, comparisons and functions of one element.

use kiln::prelude::*;
use kiln::{Rounding, where_};

use super::super::arguments::{Args, Either, Stop};
use super::{Results, Row, unary};

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
    ("logical_not", |a| unary(a, |x| x.logical_not())),
    ("exp", |a| unary(a, |x| x.exp())),
    ("exp2", |a| unary(a, |x| x.exp2())),
    ("expm1", |a| unary(a, |x| x.expm1())),
    ("log", |a| unary(a, |x| x.log())),
    ("log1p", |a| unary(a, |x| x.log1p())),
    ("log2", |a| unary(a, |x| x.log2())),
    ("sqrt", |a| unary(a, |x| x.sqrt())),
    ("rsqrt", |a| unary(a, |x| x.rsqrt())),
    ("abs", |a| unary(a, |x| x.abs())),
    ("neg", |a| unary(a, |x| -x)),
    ("sign", |a| unary(a, |x| x.sign())),
    ("sin", |a| unary(a, |x| x.sin())),
    ("cos", |a| unary(a, |x| x.cos())),
    ("tan", |a| unary(a, |x| x.tan())),
    ("asin", |a| unary(a, |x| x.asin())),
    ("acos", |a| unary(a, |x| x.acos())),
    ("atan", |a| unary(a, |x| x.atan())),
    ("sinh", |a| unary(a, |x| x.sinh())),
    ("cosh", |a| unary(a, |x| x.cosh())),
    ("tanh", |a| unary(a, |x| x.tanh())),
    ("erf", |a| unary(a, |x| x.erf())),
    ("sigmoid", |a| unary(a, |x| x.sigmoid())),
    ("reciprocal", |a| unary(a, |x| x.reciprocal())),
    ("square", |a| unary(a, |x| x.square())),
    ("floor", |a| unary(a, |x| x.floor())),
    ("ceil", |a| unary(a, |x| x.ceil())),
    ("trunc", |a| unary(a, |x| x.trunc())),
    ("round", |a| Ok(a.tensor("input")?.round_to(a.int("decimals", 0)? as i32).into())),
    ("isnan", |a| unary(a, |x| x.isnan())),
    ("isinf", |a| unary(a, |x| x.isinf())),
    ("isfinite", |a| unary(a, |x| x.isfinite())),
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
