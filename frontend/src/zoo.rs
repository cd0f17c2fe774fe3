//! Models that people know, under the names and with the parameters of their PyTorch sources, so that trained weights can be loaded.

mod gpt;
mod unet;

pub use gpt::{Gpt, GptAttention, GptBlock, GptConfig};
pub use unet::{DoubleConv, Down, UNet, UNetConfig, Up};
