//! U-Net (Ronneberger, Fischer and Brox, 2015) with batch normalisation, as it is written in PyTorch everywhere.

use kiln_macros::model;

use crate::functional::{Interpolation, InterpolationMode};
use crate::layers::{BatchNorm2d, Conv2d, ConvTranspose2d, Relu};
use crate::{Forward, Module, Scope, Sequential, Tensor, Visitor, cat};

/// Sizes and options.
#[derive(Clone, PartialEq, Debug)]
pub struct UNetConfig {
    /// Channels of the image.
    pub channels: usize,
    /// Channels of the logits.
    pub classes: usize,
    /// Channels of each level, from the full resolution down.
    pub widths: Vec<usize>,
    /// Whether images are enlarged by interpolation rather than by a transposed convolution.
    pub bilinear: bool,
}

impl Default for UNetConfig {
    fn default() -> UNetConfig {
        UNetConfig { channels: 3, classes: 1, widths: vec![64, 128, 256, 512, 1024], bilinear: false }
    }
}

/// Images `[batch, channels, h, w]` → logits `[batch, classes, h, w]`. Levels are called `down1`, … and `up1`, ….
pub struct UNet {
    /// At full resolution.
    pub inc: DoubleConv,
    /// Each at half the resolution of the one before.
    pub downs: Vec<Down>,
    /// Each at twice the resolution of the one before.
    pub ups: Vec<Up>,
    /// To logits.
    pub outc: Conv2d,
}

/// Two 3x3 convolutions, each with batch normalisation and ReLU.
#[model(crate = crate)]
pub struct DoubleConv {
    /// The layers `0` to `5`.
    pub double_conv: Sequential<(Conv2d, BatchNorm2d, Relu, Conv2d, BatchNorm2d, Relu)>,
}

/// Halves the resolution and convolves. Its convolutions have no name of their own, so that `down1.double_conv.0.weight` is a weight.
pub struct Down(pub DoubleConv);

/// Doubles the resolution, joins what was there on the way down, and convolves.
#[model(crate = crate)]
pub struct Up {
    up: Option<ConvTranspose2d>,
    conv: DoubleConv,
}

#[model(crate = crate)]
impl DoubleConv {
    /// With as many channels in the middle as at the end.
    pub fn new(inputs: usize, outputs: usize) -> DoubleConv {
        DoubleConv::with_middle(inputs, outputs, outputs)
    }

    /// With so many channels in the middle.
    pub fn with_middle(inputs: usize, middle: usize, outputs: usize) -> DoubleConv {
        let conv = |from, to| Conv2d::new(from, to, 3).padding(1).bias(false);
        let (first, second) = (conv(inputs, middle), conv(middle, outputs));
        let layers = (first, BatchNorm2d::new(middle), Relu, second, BatchNorm2d::new(outputs), Relu);
        DoubleConv { double_conv: Sequential::new(layers) }
    }

    /// `[batch, inputs, h, w]` → `[batch, outputs, h, w]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        self.double_conv(x)
    }
}

impl Module for Down {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.0.visit(visitor);
    }
}

impl Forward<Tensor> for Down {
    type Output = Tensor;

    /// `[batch, inputs, h, w]` → `[batch, outputs, h/2, w/2]`.
    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        self.0.forward(x.max_pool2d(2))
    }
}

#[model(crate = crate)]
impl Up {
    fn new(inputs: usize, skip: usize, outputs: usize, bilinear: bool) -> Up {
        let enlarged = if bilinear { inputs } else { outputs };
        Up {
            up: (!bilinear).then(|| ConvTranspose2d::new(inputs, outputs, 2).stride(2)),
            conv: DoubleConv::new(enlarged + skip, outputs),
        }
    }

    /// `[batch, inputs, h, w]` and `[batch, skip, h', w']` → `[batch, outputs, h', w']`: what an odd extent lacks is padded.
    pub fn forward(&self, x: Tensor, skip: Tensor) -> Tensor {
        let x = match &self.up {
            Some(up) => up.forward(x),
            None => x.interpolate(&enlarged()),
        };
        let missing = |axis: usize| match (skip.shape().0.get(axis), x.shape().0.get(axis)) {
            (Some(wanted), Some(found)) => wanted.factor as i64 - found.factor as i64,
            _ => 0,
        };
        let (dy, dx) = (missing(2), missing(3));
        let x = x.pad(&[dx / 2, dx - dx / 2, dy / 2, dy - dy / 2], 0.0);
        self.conv(cat(&[skip, x], 1))
    }
}

/// Twice the extent, by lines that keep the corners.
fn enlarged() -> Interpolation {
    let mode = InterpolationMode::Bilinear;
    Interpolation { mode, align_corners: Some(true), ..Interpolation::by(2.0) }
}

impl UNet {
    /// With random weights; no widths are the full resolution alone.
    pub fn new(config: &UNetConfig) -> UNet {
        let UNetConfig { channels, classes, ref widths, bilinear } = *config;
        let first = widths.first().copied().unwrap_or(classes);
        let pairs = || widths.windows(2).map(|pair| (pair[0], pair[1]));
        UNet {
            inc: DoubleConv::new(channels, first),
            downs: pairs().map(|(wide, narrow)| Down(DoubleConv::new(wide, narrow))).collect(),
            ups: pairs().rev().map(|(above, below)| Up::new(below, above, above, bilinear)).collect(),
            outc: Conv2d::new(first, classes, 1),
        }
    }
}

impl Module for UNet {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.child("inc", &self.inc);
        for (number, down) in self.downs.iter().enumerate() {
            visitor.child(&format!("down{}", number + 1), down);
        }
        for (number, up) in self.ups.iter().enumerate() {
            visitor.child(&format!("up{}", number + 1), up);
        }
        visitor.child("outc", &self.outc);
    }
}

impl Forward<Tensor> for UNet {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        let mut levels = vec![self.inc.forward(x)];
        for down in &self.downs {
            levels.push(down.forward(levels[levels.len() - 1]));
        }
        let mut x = levels[levels.len() - 1];
        for (up, skip) in self.ups.iter().zip(levels.iter().rev().skip(1)) {
            x = up.forward(x, *skip);
        }
        self.outc.forward(x)
    }
}
