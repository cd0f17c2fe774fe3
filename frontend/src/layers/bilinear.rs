//! `nn.Bilinear`.

use kiln_ir::Init;

use super::optional;
use crate::module::python_bool;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// `y = x₁ᵀ·W·x₂ + b` for each output feature.
///
/// Parameters: `weight` `[out_features, in1_features, in2_features]` and `bias` `[out_features]`, both uniform on ±1/√in1_features.
#[derive(Debug, Clone)]
pub struct Bilinear {
    /// `[out_features, in1_features, in2_features]`.
    pub weight: Parameter,
    /// `[out_features]`.
    pub bias: Option<Parameter>,
}

impl Bilinear {
    /// A layer with a bias.
    #[track_caller]
    pub fn new(in1_features: usize, in2_features: usize, out_features: usize) -> Bilinear {
        let bound = 1.0 / (in1_features.max(1) as f64).sqrt();
        let init = Init::Uniform { low: -bound, high: bound };
        Bilinear {
            weight: Parameter::new([out_features, in1_features, in2_features], init.clone()),
            bias: Some(Parameter::new([out_features], init)),
        }
    }

    /// With or without a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Bilinear {
        if !bias {
            self.bias = None;
        }
        self
    }
}

impl Bilinear {
    /// `[.., in1_features]` and `[.., in2_features]` → `[.., out_features]`.
    #[track_caller]
    pub fn forward(&self, x1: Tensor, x2: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        x1.bilinear(x2, self.weight.tensor(), optional(self.bias.as_ref()))
    }
}

impl Module for Bilinear {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weight.visit_as("weight", visitor);
        self.bias.visit_as("bias", visitor);
    }

    fn extra_repr(&self) -> String {
        let [out, in1, in2] = [0, 1, 2].map(|axis| self.weight.shape()[axis]);
        let bias = python_bool(self.bias.is_some());
        format!("in1_features={in1}, in2_features={in2}, out_features={out}, bias={bias}")
    }
}

impl Forward<(Tensor, Tensor)> for Bilinear {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, (x1, x2): (Tensor, Tensor)) -> Tensor {
        Bilinear::forward(self, x1, x2)
    }
}
