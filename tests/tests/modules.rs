//! Modules as PyTorch users know them: names and order, sharing, printing, walks, hooks and taps.

use std::rc::Rc;

use kiln::prelude::*;
use kiln::{
    Compiler, Function, Hooked, ModuleEntry, apply, named_buffers, named_children, named_modules, named_parameters,
    own_parameters, parameter_count, set_requires_grad, state_dict, tree,
};

fn keys(module: &dyn Module) -> Vec<String> {
    state_dict(module).into_iter().map(|entry| entry.name).collect()
}

fn paths(modules: Vec<ModuleEntry>) -> Vec<(String, &'static str)> {
    modules.into_iter().map(|entry| (entry.name, entry.type_name)).collect()
}

/// `l = nn.Linear(2, 2); net = nn.Sequential(l, l)`: one module under two names.
#[test]
fn n_26_a_layer_twice() {
    let linear = Rc::new(Linear::new(2, 2));
    let net = Sequential::new((linear.clone(), linear));
    assert_eq!(keys(&net), ["0.weight", "0.bias", "1.weight", "1.bias"]);
    assert_eq!(parameters(&net).len(), 2);
    assert_eq!(paths(named_modules(&net)), [(String::new(), "Sequential"), ("0".to_owned(), "Linear")]);
    let printed = "Sequential(\n  (0): Linear(in_features=2, out_features=2, bias=True)\n  \
                   (1): Linear(in_features=2, out_features=2, bias=True)\n)";
    assert_eq!(tree(&net).to_string(), printed);
}

#[model]
struct MyModel {
    my_tensor: f64,
    my_buffer: Buffer,
    fc: Linear,
    conv: Conv2d,
    fc2: Linear,
    my_param: Parameter,
    f3: Linear,
}

/// Parameters, then buffers, then children; a plain value is none of them; a shared weight has both its names.
#[test]
fn n_27_parameters_buffers_and_plain_values() {
    let fc = Linear::new(2, 2).bias(false);
    let model = MyModel {
        my_tensor: 1.0,
        my_buffer: Buffer::new([1], 0.5),
        f3: fc.clone(),
        fc,
        conv: Conv2d::new(1, 2, 3),
        fc2: Linear::new(2, 2).bias(false),
        my_param: Parameter::new([1], Initializer::Zeros),
    };
    let expected = ["my_param", "my_buffer", "fc.weight", "conv.weight", "conv.bias", "fc2.weight", "f3.weight"];
    assert_eq!(keys(&model), expected);
    assert_eq!(parameters(&model).len(), 5);
    assert_eq!(named_buffers(&model)[0].0, "my_buffer");
    assert!(Parameter::same(&model.fc.weight, &model.f3.weight) && model.my_tensor == 1.0);
    let own: Vec<String> = own_parameters(&model).into_iter().map(|(name, _)| name).collect();
    assert_eq!(own, ["my_param"]);
    assert_eq!(parameter_count(&model), 1 + 4 + 18 + 2 + 4);
}

#[model]
struct Net3 {
    layers: Vec<Linear>,
}

#[model]
impl Net3 {
    fn forward(&self, x: Tensor) -> Tensor {
        [2, 0, 1].into_iter().fold(x, |x, layer| self.layers[layer].forward(x))
    }
}

/// A list has no order of its own, and every element is registered.
#[test]
fn n_28_a_list_is_used_in_any_order() {
    let net = Net3 { layers: vec![Linear::new(10, 20), Linear::new(20, 30), Linear::new(5, 10)] };
    assert_eq!(keys(&net)[..2], ["layers.0.weight", "layers.0.bias"]);
    let traced = Training::new("net3", net)
        .max_batch(32)
        .input("x", DType::F32, [BATCH, Dim::fixed(5)])
        .predict(|model, batch| model.forward(batch["x"]))
        .trace()
        .expect("the layers fit in that order");
    let graph = traced.predict.expect("there is a prediction");
    assert_eq!(graph.ty(graph.outputs()[0].value).to_string(), "f32[B,30]");
}

