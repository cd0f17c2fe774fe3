//! Every mistake that a trace reports, as a user would make it and as they would read it.
//!
//! A snapshot holds the diagnostics of some trainings as they are printed, each with the line that it blames and a caret at the column.
//! Line numbers are left out: they change whenever this file does, the blamed line does not.

use std::cell::Cell;
use std::collections::BTreeSet;

use kiln_frontend::optim::Adam;
use kiln_frontend::prelude::*;
use kiln_frontend::{Code, Diagnostic, Indexing, PadMode, Visitor, arange, meshgrid};
use kiln_macros::model;

extern crate kiln_frontend as kiln;

/// What a user did, and what they were told.
type Case = (&'static str, Result<Traced, Vec<Diagnostic>>);

/// A group of cases: one snapshot.
type Group = (&'static str, fn() -> Vec<Case>);

const GROUPS: &[Group] = &[
    ("shapes", shapes),
    ("ranks", ranks),
    ("dtypes", dtypes),
    ("axes", axes),
    ("arguments", arguments),
    ("names", names),
    ("batch", batch),
    ("declaration", declaration),
    ("together", together),
];

#[test]
fn mistakes_read_as_they_should() {
    for (group, cases) in GROUPS {
        insta::assert_snapshot!(*group, cases().into_iter().map(render).collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn every_tracing_code_has_a_case() {
    let mut shown = BTreeSet::new();
    for (_, cases) in GROUPS {
        for (_, result) in cases() {
            shown.extend(result.err().into_iter().flatten().map(|diagnostic| diagnostic.code));
        }
    }
    let tracing = Code::ALL.iter().copied().filter(|code| code.text().starts_with("K01"));
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), tracing.collect::<Vec<_>>());
}

/// A closure between the user and an op would make the op blame the library.
#[test]
fn every_value_has_a_line_of_the_users() {
    let training =
        with(Images { conv1: Conv2d::new(1, 6, 3), conv2: Conv2d::new(6, 16, 3).groups(2) }, |net, batch| {
            let x = net.forward(batch["image"]); // [batch, 16, 4, 4]
            let x = Sequential::new((BatchNorm2d::new(16), MaxPool2d::new(2), AvgPool2d::new(2), Gelu::default()))
                .children
                .1
                .forward(x);
            let x = x.avg_pool2d(2).gelu().flatten(1, -1).softmax(1).log_softmax(-1);
            let product = batch["square"].matmul(batch["square"].transpose(0, 1)).var(&[0], 1.0, true);
            let chosen = batch["x"].where_self(batch["mask"], 0.0).maximum(product).pad(&[1, 1], 0.0);
            let joined = cat(&[stack(&[chosen, chosen * 2.0], 1).mean(&[1], false), x.unsqueeze(1).squeeze(1)], 1);
            1.0 - cross_entropy(joined, batch["labels"]) + mse_loss(batch["x"], batch["sample"].expand([1, 4]))
        });
    let graph = training.trace().expect("it is sound").predict.expect("it predicts");
    for value in graph.order() {
        let node = graph.node(value);
        assert!(node.place.file.ends_with("diagnostics.rs"), "`{}` has the place {}", node.name, node.place);
    }
}

#[test]
fn a_mistake_does_not_outlive_its_trace() {
    assert!(ops(|batch| batch["x"].reshape([3])).trace().is_err());
    assert!(ops(|batch| batch["x"].reshape([-1, 2])).trace().is_ok());
}

/// A small perceptron with layers inside layers.
#[model]
struct Net {
    encoder: Vec<Linear>,
    head: Linear,
}

#[model]
impl Net {
    fn new(widths: [usize; 3], head: usize) -> Net {
        Net {
            encoder: widths.windows(2).map(|pair| Linear::new(pair[0], pair[1])).collect(),
            head: Linear::new(head, 3),
        }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        self.head(self.encode(x))
    }

    fn encode(&self, mut x: Tensor) -> Tensor {
        for layer in &self.encoder {
            x = layer.forward(x).relu();
        }
        x
    }
}

/// Convolutions on images of one channel.
#[model]
struct Images {
    conv1: Conv2d,
    conv2: Conv2d,
}

#[model]
impl Images {
    fn forward(&self, x: Tensor) -> Tensor {
        let h = self.conv1(x).relu();
        self.conv2(h)
    }
}

/// A model with one weight that stands in no field.
#[model]
struct Forgetful {
    #[model(skip)]
    scale: Parameter,
}

#[model]
impl Forgetful {
    fn forward(&self, x: Tensor) -> Tensor {
        x * self.scale.tensor()
    }
}

/// A running total that does not keep its shape.
#[model]
struct Total {
    total: Buffer,
}

#[model]
impl Total {
    fn forward(&self, x: Tensor) -> Tensor {
        self.total.update(self.total.tensor() + x.sum(&[0], false));
        x
    }
}

/// A module written by hand that uses a name twice.
struct Twins(Parameter, Parameter);

impl Module for Twins {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.parameter("weight", &self.0);
        visitor.parameter("weight", &self.1);
    }
}

/// A prediction that is one formula over these inputs.
fn ops(formula: impl Fn(&kiln::Inputs) -> Tensor + 'static) -> Training<Relu> {
    with(Relu, move |_, batch| formula(batch))
}

fn with<M: Module>(model: M, predict: impl Fn(&M, &kiln::Inputs) -> Tensor + 'static) -> Training<M> {
    inputs(Training::new("net", model)).predict(predict)
}

fn inputs<M: Module>(training: Training<M>) -> Training<M> {
    training
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(4)])
        .input("image", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(8), Dim::fixed(8)])
        .input("labels", DType::I64, [BATCH])
        .input("mask", DType::Bool, [BATCH, Dim::fixed(4)])
        .input("sample", DType::F32, [4])
        .input("square", DType::F32, [4, 4])
}

