//! Networks as the front end would trace them, small.

#![allow(dead_code)]

use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Graph, Place, Type, ValueId};

use crate::support::input;

/// A model in the making: its graph and its parameters.
pub struct Model {
    pub graph: Graph,
    pub parameters: Vec<ValueId>,
}

impl Model {
    pub fn new(name: &str, max_batch: usize) -> Model {
        let mut graph = Graph::new(name);
        graph.max_batch = Some(max_batch);
        Model { graph, parameters: Vec::new() }
    }

    pub fn data(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> ValueId {
        input(&mut self.graph, name, Role::Data, &Type::new(dtype, shape.to_vec()))
    }

    pub fn parameter(&mut self, name: &str, shape: &[usize]) -> ValueId {
        let dims: Vec<Dim> = shape.iter().map(|&dim| dim.into()).collect();
        let id = input(&mut self.graph, name, Role::Parameter, &Type::new(DType::F32, dims));
        self.parameters.push(id);
        id
    }

    pub fn at(&mut self, module: &str) -> Builder<'_> {
        let place = Place { file: "net.rs".to_owned(), line: 1, column: 1, module: module.to_owned(), ..Place::NONE };
        Builder::new(&mut self.graph, place)
    }

    pub fn linear(&mut self, name: &str, x: ValueId, output: usize) -> ValueId {
        let width = self.graph.ty(x).dim(1).factor;
        let weight = self.parameter(&format!("{name}.weight"), &[output, width]);
        let bias = self.parameter(&format!("{name}.bias"), &[output]);
        let mut b = self.at(name);
        let y = b.emit(Einsum::new("bi,oi->bo"), &[x, weight]);
        let shape = b.ty(y).shape;
        let bias = b.expand(bias, &shape);
        b.add(y, bias)
    }

    pub fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        output: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> ValueId {
        let channels = self.graph.ty(x).dim(1).factor;
        let weight = self.parameter(&format!("{name}.weight"), &[output, channels, kernel, kernel]);
        let bias = self.parameter(&format!("{name}.bias"), &[output]);
        let mut b = self.at(name);
        let conv = Conv { stride: vec![stride; 2], padding: vec![padding; 2], dilation: vec![1; 2], groups: 1 };
        let y = b.emit(conv, &[x, weight]);
        let shape = b.ty(y).shape;
        let bias = b.reshape(bias, &vec![Dim::ONE, output.into(), Dim::ONE, Dim::ONE].into());
        let bias = b.expand(bias, &shape);
        b.add(y, bias)
    }

