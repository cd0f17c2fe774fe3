//! Resampling of spatial axes.

use kiln::functional::*;

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.interpolate", |a| {
        let options = Interpolation {
            size: size(a)?,
            scale_factor: factor(a)?,
            mode: a.word("mode", InterpolationMode::Nearest)?,
            align_corners: a.get("align_corners").map(|_| a.flag("align_corners", false)).transpose()?,
            recompute_scale_factor: a.flag("recompute_scale_factor", false)?,
            antialias: a.flag("antialias", false)?,
        };
        Ok(a.tensor("input")?.interpolate(&options).into())
    }),
    ("nn.functional.grid_sample", |a| {
        let options = GridSample {
            mode: a.word("mode", GridMode::Bilinear)?,
            padding_mode: a.word("padding_mode", GridPadding::Zeros)?,
            align_corners: a.flag("align_corners", false)?,
        };
        Ok(a.tensor("input")?.grid_sample(a.tensor("grid")?, options).into())
    }),
];

fn size(a: &Args<'_>) -> Result<Option<PerSpatialAxis<usize>>, Stop> {
    let Some(values) = a.ints("size")? else { return Ok(None) };
    let count = |value: i64| usize::try_from(value).map_err(|_| a.wrong("size", "counts"));
    let values = values.into_iter().map(count).collect::<Result<Vec<usize>, _>>()?;
    Ok(Some(match a.get("size") {
        Some(Argument::Int(_)) => PerSpatialAxis::All(values[0]),
        _ => PerSpatialAxis::Each(values),
    }))
}

fn factor(a: &Args<'_>) -> Result<Option<PerSpatialAxis<f64>>, Stop> {
    let number = |item: &Argument| match item {
        Argument::Int(value) => Ok(*value as f64),
        Argument::Float(value) => Ok(*value),
        _ => Err(a.wrong("scale_factor", "numbers")),
    };
    match a.get("scale_factor") {
        None => Ok(None),
        Some(Argument::List(items)) => {
            items.iter().map(number).collect::<Result<_, _>>().map(|values| Some(PerSpatialAxis::Each(values)))
        }
        Some(item) => number(item).map(|value| Some(PerSpatialAxis::All(value))),
    }
}