fn shapes() -> Vec<Case> {
    let logits = |batch: &kiln::Inputs| batch["x"];
    vec![
        ("a head of another width", with(Net::new([4, 16, 32], 64), |net, batch| net.forward(batch["x"])).trace()),
        ("an image that is not flattened", with(Linear::new(64, 3), |fc, batch| fc.forward(batch["image"])).trace()),
        (
            "channels that do not follow on",
            with(Images { conv1: Conv2d::new(1, 6, 3), conv2: Conv2d::new(8, 16, 3) }, |net, batch| {
                net.forward(batch["image"])
            })
            .trace(),
        ),
        ("a kernel larger than the image", ops(|batch| batch["image"].max_pool2d(MaxPool2d::new(9).stride(1))).trace()),
        ("batch norm of other channels", with(BatchNorm2d::new(3), |norm, batch| norm.forward(batch["image"])).trace()),
        ("operands that do not broadcast", ops(|batch| batch["x"] + batch["square"].narrow(0, 0, 3)).trace()),
        ("operands of other ranks", ops(|batch| batch["x"].maximum(batch["image"])).trace()),
        (
            "a product with other inner extents",
            ops(|batch| batch["square"].matmul(batch["square"].narrow(0, 1, 2))).trace(),
        ),
        ("a reshape that loses elements", ops(|batch| batch["square"].reshape([3, 5])).trace()),
        ("a -1 that does not divide", ops(|batch| batch["square"].reshape([-1, 5])).trace()),
        ("an expand of an axis that is not 1", ops(|batch| batch["square"].expand([4, 8])).trace()),
        (
            "a cat of other widths",
            ops(|batch| cat(&[batch["square"], batch["sample"].unsqueeze(0).narrow(1, 0, 2)], 0)).trace(),
        ),
        ("a stack of other shapes", ops(|batch| stack(&[batch["square"], batch["sample"]], 0)).trace()),
        ("parts that are not the whole", ops(|batch| batch["square"].split_with_sizes(&[1, 2], 1)[0]).trace()),
        ("a maximum of nothing", ops(|batch| batch["x"].narrow(1, 0, 0).amax(&[1], false)).trace()),
        ("more than a memory holds", ops(|batch| batch["sample"].expand([1_i64 << 40, 1 << 40, 4])).trace()),
        (
            "labels for another batch",
            ops(move |batch| cross_entropy(logits(batch), batch["labels"].unsqueeze(1))).trace(),
        ),
        (
            "a buffer that would change its shape",
            with(Total { total: Buffer::new([], 0.0) }, |net, batch| net.forward(batch["x"])).trace(),
        ),
    ]
}

