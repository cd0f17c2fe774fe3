//! ResNet (He et al., 2016), as torchvision has it: the stride of a bottleneck is at its 3x3 convolution ("v1.5").

use kiln_macros::model;

use crate::init::{self, FanMode, Nonlinearity};
use crate::layers::{AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Linear, MaxPool2d};
use crate::{Sequential, Tensor};

/// Sizes and options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResNetConfig {
    /// The number of weighted layers.
    pub depth: ResNetDepth,
    /// Channels of the image.
    pub channels: usize,
    /// Length of the logits.
    pub classes: usize,
    /// Whether the stem is three 3x3 convolutions instead of one of 7x7, as in networks for segmentation: `conv1`, `bn1` to `conv3`, `bn3`.
    pub deep_stem: bool,
    /// For each of the last three stages: whether it keeps the resolution and dilates its 3x3 convolutions instead. torchvision has it for bottlenecks alone.
    pub replace_stride_with_dilation: [bool; 3],
}

/// The number of weighted layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum ResNetDepth {
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
}

/// Images `[batch, channels, h, w]` → logits `[batch, classes]`. All parts are public: a backbone takes what it needs.
#[model(crate = crate)]
pub struct ResNet {
    /// 7x7, or the first of three.
    pub conv1: Conv2d,
    /// After it.
    pub bn1: BatchNorm2d,
    /// Of a deep stem.
    pub conv2: Option<Conv2d>,
    /// After it.
    pub bn2: Option<BatchNorm2d>,
    /// Of a deep stem.
    pub conv3: Option<Conv2d>,
    /// After it.
    pub bn3: Option<BatchNorm2d>,
    /// Halves the resolution.
    pub maxpool: MaxPool2d,
    /// At a quarter of the resolution.
    pub layer1: Sequential<Vec<Block>>,
    /// At an eighth.
    pub layer2: Sequential<Vec<Block>>,
    /// At a sixteenth.
    pub layer3: Sequential<Vec<Block>>,
    /// At a thirty-second.
    pub layer4: Sequential<Vec<Block>>,
    /// The mean of each channel.
    pub avgpool: AdaptiveAvgPool2d,
    /// To logits.
    pub fc: Linear,
}

/// Two 3x3 convolutions, or a bottleneck of three, beside the identity or a projection.
#[model(crate = crate)]
pub struct Block {
    /// 3x3, of a bottleneck 1x1.
    pub conv1: Conv2d,
    /// After it.
    pub bn1: BatchNorm2d,
    /// 3x3.
    pub conv2: Conv2d,
    /// After it.
    pub bn2: BatchNorm2d,
    /// Of a bottleneck: 1x1, to four times the width.
    pub conv3: Option<Conv2d>,
    /// After it.
    pub bn3: Option<BatchNorm2d>,
    /// The projection, where the shape changes.
    pub downsample: Option<Sequential<(Conv2d, BatchNorm2d)>>,
}

/// How a block's 3x3 convolution moves.
#[derive(Clone, Copy)]
struct Step {
    stride: usize,
    dilation: usize,
}

impl ResNetDepth {
    /// Blocks of each stage, and whether they are bottlenecks.
    fn blocks(self) -> ([usize; 4], bool) {
        match self {
            ResNetDepth::ResNet18 => ([2, 2, 2, 2], false),
            ResNetDepth::ResNet34 => ([3, 4, 6, 3], false),
            ResNetDepth::ResNet50 => ([3, 4, 6, 3], true),
            ResNetDepth::ResNet101 => ([3, 4, 23, 3], true),
            ResNetDepth::ResNet152 => ([3, 8, 36, 3], true),
        }
    }
}

impl ResNetConfig {
    /// For colour images and 1000 classes.
    pub fn new(depth: ResNetDepth) -> ResNetConfig {
        let replace_stride_with_dilation = [false; 3];
        ResNetConfig { depth, channels: 3, classes: 1000, deep_stem: false, replace_stride_with_dilation }
    }
}

