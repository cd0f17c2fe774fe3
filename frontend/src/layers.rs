//! Layers: modules with parameters, and functions as modules for chains. One layer, one file; each is made only of ops.

mod activation;
mod batch_norm;
mod conv;
mod dropout;
mod linear;
mod pool;

pub use activation::{Flatten, Gelu, Relu, Sigmoid, Tanh};
pub use batch_norm::BatchNorm2d;
pub use conv::{
    Conv, Conv1d, Conv2d, Conv3d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d,
};
pub use dropout::{AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout};
pub use linear::Linear;
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d,
};
