//! `programs/warp`: an image warped by an optical flow that a small network predicts.

use kiln::functional::{GridSample, meshgrid};
use kiln::prelude::*;
use kiln::{Indexing, arange, ones};
use serde::Deserialize;

use super::Unsupported;

/// Two images `[batch, channels, h, w]` → the second, warped onto the first.
#[model]
pub struct Warp {
    conv1: Conv2d,
    conv2: Conv2d,
    flow: Conv2d,
    reach: f64,
    masked: bool,
}

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarpConfig {
    channels: usize,
    width: usize,
    reach: f64,
    masked: bool,
}

impl Default for WarpConfig {
    fn default() -> WarpConfig {
        WarpConfig { channels: 2, width: 6, reach: 2.5, masked: true }
    }
}

#[model]
impl Warp {
    /// From the arguments of the Python class.
    pub fn new(config: &WarpConfig) -> Result<Warp, Unsupported> {
        let WarpConfig { channels, width, reach, masked } = *config;
        Ok(Warp {
            conv1: Conv2d::new(2 * channels, width, 3).padding(1),
            conv2: Conv2d::new(width, width, 3).padding(2).dilation(2),
            flow: Conv2d::new(width, 2, 3).padding(1),
            reach,
            masked,
        })
    }

    /// The warped image.
    pub fn forward(&self, first: Tensor, second: Tensor) -> Tensor {
        let x = self.conv1(cat(&[first, second], 1)).leaky_relu(0.1);
        let x = self.conv2(x).leaky_relu(0.1);
        warp(second, self.flow(x).tanh() * self.reach, self.masked)
    }
}

/// The pixels of `x` `[batch, channels, h, w]` at their coordinates plus `flow` `[batch, 2, h, w]`, in pixels.
pub fn warp(x: Tensor, flow: Tensor, masked: bool) -> Tensor {
    let [height, width] = [2, 3].map(|axis| x.shape().0[axis].factor);
    let rows_and_columns = meshgrid(&[arange(0, height as i64, 1), arange(0, width as i64, 1)], Indexing::Matrix);
    let pixels = stack(&[rows_and_columns[1], rows_and_columns[0]], 0).to(x.dtype()); // x, then y
    let position = pixels + flow;
    let scaled = |axis: i64, extent: usize| position.select(1, axis) * 2.0 / (extent.max(2) - 1) as f64 - 1.0;
    let grid = stack(&[scaled(0, width), scaled(1, height)], 3);
    let options = GridSample { align_corners: true, ..GridSample::default() };
    let out = x.grid_sample(grid, options);
    if !masked {
        return out;
    }
    let inside = ones(x.shape().0, x.dtype()).grid_sample(grid.detach(), options);
    out * inside.ge(0.999).to(x.dtype())
}
