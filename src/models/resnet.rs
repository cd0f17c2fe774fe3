//! The ResNets of the benchmarks.

use kiln::prelude::*;
use kiln::zoo::{ResNet, ResNetConfig, ResNetDepth};

/// ResNet-18 for CIFAR's images of 32x32: a 3x3 stem without stride, and no pooling after it.
pub fn resnet18() -> Training<ResNet> {
    let mut model = ResNet::new(ResNetConfig { classes: 10, ..ResNetConfig::new(ResNetDepth::ResNet18) });
    model.conv1 = Conv2d::new(3, 64, 3).padding(1).bias(false);
    model.maxpool = MaxPool2d::new(1);
    trained("resnet18", model, 32, 64).optimizer(Sgd::new(0.1).momentum(0.9).weight_decay(5e-4))
}

/// torchvision's ResNet-50 on images of 224x224.
pub fn resnet50() -> Training<ResNet> {
    let model = ResNet::new(ResNetConfig::new(ResNetDepth::ResNet50));
    trained("resnet50", model, 224, 8).optimizer(Sgd::new(0.1).momentum(0.9).weight_decay(1e-4))
}

/// The same without training: running statistics, no gradient.
pub fn resnet50_infer() -> Training<ResNet> {
    Training::new("resnet50_infer", ResNet::new(ResNetConfig::new(ResNetDepth::ResNet50)))
        .max_batch(8)
        .input("x", DType::F32, images(224))
        .predict(|model, batch| model.forward(batch["x"]))
}

fn trained(name: &str, model: ResNet, size: usize, max_batch: usize) -> Training<ResNet> {
    Training::new(name, model)
        .max_batch(max_batch)
        .input("x", DType::F32, images(size))
        .input("y", DType::I64, [BATCH])
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
}

fn images(size: usize) -> [Dim; 4] {
    [BATCH, Dim::fixed(3), Dim::fixed(size), Dim::fixed(size)]
}
