//! What a model file needs: `use kiln::prelude::*;`.

pub use crate::autograd::{Saved, custom_vjp, enable_grad, grad, no_grad, set_grad_enabled};
pub use crate::functional::{PadMode, Padding, TransposedWindow, Window, cross_entropy, mse_loss, nll_loss};
pub use crate::layers::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
    AlphaDropout, AvgPool1d, AvgPool2d, AvgPool3d, BatchNorm1d, BatchNorm2d, BatchNorm3d, Bilinear, Celu,
    CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d, Conv1d, Conv2d, Conv3d,
    ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, CosineSimilarity, Dropout, Dropout1d, Dropout2d, Dropout3d, Elu,
    Embedding, FeatureAlphaDropout, Flatten, Fold, Gelu, Glu, GroupNorm, Gru, GruCell, Hardshrink, Hardsigmoid,
    Hardswish, Hardtanh, Identity, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, LayerNorm, LeakyRelu, Linear,
    LocalResponseNorm, LogSigmoid, LogSoftmax, Lstm, LstmCell, MaxPool1d, MaxPool2d, MaxPool3d, Mish,
    MultiheadAttention, MultiheadMask, PairwiseDistance, PixelShuffle, PixelUnshuffle, Prelu, ReflectionPad1d,
    ReflectionPad2d, ReflectionPad3d, Relu, Relu6, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, RmsNorm, Rnn,
    RnnCell, Selu, Sigmoid, Silu, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, Tanh, Tanhshrink,
    Threshold, Unfold, Upsample, ZeroPad1d, ZeroPad2d, ZeroPad3d,
};
pub use crate::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, GradScaler, Lion, Muon, NAdam, Optimizer, RAdam, RmsProp, Sgd,
};
pub use crate::random::{normal, rand, randint, randn};
pub use crate::{
    BATCH, Buffer, DType, Diagnostic, Dim, Forward, Initializer, Layer, Layers, Mode, Module, Named, Parameter,
    Sequential, Tensor, Traced, Training, cat, init, parameters, stack,
};
