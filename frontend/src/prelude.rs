//! What a model file needs: `use kiln::prelude::*;`.

pub use crate::autograd::{Saved, custom_vjp, enable_grad, grad, no_grad, set_grad_enabled};
pub use crate::functional::{PadMode, Padding, TransposedWindow, Window, cross_entropy, mse_loss, nll_loss};
pub use crate::layers::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
    AlphaDropout, AvgPool1d, AvgPool2d, AvgPool3d, BatchNorm1d, BatchNorm2d, BatchNorm3d, BceLoss, BceWithLogitsLoss,
    Bilinear, Celu, CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d, Conv1d,
    Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, CosineEmbeddingLoss, CosineSimilarity,
    CrossEntropyLoss, Dropout, Dropout1d, Dropout2d, Dropout3d, Elu, Embedding, FeatureAlphaDropout, Flatten, Fold,
    GaussianNllLoss, Gelu, Glu, GroupNorm, Gru, GruCell, Hardshrink, Hardsigmoid, Hardswish, Hardtanh,
    HingeEmbeddingLoss, HuberLoss, Identity, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, KlDivLoss, L1Loss,
    LayerNorm, LeakyRelu, Linear, LocalResponseNorm, LogSigmoid, LogSoftmax, Lstm, LstmCell, MarginRankingLoss,
    MaxPool1d, MaxPool2d, MaxPool3d, Mish, MseLoss, MultiMarginLoss, MultiheadAttention, MultiheadMask, NllLoss,
    PairwiseDistance, PixelShuffle, PixelUnshuffle, PoissonNllLoss, Prelu, ReflectionPad1d, ReflectionPad2d,
    ReflectionPad3d, Relu, Relu6, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, RmsNorm, Rnn, RnnCell, Selu,
    Sigmoid, Silu, SmoothL1Loss, SoftMarginLoss, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, Tanh,
    Tanhshrink, Threshold, TripletMarginLoss, Unfold, Upsample, ZeroPad1d, ZeroPad2d, ZeroPad3d,
};
pub use crate::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, GradScaler, Lion, Muon, NAdam, Optimizer, RAdam, RmsProp, Sgd,
};
pub use crate::random::{normal, rand, randint, randn};
pub use crate::{
    BATCH, Buffer, DType, Diagnostic, Dim, Forward, Initializer, Layer, Layers, Mode, Module, Named, Parameter,
    Sequential, Tensor, Traced, Training, cat, init, parameters, stack,
};
