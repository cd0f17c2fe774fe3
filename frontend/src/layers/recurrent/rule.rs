//! What happens in one step.

use std::fmt::Debug;

use crate::Tensor;
use crate::words::words;

/// The step of a recurrent layer with `N` states, of which the first is the hidden state `h`.
pub trait Rule<const N: usize>: Copy + Default + Debug + 'static {
    /// How many rows of the weights there are for each hidden unit.
    const GATES: usize;

    /// The name in messages.
    const NAME: &'static str;
    /// PyTorch's name of the layer.
    const LAYER: &'static str;
    /// PyTorch's name of one step of it.
    const CELL: &'static str;

    /// The new states, from `W_ih·x + b_ih` and `W_hh·h + b_hh`, both `[batch, gates·hidden]`, and the states, `[batch, hidden]`.
    #[track_caller]
    fn step(&self, input: Tensor, hidden: Tensor, states: [Tensor; N]) -> [Tensor; N];
}

words! {
    /// The function of an [`RnnRule`].
    pub enum Nonlinearity: "nonlinearity" {
        /// The hyperbolic tangent.
        Tanh = "tanh",
        /// `max(x, 0)`.
        Relu = "relu",
    }
}

/// `h' = f(W_ih·x + b_ih + W_hh·h + b_hh)` (Elman, 1990).
#[derive(Clone, Copy, Debug)]
pub struct RnnRule {
    /// `f`.
    pub nonlinearity: Nonlinearity,
}

impl Default for RnnRule {
    fn default() -> RnnRule {
        RnnRule { nonlinearity: Nonlinearity::Tanh }
    }
}

impl Rule<1> for RnnRule {
    const GATES: usize = 1;
    const NAME: &'static str = "rnn";
    const LAYER: &'static str = "RNN";
    const CELL: &'static str = "RNNCell";

    #[track_caller]
    fn step(&self, input: Tensor, hidden: Tensor, _: [Tensor; 1]) -> [Tensor; 1] {
        let sum = input + hidden;
        match self.nonlinearity {
            Nonlinearity::Tanh => [sum.tanh()],
            Nonlinearity::Relu => [sum.relu()],
        }
    }
}

/// `i, f, g, o` = the quarters of `W_ih·x + b_ih + W_hh·h + b_hh`; `c' = σ(f)·c + σ(i)·tanh(g)`; `h' = σ(o)·tanh(c')` (Hochreiter and
/// Schmidhuber, 1997; the forget gate by Gers et al., 1999).
#[derive(Clone, Copy, Default, Debug)]
pub struct LstmRule;

impl Rule<2> for LstmRule {
    const GATES: usize = 4;
    const NAME: &'static str = "lstm";
    const LAYER: &'static str = "LSTM";
    const CELL: &'static str = "LSTMCell";

    #[track_caller]
    fn step(&self, input: Tensor, hidden: Tensor, [_, c]: [Tensor; 2]) -> [Tensor; 2] {
        let [i, f, g, o] = gates(input + hidden);
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        [o.sigmoid() * c.tanh(), c]
    }
}

/// `r, z, n` = the thirds of `W_ih·x + b_ih` (`x`) and of `W_hh·h + b_hh` (`h`): `r = σ(x_r + h_r)`; `z = σ(x_z + h_z)`;
/// `n = tanh(x_n + r·h_n)`; `h' = (1 - z)·n + z·h` (Cho et al., 2014).
#[derive(Clone, Copy, Default, Debug)]
pub struct GruRule;

impl Rule<1> for GruRule {
    const GATES: usize = 3;
    const NAME: &'static str = "gru";
    const LAYER: &'static str = "GRU";
    const CELL: &'static str = "GRUCell";

    #[track_caller]
    fn step(&self, input: Tensor, hidden: Tensor, [h]: [Tensor; 1]) -> [Tensor; 1] {
        let ([xr, xz, xn], [hr, hz, hn]) = (gates(input), gates(hidden));
        let (r, z) = ((xr + hr).sigmoid(), (xz + hz).sigmoid());
        let n = (xn + r * hn).tanh();
        [n + z * (h - n)]
    }
}

/// The equal parts of the last axis.
#[track_caller]
fn gates<const N: usize>(joined: Tensor) -> [Tensor; N] {
    let width = joined.shape().0.last().map_or(0, |dim| dim.factor) / N;
    let mut parts = [joined; N];
    for (at, part) in parts.iter_mut().enumerate() {
        *part = joined.narrow(-1, (at * width) as i64, width);
    }
    parts
}
