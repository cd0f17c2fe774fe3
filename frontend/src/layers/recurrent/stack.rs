//! Layers of cells over sequences.

use kiln_ir::{Code, Diagnostic, Dim, Shape};

use super::rule::{LstmRule, Nonlinearity, RnnRule, Rule};
use super::weights::{Sizes, Weights};
use crate::creation::zeros;
use crate::module::python;
use crate::{Forward, Module, Scope, Tensor, Visitor, cat, stack};

/// A recurrent layer over sequences: `let (output, [h]) = gru(x)`, `let (output, [h, c]) = lstm(x)`.
///
/// Input: `[time, batch, features]`, or `[batch, time, features]` with [`batch_first`](Recurrent::batch_first), which a symbolic batch axis needs; time is a
/// constant. Output: the hidden states of the last layer, as the input with the hidden size as features (twice that in both directions: forward, then reverse).
/// Beside it the last states: for each of them a list `[batch, hidden]` of layers, each forward and then reverse. PyTorch's `h_n` is `stack(&h, 0)`; here the batch axis stays in front.
///
/// To begin with other states than zeros, give such lists beside the input: `lstm((x, [vec![h0], vec![c0]]))`.
///
/// Parameters, all uniform on ±1/√hidden_size, for each layer `k` and with `_reverse` for the other direction: `weight_ih_l{k}`
/// `[gates·hidden, features]`, `weight_hh_l{k}` `[gates·hidden, hidden]`, `bias_ih_l{k}`, `bias_hh_l{k}`, and `weight_hr_l{k}` of a projection.
///
/// Errors: K0101, K0102; K0109 for a symbolic batch axis without `batch_first`.
#[derive(Clone, Debug)]
pub struct Recurrent<R: Rule<N>, const N: usize> {
    /// Layer by layer, each forward and then reverse.
    weights: Vec<Weights>,
    sizes: Sizes,
    rule: R,
    layers: usize,
    bias: bool,
    bidirectional: bool,
    batch_first: bool,
    dropout: f64,
}

