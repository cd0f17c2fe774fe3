//! The U-Net of the benchmarks: four levels, convolutions with a bias, images of 128x128.

use kiln::functional::{Interpolation, InterpolationMode, binary_cross_entropy_with_logits};
use kiln::prelude::*;

/// Two 3x3 convolutions, each with batch normalisation and ReLU.
type DoubleConv = Sequential<(Conv2d, BatchNorm2d, Relu, Conv2d, BatchNorm2d, Relu)>;

/// Images `[batch, 3, h, w]` → logits `[batch, 1, h, w]`.
#[model]
pub struct UNet {
    inc: DoubleConv,
    down: Vec<DoubleConv>,
    up: Vec<DoubleConv>,
    out: Conv2d,
}

#[model]
impl UNet {
    /// Channels of each level, from the full resolution down.
    pub fn new(widths: &[usize]) -> UNet {
        let pairs = || widths.windows(2).map(|pair| (pair[0], pair[1]));
        UNet {
            inc: double_conv(3, widths[0]),
            down: pairs().map(|(above, below)| double_conv(above, below)).collect(),
            up: pairs().rev().map(|(above, below)| double_conv(above + below, above)).collect(),
            out: Conv2d::new(widths[0], 1, 1),
        }
    }

    /// The logit of each pixel.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let mut levels = vec![self.inc(x)];
        for down in &self.down {
            levels.push(down.forward(levels[levels.len() - 1].max_pool2d(2)));
        }
        let mut x = levels.pop().expect("the first level is there");
        let mode = InterpolationMode::Bilinear;
        let twice = Interpolation { mode, align_corners: Some(true), ..Interpolation::by(2.0) };
        for up in &self.up {
            let skip = levels.pop().expect("as many ups as downs");
            x = up.forward(cat(&[skip, x.interpolate(&twice)], 1));
        }
        self.out(x)
    }
}

fn double_conv(inputs: usize, outputs: usize) -> DoubleConv {
    let conv = |from| Conv2d::new(from, outputs, 3).padding(1);
    let norm = || BatchNorm2d::new(outputs);
    Sequential::new((conv(inputs), norm(), Relu, conv(outputs), norm(), Relu))
}

/// Binary cross-entropy over pixels, with Adam.
pub fn unet() -> Training<UNet> {
    let image = |channels| [BATCH, Dim::fixed(channels), Dim::fixed(128), Dim::fixed(128)];
    Training::new("unet", UNet::new(&[64, 128, 256, 512]))
        .max_batch(4)
        .input("x", DType::F32, image(3))
        .input("y", DType::F32, image(1))
        .loss(|model, batch| binary_cross_entropy_with_logits(model.forward(batch["x"]), batch["y"]))
        .optimizer(Adam::new(1e-3))
}