    /// In training, with a running mean.
    pub fn batch_norm(&mut self, name: &str, h: ValueId) -> ValueId {
        let ty = self.graph.ty(h).clone();
        let channels = ty.dim(1).factor;
        let gamma = self.parameter(&format!("{name}.weight"), &[channels]);
        let beta = self.parameter(&format!("{name}.bias"), &[channels]);
        let running = format!("{name}.running_mean");
        let running = input(&mut self.graph, &running, Role::Buffer, &Type::new(DType::F32, [channels]));
        let mut b = self.at(name);
        let count = b.emit(Extent { extent: vec![ty.dim(0), ty.dim(2), ty.dim(3)], dtype: DType::F32 }, &[]);
        let channel = |b: &mut Builder<'_>, x: ValueId| {
            let kept = b.reshape(x, &vec![Dim::ONE, channels.into(), Dim::ONE, Dim::ONE].into());
            b.expand(kept, &ty.shape)
        };
        let counts = b.expand(count, &vec![Dim::fixed(channels)].into());
        let sum = b.sum(h, &[0, 2, 3], false);
        let mean = b.div(sum, counts);
        let spread = channel(&mut b, mean);
        let centered = b.sub(h, spread);
        let square = b.mul(centered, centered);
        let sum = b.sum(square, &[0, 2, 3], false);
        let variance = b.div(sum, counts);
        let epsilon = b.full_like(variance, 1e-5);
        let variance = b.add(variance, epsilon);
        let deviation = b.emit(Sqrt {}, &[variance]);
        let deviation = channel(&mut b, deviation);
        let normal = b.div(centered, deviation);
        let (gamma, beta) = (channel(&mut b, gamma), channel(&mut b, beta));
        let scaled = b.mul(normal, gamma);
        let result = b.add(scaled, beta);
        let (old, new) = (b.scale(running, 0.9), b.scale(mean, 0.1));
        let new = b.add(old, new);
        self.graph.add_update(running, new);
        result
    }

    pub fn relu(&mut self, x: ValueId) -> ValueId {
        self.at("").emit(Relu {}, &[x])
    }

    pub fn max_pool(&mut self, name: &str, x: ValueId, kernel: usize, stride: usize, padding: usize) -> ValueId {
        let pool = MaxPool {
            kernel: vec![kernel; 2],
            stride: vec![stride; 2],
            padding: vec![padding; 2],
            dilation: vec![1; 2],
            ceil: false,
        };
        self.at(name).emit(pool, &[x])
    }

    pub fn flatten(&mut self, x: ValueId) -> ValueId {
        let ty = self.graph.ty(x).clone();
        let rest: usize = ty.shape.0[1..].iter().map(|dim| dim.factor).product();
        self.at("").reshape(x, &vec![ty.dim(0), rest.into()].into())
    }

    /// Mean cross-entropy of `logits`.
    pub fn cross_entropy(&mut self, logits: ValueId, labels: ValueId) -> ValueId {
        let ty = self.graph.ty(logits).clone();
        let mut b = self.at("loss");
        let max = b.emit(Amax { axes: vec![1], keep: true }, &[logits]);
        let max = b.emit(Detach {}, &[max]);
        let max = b.expand(max, &ty.shape);
        let shifted = b.sub(logits, max);
        let exp = b.emit(Exp {}, &[shifted]);
        let sum = b.sum(exp, &[1], true);
        let log = b.emit(Log {}, &[sum]);
        let log = b.expand(log, &ty.shape);
        let log_probabilities = b.sub(shifted, log);
        let hot = b.emit(OneHot { classes: ty.dim(1).factor, checked: true }, &[labels]);
        let picked = b.masked(hot, log_probabilities);
        let picked = b.sum(picked, &[1], false);
        let losses = b.neg(picked);
        let total = b.sum(losses, &[0], false);
        let count = b.emit(Extent { extent: vec![ty.dim(0)], dtype: DType::F32 }, &[]);
        b.hint = "loss".to_owned();
        b.div(total, count)
    }

    /// SGD with momentum on the gradient of `loss`.
    pub fn sgd(mut self, loss: ValueId) -> Graph {
        let parameters = self.parameters.clone();
        let gradients = kiln_passes::autodiff::run(&mut self.graph, loss, &parameters).unwrap();
        let lr = input(&mut self.graph, "lr", Role::Scalar, &Type::scalar(DType::F32));
        for (parameter, gradient) in parameters.into_iter().zip(gradients) {
            let ty = self.graph.ty(parameter).clone();
            let name = format!("optimizer.{}.momentum", self.graph.name_of(parameter));
            let moment = input(&mut self.graph, &name, Role::State, &ty);
            let mut b = self.at("");
            let kept = b.scale(moment, 0.9);
            let new_moment = b.add(kept, gradient);
            let rate = b.expand(lr, &ty.shape);
            let step = b.mul(new_moment, rate);
            let new = b.sub(parameter, step);
            self.graph.add_update(moment, new_moment);
            self.graph.add_update(parameter, new);
        }
        self.graph.add_output("loss", loss);
        tidy(&mut self.graph);
        self.graph
    }
}

/// What canonicalize does that fusion relies on: no `detach`, no dead values.
pub fn tidy(graph: &mut Graph) {
    for value in graph.order() {
        if matches!(graph.node(value).op, Op::Detach(_)) {
            let operand = graph.operands(value)[0];
            graph.replace_all_uses(value, operand);
        }
    }
    graph.remove_dead();
}

pub fn mlp_step() -> Graph {
    let mut model = Model::new("mlp.train_step", 5);
    let x = model.data("x", DType::F32, &[Dim::BATCH, 7.into()]);
    let labels = model.data("labels", DType::I64, &[Dim::BATCH]);
    let h = model.linear("fc1", x, 6);
    let h = model.relu(h);
    let logits = model.linear("fc2", h, 3);
    let loss = model.cross_entropy(logits, labels);
    model.sgd(loss)
}

pub fn softmax_step() -> Graph {
    let mut model = Model::new("softmax", 6);
    let logits = model.parameter("logits", &[6, 4]);
    let labels = model.data("labels", DType::I64, &[6.into()]);
    let loss = model.cross_entropy(logits, labels);
    let gradients = kiln_passes::autodiff::run(&mut model.graph, loss, &[logits]).unwrap();
    model.graph.add_output("loss", loss);
    model.graph.add_output("gradient", gradients[0]);
    tidy(&mut model.graph);
    model.graph
}

/// LeNet-5 on 28x28 images, or its like on smaller ones.
pub fn lenet_step(max_batch: usize) -> Graph {
    lenet(max_batch, 16, [3, 4], 3, [12, 8], 4)
}

pub fn full_lenet_step(max_batch: usize) -> Graph {
    lenet(max_batch, 28, [6, 16], 5, [120, 84], 10)
}