impl<R: Rule<N>, const N: usize> Recurrent<R, N> {
    /// One layer in one direction, with biases.
    #[track_caller]
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        let sizes = Sizes { input: input_size, hidden: hidden_size, projection: None };
        let layer = Recurrent {
            weights: Vec::new(),
            sizes,
            rule: R::default(),
            layers: 1,
            bias: true,
            bidirectional: false,
            batch_first: false,
            dropout: 0.0,
        };
        layer.with_weights()
    }

    /// So many layers, each over the outputs of the one before.
    #[must_use]
    #[track_caller]
    pub fn num_layers(self, layers: usize) -> Self {
        Recurrent { layers, ..self }.with_weights()
    }

    /// Each layer in both directions.
    #[must_use]
    #[track_caller]
    pub fn bidirectional(self, bidirectional: bool) -> Self {
        Recurrent { bidirectional, ..self }.with_weights()
    }

    /// With or without biases.
    #[must_use]
    #[track_caller]
    pub fn bias(self, bias: bool) -> Self {
        Recurrent { bias, ..self }.with_weights()
    }

    /// Whether input and output have the batch in front of time.
    #[must_use]
    pub fn batch_first(self, batch_first: bool) -> Self {
        Recurrent { batch_first, ..self }
    }

    /// In training, zeroes so many of the outputs of each layer but the last: [`Tensor::dropout`].
    #[must_use]
    pub fn dropout(self, p: f64) -> Self {
        Recurrent { dropout: p, ..self }
    }

    fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    #[track_caller]
    fn with_weights(mut self) -> Self {
        self.weights.clear();
        for layer in 0..self.layers {
            let input = if layer == 0 { self.sizes.input } else { self.sizes.output() * self.directions() };
            for _ in 0..self.directions() {
                self.weights.push(Weights::new(R::GATES, Sizes { input, ..self.sizes }, self.bias));
            }
        }
        self
    }

    /// The hidden states of one layer in one direction over `x`, `[batch, time, features]`, each `[batch, hidden]`, and the last states.
    #[track_caller]
    fn run(&self, weights: &Weights, x: Tensor, mut states: [Tensor; N], reverse: bool) -> (Vec<Tensor>, [Tensor; N]) {
        let inputs = weights.of_input(x); // [batch, time, gates·hidden]
        let time = x.shape().0[1].factor;
        let mut outputs = vec![x; time];
        for step in 0..time {
            let at = if reverse { time - 1 - step } else { step };
            let input = inputs.narrow(1, at as i64, 1).squeeze(1);
            states = self.rule.step(input, weights.of_hidden(states[0]), states);
            states[0] = weights.projected(states[0]);
            outputs[at] = states[0];
        }
        (outputs, states)
    }

    /// What is wrong with the input or the states.
    fn fault(&self, x: Tensor, states: Option<&[Vec<Tensor>; N]>) -> Option<Diagnostic> {
        let (name, shape, features) = (R::NAME, x.shape(), self.sizes.input);
        let axes = if self.batch_first { "[batch, time, features]" } else { "[time, batch, features]" };
        if x.rank() != 3 {
            let diagnostic =
                Diagnostic::new(Code::RankMismatch, format!("{name} needs an input {axes}: found {shape}"));
            return Some(diagnostic.help("`unsqueeze` makes a batch of one sample"));
        }
        if shape.0[2] != Dim::fixed(features) {
            let message = format!("{name} needs {features} features: input {shape} has {}", shape.0[2]);
            return Some(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let (batch, time) = if self.batch_first { (0, 1) } else { (1, 0) };
        if shape.0[time].batch {
            let message = format!("{name} needs a constant time, {axes}: found {shape}");
            return Some(
                Diagnostic::new(Code::BatchAxis, message).help("put the batch in front: `.batch_first(true)`"),
            );
        }
        if shape.0[time].factor == 0 {
            return Some(Diagnostic::new(Code::ShapeMismatch, format!("{name} needs a step of time: found {shape}")));
        }
        for (at, list) in states.into_iter().flatten().enumerate() {
            let wanted = Shape(vec![shape.0[batch], Dim::fixed(self.sizes.state(at))]);
            let count = self.weights.len();
            let other = list.iter().find(|state| state.value().is_some() && state.shape() != wanted);
            if list.len() != count || other.is_some() {
                let found = other.map_or(format!("{} of them", list.len()), |state| state.shape().to_string());
                let message =
                    format!("{name} needs {count} initial states {wanted}, one a layer and direction: found {found}");
                return Some(Diagnostic::new(Code::ShapeMismatch, message));
            }
        }
        None
    }

    #[track_caller]
    fn sequence(&self, x: Tensor, states: Option<[Vec<Tensor>; N]>) -> (Tensor, [Vec<Tensor>; N]) {
        let lists = std::array::from_fn(|_| Vec::with_capacity(self.weights.len()));
        if x.value().is_none() {
            return (x, lists);
        }
        if let Some(diagnostic) = self.fault(x, states.as_ref()) {
            return (Tensor::mistake(diagnostic), std::array::from_fn(|_| vec![Tensor::poison(); self.weights.len()]));
        }
        let mut last = lists;
        let mut sequence = if self.batch_first { x } else { x.transpose(0, 1) };
        let batch = sequence.shape().0[0];
        for layer in 0..self.layers {
            let mut steps = Vec::with_capacity(self.directions());
            for direction in 0..self.directions() {
                let at = layer * self.directions() + direction;
                let mut first = [x; N];
                for (which, state) in first.iter_mut().enumerate() {
                    *state = match &states {
                        Some(given) => given[which][at],
                        None => zeros([batch, Dim::fixed(self.sizes.state(which))], x.dtype()),
                    };
                }
                let (outputs, end) = self.run(&self.weights[at], sequence, first, direction == 1);
                steps.push(stack(&outputs, 1));
                for (list, state) in last.iter_mut().zip(end) {
                    list.push(state);
                }
            }
            sequence = if steps.len() == 1 { steps[0] } else { cat(&steps, -1) };
            if self.dropout != 0.0 && layer + 1 < self.layers {
                sequence = sequence.dropout(self.dropout, Scope::is_training());
            }
        }
        (if self.batch_first { sequence } else { sequence.transpose(0, 1) }, last)
    }
}

impl Recurrent<RnnRule, 1> {
    /// With another function than `tanh`.
    #[must_use]
    pub fn nonlinearity(mut self, nonlinearity: Nonlinearity) -> Self {
        self.rule.nonlinearity = nonlinearity;
        self
    }
}

impl Recurrent<LstmRule, 2> {
    /// The hidden state is projected to so many units after each step (Sak et al., 2014).
    #[must_use]
    #[track_caller]
    pub fn proj_size(mut self, size: usize) -> Self {
        self.sizes.projection = (size > 0).then_some(size);
        self.with_weights()
    }
}

impl<R: Rule<N>, const N: usize> Module for Recurrent<R, N> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        for (at, weights) in self.weights.iter().enumerate() {
            let (layer, direction) = (at / self.directions(), at % self.directions());
            let suffix = if direction == 1 { "_reverse" } else { "" };
            weights.visit(&format!("_l{layer}{suffix}"), visitor);
        }
    }

    fn type_name(&self) -> &'static str {
        R::LAYER
    }

    fn extra_repr(&self) -> String {
        let options = [
            (self.sizes.projection.is_some(), format!("proj_size={}", self.sizes.projection.unwrap_or(0))),
            (self.layers != 1, format!("num_layers={}", self.layers)),
            (!self.bias, "bias=False".to_owned()),
            (self.batch_first, "batch_first=True".to_owned()),
            (self.dropout != 0.0, format!("dropout={}", python(self.dropout))),
            (self.bidirectional, "bidirectional=True".to_owned()),
        ];
        let shown = options.into_iter().filter(|(differs, _)| *differs).map(|(_, text)| format!(", {text}"));
        format!("{}, {}{}", self.sizes.input, self.sizes.hidden, shown.collect::<String>())
    }
}

impl<R: Rule<N>, const N: usize> Forward<Tensor> for Recurrent<R, N> {
    type Output = (Tensor, [Vec<Tensor>; N]);

    #[track_caller]
    fn forward(&self, x: Tensor) -> Self::Output {
        let _scope = Scope::enter(self);
        self.sequence(x, None)
    }
}

impl<R: Rule<N>, const N: usize> Forward<(Tensor, [Vec<Tensor>; N])> for Recurrent<R, N> {
    type Output = (Tensor, [Vec<Tensor>; N]);

    #[track_caller]
    fn forward(&self, (x, states): (Tensor, [Vec<Tensor>; N])) -> Self::Output {
        let _scope = Scope::enter(self);
        self.sequence(x, Some(states))
    }
}
