//! `programs/optimizers`: a very small network with a smooth loss.

use kiln::prelude::*;
use serde::Deserialize;

use super::Unsupported;

/// Two linear layers with tanh between them.
#[model]
pub struct TwoLayers {
    fc1: Linear,
    fc2: Linear,
}

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TwoLayersConfig {
    inputs: usize,
    hidden: usize,
    classes: usize,
}

impl Default for TwoLayersConfig {
    fn default() -> TwoLayersConfig {
        TwoLayersConfig { inputs: 6, hidden: 16, classes: 3 }
    }
}

#[model]
impl TwoLayers {
    /// From the arguments of the Python class.
    pub fn new(config: &TwoLayersConfig) -> Result<TwoLayers, Unsupported> {
        Ok(TwoLayers {
            fc1: Linear::new(config.inputs, config.hidden),
            fc2: Linear::new(config.hidden, config.classes),
        })
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        self.fc2(self.fc1(x).tanh())
    }
}