fn ranks() -> Vec<Case> {
    vec![
        ("a sample without a batch axis", with(Linear::new(4, 3), |fc, batch| fc.forward(batch["sample"])).trace()),
        (
            "an image without a channel axis",
            with(Conv2d::new(1, 6, 3), |conv, batch| conv.forward(batch["image"].reshape([-1, 8, 8]))).trace(),
        ),
        ("a pool of a matrix", ops(|batch| batch["square"].avg_pool2d(2)).trace()),
        ("a product with a number", ops(|batch| batch["square"].matmul(batch["sample"].sum_all())).trace()),
        ("a triangle of a vector", ops(|batch| batch["sample"].tril(0)).trace()),
        ("numbers joined without an axis", ops(|batch| cat(&[batch["x"].sum_all(), batch["x"].mean_all()], 0)).trace()),
        ("an image transposed as a matrix", ops(|batch| batch["image"].t()).trace()),
        ("a vector reflected", ops(|batch| batch["sample"].pad_with(&[1, 1], PadMode::Reflect)).trace()),
        ("a permutation of other axes", ops(|batch| batch["image"].permute(&[0, 2, 1])).trace()),
    ]
}

fn dtypes() -> Vec<Case> {
    vec![
        ("truth values subtracted", ops(|batch| batch["mask"] - batch["mask"].logical_not()).trace()),
        (
            "labels into a linear layer",
            with(Linear::new(4, 3), |fc, batch| {
                fc.forward(batch["labels"].unsqueeze(1).expand([BATCH, Dim::fixed(4)]))
            })
            .trace(),
        ),
        (
            "labels that are numbers",
            ops(|batch| cross_entropy(batch["x"], batch["x"].narrow(1, 0, 1).squeeze(1))).trace(),
        ),
        ("truth values negated", ops(|batch| -batch["mask"]).trace()),
        ("a condition of numbers", ops(|batch| batch["x"].where_self(batch["x"], 0.0)).trace()),
        ("a softmax of labels", ops(|batch| batch["labels"].softmax(0)).trace()),
        ("the position of a truth value", ops(|batch| batch["mask"].argmax(1, false)).trace()),
        (
            "a grid of two dtypes",
            ops(|batch| meshgrid(&[batch["sample"], arange(0, 3, 1)], Indexing::Matrix)[0]).trace(),
        ),
        ("a mean of truth values", ops(|batch| batch["mask"].mean_all()).trace()),
    ]
}

fn axes() -> Vec<Case> {
    vec![
        ("an axis past the last", ops(|batch| batch["x"].softmax(2)).trace()),
        ("an axis before the first", ops(|batch| batch["x"].sum(&[-3], false)).trace()),
        ("a new axis too far out", ops(|batch| batch["x"].unsqueeze(3)).trace()),
        ("a cat along nothing", ops(|batch| cat(&[batch["sample"], batch["sample"]], 1)).trace()),
        ("the size of no axis", ops(|batch| batch["x"].reshape([batch["x"].size(0), batch["x"].size(2)])).trace()),
    ]
}

