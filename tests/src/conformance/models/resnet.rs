//! `programs/resnet`: a small ResNet of basic blocks with batch normalisation, under torchvision's names.

use kiln::prelude::*;
use serde::Deserialize;

use super::Unsupported;

/// Two 3x3 convolutions around the identity or a projection.
#[model]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<Sequential<(Conv2d, BatchNorm2d)>>,
}

#[model]
impl BasicBlock {
    fn new(from: usize, to: usize, stride: usize) -> BasicBlock {
        let project = || {
            let conv = Conv2d::new(from, to, 1).stride(stride).bias(false);
            Sequential::new((conv, BatchNorm2d::new(to)))
        };
        BasicBlock {
            conv1: Conv2d::new(from, to, 3).stride(stride).padding(1).bias(false),
            bn1: BatchNorm2d::new(to),
            conv2: Conv2d::new(to, to, 3).padding(1).bias(false),
            bn2: BatchNorm2d::new(to),
            downsample: (stride != 1 || from != to).then(project),
        }
    }

    /// `[batch, from, h, w]` → `[batch, to, h / stride, w / stride]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let h = self.bn1(self.conv1(x)).relu();
        let h = self.bn2(self.conv2(h));
        (h + self.downsample(x)).relu()
    }
}

/// A 3x3 stem, up to four stages that double the width, and a linear head, on 3x32x32 images.
#[model]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    maxpool: Option<MaxPool2d>,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
    fc: Linear,
}

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetConfig {
    width: usize,
    blocks: Vec<usize>,
    classes: usize,
    maxpool: bool,
}

impl Default for ResNetConfig {
    fn default() -> ResNetConfig {
        ResNetConfig { width: 8, blocks: vec![1, 1, 1], classes: 10, maxpool: false }
    }
}

#[model]
impl ResNet {
    /// From the arguments of the Python class.
    pub fn new(config: &ResNetConfig) -> Result<ResNet, Unsupported> {
        if config.blocks.len() > 4 {
            return Err(Unsupported(format!("{} stages", config.blocks.len())));
        }
        let mut width = config.width;
        let mut stage = |number: usize| {
            let to = config.width << number;
            let block = |index: usize| {
                let from = if index == 0 { width } else { to };
                BasicBlock::new(from, to, if number > 0 && index == 0 { 2 } else { 1 })
            };
            let count = config.blocks.get(number).copied().unwrap_or(0);
            let blocks: Vec<BasicBlock> = (0..count).map(block).collect();
            width = if count > 0 { to } else { width };
            blocks
        };
        Ok(ResNet {
            conv1: Conv2d::new(3, config.width, 3).padding(1).bias(false),
            bn1: BatchNorm2d::new(config.width),
            maxpool: config.maxpool.then(|| MaxPool2d::new(3).stride(2).padding(1)),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            fc: Linear::new(width, config.classes),
        })
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let x = self.maxpool(self.bn1(self.conv1(x)).relu());
        let x = self.layer4(self.layer3(self.layer2(self.layer1(x))));
        self.fc(x.mean(&[2, 3], false))
    }
}
