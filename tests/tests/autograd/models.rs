//! Small models whose training steps can be worked out by hand, and one that is large enough to freeze a part of.

use kiln::prelude::*;

/// `w·x`, with as many weights as `start` has.
#[model]
#[derive(Clone)]
pub struct Scale {
    pub weight: Parameter,
}

#[model]
impl Scale {
    pub fn new(start: &[f64]) -> Scale {
        Scale { weight: Parameter::new([start.len()], Initializer::Data(start.to_vec())) }
    }

    pub fn forward(&self, x: Tensor) -> Tensor {
        (x * self.weight.tensor()).sum(&[-1], false)
    }
}

/// A generator and a discriminator of single numbers.
#[model]
#[derive(Clone)]
pub struct Gan {
    pub generator: Scale,
    pub discriminator: Scale,
}

impl Gan {
    pub fn new(generator: f64, discriminator: f64) -> Gan {
        Gan { generator: Scale::new(&[generator]), discriminator: Scale::new(&[discriminator]) }
    }

    /// A training step of one half; the other half is frozen while it is traced.
    pub fn half(
        &self,
        name: &str,
        trained: &Scale,
        frozen: &Scale,
        loss: fn(&Gan, &kiln::Inputs) -> Tensor,
    ) -> Training<Gan> {
        trained.weight.set_requires_grad(true);
        frozen.weight.set_requires_grad(false);
        Training::new(name, self.clone())
            .max_batch(4)
            .input("x", DType::F32, [BATCH, Dim::ONE])
            .input("z", DType::F32, [BATCH, Dim::ONE])
            .loss(loss)
            .optimizer(Sgd::new(0.1))
    }
}

/// Two convolutions and a head.
#[model]
pub struct Classifier {
    backbone: (Conv2d, Conv2d),
    head: Linear,
}

#[model]
impl Classifier {
    pub fn new() -> Classifier {
        Classifier {
            backbone: (Conv2d::new(1, 8, 3).padding(1), Conv2d::new(8, 16, 3).padding(1)),
            head: Linear::new(16 * 8 * 8, 10),
        }
    }

    fn features(&self, x: Tensor) -> Tensor {
        let h = self.backbone.0.forward(x).relu();
        self.backbone.1.forward(h).relu().flatten(1, -1)
    }

    pub fn forward(&self, x: Tensor) -> Tensor {
        self.head(self.features(x))
    }

    pub fn forward_detached(&self, x: Tensor) -> Tensor {
        self.head(self.features(x).detach())
    }

    pub fn freeze_backbone(self) -> Classifier {
        kiln::named_parameters(&self.backbone).iter().for_each(|(_, parameter)| parameter.set_requires_grad(false));
        self
    }

    pub fn training(self, forward: fn(&Classifier, Tensor) -> Tensor) -> Training<Classifier> {
        Training::new("classifier", self)
            .max_batch(16)
            .input("x", DType::F32, [BATCH, Dim::ONE, Dim::fixed(8), Dim::fixed(8)])
            .input("y", DType::I64, [BATCH])
            .loss(move |model, batch| cross_entropy(forward(model, batch["x"]), batch["y"]))
            .optimizer(Sgd::new(0.1).momentum(0.9))
    }
}

/// A state that is carried from step to step: `h = h + w·x`.
#[model]
pub struct Recurrent {
    cell: Scale,
    state: Buffer,
}

#[model]
impl Recurrent {
    pub fn new() -> Recurrent {
        Recurrent { cell: Scale::new(&[1.0]), state: Buffer::new([], 0.0) }
    }

    /// The new state, as the step computed it, and as it is read back.
    pub fn forward(&self, x: Tensor, detach: bool) -> (Tensor, Tensor) {
        let next = self.state.tensor() + self.cell(x).sum_all();
        self.state.update(if detach { next.detach() } else { next });
        (next, self.state.tensor())
    }
}
