//! Convolutions and their transposes, patches, and channels in space.

use kiln::functional::*;
use kiln::prelude::Tensor;

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.conv1d", |a| {
        let (x, weight, bias) = operands(a)?;
        Ok(x.conv1d(weight, bias, window(a)?).into())
    }),
    ("nn.functional.conv2d", |a| {
        let (x, weight, bias) = operands(a)?;
        Ok(x.conv2d(weight, bias, window(a)?).into())
    }),
    ("nn.functional.conv3d", |a| {
        let (x, weight, bias) = operands(a)?;
        Ok(x.conv3d(weight, bias, window(a)?).into())
    }),
    ("nn.functional.conv_transpose1d", |a| {
        let (x, weight, bias) = operands(a)?;
        Ok(x.conv_transpose1d(weight, bias, transposed(a)?).into())
    }),
    ("nn.functional.conv_transpose2d", |a| {
        let (x, weight, bias) = operands(a)?;
        Ok(x.conv_transpose2d(weight, bias, transposed(a)?).into())
    }),
    ("nn.functional.conv_transpose3d", |a| {
        let (x, weight, bias) = operands(a)?;
        Ok(x.conv_transpose3d(weight, bias, transposed(a)?).into())
    }),
    ("nn.functional.unfold", |a| Ok(a.tensor("input")?.im2col(patches(a)?).into())),
    ("nn.functional.fold", |a| Ok(a.tensor("input")?.col2im(a.counts("output_size", 0)?, patches(a)?).into())),
    ("nn.functional.pixel_shuffle", |a| Ok(a.tensor("input")?.pixel_shuffle(a.count("upscale_factor", 0)?).into())),
    ("nn.functional.pixel_unshuffle", |a| {
        Ok(a.tensor("input")?.pixel_unshuffle(a.count("downscale_factor", 0)?).into())
    }),
];

fn operands(a: &Args<'_>) -> Result<(Tensor, Tensor, Option<Tensor>), Stop> {
    Ok((a.tensor("input")?, a.tensor("weight")?, a.optional_tensor("bias")?))
}

fn window<const N: usize>(a: &Args<'_>) -> Result<Window<N>, Stop> {
    let padding = match a.get("padding") {
        Some(Argument::Text(_)) => a.word("padding", Padding::Same)?,
        _ => Padding::Zeros(a.counts("padding", 0)?),
    };
    let (stride, dilation) = (a.counts("stride", 1)?, a.counts("dilation", 1)?);
    Ok(Window { stride, padding, dilation, groups: a.count("groups", 1)? })
}

fn transposed<const N: usize>(a: &Args<'_>) -> Result<TransposedWindow<N>, Stop> {
    Ok(TransposedWindow {
        stride: a.counts("stride", 1)?,
        padding: a.counts("padding", 0)?,
        output_padding: a.counts("output_padding", 0)?,
        dilation: a.counts("dilation", 1)?,
        groups: a.count("groups", 1)?,
    })
}

fn patches(a: &Args<'_>) -> Result<Patches, Stop> {
    Ok(Patches {
        kernel: a.counts("kernel_size", 0)?,
        dilation: a.counts("dilation", 1)?,
        padding: a.counts("padding", 0)?,
        stride: a.counts("stride", 1)?,
    })
}
