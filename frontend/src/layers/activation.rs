//! Functions as modules, for `Sequential` chains: activations, softmaxes, and functions of the shape.

use crate::activations::GeluApproximation;
use crate::module::python;
use crate::{Forward, Module, Scope, Tensor, Visitor};

/// One row: the type, PyTorch's name, the options with their defaults, how PyTorch prints them, and the function.
macro_rules! functions {
    ($(
        $(#[$meta:meta])*
        $name:ident $torch:literal $({ $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)* })?
        |$layer:ident, $x:ident| $value:expr $(, $repr:expr)?;
    )*) => {$(
        functions!(@type $(#[$meta])* $name $({ $($(#[$field_meta])* $field: $type = $default,)* })?);

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}

            fn type_name(&self) -> &'static str {
                $torch
            }

            $(fn extra_repr(&self) -> String {
                let $layer = self;
                $repr
            })?
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, $x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let $layer = self;
                $value
            }
        }
    )*};
    (@type $(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $name;
    };
    (@type $(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            /// PyTorch's defaults.
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            $($(#[$field_meta])*
            #[must_use]
            pub fn $field(self, $field: $type) -> $name {
                #[allow(clippy::needless_update)]
                $name { $field, ..self }
            })*
        }
    };
}

functions! {
    /// The input itself.
    Identity "Identity" |_layer, x| x;
    /// `max(x, 0)`.
    Relu "ReLU" |_layer, x| x.relu();
    /// `min(max(x, 0), 6)`.
    Relu6 "ReLU6" |_layer, x| x.relu6();
    /// Hyperbolic tangent.
    Tanh "Tanh" |_layer, x| x.tanh();
    /// `1 / (1 + e^-x)`.
    Sigmoid "Sigmoid" |_layer, x| x.sigmoid();
    /// `log(1 / (1 + e^-x))`.
    LogSigmoid "LogSigmoid" |_layer, x| x.logsigmoid();
    /// `x / (1 + e^-x)`.
    Silu "SiLU" |_layer, x| x.silu();
    /// `x·tanh(log(1 + e^x))`.
    Mish "Mish" |_layer, x| x.mish();
    /// See [`Tensor::selu`].
    Selu "SELU" |_layer, x| x.selu();
    /// See [`Tensor::hardswish`].
    Hardswish "Hardswish" |_layer, x| x.hardswish();
    /// See [`Tensor::hardsigmoid`].
    Hardsigmoid "Hardsigmoid" |_layer, x| x.hardsigmoid();
    /// `x / (1 + |x|)`.
    Softsign "Softsign" |_layer, x| x.softsign();
    /// `x - tanh(x)`.
    Tanhshrink "Tanhshrink" |_layer, x| x - x.tanh();
    /// Softmax over the channels of `[batch, channels, h, w]`.
    Softmax2d "Softmax2d" |_layer, x| x.softmax(-3);
    /// `x·Φ(x)`.
    Gelu "GELU" {
        /// How the normal distribution is computed.
        approximate: GeluApproximation = GeluApproximation::None,
    } |layer, x| x.gelu_with(layer.approximate), format!("approximate='{}'", layer.approximate.word());
    /// `x`, below zero `negative_slope·x`.
    LeakyRelu "LeakyReLU" {
        /// The slope below zero.
        negative_slope: f64 = 0.01,
    } |layer, x| x.leaky_relu(layer.negative_slope), format!("negative_slope={}", python(layer.negative_slope));
    /// `x`, below zero `alpha·(e^x - 1)`.
    Elu "ELU" {
        /// The limit is `-alpha`.
        alpha: f64 = 1.0,
    } |layer, x| x.elu(layer.alpha), format!("alpha={}", python(layer.alpha));
    /// `x`, below zero `alpha·(e^(x/alpha) - 1)`.
    Celu "CELU" {
        /// The limit is `-alpha`.
        alpha: f64 = 1.0,
    } |layer, x| x.celu(layer.alpha), format!("alpha={}", python(layer.alpha));
    /// `x` between two bounds.
    Hardtanh "Hardtanh" {
        /// Lower bound.
        min_val: f64 = -1.0,
        /// Upper bound.
        max_val: f64 = 1.0,
    } |layer, x| x.hardtanh(layer.min_val, layer.max_val),
        format!("min_val={}, max_val={}", python(layer.min_val), python(layer.max_val));
    /// `log(1 + e^(beta·x)) / beta`, and `x` itself where `beta·x` is above the threshold.
    Softplus "Softplus" {
        /// How sharp the bend is.
        beta: f64 = 1.0,
        /// Where the line begins.
        threshold: f64 = 20.0,
    } |layer, x| x.softplus(layer.beta, layer.threshold),
        format!("beta={}, threshold={}", python(layer.beta), python(layer.threshold));
    /// `x` where it is above the threshold, `value` elsewhere.
    Threshold "Threshold" {
        /// Where the input begins to count.
        threshold: f64 = 0.0,
        /// What stands elsewhere.
        value: f64 = 0.0,
    } |layer, x| x.threshold(layer.threshold, layer.value),
        format!("threshold={}, value={}", python(layer.threshold), python(layer.value));
    /// `x` where it is farther from zero than `lambda`, zero elsewhere.
    Hardshrink "Hardshrink" {
        /// Half the width of the gap.
        lambda: f64 = 0.5,
    } |layer, x| x.where_self(x.abs().gt(layer.lambda), x * 0.0), python(layer.lambda);
    /// `x` moved by `lambda` towards zero, and zero where it is nearer.
    Softshrink "Softshrink" {
        /// Half the width of the gap.
        lambda: f64 = 0.5,
    } |layer, x| x - x.clamp(Some(-layer.lambda), Some(layer.lambda)), python(layer.lambda);
    /// The first half of an axis times the sigmoid of the second.
    Glu "GLU" {
        /// The axis.
        dim: i64 = -1,
    } |layer, x| x.glu(layer.dim), format!("dim={}", layer.dim);
    /// `e^x / Σ e^x` over an axis. The default is the last; PyTorch warns where none is given.
    Softmax "Softmax" {
        /// The axis.
        dim: i64 = -1,
    } |layer, x| x.softmax(layer.dim), format!("dim={}", layer.dim);
    /// `log softmax` over an axis.
    LogSoftmax "LogSoftmax" {
        /// The axis.
        dim: i64 = -1,
    } |layer, x| x.log_softmax(layer.dim), format!("dim={}", layer.dim);
    /// `softmax(-x)` over an axis.
    Softmin "Softmin" {
        /// The axis.
        dim: i64 = -1,
    } |layer, x| x.softmin(layer.dim), format!("dim={}", layer.dim);
    /// All axes after the batch as one.
    Flatten "Flatten" |_layer, x| x.flatten(1, -1), "start_dim=1, end_dim=-1".to_owned();
}