fn lenet(
    max_batch: usize,
    size: usize,
    channels: [usize; 2],
    kernel: usize,
    hidden: [usize; 2],
    classes: usize,
) -> Graph {
    let mut model = Model::new("lenet.train_step", max_batch);
    let x = model.data("images", DType::F32, &[Dim::BATCH, 1.into(), size.into(), size.into()]);
    let labels = model.data("labels", DType::I64, &[Dim::BATCH]);
    let logits = lenet_logits(&mut model, x, channels, kernel, hidden, classes);
    let loss = model.cross_entropy(logits, labels);
    model.sgd(loss)
}

/// Batch normalisation in training, with running statistics, between two convolutions.
pub fn batch_norm_step() -> Graph {
    let mut model = Model::new("bn.train_step", 3);
    let x = model.data("x", DType::F32, &[Dim::BATCH, 2.into(), 5.into(), 5.into()]);
    let target = model.data("target", DType::F32, &[Dim::BATCH, 2.into(), 3.into(), 3.into()]);
    let h = model.conv("conv1", x, 3, 3, 1, 1);
    let h = model.batch_norm("bn", h);
    let h = model.relu(h);
    let h = model.conv("conv2", h, 2, 3, 2, 1);
    let mut b = model.at("loss");
    let difference = b.sub(h, target);
    let square = b.mul(difference, difference);
    b.hint = "loss".to_owned();
    let loss = b.sum(square, &[0, 1, 2, 3], false);
    model.sgd(loss)
}

/// The logits of [`lenet_step`]'s network.
pub fn lenet_predict(max_batch: usize) -> Graph {
    let mut model = Model::new("lenet.predict", max_batch);
    let x = model.data("images", DType::F32, &[Dim::BATCH, 1.into(), 16.into(), 16.into()]);
    let logits = lenet_logits(&mut model, x, [3, 4], 3, [12, 8], 4);
    model.graph.add_output("logits", logits);
    model.graph
}

fn lenet_logits(
    model: &mut Model,
    x: ValueId,
    channels: [usize; 2],
    kernel: usize,
    hidden: [usize; 2],
    classes: usize,
) -> ValueId {
    let h = model.conv("conv1", x, channels[0], kernel, 1, kernel / 2);
    let h = model.relu(h);
    let h = model.max_pool("pool", h, 2, 2, 0);
    let h = model.conv("conv2", h, channels[1], kernel, 1, 0);
    let h = model.relu(h);
    let h = model.max_pool("pool", h, 2, 2, 0);
    let h = model.flatten(h);
    let h = model.linear("fc1", h, hidden[0]);
    let h = model.relu(h);
    let h = model.linear("fc2", h, hidden[1]);
    let h = model.relu(h);
    model.linear("fc3", h, classes)
}

/// Layer normalisation between two linear layers.
pub fn layer_norm_step() -> Graph {
    let mut model = Model::new("ln.train_step", 4);
    let x = model.data("x", DType::F32, &[Dim::BATCH, 5.into()]);
    let h = model.linear("fc1", x, 32);
    let gamma = model.parameter("ln.weight", &[32]);
    let beta = model.parameter("ln.bias", &[32]);
    let ty = model.graph.ty(h).clone();
    let mut b = model.at("ln");
    let sum = b.sum(h, &[1], true);
    let mean = b.scale(sum, 1.0 / 32.0);
    let mean = b.expand(mean, &ty.shape);
    let centered = b.sub(h, mean);
    let square = b.mul(centered, centered);
    let sum = b.sum(square, &[1], true);
    let variance = b.scale(sum, 1.0 / 32.0);
    let epsilon = b.full_like(variance, 1e-5);
    let variance = b.add(variance, epsilon);
    let deviation = b.emit(Sqrt {}, &[variance]);
    let deviation = b.expand(deviation, &ty.shape);
    let normal = b.div(centered, deviation);
    let (gamma, beta) = (b.expand(gamma, &ty.shape), b.expand(beta, &ty.shape));
    let scaled = b.mul(normal, gamma);
    let h = b.add(scaled, beta);
    let h = model.linear("fc2", h, 3);
    let labels = model.data("labels", DType::I64, &[Dim::BATCH]);
    let loss = model.cross_entropy(h, labels);
    model.sgd(loss)
}

/// Residual blocks, as many as asked for.
pub fn deep_step(blocks: usize) -> Graph {
    let mut model = Model::new("deep.train_step", 32);
    let x = model.data("x", DType::F32, &[Dim::BATCH, 16.into(), 16.into(), 16.into()]);
    let labels = model.data("labels", DType::I64, &[Dim::BATCH]);
    let mut h = x;
    for block in 0..blocks {
        let y = model.conv(&format!("block{block}.conv"), h, 16, 3, 1, 1);
        let y = model.batch_norm(&format!("block{block}.bn"), y);
        let y = model.relu(y);
        h = model.at("").add(h, y);
    }
    let h = model.flatten(h);
    let logits = model.linear("fc", h, 10);
    let loss = model.cross_entropy(logits, labels);
    model.sgd(loss)
}
