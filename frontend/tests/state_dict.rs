//! The walks over a module tree, against what PyTorch lists for the same model.

use std::marker::PhantomData;
use std::rc::Rc;

use kiln_frontend::{
    Buffer, DType, Initializer, Layers, Member, Module, Named, Parameter, Sequential, State, Visitor, duplicate_names,
    named_buffers, named_modules, named_parameters, state_dict,
};

struct Conv {
    weight: Parameter,
    bias: Option<Parameter>,
}

/// Its members stand in another order than PyTorch lists them.
struct Norm {
    count: Buffer,
    mean: Buffer,
    weight: Parameter,
}

struct Block {
    conv1: Conv,
    bn1: Norm,
    downsample: Option<(Conv, Norm)>,
}

struct Net {
    conv1: Conv,
    layer1: Vec<Block>,
    scale: Parameter,
    kernel: (usize, usize),
    widths: Vec<usize>,
    marker: PhantomData<String>,
}

struct Relu;

impl Module for Relu {
    fn visit(&self, _: &mut dyn Visitor) {}
}

macro_rules! module {
    ($type:ident { $($field:ident),* }) => {
        impl Module for $type {
            fn visit(&self, visitor: &mut dyn Visitor) {
                $(self.$field.visit_as(stringify!($field), visitor);)*
            }
        }
    };
}

module!(Conv { weight, bias });
module!(Norm { count, mean, weight });
module!(Block { conv1, bn1, downsample });
module!(Net { conv1, layer1, scale, kernel, widths, marker });

fn parameter() -> Parameter {
    Parameter::new([3], Initializer::Constant(1.0))
}

fn conv(has_bias: bool) -> Conv {
    Conv { weight: parameter(), bias: has_bias.then(parameter) }
}

fn norm() -> Norm {
    Norm { count: Buffer::with_dtype([], DType::I64, 0.0), mean: Buffer::new([3], 0.0), weight: parameter() }
}

fn block(has_downsample: bool) -> Block {
    Block { conv1: conv(false), bn1: norm(), downsample: has_downsample.then(|| (conv(false), norm())) }
}

fn net() -> Net {
    Net {
        conv1: conv(true),
        layer1: vec![block(false), block(true)],
        scale: parameter(),
        kernel: (3, 3),
        widths: vec![64, 128],
        marker: PhantomData,
    }
}

fn names(module: &dyn Module) -> Vec<String> {
    state_dict(module).into_iter().map(|entry| entry.name).collect()
}

#[test]
fn parameters_come_first_then_buffers_then_children() {
    assert_eq!(
        names(&net()),
        [
            "scale",
            "conv1.weight",
            "conv1.bias",
            "layer1.0.conv1.weight",
            "layer1.0.bn1.weight",
            "layer1.0.bn1.count",
            "layer1.0.bn1.mean",
            "layer1.1.conv1.weight",
            "layer1.1.bn1.weight",
            "layer1.1.bn1.count",
            "layer1.1.bn1.mean",
            "layer1.1.downsample.0.weight",
            "layer1.1.downsample.1.weight",
            "layer1.1.downsample.1.count",
            "layer1.1.downsample.1.mean",
        ]
    );
}

#[test]
fn modules_are_listed_parents_first_and_configuration_is_not() {
    let listed: Vec<(String, &str)> =
        named_modules(&net()).into_iter().map(|module| (module.name, module.type_name)).collect();
    let expected = [
        ("", "Net"),
        ("conv1", "Conv"),
        ("layer1", "ModuleList"),
        ("layer1.0", "Block"),
        ("layer1.0.conv1", "Conv"),
        ("layer1.0.bn1", "Norm"),
        ("layer1.1", "Block"),
        ("layer1.1.conv1", "Conv"),
        ("layer1.1.bn1", "Norm"),
        ("layer1.1.downsample", "ModuleList"),
        ("layer1.1.downsample.0", "Conv"),
        ("layer1.1.downsample.1", "Norm"),
    ];
    assert_eq!(listed, expected.map(|(name, type_name)| (name.to_owned(), type_name)));
}

#[test]
fn a_shared_parameter_is_listed_once_but_saved_under_both_names() {
    let encoder = conv(true);
    let decoder = Conv { weight: encoder.weight.clone(), bias: None };
    let tied = (encoder, decoder);
    assert_eq!(names(&tied), ["0.weight", "0.bias", "1.weight"]);
    let listed: Vec<String> = named_parameters(&tied).into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, ["0.weight", "0.bias"]);
}

#[test]
fn a_shared_module_is_one_module() {
    let shared = Rc::new(norm());
    let model = (Rc::clone(&shared), shared, Relu, Relu);
    assert_eq!(state_dict(&model).len(), 6);
    assert_eq!(named_parameters(&model).len(), 1);
    assert_eq!(named_buffers(&model).len(), 2);
    let modules: Vec<String> = named_modules(&model).into_iter().map(|module| module.name).collect();
    assert_eq!(modules, ["", "0", "2", "3"]);
}

#[test]
fn a_module_is_told_from_its_first_field() {
    let model = block(false);
    assert_ne!(model.module_id(), model.conv1.module_id());
    let boxed = Rc::new(block(false));
    assert_eq!(boxed.module_id(), (*boxed).module_id());
}

#[test]
fn a_buffer_that_is_not_persistent_is_a_buffer_but_not_saved() {
    let model = (Buffer::new([2], 0.0).persistent(false), Buffer::new([2], 0.0));
    assert_eq!(names(&model), ["1"]);
    assert_eq!(named_buffers(&model).len(), 2);
    assert!(matches!(state_dict(&model)[0].state, State::Buffer(_)));
}

#[test]
fn children_of_a_sequential_are_numbered_or_named() {
    let tuple = Sequential::new((conv(true), Relu, Named::new("head", conv(false))));
    assert_eq!(names(&tuple), ["0.weight", "0.bias", "head.weight"]);
    let nested = Sequential::new((Sequential::new((conv(false),)), Sequential::new([conv(false), conv(false)])));
    assert_eq!(names(&nested), ["0.0.weight", "1.0.weight", "1.1.weight"]);
    assert_eq!(names(&Layers::empty()), Vec::<String>::new());
}

#[test]
fn names_that_meet_are_found() {
    let model = Sequential::new((conv(false), Named::new("0", conv(true))));
    assert_eq!(duplicate_names(&model), ["0.weight"]);
    assert_eq!(duplicate_names(&net()), Vec::<String>::new());
}
