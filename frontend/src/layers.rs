//! Layers: modules with parameters, and functions as modules for chains. One layer, one file; each is made only of ops.

mod activation;
mod attention;
mod bilinear;
mod conv;
mod distance;
mod dropout;
mod embedding;
mod linear;
mod loss;
mod norm;
mod padding;
mod pool;
mod prelu;
mod recurrent;
mod sample_norm;
mod upsample;

pub use activation::{
    Celu, Elu, Flatten, Gelu, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid,
    LogSoftmax, Mish, Relu, Relu6, Selu, Sigmoid, Silu, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign,
    Tanh, Tanhshrink, Threshold,
};
pub use attention::{MultiheadAttention, MultiheadMask};
pub use bilinear::Bilinear;
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use distance::{CosineSimilarity, PairwiseDistance};
pub use dropout::{AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout};
pub use embedding::Embedding;
pub use linear::Linear;
pub use loss::{
    BceLoss, BceWithLogitsLoss, CosineEmbeddingLoss, CrossEntropyLoss, GaussianNllLoss, HingeEmbeddingLoss, HuberLoss,
    KlDivLoss, L1Loss, MarginRankingLoss, MseLoss, MultiMarginLoss, NllLoss, PoissonNllLoss, SmoothL1Loss,
    SoftMarginLoss, TripletMarginLoss,
};
pub use norm::{
    BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d,
    RunningBuffers,
};
pub use padding::{
    CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d, PadWidths,
    ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, ZeroPad1d,
    ZeroPad2d, ZeroPad3d,
};
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d,
};
pub use prelu::Prelu;
pub use recurrent::{
    Gru, GruCell, GruRule, Lstm, LstmCell, LstmRule, Nonlinearity, Recurrent, RecurrentCell, Rnn, RnnCell, RnnRule,
    Rule,
};
pub use sample_norm::{GroupNorm, LayerNorm, LocalResponseNorm, RmsNorm};
pub use upsample::{Fold, PixelShuffle, PixelUnshuffle, Unfold, Upsample};

use crate::{Parameter, Tensor};

/// The tensor of a parameter that a layer may lack.
#[track_caller]
fn optional(parameter: Option<&Parameter>) -> Option<Tensor> {
    // A closure would hide the caller's place from `#[track_caller]`.
    #[allow(clippy::manual_map)]
    match parameter {
        Some(parameter) => Some(parameter.tensor()),
        None => None,
    }
}