#[test]
fn n_30_equal_neighbours_of_a_list_are_folded() {
    let net = Net3 { layers: vec![Linear::new(10, 10), Linear::new(10, 10), Linear::new(10, 5)] };
    let shapes: Vec<&[usize]> = vec![&[10, 10], &[10], &[10, 10], &[10], &[5, 10], &[5]];
    assert_eq!(parameters(&net).iter().map(Parameter::shape).collect::<Vec<_>>(), shapes);
    let printed = "Net3(\n  (layers): ModuleList(\n    (0-1): 2 x Linear(in_features=10, out_features=10, bias=True)\n    \
                   (2): Linear(in_features=10, out_features=5, bias=True)\n  )\n)";
    assert_eq!(tree(&net).to_string(), printed);
}

#[test]
fn n_44_names_and_shapes() {
    let net = Layers::empty()
        .push_named("conv1", Conv2d::new(3, 6, 3))
        .push_named("pool", MaxPool2d::new(2))
        .push_named("flat", Flatten)
        .push_named("fc1", Linear::new(1350, 10));
    let shapes: Vec<String> =
        named_parameters(&net).iter().map(|(name, parameter)| format!("{name} : {:?}", parameter.shape())).collect();
    let expected = ["conv1.weight : [6, 3, 3, 3]", "conv1.bias : [6]", "fc1.weight : [10, 1350]", "fc1.bias : [10]"];
    assert_eq!(shapes, expected);
}

