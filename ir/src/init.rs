//! How a persistent tensor starts: resolved to a distribution when the model is traced, drawn when the program is loaded.

use serde::{Deserialize, Serialize};

/// The initial values of a parameter, a buffer or an optimiser's state.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub enum Init {
    /// All zero.
    #[default]
    Zeros,
    /// All one value.
    Constant(f64),
    /// Uniform on `[low, high)`.
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal, drawn again outside `[low, high]`.
    TruncatedNormal {
        /// Mean before truncation.
        mean: f64,
        /// Standard deviation before truncation.
        std: f64,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Rows or columns of the tensor, seen as a matrix `[first axis, all others]`, that are orthogonal and have the norm `gain`: those
    /// that are fewer (Saxe, McClelland and Ganguli, 2014).
    Orthogonal {
        /// Norm.
        gain: f64,
    },
    /// Normal with mean 0, but for zeros at random places of every column of a matrix (Martens, 2010).
    Sparse {
        /// The share of zeros, rounded up to whole elements.
        sparsity: f64,
        /// Standard deviation of the others.
        std: f64,
    },
    /// Normal with mean 0, but for one row of zeros: an embedding with a padding index.
    Padded {
        /// Standard deviation.
        std: f64,
        /// The row of zeros.
        row: usize,
    },
    /// Every value, row-major.
    Data(Vec<f64>),
    /// The seed of the run, in `i64`: the key of the random numbers that the program draws itself.
    Seed,
}
