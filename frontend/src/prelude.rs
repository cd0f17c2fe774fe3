//! What a model file needs: `use kiln::prelude::*;`.

pub use crate::autograd::{Saved, custom_vjp, enable_grad, grad, no_grad, set_grad_enabled};
pub use crate::functional::{PadMode, Padding, TransposedWindow, Window, cross_entropy, mse_loss, nll_loss};
pub use crate::layers::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
    AlphaDropout, AvgPool1d, AvgPool2d, AvgPool3d, BatchNorm1d, BatchNorm2d, BatchNorm3d, Conv1d, Conv2d, Conv3d,
    ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout,
    Flatten, Fold, Gelu, GroupNorm, Gru, GruCell, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, LayerNorm, Linear,
    LocalResponseNorm, Lstm, LstmCell, MaxPool1d, MaxPool2d, MaxPool3d, PixelShuffle, PixelUnshuffle, Relu, RmsNorm,
    Rnn, RnnCell, Sigmoid, Tanh, Unfold, Upsample,
};
pub use crate::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, GradScaler, Lion, Muon, NAdam, Optimizer, RAdam, RmsProp, Sgd,
};
pub use crate::random::{normal, rand, randint, randn};
pub use crate::{
    BATCH, Buffer, DType, Diagnostic, Dim, Forward, Initializer, Layer, Layers, Mode, Module, Named, Parameter,
    Sequential, Tensor, Traced, Training, cat, init, parameters, stack,
};
