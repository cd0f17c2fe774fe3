//! `programs/mlp`: a multi-layer perceptron.

use kiln::prelude::*;
use serde::Deserialize;

use super::{Activation, Unsupported, activation};

/// Linear layers with an activation between them.
#[model]
pub struct Mlp {
    fc: Vec<Linear>,
    activation: Activation,
}

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    sizes: Vec<usize>,
    activation: String,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig { sizes: vec![784, 64, 10], activation: "relu".to_owned() }
    }
}

#[model]
impl Mlp {
    /// From the arguments of the Python class.
    pub fn new(config: &MlpConfig) -> Result<Mlp, Unsupported> {
        let fc = config.sizes.windows(2).map(|pair| Linear::new(pair[0], pair[1])).collect();
        Ok(Mlp { fc, activation: activation(&config.activation)? })
    }

    /// The logits.
    pub fn forward(&self, mut x: Tensor) -> Tensor {
        for (number, layer) in self.fc.iter().enumerate() {
            if number > 0 {
                x = (self.activation)(x);
            }
            x = layer.forward(x);
        }
        x
    }
}
