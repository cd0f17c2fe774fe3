//! VGG (Simonyan and Zisserman, 2015), as torchvision has it.

use kiln_macros::model;

use crate::init::{self, FanMode, Nonlinearity};
use crate::layers::{AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Linear, MaxPool2d, Relu};
use crate::{Layers, Tensor};

/// Images `[batch, 3, h, w]`, at least 32 by 32 → logits `[batch, classes]`.
///
/// Initialisers are torchvision's: convolutions Kaiming normal over the fan out, linear layers normal with deviation 0.01, biases zero.
#[model(crate = crate)]
pub struct Vgg {
    /// Convolutions, with batch normalisation if asked for, and pools.
    pub features: Layers,
    /// To 7 by 7.
    pub avgpool: AdaptiveAvgPool2d,
    /// Linear layers `0`, `3`, `6`.
    pub classifier: Layers,
}

/// The number of weighted layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VggDepth {
    /// Configuration A.
    Vgg11,
    /// Configuration B.
    Vgg13,
    /// Configuration D.
    Vgg16,
    /// Configuration E.
    Vgg19,
}

impl VggDepth {
    /// Convolutions of each of the five stages.
    fn convolutions(self) -> [usize; 5] {
        match self {
            VggDepth::Vgg11 => [1, 1, 2, 2, 2],
            VggDepth::Vgg13 => [2, 2, 2, 2, 2],
            VggDepth::Vgg16 => [2, 2, 3, 3, 3],
            VggDepth::Vgg19 => [2, 2, 4, 4, 4],
        }
    }
}

/// Channels of each stage.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

#[model(crate = crate)]
impl Vgg {
    /// With random weights; `batch_norm` is torchvision's `vgg16_bn` and its like.
    #[track_caller]
    pub fn new(depth: VggDepth, batch_norm: bool, classes: usize) -> Vgg {
        let mut features = Layers::empty();
        let mut channels = 3;
        for (count, width) in depth.convolutions().into_iter().zip(WIDTHS) {
            for _ in 0..count {
                let conv = Conv2d::new(channels, width, 3).padding(1);
                init::kaiming_normal(&conv.weight, FanMode::FanOut, Nonlinearity::Relu);
                conv.bias.iter().for_each(init::zeros);
                features = features.push(conv);
                if batch_norm {
                    features = features.push(BatchNorm2d::new(width));
                }
                features = features.push(Relu);
                channels = width;
            }
            features = features.push(MaxPool2d::new(2).stride(2));
        }
        let linear = |inputs, outputs| {
            let linear = Linear::new(inputs, outputs);
            init::normal(&linear.weight, 0.0, 0.01);
            linear.bias.iter().for_each(init::zeros);
            linear
        };
        let classifier = Layers::empty()
            .push(linear(512 * 7 * 7, 4096))
            .push(Relu)
            .push(Dropout::default())
            .push(linear(4096, 4096))
            .push(Relu)
            .push(Dropout::default())
            .push(linear(4096, classes));
        Vgg { features, avgpool: AdaptiveAvgPool2d::new(7), classifier }
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        self.classifier(self.avgpool(self.features(x)).flatten(1, -1))
    }
}
