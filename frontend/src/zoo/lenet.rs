//! LeNet-5 (LeCun et al., 1998), with ReLU and maxima as it is taught.

use kiln_macros::model;

use crate::Tensor;
use crate::layers::{Conv2d, Linear};

/// Images `[batch, 1, 28, 28]` → logits `[batch, classes]`: 28 → 24 → 12 → 8 → 4, 256 features, 44 426 parameters for ten classes.
///
/// The mission's program P-03 has a ReLU after the last layer too: `net.forward(x).relu()`. No logit is negative then, and a class whose logit is zero learns
/// nothing from its sample, so that is not the model's own end.
#[model(crate = crate)]
pub struct LeNet5 {
    /// 1 → 6 channels.
    pub conv1: Conv2d,
    /// 6 → 16 channels.
    pub conv2: Conv2d,
    /// 256 → 120.
    pub fc1: Linear,
    /// 120 → 84.
    pub fc2: Linear,
    /// 84 → classes.
    pub fc3: Linear,
}

#[model(crate = crate)]
impl LeNet5 {
    /// With random weights.
    #[track_caller]
    pub fn new(classes: usize) -> LeNet5 {
        LeNet5 {
            conv1: Conv2d::new(1, 6, 5),
            conv2: Conv2d::new(6, 16, 5),
            fc1: Linear::new(256, 120),
            fc2: Linear::new(120, 84),
            fc3: Linear::new(84, classes),
        }
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let x = self.conv1(x).relu().max_pool2d(2);
        let x = self.conv2(x).relu().max_pool2d(2).flatten(1, -1);
        self.fc3(self.fc2(self.fc1(x).relu()).relu())
    }
}
