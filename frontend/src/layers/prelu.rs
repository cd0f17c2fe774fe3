//! `nn.PReLU`.

use kiln_ir::Init;

use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// `x`, below zero `weight·x` with a trained weight (He et al., 2015): one for all channels, or one for each of axis 1.
///
/// Parameter: `weight` `[num_parameters]`, 0.25.
#[derive(Debug, Clone)]
pub struct Prelu {
    /// `[num_parameters]`.
    pub weight: Parameter,
}

impl Prelu {
    /// With 1 weight, or as many as there are channels.
    #[track_caller]
    pub fn new(num_parameters: usize) -> Prelu {
        Prelu { weight: Parameter::new([num_parameters], Init::Constant(0.25)) }
    }
}

impl Module for Prelu {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weight.visit_as("weight", visitor);
    }

    fn type_name(&self) -> &'static str {
        "PReLU"
    }

    fn extra_repr(&self) -> String {
        format!("num_parameters={}", self.weight.element_count())
    }
}

impl Forward<Tensor> for Prelu {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        x.prelu(self.weight.tensor())
    }
}
