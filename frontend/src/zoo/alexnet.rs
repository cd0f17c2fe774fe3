//! AlexNet (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014), as torchvision has it.

use kiln_macros::model;

use crate::layers::{AdaptiveAvgPool2d, Conv2d, Dropout, Linear, MaxPool2d, Relu};
use crate::{Layers, Tensor};

/// Images `[batch, 3, h, w]`, at least 63 by 63 → logits `[batch, classes]`; 61 100 840 parameters for 1000 classes. The layers' own initialisers, as
/// torchvision's.
#[model(crate = crate)]
pub struct AlexNet {
    /// Convolutions `0`, `3`, `6`, `8`, `10`.
    pub features: Layers,
    /// To 6 by 6.
    pub avgpool: AdaptiveAvgPool2d,
    /// Linear layers `1`, `4`, `6`.
    pub classifier: Layers,
}

#[model(crate = crate)]
impl AlexNet {
    /// With random weights.
    #[track_caller]
    pub fn new(classes: usize) -> AlexNet {
        let pool = || MaxPool2d::new(3).stride(2);
        let features = Layers::empty()
            .push(Conv2d::new(3, 64, 11).stride(4).padding(2))
            .push(Relu)
            .push(pool())
            .push(Conv2d::new(64, 192, 5).padding(2))
            .push(Relu)
            .push(pool())
            .push(Conv2d::new(192, 384, 3).padding(1))
            .push(Relu)
            .push(Conv2d::new(384, 256, 3).padding(1))
            .push(Relu)
            .push(Conv2d::new(256, 256, 3).padding(1))
            .push(Relu)
            .push(pool());
        let classifier = Layers::empty()
            .push(Dropout::default())
            .push(Linear::new(256 * 6 * 6, 4096))
            .push(Relu)
            .push(Dropout::default())
            .push(Linear::new(4096, 4096))
            .push(Relu)
            .push(Linear::new(4096, classes));
        AlexNet { features, avgpool: AdaptiveAvgPool2d::new(6), classifier }
    }

    /// The logits.
    pub fn forward(&self, x: Tensor) -> Tensor {
        self.classifier(self.avgpool(self.features(x)).flatten(1, -1))
    }
}
