//! Pooling over windows.

use kiln::functional::*;
use kiln::prelude::Tensor;

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::{Results, Row};

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.max_pool1d", |a| max(a, |x, pool| x.max_pool1d(pool), |x, pool| x.max_pool1d_with_indices(pool))),
    ("nn.functional.max_pool2d", |a| max(a, |x, pool| x.max_pool2d(pool), |x, pool| x.max_pool2d_with_indices(pool))),
    ("nn.functional.max_pool3d", |a| max(a, |x, pool| x.max_pool3d(pool), |x, pool| x.max_pool3d_with_indices(pool))),
    ("nn.functional.avg_pool1d", |a| Ok(a.tensor("input")?.avg_pool1d(average(a)?).into())),
    ("nn.functional.avg_pool2d", |a| Ok(a.tensor("input")?.avg_pool2d(average(a)?).into())),
    ("nn.functional.avg_pool3d", |a| Ok(a.tensor("input")?.avg_pool3d(average(a)?).into())),
    ("nn.functional.adaptive_avg_pool1d", |a| Ok(a.tensor("input")?.adaptive_avg_pool1d(size(a)?).into())),
    ("nn.functional.adaptive_avg_pool2d", |a| Ok(a.tensor("input")?.adaptive_avg_pool2d(size(a)?).into())),
    ("nn.functional.adaptive_avg_pool3d", |a| Ok(a.tensor("input")?.adaptive_avg_pool3d(size(a)?).into())),
    ("nn.functional.adaptive_max_pool1d", |a| adaptive(a, |x, size| x.adaptive_max_pool1d_with_indices(size))),
    ("nn.functional.adaptive_max_pool2d", |a| adaptive(a, |x, size| x.adaptive_max_pool2d_with_indices(size))),
    ("nn.functional.adaptive_max_pool3d", |a| adaptive(a, |x, size| x.adaptive_max_pool3d_with_indices(size))),
];

fn max<const N: usize>(
    a: &Args<'_>,
    pool: fn(Tensor, MaxPool<N>) -> Tensor,
    with_indices: fn(Tensor, MaxPool<N>) -> (Tensor, Tensor),
) -> Result<Results, Stop> {
    let options = MaxPool {
        kernel: a.counts("kernel_size", 0)?,
        stride: stride(a)?,
        padding: a.counts("padding", 0)?,
        dilation: a.counts("dilation", 1)?,
        ceil_mode: a.flag("ceil_mode", false)?,
    };
    let x = a.tensor("input")?;
    Ok(if a.flag("return_indices", false)? { with_indices(x, options).into() } else { pool(x, options).into() })
}

fn average<const N: usize>(a: &Args<'_>) -> Result<AvgPool<N>, Stop> {
    Ok(AvgPool {
        kernel: a.counts("kernel_size", 0)?,
        stride: stride(a)?,
        padding: a.counts("padding", 0)?,
        ceil_mode: a.flag("ceil_mode", false)?,
        count_include_pad: a.flag("count_include_pad", true)?,
        divisor_override: a.optional_int("divisor_override")?,
    })
}

/// The empty list is PyTorch's other way to say `None`.
fn stride<const N: usize>(a: &Args<'_>) -> Result<Option<[usize; N]>, Stop> {
    match a.ints("stride")? {
        Some(values) if !values.is_empty() => a.counts("stride", 1).map(Some),
        _ => Ok(None),
    }
}

fn size<const N: usize>(a: &Args<'_>) -> Result<OutputSize<N>, Stop> {
    let Some(Argument::List(items)) = a.get("output_size") else { return Ok(a.counts("output_size", 1)?.into()) };
    if items.len() != N || !items.contains(&Argument::None) {
        return Ok(a.counts("output_size", 1)?.into());
    }
    let mut extents = [None; N];
    for (extent, item) in extents.iter_mut().zip(items) {
        *extent = match item {
            Argument::Int(value) => Some(usize::try_from(*value).map_err(|_| a.wrong("output_size", "counts"))?),
            _ => None,
        };
    }
    Ok(OutputSize(extents))
}

fn adaptive<const N: usize>(
    a: &Args<'_>,
    pool: fn(Tensor, OutputSize<N>) -> (Tensor, Tensor),
) -> Result<Results, Stop> {
    let (maximum, index) = pool(a.tensor("input")?, size(a)?);
    Ok(if a.flag("return_indices", false)? { (maximum, index).into() } else { maximum.into() })
}
