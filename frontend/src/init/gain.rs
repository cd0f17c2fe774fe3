//! What initialisers scale by: fans and gains.

use std::str::FromStr;

/// The fan that a Kaiming initialiser keeps the variance of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FanMode {
    /// Of the forward pass.
    FanIn,
    /// Of the backward pass.
    FanOut,
}

/// The nonlinearity after a layer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Nonlinearity {
    /// None, also for convolutions and a sigmoid: gain 1.
    Linear,
    /// Gain 1.
    Sigmoid,
    /// Gain 5/3.
    Tanh,
    /// Gain √2.
    Relu,
    /// With its negative slope, by default 0.01: gain √(2/(1 + slope²)).
    LeakyRelu(f64),
    /// Gain 3/4.
    Selu,
}

/// The `ValueError`s of `torch.nn.init`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InitError {
    /// A vector or a number has no fans.
    #[error("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")]
    Fan,
    /// An unknown word for the mode.
    #[error("Mode {0} not supported, please use one of ['fan_in', 'fan_out']")]
    Mode(String),
    /// An unknown word for the nonlinearity.
    #[error("Unsupported nonlinearity {0}")]
    Nonlinearity(String),
}

impl FromStr for FanMode {
    type Err = InitError;

    /// PyTorch's words, in any case.
    fn from_str(word: &str) -> Result<FanMode, InitError> {
        match word.to_lowercase().as_str() {
            "fan_in" => Ok(FanMode::FanIn),
            "fan_out" => Ok(FanMode::FanOut),
            other => Err(InitError::Mode(other.to_owned())),
        }
    }
}

impl FromStr for Nonlinearity {
    type Err = InitError;

    /// PyTorch's words.
    fn from_str(word: &str) -> Result<Nonlinearity, InitError> {
        let convolution = word.strip_prefix("conv").map(|rest| rest.strip_prefix("_transpose").unwrap_or(rest));
        match word {
            _ if convolution.is_some_and(|axes| ["1d", "2d", "3d"].contains(&axes)) => Ok(Nonlinearity::Linear),
            "linear" | "identity" => Ok(Nonlinearity::Linear),
            "sigmoid" => Ok(Nonlinearity::Sigmoid),
            "tanh" => Ok(Nonlinearity::Tanh),
            "relu" => Ok(Nonlinearity::Relu),
            "leaky_relu" => Ok(Nonlinearity::LeakyRelu(0.01)),
            "selu" => Ok(Nonlinearity::Selu),
            other => Err(InitError::Nonlinearity(other.to_owned())),
        }
    }
}

/// `calculate_gain`: what a nonlinearity takes from the deviation, so that a layer may give it back.
pub fn calculate_gain(nonlinearity: Nonlinearity) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Relu => 2.0_f64.sqrt(),
        Nonlinearity::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
        Nonlinearity::Selu => 0.75,
    }
}

/// `_calculate_fan_in_and_fan_out` of a weight `[out, in, ..receptive field]`.
///
/// # Errors
/// [`InitError::Fan`] for fewer than two axes.
pub fn calculate_fan_in_and_fan_out(shape: &[usize]) -> Result<(usize, usize), InitError> {
    let [fan_out, fan_in, field @ ..] = shape else { return Err(InitError::Fan) };
    let field: usize = field.iter().product();
    Ok((fan_in * field, fan_out * field))
}
