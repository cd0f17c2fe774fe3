//! Models that people know, under the names and with the parameters of their PyTorch sources, so that trained weights can be loaded.

mod alexnet;
mod gpt;
mod lenet;
mod mobilenet;
mod resnet;
mod unet;
mod vgg;

pub use alexnet::AlexNet;
pub use gpt::{Gpt, GptAttention, GptBlock, GptConfig};
pub use lenet::LeNet5;
pub use mobilenet::{InvertedResidual, MobileNetV2};
pub use resnet::{Block, ResNet, ResNetConfig, ResNetDepth};
pub use unet::{DoubleConv, Down, UNet, UNetConfig, Up};
pub use vgg::{Vgg, VggDepth};