/// `nn.Sequential(OrderedDict(..))`.
#[test]
fn n_50_a_chain_with_names() {
    let net = || {
        Layers::empty()
            .push_named("conv1", Conv2d::new(1, 20, 5))
            .push_named("relu1", Relu)
            .push_named("conv2", Conv2d::new(20, 64, 5))
            .push_named("relu2", Relu)
    };
    assert_eq!(keys(&net()), ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"]);
    let children: Vec<String> = named_children(&net()).into_iter().map(|child| child.name).collect();
    assert_eq!(children, ["conv1", "relu1", "conv2", "relu2"]);
    let traced = Training::new("net", net())
        .input("x", DType::F32, [1, 1, 28, 28])
        .predict(|model, batch| model.forward(batch["x"]))
        .trace()
        .expect("it fits");
    let graph = traced.predict.expect("there is a prediction");
    assert_eq!(graph.ty(graph.outputs()[0].value).to_string(), "f32[1,64,20,20]");
}

/// What PyTorch 2.9 prints for the same layers.
#[test]
fn layers_print_as_pytorch_prints_them() {
    let layers: Vec<(Box<dyn Module>, &str)> = vec![
        (
            Box::new(Conv2d::new(3, 64, 7).stride(2).padding(3).bias(false)),
            "Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)",
        ),
        (
            Box::new(Conv1d::new(4, 8, 3).dilation(2).groups(4)),
            "Conv1d(4, 8, kernel_size=(3,), stride=(1,), dilation=(2,), groups=4)",
        ),
        (Box::new(ConvTranspose2d::new(8, 4, 2).stride(2)), "ConvTranspose2d(8, 4, kernel_size=(2, 2), stride=(2, 2))"),
        (
            Box::new(BatchNorm2d::new(64)),
            "BatchNorm2d(64, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
        ),
        (Box::new(LayerNorm::new([10])), "LayerNorm((10,), eps=1e-05, elementwise_affine=True)"),
        (Box::new(GroupNorm::new(2, 6)), "GroupNorm(2, 6, eps=1e-05, affine=True)"),
        (Box::new(RmsNorm::new([4])), "RMSNorm((4,), eps=None, elementwise_affine=True)"),
        (Box::new(Dropout::default()), "Dropout(p=0.5, inplace=False)"),
        (
            Box::new(MaxPool2d::new(3).stride(2).padding(1)),
            "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)",
        ),
        (Box::new(AvgPool2d::new(2)), "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
        (Box::new(AdaptiveAvgPool2d::new([1, 1])), "AdaptiveAvgPool2d(output_size=(1, 1))"),
        (Box::new(Embedding::new(10, 3).padding_idx(0)), "Embedding(10, 3, padding_idx=0)"),
        (Box::new(Lstm::new(10, 20).num_layers(2)), "LSTM(10, 20, num_layers=2)"),
        (Box::new(GruCell::new(10, 20)), "GRUCell(10, 20)"),
        (Box::new(LeakyRelu::default()), "LeakyReLU(negative_slope=0.01)"),
        (Box::new(Gelu::default()), "GELU(approximate='none')"),
        (Box::new(Softplus::default()), "Softplus(beta=1.0, threshold=20.0)"),
        (Box::new(Prelu::new(1)), "PReLU(num_parameters=1)"),
        (Box::new(PixelShuffle::new(2)), "PixelShuffle(upscale_factor=2)"),
        (Box::new(ReflectionPad2d::new(2)), "ReflectionPad2d((2, 2, 2, 2))"),
        (Box::new(Flatten), "Flatten(start_dim=1, end_dim=-1)"),
        (Box::new(Bilinear::new(2, 3, 4)), "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)"),
        (Box::new(Identity), "Identity()"),
    ];
    for (layer, expected) in layers {
        assert_eq!(tree(&*layer).to_string(), expected);
    }
}

/// `model.apply(init)`, children first, with a choice by type.
#[test]
fn apply_sees_every_module() {
    let net = Sequential::new((Conv2d::new(1, 8, 3), Sequential::new((BatchNorm2d::new(8), Relu))));
    let mut seen = Vec::new();
    apply(&net, &mut |path, module| {
        seen.push(format!("{path}:{}", module.type_name()));
        if module.type_name() == "Conv2d" {
            own_parameters(module).iter().for_each(|(_, parameter)| init::constant(parameter, 0.25));
        }
    });
    assert_eq!(seen, ["0:Conv2d", "1.0:BatchNorm2d", "1.1:ReLU", "1:Sequential", ":Sequential"]);
    assert_eq!(net.children.0.weight.initializer(), Initializer::Constant(0.25));
    set_requires_grad(&net.children.1, false);
    assert_eq!(parameters(&net).iter().map(Parameter::is_trainable).collect::<Vec<_>>(), [true, true, false, false]);
}

/// A tap is read after a run; a hook may change what a layer gives.
#[test]
fn inner_values_are_read_and_replaced() {
    let double = |_: Tensor, output: Tensor| (output * 2.0).tap("doubled");
    let layer = Linear::new(2, 2).bias(false);
    init::eye(&layer.weight);
    let net = Sequential::new((Hooked::new(layer, double), Tanh));
    assert_eq!(keys(&net), ["0.weight"]);
    let training = Training::new("net", net)
        .max_batch(4)
        .input("x", DType::F32, [BATCH, Dim::fixed(2)])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| model.forward(batch["x"]).mean_all());
    let mut trainer = Compiler::new().jit(&training).expect("it compiles");
    let x = [0.5_f32, -1.0];
    let prediction = trainer.predict(&[(&x).into()]).expect("it runs").to_vec();
    assert_eq!(trainer.session().slot_as::<f32>("doubled").unwrap(), [1.0, -2.0]);
    assert!((prediction[0] - 1.0_f32.tanh()).abs() < 1e-6, "the prediction is still the first output: {prediction:?}");
    assert_eq!(Hooked::new(Relu, double).remove().type_name(), "ReLU");
}

#[test]
fn two_taps_of_one_name_are_a_mistake() {
    let traced = Function::new("f").input("x", DType::F32, [2]).trace(|given| {
        let x = given["x"];
        vec![x.exp().tap("h") + x.sin().tap("h")]
    });
    let message = traced.unwrap_err()[0].to_string();
    assert!(message.contains("there is another `h`, tests/tests/modules.rs:"), "{message}");
}

/// Statistics of a part that is in evaluation mode stay as they are, while the rest trains.
#[test]
fn a_part_is_evaluated_while_the_rest_trains() {
    let statistics = |frozen: bool| {
        let net = Sequential::new((BatchNorm1d::new(2), BatchNorm1d::new(2)));
        let mut training = Training::new("net", net)
            .max_batch(4)
            .input("x", DType::F32, [BATCH, Dim::fixed(2)])
            .loss(|model, batch| model.forward(batch["x"]).square().mean_all())
            .optimizer(Sgd::new(0.1));
        if frozen {
            training = training.eval_module(|model| &model.children.0);
        }
        let mut trainer = Compiler::new().jit(&training).expect("it compiles");
        trainer.train_step(&[(&[1.0_f32, 2.0, 5.0, -3.0]).into()]).expect("it runs");
        let mean = |name: &str| trainer.session().slot_as::<f32>(name).unwrap()[0];
        [mean("0.running_mean"), mean("1.running_mean")]
    };
    assert_eq!(statistics(false)[0], 0.1 * 3.0);
    let frozen = statistics(true);
    assert!(frozen[0] == 0.0 && frozen[1] != 0.0, "{frozen:?}");
}
