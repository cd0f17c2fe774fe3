//! The model zoo: parameter counts and names as torchvision's, and models that are changed after they were made.

use kiln::prelude::*;
use kiln::zoo::*;
use kiln::{NoLayer, named_modules, named_parameters, parameter_count, set_requires_grad, state_dict};

fn resnet(depth: ResNetDepth) -> ResNet {
    ResNet::new(ResNetConfig::new(depth))
}

#[test]
fn n_60_parameter_counts_are_torchvisions() {
    let vgg = |depth, batch_norm| parameter_count(&Vgg::new(depth, batch_norm, 1000));
    let counts = [
        ("alexnet", parameter_count(&AlexNet::new(1000)), 61_100_840),
        ("vgg11", vgg(VggDepth::Vgg11, false), 132_863_336),
        ("vgg13", vgg(VggDepth::Vgg13, false), 133_047_848),
        ("vgg16", vgg(VggDepth::Vgg16, false), 138_357_544),
        ("vgg19", vgg(VggDepth::Vgg19, false), 143_667_240),
        ("vgg11_bn", vgg(VggDepth::Vgg11, true), 132_868_840),
        ("vgg13_bn", vgg(VggDepth::Vgg13, true), 133_053_736),
        ("vgg16_bn", vgg(VggDepth::Vgg16, true), 138_365_992),
        ("vgg19_bn", vgg(VggDepth::Vgg19, true), 143_678_248),
        ("resnet18", parameter_count(&resnet(ResNetDepth::ResNet18)), 11_689_512),
        ("resnet34", parameter_count(&resnet(ResNetDepth::ResNet34)), 21_797_672),
        ("resnet50", parameter_count(&resnet(ResNetDepth::ResNet50)), 25_557_032),
        ("resnet101", parameter_count(&resnet(ResNetDepth::ResNet101)), 44_549_160),
        ("resnet152", parameter_count(&resnet(ResNetDepth::ResNet152)), 60_192_808),
        ("mobilenet_v2", parameter_count(&MobileNetV2::new(1.0, 1000)), 3_504_872),
        ("mobilenet_v2 at width 0.5", parameter_count(&MobileNetV2::new(0.5, 1000)), 1_968_680),
        ("lenet5", parameter_count(&LeNet5::new(10)), 44_426),
    ];
    for (name, found, expected) in counts {
        assert_eq!(found, expected, "{name}");
    }
}