fn arguments() -> Vec<Case> {
    let grouped = Images { conv1: Conv2d::new(1, 6, 3), conv2: Conv2d::new(6, 16, 3).groups(4) };
    vec![
        ("two sizes left open", ops(|batch| batch["square"].reshape([-1, -1, 2])).trace()),
        ("a negative size", ops(|batch| batch["square"].reshape([-2, 8])).trace()),
        ("an axis summed twice", ops(|batch| batch["image"].sum(&[2, -2], false)).trace()),
        ("a flatten from back to front", ops(|batch| batch["image"].flatten(2, 1)).trace()),
        ("a slice past the end", ops(|batch| batch["square"].narrow(1, 3, 2)).trace()),
        ("a position past the end", ops(|batch| batch["square"].select(1, 4)).trace()),
        ("parts of nothing", ops(|batch| batch["square"].split(0, 1)[1]).trace()),
        ("one axis for a diagonal", ops(|batch| batch["square"].diagonal(0, [1, -1])).trace()),
        ("a roll of fewer axes", ops(|batch| batch["square"].roll(&[1, 2], &[0])).trace()),
        ("a move without a place", ops(|batch| batch["image"].movedim(&[1, 2], &[3])).trace()),
        ("a window wider than its axis", ops(|batch| batch["square"].unfold(1, 5, 1)).trace()),
        ("fewer counts than axes", ops(|batch| batch["square"].repeat(&[2])).trace()),
        ("widths that are no pairs", ops(|batch| batch["square"].pad(&[1], 0.0)).trace()),
        ("a reflection wider than its axis", ops(|batch| batch["square"].pad_with(&[4, 0], PadMode::Reflect)).trace()),
        ("a step that leads away", ops(|_| arange(0, 5, -1)).trace()),
        ("an extent for an axis that is new", ops(|batch| batch["sample"].expand([-1, 4])).trace()),
        ("a stride of nothing", ops(|batch| batch["image"].max_pool2d(MaxPool2d::new(2).stride(0))).trace()),
        ("padding wider than the window", ops(|batch| batch["image"].max_pool2d(MaxPool2d::new(2).padding(2))).trace()),
        ("groups that do not divide", with(grouped, |net, batch| net.forward(batch["image"])).trace()),
        ("a cat of nothing", ops(|_| cat(&[], 0)).trace()),
        (
            "an initializer that does not suit",
            with(Sequential::new((Parameter::new([2, 2], Initializer::Data(vec![1.0; 3])),)), |_, batch| batch["x"])
                .trace(),
        ),
    ]
}

fn names() -> Vec<Case> {
    thread_local!(static KEPT: Cell<Option<Tensor>> = const { Cell::new(None) });
    let keep = ops(|batch| {
        KEPT.set(Some(batch["x"]));
        batch["x"]
    });
    keep.trace().expect("keeping a tensor is no mistake yet");
    let weight = || Parameter::new([4], Initializer::Zeros);
    let named = Layers::empty().push_named("fc", Linear::new(4, 4)).push_named("fc", Linear::new(4, 3));
    vec![
        ("a tensor of another trace", ops(|batch| batch["x"] + KEPT.get().expect("kept above")).trace()),
        ("an input that is not declared", ops(|batch| batch["y"] * 2.0).trace()),
        ("a parameter in no field", with(Forgetful { scale: weight() }, |net, batch| net.forward(batch["x"])).trace()),
        (
            "one name for two parameters",
            with(Twins(weight(), weight()), |net, batch| batch["x"] * net.1.tensor()).trace(),
        ),
        ("one name for two layers", with(named, |net, batch| net.forward(batch["x"])).trace()),
        ("one name for two inputs", ops(|batch| batch["x"]).input("x", DType::F32, [2]).trace()),
    ]
}

