//! What a model file needs: `use kiln::prelude::*;`.

pub use crate::functional::{Window, cross_entropy, mse_loss, nll_loss};
pub use crate::layers::{AvgPool2d, BatchNorm2d, Conv2d, Flatten, Gelu, Linear, MaxPool2d, Relu, Sigmoid, Tanh};
pub use crate::layers::{Gru, GruCell, Lstm, LstmCell, Rnn, RnnCell};
pub use crate::optim::{Adam, AdamW, Optimizer, Sgd};
pub use crate::{
    BATCH, Buffer, DType, Dim, Forward, Initializer, Layer, Layers, Module, Named, Parameter, Sequential, Tensor,
    Traced, Training, cat, stack,
};
