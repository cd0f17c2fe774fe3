//! MobileNetV2 (Sandler et al., 2018), as torchvision has it.

use kiln_macros::model;

use crate::init::{self, FanMode, Nonlinearity};
use crate::layers::{BatchNorm2d, Conv2d, Dropout, Linear, Relu6};
use crate::{Forward, Layers, Module, Scope, Tensor, Visitor};

/// Images `[batch, 3, h, w]` → logits `[batch, classes]`; 3 504 872 parameters for 1000 classes at width 1.
#[model(crate = crate)]
pub struct MobileNetV2 {
    /// A convolution, seventeen inverted residuals, a convolution.
    pub features: Layers,
    /// Dropout, and a linear layer `1`.
    pub classifier: Layers,
}

/// A 1x1 expansion, a depthwise convolution and a 1x1 projection without an activation; beside the identity where the shape stays.
pub struct InvertedResidual {
    /// The layers `0`, `1`, ….
    pub conv: Layers,
    has_shortcut: bool,
}

/// Expansion, channels, blocks and stride of each stage: table 2 of the paper.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// Channels are multiples of it.
const ROUND_TO: usize = 8;

#[model(crate = crate)]
impl MobileNetV2 {
    /// With random weights. `width_mult` scales the channels of every layer.
    #[track_caller]
    pub fn new(width_mult: f64, classes: usize) -> MobileNetV2 {
        let mut channels = rounded(32.0 * width_mult);
        let last = rounded(1280.0 * width_mult.max(1.0));
        let mut features = Layers::empty().push(convolution(3, channels, 3, 2, 1));
        for (expansion, width, count, stride) in STAGES {
            let outputs = rounded(width as f64 * width_mult);
            for block in 0..count {
                let stride = if block == 0 { stride } else { 1 };
                features = features.push(InvertedResidual::new(channels, outputs, stride, expansion));
                channels = outputs;
            }
        }
        features = features.push(convolution(channels, last, 1, 1, 1));
        let linear = Linear::new(last, classes);
        init::normal(&linear.weight, 0.0, 0.01);
        linear.bias.iter().for_each(init::zeros);
        MobileNetV2 { features, classifier: Layers::empty().push(Dropout::new(0.2)).push(linear) }
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        self.classifier(self.features(x).mean(&[2, 3], false))
    }
}

impl InvertedResidual {
    fn new(inputs: usize, outputs: usize, stride: usize, expansion: usize) -> InvertedResidual {
        let hidden = inputs * expansion;
        let mut conv = Layers::empty();
        if expansion != 1 {
            conv = conv.push(convolution(inputs, hidden, 1, 1, 1));
        }
        conv = conv
            .push(convolution(hidden, hidden, 3, stride, hidden))
            .push(initialised(Conv2d::new(hidden, outputs, 1).bias(false)))
            .push(BatchNorm2d::new(outputs));
        InvertedResidual { conv, has_shortcut: stride == 1 && inputs == outputs }
    }
}

impl Module for InvertedResidual {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.child("conv", &self.conv);
    }
}

impl Forward<Tensor> for InvertedResidual {
    type Output = Tensor;

    /// `[batch, inputs, h, w]` → `[batch, outputs, h/stride, w/stride]`.
    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        let y = self.conv.forward(x);
        if self.has_shortcut { x + y } else { y }
    }
}

/// Convolution, normalisation, ReLU6.
fn convolution(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Layers {
    let conv = Conv2d::new(inputs, outputs, kernel).stride(stride).padding(kernel / 2).groups(groups).bias(false);
    Layers::empty().push(initialised(conv)).push(BatchNorm2d::new(outputs)).push(Relu6)
}

fn initialised(conv: Conv2d) -> Conv2d {
    init::kaiming_normal(&conv.weight, FanMode::FanOut, Nonlinearity::LeakyRelu(0.0));
    conv
}

/// The nearest multiple of eight, but never less than nine tenths.
fn rounded(channels: f64) -> usize {
    let nearest = ((channels + ROUND_TO as f64 / 2.0) as usize / ROUND_TO * ROUND_TO).max(ROUND_TO);
    if (nearest as f64) < 0.9 * channels { nearest + ROUND_TO } else { nearest }
}
