//! Shapes, parts, repetitions and joints.

use kiln::functional::{cat, meshgrid, stack};
use kiln::{Indexing, PadMode};

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("reshape", |a| Ok(a.tensor("input")?.reshape(list(a, "shape")?).into())),
    ("view", |a| Ok(a.tensor("input")?.view(list(a, "shape")?).into())),
    ("flatten", |a| Ok(a.tensor("input")?.flatten(a.int("start_dim", 0)?, a.int("end_dim", -1)?).into())),
    ("unflatten", |a| Ok(a.tensor("input")?.unflatten(a.int("dim", 0)?, list(a, "sizes")?).into())),
    ("unsqueeze", |a| Ok(a.tensor("input")?.unsqueeze(a.int("dim", 0)?).into())),
    ("squeeze", |a| {
        let x = a.tensor("input")?;
        Ok(a.ints("dim")?.map_or_else(|| x.squeeze_all(), |axes| x.squeeze_axes(&axes)).into())
    }),
    ("permute", |a| Ok(a.tensor("input")?.permute(&list(a, "dims")?).into())),
    ("transpose", |a| Ok(a.tensor("input")?.transpose(a.int("dim0", 0)?, a.int("dim1", 0)?).into())),
    ("t", |a| Ok(a.tensor("input")?.t().into())),
    ("movedim", |a| Ok(a.tensor("input")?.movedim(&list(a, "source")?, &list(a, "destination")?).into())),
    ("flip", |a| Ok(a.tensor("input")?.flip(&list(a, "dims")?).into())),
    ("roll", |a| Ok(a.tensor("input")?.roll(&list(a, "shifts")?, &a.ints("dims")?.unwrap_or_default()).into())),
    ("narrow", |a| {
        let (x, axis, length) = (a.tensor("input")?, a.int("dim", 0)?, a.count("length", 0)?);
        Ok(match a.get("start") {
            Some(Argument::Int(start)) => x.narrow(axis, *start, length),
            _ => x.narrow_at(axis, a.tensor("start")?, length),
        }
        .into())
    }),
    ("select", |a| Ok(a.tensor("input")?.select(a.int("dim", 0)?, a.int("index", 0)?).into())),
    ("unfold", |a| {
        let (x, axis) = (a.tensor("input")?, a.int("dimension", 0)?);
        Ok(x.unfold(axis, a.count("size", 0)?, a.count("step", 0)?).into())
    }),
    ("split", |a| {
        let (x, axis) = (a.tensor("tensor")?, a.int("dim", 0)?);
        let sizes = a.counts_of("split_size_or_sections")?;
        let parts = match (a.get("split_size_or_sections"), sizes.as_slice()) {
            (Some(Argument::Int(_)), &[size]) => x.split(size, axis),
            (_, sizes) => x.split_with_sizes(sizes, axis),
        };
        Ok(parts.into_vec().into())
    }),
    ("chunk", |a| Ok(a.tensor("input")?.chunk(a.count("chunks", 0)?, a.int("dim", 0)?).into_vec().into())),
    ("unbind", |a| Ok(a.tensor("input")?.unbind(a.int("dim", 0)?).into_vec().into())),
    ("expand", |a| Ok(a.tensor("input")?.expand(list(a, "size")?).into())),
    ("expand_as", |a| Ok(a.tensor("input")?.expand_as(a.tensor("other")?).into())),
    ("broadcast_to", |a| Ok(a.tensor("input")?.broadcast_to(list(a, "size")?).into())),
    ("repeat", |a| Ok(a.tensor("input")?.repeat(&a.counts_of("repeats")?).into())),
    ("tile", |a| Ok(a.tensor("input")?.tile(&a.counts_of("dims")?).into())),
    ("repeat_interleave", |a| {
        let (x, axis) = (a.tensor("input")?, a.optional_int("dim")?);
        Ok(match a.get("repeats") {
            Some(Argument::List(_)) => x.repeat_interleave_each(&a.counts_of("repeats")?, axis),
            _ => x.repeat_interleave(a.count("repeats", 1)?, axis),
        }
        .into())
    }),
    ("meshgrid", |a| Ok(meshgrid(&a.tensors("tensors")?, a.word("indexing", Indexing::Matrix)?).into())),
    ("cat", |a| Ok(cat(&a.tensors("tensors")?, a.int("dim", 0)?).into())),
    ("stack", |a| Ok(stack(&a.tensors("tensors")?, a.int("dim", 0)?).into())),
    ("tril", |a| Ok(a.tensor("input")?.tril(a.int("diagonal", 0)?).into())),
    ("triu", |a| Ok(a.tensor("input")?.triu(a.int("diagonal", 0)?).into())),
    ("diagonal", |a| {
        let axes = [a.int("dim1", 0)?, a.int("dim2", 1)?];
        Ok(a.tensor("input")?.diagonal(a.int("offset", 0)?, axes).into())
    }),
    ("diag_embed", |a| {
        let axes = [a.int("dim1", -2)?, a.int("dim2", -1)?];
        Ok(a.tensor("input")?.diag_embed(a.int("offset", 0)?, axes).into())
    }),
    ("nn.functional.pad", |a| {
        let (x, widths) = (a.tensor("input")?, list(a, "pad")?);
        Ok(match a.word("mode", PadMode::Constant)? {
            PadMode::Constant => x.pad(&widths, a.number("value", 0.0)?),
            mode => x.pad_with(&widths, mode),
        }
        .into())
    }),
];

/// A list of integers that must be there.
fn list(a: &Args<'_>, name: &str) -> Result<Vec<i64>, Stop> {
    a.ints(name)?.ok_or_else(|| a.wrong(name, "a list of integers"))
}
