//! Layers: modules with parameters, and functions as modules for chains. One layer, one file; each is made only of ops.

mod activation;
mod batch_norm;
mod conv;
mod linear;
mod pool;
mod recurrent;

pub use activation::{Flatten, Gelu, Relu, Sigmoid, Tanh};
pub use batch_norm::BatchNorm2d;
pub use conv::Conv2d;
pub use linear::Linear;
pub use pool::{AvgPool2d, MaxPool2d};
pub use recurrent::{
    Gru, GruCell, GruRule, Lstm, LstmCell, LstmRule, Nonlinearity, Recurrent, RecurrentCell, Rnn, RnnCell, RnnRule,
    Rule,
};
