//! A multi-layer perceptron: the smallest of the benchmark models.

use kiln::prelude::*;

/// Linear layers with ReLU between them.
#[model]
pub struct Mlp {
    fc: Vec<Linear>,
}

#[model]
impl Mlp {
    /// Layers between consecutive widths.
    pub fn new(sizes: &[usize]) -> Mlp {
        Mlp { fc: sizes.windows(2).map(|pair| Linear::new(pair[0], pair[1])).collect() }
    }

    /// `[batch, sizes[0]]` → `[batch, sizes.last()]`.
    pub fn forward(&self, mut x: Tensor) -> Tensor {
        for (number, layer) in self.fc.iter().enumerate() {
            if number > 0 {
                x = x.relu();
            }
            x = layer.forward(x);
        }
        x
    }
}

/// 784-512-256-10 with cross-entropy and SGD, as the PyTorch side of the benchmark has it.
pub fn mlp() -> Training<Mlp> {
    Training::new("mlp", Mlp::new(&[784, 512, 256, 10]))
        .max_batch(64)
        .input("x", DType::F32, [BATCH, Dim::fixed(784)])
        .input("y", DType::I64, [BATCH])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.1))
}