fn batch() -> Vec<Case> {
    let declare =
        |shape: [Dim; 2]| Training::new("net", Relu).input("x", DType::F32, shape).predict(|_, batch| batch["x"]);
    vec![
        ("a batch axis that is not in front", declare([Dim::fixed(4), BATCH]).max_batch(8).trace()),
        ("a batch without a bound", declare([BATCH, Dim::fixed(4)]).trace()),
        ("a batch of nothing", declare([BATCH, Dim::fixed(4)]).max_batch(0).trace()),
        ("a transposition of the batch", ops(|batch| batch["x"].transpose(0, 1)).trace()),
        ("a reshape that moves the batch", ops(|batch| batch["x"].reshape([Dim::fixed(4), BATCH])).trace()),
        ("two batch axes", ops(|batch| batch["x"].reshape([BATCH, BATCH])).trace()),
        (
            "targets without their last axis",
            ops(|batch| mse_loss(batch["x"].narrow(1, 0, 1), batch["x"].sum(&[1], false))).trace(),
        ),
        ("part of a batch", ops(|batch| batch["x"].narrow(0, 0, 2)).trace()),
        ("a flipped batch", ops(|batch| batch["x"].flip(&[0])).trace()),
        ("a batch in parts", ops(|batch| batch["x"].chunk(2, 0)[1]).trace()),
        ("a repeated batch", ops(|batch| batch["x"].repeat(&[2, 1])).trace()),
        ("a cat of batches", ops(|batch| cat(&[batch["x"], batch["x"]], 0)).trace()),
    ]
}

fn declaration() -> Vec<Case> {
    let named = |name: &str| inputs(Training::new(name, Relu)).predict(|_, batch| batch["x"]);
    let fit = |loss: fn(&Linear, &kiln::Inputs) -> Tensor| inputs(Training::new("net", Linear::new(4, 3))).loss(loss);
    vec![
        ("a loss for each sample", fit(|fc, batch| fc.forward(batch["x"]).square().mean(&[1], false)).trace()),
        ("a loss that counts", fit(|fc, batch| fc.forward(batch["x"]).argmax(-1, false).sum_all()).trace()),
        ("a name with a hyphen", named("my-net").trace()),
        ("no name", named("").trace()),
        ("neither a loss nor a prediction", inputs(Training::new("net", Relu)).trace()),
        ("an optimizer without a loss", named("net").optimizer(Adam::new(0.1)).trace()),
    ]
}

/// Independent mistakes are all reported, once each although there are three entry points; what follows from one is silent.
fn together() -> Vec<Case> {
    let training = with(Net::new([5, 16, 32], 64), |net, batch| {
        let wrong = net.forward(batch["x"]);
        (wrong + batch["square"]).softmax(7).matmul(wrong)
    });
    let training = training.loss(|net, batch| {
        let early = batch["labels"].exp();
        let late = cross_entropy(net.encode(batch["image"].flatten(1, -1)), batch["label"]);
        early.sum_all() + late
    });
    vec![("mistakes in both entry points", training.trace())]
}

/// The diagnostics of a case, each with the line that it blames.
fn render((name, result): Case) -> String {
    let diagnostics = result.err().unwrap_or_else(|| panic!("`{name}` is accepted"));
    let source: Vec<&str> = include_str!("diagnostics.rs").lines().collect();
    let mut text = format!("── {name}\n");
    for diagnostic in diagnostics {
        let mut printed = diagnostic.to_string();
        let place = &diagnostic.place;
        if !place.is_none() {
            assert!(place.file.ends_with("frontend/tests/diagnostics.rs"), "`{name}` blames {place}, not its user");
            let line = source[place.line as usize - 1];
            let indent = line.len() - line.trim_start().len();
            let caret = " ".repeat(place.column as usize - 1 - indent);
            let (head, tail) =
                printed.split_once(&format!(":{}:{}", place.line, place.column)).expect("it has a place");
            let (module, help) = tail.split_once('\n').unwrap_or((tail, ""));
            printed = format!("{head}{module}\n   | {}\n   | {caret}^\n{help}", line.trim());
        }
        text += printed.trim_end();
        text.push('\n');
    }
    text
}