/// `tests/fixtures/state_dict_keys.txt` is what PyTorch prints; `tests/python/zoo.py keys` makes it.
#[test]
fn n_58_state_dicts_have_torchvisions_names_and_order() {
    let models: Vec<(&str, Box<dyn Module>)> = vec![
        ("resnet18", Box::new(resnet(ResNetDepth::ResNet18))),
        ("resnet50", Box::new(resnet(ResNetDepth::ResNet50))),
        ("vgg16", Box::new(Vgg::new(VggDepth::Vgg16, false, 1000))),
        ("vgg11_bn", Box::new(Vgg::new(VggDepth::Vgg11, true, 1000))),
        ("alexnet", Box::new(AlexNet::new(1000))),
        ("mobilenet_v2", Box::new(MobileNetV2::new(1.0, 1000))),
    ];
    let keys = include_str!("../fixtures/state_dict_keys.txt");
    for (name, model) in models {
        let expected: Vec<&str> = keys
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(|line| line.split(' ').next().unwrap_or(line))
            .collect();
        assert!(!expected.is_empty(), "{name} is in the fixture");
        let found: Vec<String> = state_dict(&*model).into_iter().map(|entry| entry.name).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn n_57_the_first_of_62_parameters() {
    let parameters = named_parameters(&resnet(ResNetDepth::ResNet18));
    assert_eq!(parameters.len(), 62);
    assert_eq!((parameters[0].0.as_str(), parameters[0].1.shape()), ("conv1.weight", &[64, 3, 7, 7][..]));
    let deep = ResNetConfig { deep_stem: true, ..ResNetConfig::new(ResNetDepth::ResNet50) };
    let names: Vec<String> = state_dict(&ResNet::new(deep)).into_iter().map(|entry| entry.name).take(13).collect();
    assert_eq!(names[..3], ["conv1.weight", "bn1.weight", "bn1.bias"]);
    assert_eq!((names[6].as_str(), names[12].as_str()), ("conv2.weight", "conv3.weight"));
}

/// The prediction of a model on images, traced.
fn traced<M: Module + Forward<Tensor, Output = Tensor> + 'static>(model: M, channels: usize, extent: usize) -> String {
    let image = [BATCH, Dim::fixed(channels), Dim::fixed(extent), Dim::fixed(extent)];
    let training = Training::new("model", model)
        .max_batch(2)
        .input("x", DType::F32, image)
        .predict(|model, batch| model.forward(batch["x"]));
    match training.trace() {
        Ok(traced) => {
            let graph = traced.predict.expect("there is a prediction");
            graph.ty(graph.outputs()[0].value).to_string()
        }
        Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn models_give_logits() {
    assert_eq!(traced(resnet(ResNetDepth::ResNet152), 3, 224), "f32[B,1000]");
    assert_eq!(traced(Vgg::new(VggDepth::Vgg19, true, 10), 3, 64), "f32[B,10]");
    assert_eq!(traced(AlexNet::new(7), 3, 224), "f32[B,7]");
    assert_eq!(traced(MobileNetV2::new(0.75, 5), 3, 96), "f32[B,5]");
    assert_eq!(traced(LeNet5::new(10), 1, 28), "f32[B,10]");
    let deep = ResNetConfig { deep_stem: true, ..ResNetConfig::new(ResNetDepth::ResNet50) };
    assert_eq!(traced(ResNet::new(deep), 3, 64), "f32[B,1000]");
    assert_eq!(
        traced(UNet::new(&UNetConfig { widths: vec![4, 8, 16], ..UNetConfig::default() }), 3, 21),
        "f32[B,1,21,21]"
    );
}

/// Multiplications with a weight for one image of 224x224: convolutions and the linear layer.
#[test]
fn n_59_the_work_of_resnet18() {
    let training = Training::new("model", resnet(ResNetDepth::ResNet18))
        .max_batch(1)
        .input("x", DType::F32, [BATCH, Dim::fixed(3), Dim::fixed(224), Dim::fixed(224)])
        .predict(|model, batch| model.forward(batch["x"]));
    let graph = training.trace().unwrap().predict.unwrap();
    let count = |dims: &[Dim]| dims.iter().map(|dim| dim.factor).product::<usize>();
    let multiplications = |value| {
        let weight =
            graph.operands(value).iter().map(|&operand| &graph.ty(operand).shape.0).find(|dims| !dims[0].batch);
        // Each element of the result is a sum over one row of the weight.
        weight.map_or(0, |dims| count(&graph.ty(value).shape.0) * count(&dims[1..]))
    };
    let is_product = |value: &kiln_ir::ValueId| ["conv", "einsum"].contains(&graph.node(*value).op.name());
    let products: Vec<_> = graph.order().into_iter().filter(is_product).collect();
    assert_eq!(products.len(), 21);
    assert_eq!(products.into_iter().map(multiplications).sum::<usize>(), 1_814_073_344);
}

/// N-43, P-03: nothing is padded, and the program ends in a ReLU.
#[test]
fn p_03_lenet() {
    let training = |relu: bool| {
        Training::new("lenet", LeNet5::new(10))
            .max_batch(8)
            .input("x", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(28), Dim::fixed(28)])
            .predict(move |model, batch| {
                let logits = model.forward(batch["x"]);
                if relu { logits.relu() } else { logits }
            })
    };
    let graph = training(false).trace().unwrap().predict.unwrap();
    let types: Vec<String> = graph.order().into_iter().map(|value| graph.ty(value).to_string()).collect();
    let steps = ["f32[B,6,24,24]", "f32[B,6,12,12]", "f32[B,16,8,8]", "f32[B,16,4,4]", "f32[B,256]", "f32[B,10]"];
    let first = steps.map(|step| types.iter().position(|ty| ty == step).unwrap_or_else(|| panic!("{step}: {types:?}")));
    assert!(first.is_sorted(), "{first:?}");

    let (images, _) = kiln_tests::support::images(8, 28, 1);
    let logits = |relu: bool| {
        let mut trainer = kiln::Compiler::new().jit(&training(relu)).unwrap();
        trainer.predict(&[(&images).into()]).unwrap().to_vec()
    };
    let (plain, with_relu) = (logits(false), logits(true));
    assert!(plain.iter().any(|&logit| logit < 0.0));
    assert_eq!(with_relu, plain.iter().map(|logit| logit.max(0.0)).collect::<Vec<_>>());
}

/// A new head, a new first layer: plain assignments.
#[test]
fn p_16_the_last_layer_is_replaced() {
    let mut vgg = Vgg::new(VggDepth::Vgg16, false, 1000);
    vgg.classifier.replace(6, Linear::new(4096, 10)).unwrap();
    assert_eq!(traced(vgg, 3, 32), "f32[B,10]");

    let mut wrong = Vgg::new(VggDepth::Vgg16, false, 1000);
    wrong.classifier.replace(6, Linear::new(1000, 10)).unwrap();
    let message = traced(wrong, 3, 32);
    assert!(message.contains("4096") && message.contains("1000"), "{message}");

    let mut missing = Vgg::new(VggDepth::Vgg16, false, 1000);
    let error: NoLayer = missing.classifier.replace(7, Relu).unwrap_err();
    assert_eq!(error.to_string(), "there is no layer `7`: the layers are 0, 1, 2, 3, 4, 5, 6");

    let mut gray = resnet(ResNetDepth::ResNet18);
    gray.conv1 = Conv2d::new(1, 64, 7).stride(2).padding(3).bias(false);
    gray.fc = Linear::new(512, 10);
    assert_eq!(traced(gray, 1, 64), "f32[B,10]");
}

/// The layers of a ResNet in another model, and its names.
#[model]
struct Backbone {
    layer0: Sequential<(Conv2d, BatchNorm2d, Relu, MaxPool2d)>,
    layer1: Sequential<Vec<Block>>,
    layer2: Sequential<Vec<Block>>,
}

#[model]
impl Backbone {
    fn forward(&self, x: Tensor) -> Tensor {
        self.layer2(self.layer1(self.layer0(x)))
    }
}

#[test]
fn p_09_a_backbone_takes_what_it_needs() {
    let ResNet { conv1, bn1, maxpool, layer1, layer2, .. } = resnet(ResNetDepth::ResNet18);
    let backbone = Backbone { layer0: Sequential::new((conv1, bn1, Relu, maxpool)), layer1, layer2 };
    let names: Vec<String> = named_parameters(&backbone).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..4], ["layer0.0.weight", "layer0.1.weight", "layer0.1.bias", "layer1.0.conv1.weight"]);
    assert_eq!(traced(backbone, 3, 64), "f32[B,128,8,8]");
}

