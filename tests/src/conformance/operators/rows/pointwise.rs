//! Arithmetic, comparisons and functions of one element.

use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("add", |a| {
        let (x, y) = a.pair("input", "other")?;
        Ok((x + y * a.scalar("alpha", 1)?).into())
    }),
    ("sub", |a| {
        let (x, y) = a.pair("input", "other")?;
        Ok((x - y * a.scalar("alpha", 1)?).into())
    }),
    ("mul", |a| {
        let (x, y) = a.pair("input", "other")?;
        Ok((x * y).into())
    }),
    ("exp", |a| Ok(a.tensor("input")?.exp().into())),
    ("tanh", |a| Ok(a.tensor("input")?.tanh().into())),
    ("sigmoid", |a| Ok(a.tensor("input")?.sigmoid().into())),
];
