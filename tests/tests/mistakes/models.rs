//! Models with mistakes in them. They have a file to themselves, so that the lines that are shown keep their numbers.

use std::cell::Cell;

use kiln::prelude::*;

/// The second layer was widened, the third was not.
#[model]
pub struct Widths {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

#[model]
impl Widths {
    pub fn new() -> Widths {
        Widths { fc1: Linear::new(784, 128), fc2: Linear::new(128, 96), fc3: Linear::new(64, 10) }
    }

    pub fn forward(&self, x: Tensor) -> Tensor {
        let h = self.fc1(x).relu();
        let h = self.fc2(h).relu();
        self.fc3(h)
    }
}

pub fn widths() -> Training<Widths> {
    Training::new("widths", Widths::new())
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(784)])
        .input("y", DType::I64, [BATCH])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.1))
}

/// Two independent mistakes, in a model inside a model.
#[model]
pub struct Nested {
    stem: Conv2d,
    branch: Branch,
}

#[model]
pub struct Branch {
    conv: Conv2d,
    head: Linear,
}

#[model]
impl Nested {
    pub fn forward(&self, x: Tensor) -> Tensor {
        let h = self.stem(x).relu().reshape([-1, 7]);
        self.branch(self.stem(x)) + h
    }
}

#[model]
impl Branch {
    pub fn forward(&self, x: Tensor) -> Tensor {
        let h = self.conv(x).flatten(1, -1);
        self.head(h)
    }
}

pub fn nested() -> Training<Nested> {
    let branch = Branch { conv: Conv2d::new(6, 8, 3), head: Linear::new(100, 10) };
    Training::new("nested", Nested { stem: Conv2d::new(1, 4, 3), branch })
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(8), Dim::fixed(8)])
        .predict(|model, batch| model.forward(batch["x"]))
}

/// Two layers that a list is given under one name.
pub fn twins() -> Training<Layers> {
    let twins = Layers::empty().push_named("fc", Linear::new(4, 4)).push_named("fc", Linear::new(4, 4));
    Training::new("twins", twins).input("x", DType::F32, [2, 4]).predict(|model, batch| model.forward(batch["x"]))
}

/// A tensor that outlives its trace.
pub fn kept() -> Training<Linear> {
    let kept: Cell<Option<Tensor>> = Cell::new(None);
    Training::new("kept", Linear::new(4, 4)).input("x", DType::F32, [2, 4]).predict(move |model, batch| {
        let h = model.forward(batch["x"]);
        let before = kept.replace(Some(h)).unwrap_or(h);
        h + before
    })
}

/// A loss that is no scalar, and an input that nobody declared.
pub fn loss() -> Training<Linear> {
    Training::new("loss", Linear::new(4, 1))
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(4)])
        .predict(|model, batch| model.forward(batch["image"]))
        .loss(|model, batch| model.forward(batch["x"]).square())
        .optimizer(Sgd::new(0.1))
}

/// A small classifier that is right, to be used wrongly.
pub fn classifier() -> Training<Linear> {
    Training::new("classifier", Linear::new(4, 3))
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(4)])
        .input("y", DType::I64, [BATCH])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.1).momentum(0.9))
}

/// The same with another width and no momentum.
pub fn wider() -> Training<Sequential<(Linear, Relu, Linear)>> {
    Training::new("wider", Sequential::new((Linear::new(4, 5), Relu, Linear::new(5, 3))))
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(4)])
        .input("y", DType::I64, [BATCH])
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.1))
}

/// [`classifier`] for twice as many classes.
pub fn more_classes() -> Training<Linear> {
    Training::new("more_classes", Linear::new(4, 6))
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(4)])
        .input("y", DType::I64, [BATCH])
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.1).momentum(0.9))
}

/// A table of three words, to be asked for others.
pub fn words() -> Training<Linear> {
    Training::new("words", Linear::new(2, 3))
        .max_batch(8)
        .input("token", DType::I64, [BATCH])
        .loss(|model, batch| model.weight.tensor().embedding(batch["token"]).square().mean(&[], false))
        .optimizer(Sgd::new(0.1))
}
