//! `torch.nn.functional` and the functions of `torch`: the methods of [`Tensor`] as free functions, and those functions that are no methods.
//!
//! The list below is the table of what is composed of ops: one row a method, one `impl` in the file of its family. Ops of the table in
//! `kiln_ir` that say how they are called have their free functions from there. Every function is described in `docs/operators.md`, which is
//! made of the same rows and their documentation.

use crate::Tensor;
use crate::activations::GeluApproximation;
use crate::pointwise::Rounding;
use crate::scalar::Operand;

pub use crate::attention::Attention;
pub use crate::convolution::Window;
pub use crate::distances::{Normalize, PairwiseDistance};
pub use crate::losses::*;
pub use crate::pointwise::where_;
pub use crate::views::{cat, stack};

macro_rules! functions {
    ($($family:literal { $($name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)?;)* })*) => {
        $($(functions! { @function $name($($arg: $ty),*) $(-> $out)? })*)*
    };
    (@function $name:ident($($arg:ident: $ty:ty),*)) => {
        functions! { @function $name($($arg: $ty),*) -> Tensor }
    };
    (@function $name:ident($($arg:ident: $ty:ty),*) -> $out:ty) => {
        #[doc = concat!("[`Tensor::", stringify!($name), "`] as a function.")]
        #[track_caller]
        pub fn $name(input: Tensor $(, $arg: $ty)*) -> $out {
            input.$name($($arg),*)
        }
    };
}

/// Free functions of the rows of the op table.
macro_rules! of_ops {
    ($($form:ident $op:ident $text:literal $method:ident;)*) => {
        $(of_ops! { @$form $method })*
    };
    (@binary $method:ident) => { functions! { @function $method(other: impl Operand) } };
    (@real $method:ident) => { functions! { @function $method(other: impl Operand) } };
    (@$form:ident $method:ident) => { functions! { @function $method() } };
}

kiln_ir::op_rows!(of_ops);

functions! {
    "arithmetic" {
        square(); to(dtype: kiln_ir::DType); logical_not();
        logical_and(other: impl Operand); logical_or(other: impl Operand); logical_xor(other: impl Operand);
    }
    "pointwise" {
        div_with(other: impl Operand, mode: Rounding); lerp(end: Tensor, weight: impl Operand); round_to(decimals: i32); reciprocal();
        addcmul(a: Tensor, b: Tensor, value: f64); addcdiv(a: Tensor, b: Tensor, value: f64);
        masked_fill(mask: Tensor, value: impl Operand); isnan(); isinf(); isfinite();
    }
    "activations" {
        gelu(); gelu_with(approximation: GeluApproximation); silu(); mish(); softplus(beta: f64, threshold: f64); logsigmoid(); softsign();
        elu(alpha: f64); celu(alpha: f64); selu(); leaky_relu(negative_slope: f64); prelu(weight: Tensor); hardtanh(low: f64, high: f64); relu6();
        hardsigmoid(); hardswish(); threshold(threshold: f64, value: f64); glu(axis: i64);
    }
    "reductions" {
        sum(axes: &[i64], keep: bool); amax(axes: &[i64], keep: bool); amin(axes: &[i64], keep: bool);
        mean(axes: &[i64], keep: bool); var(axes: &[i64], correction: f64, keep: bool); argmax(axis: i64, keep: bool);
        softmax(axis: i64); log_softmax(axis: i64);
    }
    "views" {
        flatten(start: i64, end: i64); permute(axes: &[i64]); transpose(a: i64, b: i64); unsqueeze(axis: i64); squeeze(axis: i64);
        narrow(axis: i64, start: usize, length: usize);
    }
    "distances" {
        normalize(options: Normalize); cosine_similarity(other: Tensor, axis: i64, eps: f64); pairwise_distance(other: Tensor, options: PairwiseDistance);
    }
    "attention" {
        scaled_dot_product_attention(key: Tensor, value: Tensor, options: Attention);
    }
    "products" {
        matmul(other: Tensor); linear(weight: Tensor, bias: Option<Tensor>);
    }
    "convolutions" {
        conv2d(weight: Tensor, bias: Option<Tensor>, window: Window);
    }
    "pooling" {
        max_pool2d(kernel: usize, stride: usize, padding: usize); avg_pool2d(kernel: usize, stride: usize, padding: usize);
    }
    "indexing" {
        one_hot(classes: usize);
    }
}