#[model(crate = crate)]
impl ResNet {
    /// With random weights: convolutions Kaiming normal over the fan out.
    #[track_caller]
    pub fn new(config: ResNetConfig) -> ResNet {
        let (counts, is_bottleneck) = config.depth.blocks();
        let deep = config.deep_stem;
        let mut channels = if deep { 128 } else { 64 };
        let mut dilation = 1;
        let mut stage = |number: usize| {
            let width = 64 << number;
            let keeps = number > 0 && config.replace_stride_with_dilation[number - 1];
            let stage_stride = if number > 0 && !keeps { 2 } else { 1 };
            // The first block of a stage still has the dilation of the stage before.
            let first = Step { stride: stage_stride, dilation };
            dilation *= if keeps { 2 } else { 1 };
            let blocks = (0..counts[number]).map(|block| {
                let step = if block == 0 { first } else { Step { stride: 1, dilation } };
                let made = Block::new(channels, width, step, is_bottleneck);
                channels = if is_bottleneck { 4 * width } else { width };
                made
            });
            Sequential::new(blocks.collect::<Vec<Block>>())
        };
        let [layer1, layer2, layer3, layer4] = [0, 1, 2, 3].map(&mut stage);
        ResNet {
            conv1: conv(config.channels, 64, if deep { 3 } else { 7 }, 2),
            bn1: BatchNorm2d::new(64),
            conv2: deep.then(|| conv(64, 64, 3, 1)),
            bn2: deep.then(|| BatchNorm2d::new(64)),
            conv3: deep.then(|| conv(64, 128, 3, 1)),
            bn3: deep.then(|| BatchNorm2d::new(128)),
            maxpool: MaxPool2d::new(3).stride(2).padding(1),
            layer1,
            layer2,
            layer3,
            layer4,
            avgpool: AdaptiveAvgPool2d::new(1),
            fc: Linear::new(channels, config.classes),
        }
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let x = self.layer1(self.maxpool(self.stem(x)));
        let x = self.layer4(self.layer3(self.layer2(x)));
        self.fc(self.avgpool(x).flatten(1, -1))
    }

    /// The first convolutions: `[batch, channels, h, w]` → `[batch, 64 or 128, h/2, w/2]`.
    pub fn stem(&self, x: Tensor) -> Tensor {
        let mut x = self.bn1(self.conv1(x)).relu();
        for (conv, bn) in [(&self.conv2, &self.bn2), (&self.conv3, &self.bn3)] {
            if let (Some(conv), Some(bn)) = (conv, bn) {
                x = bn.forward(conv.forward(x)).relu();
            }
        }
        x
    }
}

#[model(crate = crate)]
impl Block {
    fn new(inputs: usize, width: usize, Step { stride, dilation }: Step, is_bottleneck: bool) -> Block {
        let outputs = if is_bottleneck { 4 * width } else { width };
        let dilated = |inputs, stride| conv(inputs, width, 3, stride).padding(dilation).dilation(dilation);
        let (first, second) = match is_bottleneck {
            true => (conv(inputs, width, 1, 1), dilated(width, stride)),
            false => (dilated(inputs, stride), dilated(width, 1)),
        };
        let project = || Sequential::new((conv(inputs, outputs, 1, stride), BatchNorm2d::new(outputs)));
        Block {
            conv1: first,
            bn1: BatchNorm2d::new(width),
            conv2: second,
            bn2: BatchNorm2d::new(width),
            conv3: is_bottleneck.then(|| conv(width, outputs, 1, 1)),
            bn3: is_bottleneck.then(|| BatchNorm2d::new(outputs)),
            downsample: (stride != 1 || inputs != outputs).then(project),
        }
    }

    /// `[batch, inputs, h, w]` → `[batch, outputs, h/stride, w/stride]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let h = self.bn1(self.conv1(x)).relu();
        let mut h = self.bn2(self.conv2(h));
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            h = bn3.forward(conv3.forward(h.relu()));
        }
        (h + self.downsample(x)).relu()
    }
}

/// A convolution that keeps the resolution but for its stride, and needs no bias before a normalisation.
fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Conv2d {
    let conv = Conv2d::new(inputs, outputs, kernel).stride(stride).padding(kernel / 2).bias(false);
    init::kaiming_normal(&conv.weight, FanMode::FanOut, Nonlinearity::Relu);
    conv
}
