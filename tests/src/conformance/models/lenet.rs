//! `programs/lenet5`: LeNet-5.

use kiln::prelude::*;
use serde::Deserialize;

use super::{Activation, Unsupported, activation};

/// LeNet-5 on 1x28x28 images.
#[model]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    activation: Activation,
    average: bool,
}

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeNetConfig {
    activation: String,
    pool: String,
    classes: usize,
}

impl Default for LeNetConfig {
    fn default() -> LeNetConfig {
        LeNetConfig { activation: "relu".to_owned(), pool: "max".to_owned(), classes: 10 }
    }
}

#[model]
impl LeNet {
    /// From the arguments of the Python class.
    pub fn new(config: &LeNetConfig) -> Result<LeNet, Unsupported> {
        Ok(LeNet {
            conv1: Conv2d::new(1, 6, 5).padding(2),
            conv2: Conv2d::new(6, 16, 5),
            fc1: Linear::new(400, 120),
            fc2: Linear::new(120, 84),
            fc3: Linear::new(84, config.classes),
            activation: activation(&config.activation)?,
            // As the source has it: every other word means the average.
            average: config.pool != "max",
        })
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let act = self.activation;
        let x = self.pool(act(self.conv1(x))); // [batch, 6, 14, 14]
        let x = self.pool(act(self.conv2(x))); // [batch, 16, 5, 5]
        let x = act(self.fc1(x.flatten(1, -1)));
        let x = act(self.fc2(x));
        self.fc3(x)
    }

    fn pool(&self, x: Tensor) -> Tensor {
        if self.average { x.avg_pool2d(2) } else { x.max_pool2d(2) }
    }
}
