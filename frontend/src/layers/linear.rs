//! `nn.Linear`.

use kiln_ir::{Code, Diagnostic, Init};

use super::optional;
use crate::module::python_bool;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// `y = x·wᵀ + b` over the last axis.
///
/// Parameters: `weight` `[out_features, in_features]` and `bias` `[out_features]`, both uniform on ±1/√in_features (Kaiming uniform
/// with a = √5, PyTorch's default).
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Parameter,
    /// `[out_features]`.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// A layer with a bias.
    #[track_caller]
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        let bound = 1.0 / (in_features.max(1) as f64).sqrt();
        let init = Init::Uniform { low: -bound, high: bound };
        Linear {
            weight: Parameter::new([out_features, in_features], init.clone()),
            bias: Some(Parameter::new([out_features], init)),
        }
    }

    /// With or without a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Linear {
        if !bias {
            self.bias = None;
        }
        self
    }
}

impl Module for Linear {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weight.visit_as("weight", visitor);
        self.bias.visit_as("bias", visitor);
    }

    fn extra_repr(&self) -> String {
        let [outs, ins] = [0, 1].map(|axis| self.weight.shape()[axis]);
        format!("in_features={ins}, out_features={outs}, bias={}", python_bool(self.bias.is_some()))
    }
}

impl Forward<Tensor> for Linear {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        if x.value().is_some() && x.rank() < 2 {
            let message = format!("linear needs an input with a batch axis, [batch, .., features]: found {}", x.ty());
            let diagnostic = Diagnostic::new(Code::RankMismatch, message);
            return Tensor::mistake(diagnostic.help("`unsqueeze(0)` makes a batch of one sample"));
        }
        x.linear(self.weight.tensor(), optional(self.bias.as_ref()))
    }
}
