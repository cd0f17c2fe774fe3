//! Reductions, and what is made of them.

use kiln::{Code, Diagnostic};

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("sum", |a| a.typed("input", |x| Ok(x.sum(&axes(a)?, keep(a)?)))),
    ("mean", |a| a.typed("input", |x| Ok(x.mean(&axes(a)?, keep(a)?)))),
    ("amax", |a| Ok(a.tensor("input")?.amax(&axes(a)?, keep(a)?).into())),
    ("amin", |a| Ok(a.tensor("input")?.amin(&axes(a)?, keep(a)?).into())),
    ("max", |a| {
        let x = a.tensor("input")?;
        Ok(match a.signature {
            0 => x.max_all().into(),
            1 => x.max_dim(a.int("dim", 0)?, keep(a)?).into(),
            _ => x.maximum(a.tensor("other")?).into(),
        })
    }),
    ("min", |a| {
        let x = a.tensor("input")?;
        Ok(match a.signature {
            0 => x.min_all().into(),
            1 => x.min_dim(a.int("dim", 0)?, keep(a)?).into(),
            _ => x.minimum(a.tensor("other")?).into(),
        })
    }),
    ("argmax", |a| Ok(a.tensor("input")?.argmax(a.optional_int("dim")?, keep(a)?).into())),
    ("argmin", |a| Ok(a.tensor("input")?.argmin(a.optional_int("dim")?, keep(a)?).into())),
    ("count_nonzero", |a| Ok(a.tensor("input")?.count_nonzero(&axes(a)?).into())),
    ("all", |a| Ok(a.tensor("input")?.all(&axes(a)?, keep(a)?).into())),
    ("any", |a| Ok(a.tensor("input")?.any(&axes(a)?, keep(a)?).into())),
    ("var", |a| Ok(a.tensor("input")?.var(&axes(a)?, correction(a)?, keep(a)?).into())),
    ("std", |a| Ok(a.tensor("input")?.std(&axes(a)?, correction(a)?, keep(a)?).into())),
    ("var_mean", |a| Ok(a.tensor("input")?.var_mean(&axes(a)?, correction(a)?, keep(a)?).into())),
    ("std_mean", |a| Ok(a.tensor("input")?.std_mean(&axes(a)?, correction(a)?, keep(a)?).into())),
    ("norm", |a| {
        let order = match a.text("p") {
            None => a.number("p", 2.0)?,
            Some("fro") => 2.0,
            Some(word) => {
                let message = format!("norm needs a number or `fro` for `p`: found `{word}`");
                return Err(Diagnostic::new(Code::BadArgument, message).into());
            }
        };
        a.typed("input", |x| Ok(x.norm(order, &axes(a)?, keep(a)?)))
    }),
    ("linalg.vector_norm", |a| a.typed("x", |x| Ok(x.vector_norm(a.number("ord", 2.0)?, &axes(a)?, keep(a)?)))),
    ("logsumexp", |a| Ok(a.tensor("input")?.logsumexp(&axes(a)?, keep(a)?).into())),
    ("softmax", |a| a.typed("input", |x| Ok(x.softmax(a.int("dim", -1)?)))),
    ("log_softmax", |a| a.typed("input", |x| Ok(x.log_softmax(a.int("dim", -1)?)))),
    ("nn.functional.softmin", |a| a.typed("input", |x| Ok(x.softmin(a.int("dim", -1)?)))),
];

fn axes(a: &Args<'_>) -> Result<Vec<i64>, Stop> {
    Ok(a.ints("dim")?.unwrap_or_default())
}

fn keep(a: &Args<'_>) -> Result<bool, Stop> {
    a.flag("keepdim", false)
}

/// `correction`, or what `unbiased` says of it.
fn correction(a: &Args<'_>) -> Result<f64, Stop> {
    match a.get("unbiased") {
        Some(Argument::Flag(unbiased)) => Ok(f64::from(u8::from(*unbiased))),
        _ => a.number("correction", 1.0),
    }
}
