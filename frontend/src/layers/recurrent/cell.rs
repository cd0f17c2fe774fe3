//! One step as a layer.

use kiln_ir::{Code, Diagnostic, Dim};

use super::rule::{Nonlinearity, RnnRule, Rule};
use super::weights::{Sizes, Weights};
use crate::creation::zeros;
use crate::{Forward, Module, Scope, Tensor, Visitor};

/// One step of a recurrent layer, for loops of one's own: input `[batch, input_size]` and states, each `[batch, hidden_size]`; without
/// states they are zeros. Gives the new states: `let [h] = cell((x, [h]))`, `let [h, c] = cell((x, [h, c]))`.
///
/// Parameters, all uniform on ±1/√hidden_size: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`. Errors: K0101, K0102.
#[derive(Clone, Debug)]
pub struct RecurrentCell<R: Rule<N>, const N: usize> {
    weights: Weights,
    sizes: Sizes,
    rule: R,
}

impl<R: Rule<N>, const N: usize> RecurrentCell<R, N> {
    /// A cell with biases.
    #[track_caller]
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        let sizes = Sizes { input: input_size, hidden: hidden_size, projection: None };
        RecurrentCell { weights: Weights::new(R::GATES, sizes, true), sizes, rule: R::default() }
    }

    /// With or without biases.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        if !bias {
            self.weights.biases = None;
        }
        self
    }
}

impl RecurrentCell<RnnRule, 1> {
    /// With another function than `tanh`.
    #[must_use]
    pub fn nonlinearity(mut self, nonlinearity: Nonlinearity) -> Self {
        self.rule.nonlinearity = nonlinearity;
        self
    }
}

impl<R: Rule<N>, const N: usize> Module for RecurrentCell<R, N> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weights.visit("", visitor);
    }

    fn type_name(&self) -> &'static str {
        R::CELL
    }

    fn extra_repr(&self) -> String {
        let bias = if self.weights.biases.is_some() { "" } else { ", bias=False" };
        format!("{}, {}{bias}", self.sizes.input, self.sizes.hidden)
    }
}

impl<R: Rule<N>, const N: usize> Forward<Tensor> for RecurrentCell<R, N> {
    type Output = [Tensor; N];

    #[track_caller]
    fn forward(&self, x: Tensor) -> [Tensor; N] {
        let batch = x.shape().0.first().copied().unwrap_or(Dim::ONE);
        let nothing = zeros([batch, Dim::fixed(self.sizes.hidden)], x.dtype());
        self.forward((x, [nothing; N]))
    }
}

impl<R: Rule<N>, const N: usize> Forward<(Tensor, [Tensor; N])> for RecurrentCell<R, N> {
    type Output = [Tensor; N];

    #[track_caller]
    fn forward(&self, (x, states): (Tensor, [Tensor; N])) -> [Tensor; N] {
        let _scope = Scope::enter(self);
        for tensor in states.iter().filter(|state| state.value().is_some() && x.value().is_some()) {
            let wanted = [x.shape().0.first().copied().unwrap_or(Dim::ONE), Dim::fixed(self.sizes.hidden)];
            if tensor.shape().0 != wanted {
                let (name, found) = (R::NAME, tensor.shape());
                let message = format!(
                    "{name} needs states [batch, {}] for input {}: found {found}",
                    self.sizes.hidden,
                    x.shape()
                );
                return [Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message)); N];
            }
        }
        self.rule.step(self.weights.of_input(x), self.weights.of_hidden(states[0]), states)
    }
}
