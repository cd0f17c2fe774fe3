//! `nn.RNN`, `nn.LSTM`, `nn.GRU` and their cells: one stack and one cell, for three rules of a step.
//!
//! Time is unrolled when the model is traced. The product with the inputs is one for all steps; only that with the hidden state is one a step.

mod cell;
mod rule;
mod stack;
mod weights;

pub use cell::RecurrentCell;
pub use rule::{GruRule, LstmRule, Nonlinearity, RnnRule, Rule};
pub use stack::Recurrent;

/// `nn.RNN`: `h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh)`, or with `relu`; see [`Recurrent`].
pub type Rnn = Recurrent<RnnRule, 1>;

/// `nn.LSTM`; see [`LstmRule`] for its formula and [`Recurrent`] for shapes. Its states are `[h, c]`.
pub type Lstm = Recurrent<LstmRule, 2>;

/// `nn.GRU`; see [`GruRule`] for its formula and [`Recurrent`] for shapes.
pub type Gru = Recurrent<GruRule, 1>;

/// `nn.RNNCell`: one step of an [`Rnn`].
pub type RnnCell = RecurrentCell<RnnRule, 1>;

/// `nn.LSTMCell`: one step of an [`Lstm`].
pub type LstmCell = RecurrentCell<LstmRule, 2>;

/// `nn.GRUCell`: one step of a [`Gru`].
pub type GruCell = RecurrentCell<GruRule, 1>;
