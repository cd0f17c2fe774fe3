//! Elements by index and by order.

use kiln::prelude::*;
use kiln::{At, EmbeddingOptions, Reduce};

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::{Results, Row};

/// The rows.
pub const ROWS: &[Row] = &[
    ("__getitem__", |a| {
        let Some(Argument::List(items)) = a.get("index") else { return Err(a.wrong("index", "a list")) };
        let items = items.iter().enumerate().map(|(at, item)| subscript(a, item, &format!("index.{at}")));
        Ok(a.tensor("input")?.at(items.collect::<Result<Vec<At>, Stop>>()?).into())
    }),
    ("gather", |a| Ok(a.tensor("input")?.gather(a.int("dim", 0)?, a.tensor("index")?).into())),
    ("scatter", |a| {
        let input = a.tensor("input")?;
        let source = match a.signature {
            0 => a.tensor("src")?,
            _ => Tensor::full(a.number("value", 0.0)?, input.dtype()),
        };
        scattered(a, source, a.text("reduce"))
    }),
    ("scatter_add", |a| scattered(a, a.tensor("src")?, Some("add"))),
    ("take_along_dim", |a| Ok(a.tensor("input")?.take_along_dim(a.tensor("indices")?, a.optional_int("dim")?).into())),
    ("index_select", |a| Ok(a.tensor("input")?.index_select(a.int("dim", 0)?, a.tensor("index")?).into())),
    ("sort", |a| Ok(a.tensor("input")?.sort(a.int("dim", -1)?, a.flag("descending", false)?).into())),
    ("argsort", |a| Ok(a.tensor("input")?.argsort(a.int("dim", -1)?, a.flag("descending", false)?).into())),
    ("topk", |a| Ok(a.tensor("input")?.topk(a.count("k", 0)?, a.int("dim", -1)?, a.flag("largest", true)?).into())),
    ("cumsum", |a| a.typed("input", |x| Ok(x.cumsum(a.int("dim", 0)?)))),
    ("cumprod", |a| a.typed("input", |x| Ok(x.cumprod(a.int("dim", 0)?)))),
    ("prod", |a| a.typed("input", |x| Ok(x.prod(&a.ints("dim")?.unwrap_or_default(), a.flag("keepdim", false)?)))),
    ("nn.functional.one_hot", |a| Ok(a.tensor("tensor")?.one_hot(a.count("num_classes", 0)?).into())),
    ("nn.functional.embedding", |a| {
        let options = EmbeddingOptions {
            padding_idx: a.optional_int("padding_idx")?,
            max_norm: a.optional_number("max_norm")?,
            norm_type: a.number("norm_type", 2.0)?,
            scale_grad_by_freq: a.flag("scale_grad_by_freq", false)?,
        };
        let (rows, table) = a.tensor("weight")?.embedding_with(a.tensor("input")?, options);
        Ok(Results { results: vec![rows], changed: vec![("weight", table)] })
    }),
];

fn scattered(a: &Args<'_>, source: Tensor, reduce: Option<&str>) -> Result<Results, Stop> {
    let (input, axis, index) = (a.tensor("input")?, a.int("dim", 0)?, a.tensor("index")?);
    Ok(match reduce {
        None => input.scatter(axis, index, source),
        Some("add") => input.scatter_add(axis, index, source),
        Some("multiply") => input.scatter_reduce(axis, index, source, Reduce::Prod, true),
        Some(_) => return Err(a.wrong("reduce", "add or multiply")),
    }
    .into())
}

fn subscript(a: &Args<'_>, item: &Argument, path: &str) -> Result<At, Stop> {
    Ok(match item {
        Argument::Int(position) => At::Position(*position),
        Argument::Slice([start, stop, step]) => At::Range { start: *start, stop: *stop, step: step.unwrap_or(1) },
        Argument::Ellipsis => At::Rest,
        Argument::NewAxis => At::NewAxis,
        Argument::Tensor(_) | Argument::Zeros(..) => a.tensor_of(item, path)?.into(),
        Argument::Indices(items) if items.iter().all(|item| matches!(item, Argument::Int(_))) => {
            At::List(items.iter().map(|item| if let Argument::Int(value) = item { *value } else { 0 }).collect())
        }
        Argument::Indices(items) => nested(a, items)?.into(),
        _ => return Err(a.wrong(path, "an item of a subscript")),
    })
}

/// A nested list of integers as a tensor.
fn nested(a: &Args<'_>, items: &[Argument]) -> Result<Tensor, Stop> {
    let mut rows = Vec::new();
    for item in items {
        rows.push(match item {
            Argument::Int(value) => kiln::functional::tensor(*value),
            Argument::Indices(inner) | Argument::List(inner) => nested(a, inner)?,
            _ => return Err(a.wrong("index", "integers")),
        });
    }
    Ok(stack(&rows, 0))
}
