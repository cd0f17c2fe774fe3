//! `programs/resnet`: a small ResNet of basic blocks with batch normalisation, under torchvision's names.

use kiln::Visitor;
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

/// A 3x3 stem, stages that double the width, and a linear head, on 3x32x32 images. The stages are called `layer1`, `layer2`, ….
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    maxpool: Option<MaxPool2d>,
    stages: Vec<Vec<BasicBlock>>,
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

impl ResNet {
    /// From the arguments of the Python class.
    pub fn new(config: &ResNetConfig) -> Result<ResNet, Unsupported> {
        let mut width = config.width;
        let mut stages = Vec::new();
        for (number, &count) in config.blocks.iter().enumerate() {
            let to = config.width << number;
            let block = |index: usize| {
                let from = if index == 0 { width } else { to };
                BasicBlock::new(from, to, if number > 0 && index == 0 { 2 } else { 1 })
            };
            stages.push((0..count).map(block).collect());
            width = to;
        }
        Ok(ResNet {
            conv1: Conv2d::new(3, config.width, 3).padding(1).bias(false),
            bn1: BatchNorm2d::new(config.width),
            maxpool: config.maxpool.then(|| MaxPool2d::new(3).stride(2).padding(1)),
            stages,
            fc: Linear::new(width, config.classes),
        })
    }
}

impl Module for ResNet {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.child("conv1", &self.conv1);
        visitor.child("bn1", &self.bn1);
        for (number, stage) in self.stages.iter().enumerate() {
            visitor.child(&format!("layer{}", number + 1), stage);
        }
        visitor.child("fc", &self.fc);
    }
}

impl Forward<Tensor> for ResNet {
    type Output = Tensor;

    /// The logits.
    fn forward(&self, x: Tensor) -> Tensor {
        let x = self.maxpool.forward(self.bn1.forward(self.conv1.forward(x)).relu());
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(x));
        self.fc.forward(x.mean(&[2, 3], false))
    }
}
