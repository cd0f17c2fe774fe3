//! A small residual network with BatchNorm: blocks in a `Vec`, an optional projection, training and evaluation behaviour.

use kiln::prelude::*;

/// Two 3x3 convolutions with BatchNorm, added to the input (He et al., 2015).
#[model]
pub struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    /// Where the width changes.
    downsample: Option<Conv2d>,
}

#[model]
impl Block {
    /// From `from` to `to` channels.
    pub fn new(from: usize, to: usize) -> Block {
        Block {
            conv1: Conv2d::new(from, to, 3).padding(1).bias(false),
            bn1: BatchNorm2d::new(to),
            conv2: Conv2d::new(to, to, 3).padding(1).bias(false),
            bn2: BatchNorm2d::new(to),
            downsample: (from != to).then(|| Conv2d::new(from, to, 1).bias(false)),
        }
    }

    /// `[batch, from, h, w]` → `[batch, to, h, w]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let h = self.bn1(self.conv1(x)).relu();
        let h = self.bn2(self.conv2(h));
        (h + self.downsample(x)).relu()
    }
}

/// A stem, residual blocks and a linear head.
#[model]
pub struct DigitNet {
    stem: Conv2d,
    blocks: Vec<Block>,
    head: Linear,
}

#[model]
impl DigitNet {
    /// For 8x8 images of one channel.
    pub fn new(classes: usize) -> DigitNet {
        DigitNet {
            stem: Conv2d::new(1, 16, 3).padding(1),
            blocks: vec![Block::new(16, 16), Block::new(16, 32)],
            head: Linear::new(32 * 4 * 4, classes),
        }
    }

    /// `[batch, 1, 8, 8]` → logits `[batch, classes]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let mut x = self.stem(x).relu();
        for block in &self.blocks {
            x = block.forward(x);
        }
        self.head(x.max_pool2d(2).flatten(1, -1))
    }
}

/// Cross-entropy and AdamW, batches of up to 32.
pub fn digits() -> Training<DigitNet> {
    Training::new("digits", DigitNet::new(10))
        .max_batch(32)
        .input("x", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(8), Dim::fixed(8)])
        .input("y", DType::I64, [BATCH])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(AdamW::new(0.002))
}
