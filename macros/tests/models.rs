//! What `#[model]` makes of a struct, behind the default path `::kiln`: members and their names.

#![allow(dead_code)]

extern crate kiln_frontend as kiln;

use std::marker::PhantomData;
use std::rc::Rc;

use kiln::{
    Buffer, DType, Forward, Initializer, Layer, Layers, Module, Named, Parameter, Sequential, Tensor, named_modules,
    named_parameters, state_dict,
};
use kiln_macros::model;

#[model]
struct Conv2d {
    weight: Parameter,
    bias: Option<Parameter>,
    stride: (usize, usize),
}

#[model]
struct BatchNorm2d {
    weight: Parameter,
    bias: Parameter,
    running_mean: Buffer,
    running_var: Buffer,
    num_batches_tracked: Buffer,
    eps: f64,
}

#[model]
struct Linear {
    weight: Parameter,
    bias: Parameter,
}

#[model]
#[derive(Clone, Copy)]
struct Relu;

#[model]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<Sequential<(Conv2d, BatchNorm2d)>>,
}

#[model]
struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    relu: Relu,
    layer1: Vec<Block>,
    layer2: [Block; 2],
    fc: Linear,
    width: usize,
}

#[model]
impl Conv2d {
    fn new(from: usize, to: usize, size: usize, stride: usize) -> Self {
        let weight = Parameter::new([to, from, size, size], Initializer::Normal { mean: 0.0, std: 0.1 });
        Conv2d { weight, bias: None, stride: (stride, stride) }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
impl BatchNorm2d {
    fn new(width: usize) -> Self {
        BatchNorm2d {
            weight: Parameter::new([width], Initializer::Constant(1.0)),
            bias: Parameter::new([width], Initializer::Zeros),
            running_mean: Buffer::new([width], 0.0),
            running_var: Buffer::new([width], 1.0),
            num_batches_tracked: Buffer::with_dtype([], DType::I64, 0.0),
            eps: 1e-5,
        }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
impl Linear {
    fn new(from: usize, to: usize) -> Self {
        let parameter = |shape: &[usize]| Parameter::new(shape, Initializer::Zeros);
        Linear { weight: parameter(&[to, from]), bias: parameter(&[to]) }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        x
    }
}

#[model]
impl Relu {
    fn forward(&self, x: Tensor) -> Tensor {
        x.relu()
    }
}

#[model]
impl Block {
    fn new(from: usize, to: usize) -> Self {
        Block {
            conv1: Conv2d::new(from, to, 3, 1),
            bn1: BatchNorm2d::new(to),
            conv2: Conv2d::new(to, to, 3, 1),
            bn2: BatchNorm2d::new(to),
            downsample: (from != to).then(|| Sequential::new((Conv2d::new(from, to, 1, 1), BatchNorm2d::new(to)))),
        }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        let h = self.bn1(self.conv1(x)).relu();
        let skip = match &self.downsample {
            Some(downsample) => downsample.forward(x),
            None => x,
        };
        (self.bn2(self.conv2(h)) + skip).relu()
    }
}

#[model]
impl ResNet {
    fn new(width: usize) -> Self {
        ResNet {
            conv1: Conv2d::new(3, width, 7, 2),
            bn1: BatchNorm2d::new(width),
            relu: Relu,
            layer1: (0..2).map(|_| Block::new(width, width)).collect(),
            layer2: [Block::new(width, 2 * width), Block::new(2 * width, 2 * width)],
            fc: Linear::new(2 * width, 10),
            width,
        }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        let x = self.relu(self.bn1(self.conv1(x)));
        self.fc(self.layer2(self.layer1(x)))
    }
}

fn names(module: &dyn Module) -> Vec<String> {
    state_dict(module).into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_resnet_has_the_names_of_pytorch() {
    let norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
    let mut expected = vec!["conv1.weight".to_owned()];
    expected.extend(norm.map(|name| format!("bn1.{name}")));
    for block in ["layer1.0", "layer1.1", "layer2.0", "layer2.1"] {
        for index in [1, 2] {
            expected.push(format!("{block}.conv{index}.weight"));
            expected.extend(norm.map(|name| format!("{block}.bn{index}.{name}")));
        }
        if block == "layer2.0" {
            expected.push(format!("{block}.downsample.0.weight"));
            expected.extend(norm.map(|name| format!("{block}.downsample.1.{name}")));
        }
    }
    expected.extend(["fc.weight", "fc.bias"].map(str::to_owned));
    let net = ResNet::new(8);
    assert_eq!(names(&net), expected);
    assert_eq!(net.type_name(), "ResNet");
    assert!(named_modules(&net).iter().any(|module| module.name == "relu"));
    assert!(named_modules(&net).iter().all(|module| !module.name.ends_with("stride")));
}

/// A type of the user's that Kiln does not know.
struct Note;

#[model]
struct Odd<'a, M, T: Clone = f32>
where
    M: Forward<Tensor>,
{
    #[model(name = "fc")]
    head: Linear,
    #[model(skip)]
    note: Note,
    #[model(skip)]
    config: &'a str,
    label: &'static str,
    bodies: Vec<M>,
    phantom: PhantomData<T>,
    r#type: Linear,
    #[cfg(not(test))]
    absent: Missing,
    #[cfg(test)]
    present: Box<Linear>,
}

#[model]
struct Tuple(Linear, #[model(name = "second")] Linear, usize);

#[model]
struct Tree<M> {
    value: M,
    children: Vec<Tree<M>>,
}

#[test]
fn fields_can_be_renamed_skipped_and_generic() {
    let linear = || Linear::new(1, 1);
    let odd: Odd<Linear> = Odd {
        head: linear(),
        note: Note,
        config: "",
        label: "",
        bodies: vec![linear()],
        phantom: PhantomData,
        r#type: linear(),
        present: Box::new(linear()),
    };
    let weights: Vec<String> = names(&odd).into_iter().filter(|name| name.ends_with("weight")).collect();
    assert_eq!(weights, ["fc.weight", "bodies.0.weight", "type.weight", "present.weight"]);
    assert_eq!(names(&Tuple(linear(), linear(), 3)), ["0.weight", "0.bias", "second.weight", "second.bias"]);
    let leaf = Tree { value: linear(), children: vec![] };
    let tree = Tree { value: linear(), children: vec![leaf] };
    assert_eq!(names(&tree), ["value.weight", "value.bias", "children.0.value.weight", "children.0.value.bias"]);
}

#[model]
struct Residual<M> {
    body: M,
}

#[model]
impl<M: Layer> Residual<M> {
    fn forward(&self, x: Tensor) -> Tensor {
        self.body(x) + x
    }
}

#[model]
struct Tied {
    embed: Rc<Linear>,
    unembed: Rc<Linear>,
}

#[model]
impl Tied {
    fn forward(&self, x: Tensor) -> Tensor {
        self.unembed(self.embed(x))
    }
}

#[test]
fn a_shared_layer_is_trained_once_and_saved_twice() {
    let embed = Rc::new(Linear::new(4, 4));
    let tied = Tied { unembed: Rc::clone(&embed), embed };
    assert_eq!(names(&tied), ["embed.weight", "embed.bias", "unembed.weight", "unembed.bias"]);
    assert_eq!(named_parameters(&tied).len(), 2);
}

#[test]
fn layers_chain_in_every_container() {
    let linear = || Linear::new(2, 2);
    let layers = Layers::empty().push(linear()).push(Relu).push_named("head", linear());
    assert_eq!(names(&layers), ["0.weight", "0.bias", "head.weight", "head.bias"]);
    let layers = layers.push(Residual { body: linear() });
    assert_eq!(names(&layers)[4..], ["3.body.weight", "3.body.bias"]);
    let all = Sequential::new((layers, Relu, [Relu; 2], vec![Rc::new(linear())], Named::new("last", Some(linear()))));
    assert_eq!(names(&all)[6..], ["3.0.weight", "3.0.bias", "last.weight", "last.bias"]);
    fn takes_a_tensor(_: &impl Forward<Tensor, Output = Tensor>) {}
    takes_a_tensor(&all);
}