/// PSPNet: the last stages keep the resolution and widen their view.
#[test]
fn p_10_strides_become_dilations() {
    let mut net = resnet(ResNetDepth::ResNet50);
    for (layer, dilation) in [(&mut net.layer3, 2), (&mut net.layer4, 4)] {
        for block in &mut layer.children {
            block.conv2.window.stride = [1, 1];
            block.conv2.window.dilation = [dilation; 2];
            block.conv2.window.padding = [dilation; 2].into();
            if let Some(downsample) = &mut block.downsample {
                downsample.children.0.window.stride = [1, 1];
            }
        }
    }
    let ResNet { conv1, bn1, maxpool, layer1, layer2, layer3, layer4, .. } = net;
    let all = Sequential::new((conv1, bn1, maxpool, layer1, layer2, layer3, layer4));
    assert_eq!(traced(all, 3, 64), "f32[B,2048,8,8]");
}

/// What the rewrite above makes is torchvision's `replace_stride_with_dilation`, but for the first block of each stage: that keeps the dilation before it.
#[test]
fn stages_dilate_instead_of_striding() {
    let config = ResNetConfig::new(ResNetDepth::ResNet50);
    let dilated = |replace| ResNet::new(ResNetConfig { replace_stride_with_dilation: replace, ..config });
    let net = dilated([false, true, true]);
    let step = |block: &Block| (block.conv2.window.stride[0], block.conv2.window.dilation[0]);
    let steps = |layer: &Sequential<Vec<Block>>| layer.children.iter().map(step).collect::<Vec<_>>();
    // torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True])
    assert_eq!(steps(&net.layer2), [(2, 1), (1, 1), (1, 1), (1, 1)]);
    assert_eq!(steps(&net.layer3), [(1, 1), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)]);
    assert_eq!(steps(&net.layer4), [(1, 2), (1, 4), (1, 4)]);
    assert_eq!(parameter_count(&net), 25_557_032);
    let ResNet { conv1, bn1, maxpool, layer1, layer2, layer3, layer4, .. } = net;
    let all = Sequential::new((conv1, bn1, maxpool, layer1, layer2, layer3, layer4));
    assert_eq!(traced(all, 3, 64), "f32[B,2048,8,8]");
    assert_eq!(traced(dilated([true; 3]), 3, 64), "f32[B,1000]");
}

/// Module paths tell the parts of a model, and freezing them leaves the rest.
#[test]
fn parts_are_frozen() {
    let net = resnet(ResNetDepth::ResNet18);
    set_requires_grad(&net, false);
    set_requires_grad(&net.fc, true);
    let trained: Vec<String> =
        named_parameters(&net).into_iter().filter(|(_, p)| p.is_trainable()).map(|(name, _)| name).collect();
    assert_eq!(trained, ["fc.weight", "fc.bias"]);
    let paths: Vec<String> = named_modules(&net).into_iter().map(|entry| entry.name).collect();
    assert!(paths.contains(&"layer4.1.bn2".to_owned()));
}
