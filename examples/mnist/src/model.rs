//! LeNet-5 (LeCun et al., 1998) as PyTorch's tutorials write it, and how it is trained.

use kiln::prelude::*;

/// Two convolutions with pooling, three linear layers.
#[model]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

#[model]
impl LeNet {
    /// For 28x28 images of one channel.
    pub fn new(classes: usize) -> LeNet {
        LeNet {
            conv1: Conv2d::new(1, 6, 5).padding(2),
            conv2: Conv2d::new(6, 16, 5),
            fc1: Linear::new(16 * 5 * 5, 120),
            fc2: Linear::new(120, 84),
            fc3: Linear::new(84, classes),
        }
    }

    /// `[batch, 1, 28, 28]` → logits `[batch, classes]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let x = self.conv1(x).relu().max_pool2d(2); // [batch, 6, 14, 14]
        let x = self.conv2(x).relu().max_pool2d(2); // [batch, 16, 5, 5]
        let x = self.fc1(x.flatten(1, -1)).relu();
        let x = self.fc2(x).relu();
        self.fc3(x)
    }
}

/// What `build.rs` compiles: cross-entropy, SGD with momentum, batches of up to 64.
pub fn lenet() -> Training<LeNet> {
    Training::new("lenet", LeNet::new(10))
        .max_batch(64)
        .input("x", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(28), Dim::fixed(28)])
        .input("y", DType::I64, [BATCH])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.01).momentum(0.9))
}
