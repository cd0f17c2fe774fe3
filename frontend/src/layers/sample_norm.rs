//! `nn.LayerNorm`, `nn.RMSNorm`, `nn.GroupNorm` and `nn.LocalResponseNorm`: norms of single samples.

use kiln_ir::Init;

use super::optional;
use crate::module::{python, python_bool, python_tuple};
use crate::normalization::Affine;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// Normalises the last axes: [`Tensor::layer_norm`]. Parameters: `weight` 1 and `bias` 0, of that shape.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// The normalised shape.
    pub weight: Option<Parameter>,
    /// The normalised shape.
    pub bias: Option<Parameter>,
    shape: Vec<usize>,
    eps: f64,
}

/// Divides by the root of the mean square over the last axes: [`Tensor::rms_norm`]. Parameter: `weight` 1, of that shape.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    /// The normalised shape.
    pub weight: Option<Parameter>,
    shape: Vec<usize>,
    eps: Option<f64>,
}

/// Normalises groups of channels: [`Tensor::group_norm`]. Parameters: `weight` 1 and `bias` 0, `[channels]`.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    /// `[channels]`.
    pub weight: Option<Parameter>,
    /// `[channels]`.
    pub bias: Option<Parameter>,
    groups: usize,
    channels: usize,
    eps: f64,
}

/// Divides by a sum over neighbouring channels: [`Tensor::local_response_norm`].
#[derive(Debug, Clone, Copy)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LayerNorm {
    /// Over the last axes, of this shape; eps 1e-5, with weight and bias.
    #[track_caller]
    pub fn new(shape: impl AsRef<[usize]>) -> LayerNorm {
        let shape = shape.as_ref().to_vec();
        LayerNorm {
            weight: Some(Parameter::new(shape.clone(), Init::Constant(1.0))),
            bias: Some(Parameter::new(shape.clone(), Init::Zeros)),
            shape,
            eps: 1e-5,
        }
    }

    /// What is added to the variance.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> LayerNorm {
        self.eps = eps;
        self
    }

    /// Without weight and bias (`false`).
    #[must_use]
    pub fn elementwise_affine(mut self, affine: bool) -> LayerNorm {
        if !affine {
            (self.weight, self.bias) = (None, None);
        }
        self
    }

    /// Without a bias (`false`).
    #[must_use]
    pub fn bias(mut self, bias: bool) -> LayerNorm {
        if !bias {
            self.bias = None;
        }
        self
    }
}

impl RmsNorm {
    /// Over the last axes, of this shape; eps is that of the dtype, with a weight.
    #[track_caller]
    pub fn new(shape: impl AsRef<[usize]>) -> RmsNorm {
        let shape = shape.as_ref().to_vec();
        RmsNorm { weight: Some(Parameter::new(shape.clone(), Init::Constant(1.0))), shape, eps: None }
    }

    /// What is added to the mean square.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> RmsNorm {
        self.eps = Some(eps);
        self
    }

    /// Without a weight (`false`).
    #[must_use]
    pub fn elementwise_affine(mut self, affine: bool) -> RmsNorm {
        if !affine {
            self.weight = None;
        }
        self
    }
}

impl GroupNorm {
    /// So many groups of so many channels; eps 1e-5, with weight and bias.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> GroupNorm {
        GroupNorm {
            weight: Some(Parameter::new([channels], Init::Constant(1.0))),
            bias: Some(Parameter::new([channels], Init::Zeros)),
            groups,
            channels,
            eps: 1e-5,
        }
    }

    /// What is added to the variance.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> GroupNorm {
        self.eps = eps;
        self
    }

    /// Without weight and bias (`false`).
    #[must_use]
    pub fn affine(mut self, affine: bool) -> GroupNorm {
        if !affine {
            (self.weight, self.bias) = (None, None);
        }
        self
    }
}

impl LocalResponseNorm {
    /// Over so many channels; alpha 1e-4, beta 0.75, k 1.
    pub fn new(size: usize) -> LocalResponseNorm {
        LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    /// Factor, exponent and summand of the divisor.
    #[must_use]
    pub fn constants(self, alpha: f64, beta: f64, k: f64) -> LocalResponseNorm {
        LocalResponseNorm { alpha, beta, k, ..self }
    }
}

macro_rules! forward {
    ($($name:ident $torch:literal [$($member:ident)*] |$norm:ident, $x:ident| $value:expr, $repr:expr;)*) => {$(
        impl Module for $name {
            #[allow(unused_variables)]
            fn visit(&self, visitor: &mut dyn Visitor) {
                $(self.$member.visit_as(stringify!($member), visitor);)*
            }

            fn type_name(&self) -> &'static str {
                $torch
            }

            fn extra_repr(&self) -> String {
                let $norm = self;
                $repr
            }
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, $x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let $norm = self;
                $value
            }
        }
    )*};
}

forward! {
    LayerNorm "LayerNorm" [weight bias] |norm, x| {
        let affine = Affine { weight: optional(norm.weight.as_ref()), bias: optional(norm.bias.as_ref()) };
        x.layer_norm(&norm.shape, affine, norm.eps)
    }, {
        let affine = python_bool(norm.weight.is_some());
        format!("{}, eps={}, elementwise_affine={affine}", python_tuple(&norm.shape), python(norm.eps))
    };
    RmsNorm "RMSNorm" [weight] |norm, x| x.rms_norm(&norm.shape, optional(norm.weight.as_ref()), norm.eps), {
        let (eps, affine) = (norm.eps.map_or("None".to_owned(), python), python_bool(norm.weight.is_some()));
        format!("{}, eps={eps}, elementwise_affine={affine}", python_tuple(&norm.shape))
    };
    GroupNorm "GroupNorm" [weight bias] |norm, x| {
        let affine = Affine { weight: optional(norm.weight.as_ref()), bias: optional(norm.bias.as_ref()) };
        x.group_norm(norm.groups, affine, norm.eps)
    }, {
        let affine = python_bool(norm.weight.is_some());
        format!("{}, {}, eps={}, affine={affine}", norm.groups, norm.channels, python(norm.eps))
    };
    LocalResponseNorm "LocalResponseNorm" [] |norm, x| x.local_response_norm(norm.size, norm.alpha, norm.beta, norm.k), {
        let [alpha, beta, k] = [norm.alpha, norm.beta, norm.k].map(python);
        format!("{}, alpha={alpha}, beta={beta}, k={k}", norm.size)
    };
}
