//! `torch.nn.functional` and the functions of `torch`: the methods of [`Tensor`] as free functions, and those functions that are no methods.
//!
//! The list below is the table of what is composed of ops: one row a method, one `impl` in the file of its family. Ops of the table in
//! `kiln_ir` that say how they are called have their free functions from there. Every function is described in `docs/operators.md`, which is
//! made of the same rows and their documentation.

use crate::Tensor;
use crate::activations::GeluApproximation;
use crate::indexing::{At, EmbeddingOptions, Reduce};
use crate::pointwise::Rounding;
use crate::scalar::{Operand, Scalar};
use crate::tensor::Sizes;

pub use crate::attention::Attention;
pub use crate::complex::{complex, view_as_complex};
pub use crate::convolution::{Padding, TransposedWindow, Window};
pub use crate::creation::{Literal, arange, empty, eye, full, linspace, ones, tensor, zeros};
pub use crate::distances::{Normalize, PairwiseDistance};
pub use crate::einsum::einsum;
pub use crate::grid_sample::{GridMode, GridPadding, GridSample};
pub use crate::interpolation::{Interpolation, InterpolationMode, PerSpatialAxis};
pub use crate::losses::*;
pub use crate::normalization::{Affine, NormOptions, Running};
pub use crate::patches::Patches;
pub use crate::pointwise::{clamp, where_};
pub use crate::pooling::{AvgPool, MaxPool, OutputSize};
pub use crate::random::{normal, rand, randint, randn};
pub use crate::views::{Indexing, PadMode, Parts, cat, meshgrid, stack};

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
        square(); to(dtype: kiln_ir::DType); to_bool(); where_self(condition: Tensor, other: impl Operand); logical_not();
        logical_and(other: impl Operand); logical_or(other: impl Operand); logical_xor(other: impl Operand);
    }
    "pointwise" {
        div_with(other: impl Operand, mode: Rounding); lerp(end: Tensor, weight: impl Operand); round_to(decimals: i32); reciprocal();
        addcmul(a: Tensor, b: Tensor, value: impl Into<Scalar>); addcdiv(a: Tensor, b: Tensor, value: impl Into<Scalar>);
        masked_fill(mask: Tensor, value: impl Operand); assert_finite(message: &str); isnan(); isinf(); isfinite();
    }
    "activations" {
        gelu(); gelu_with(approximation: GeluApproximation); silu(); mish(); softplus(beta: f64, threshold: f64); logsigmoid(); softsign();
        elu(alpha: f64); celu(alpha: f64); selu(); leaky_relu(negative_slope: f64); prelu(weight: Tensor); hardtanh(low: f64, high: f64); relu6();
        hardsigmoid(); hardswish(); threshold(threshold: f64, value: f64); glu(axis: i64);
    }
    "creation" {
        zeros_like(); ones_like(); empty_like(); full_like(value: impl Into<Scalar>);
        new_zeros(sizes: impl Sizes); new_ones(sizes: impl Sizes); new_empty(sizes: impl Sizes); new_full(sizes: impl Sizes, value: impl Into<Scalar>);
    }
    "reductions" {
        sum(axes: &[i64], keep: bool); sum_all(); mean(axes: &[i64], keep: bool); mean_all(); count_nonzero(axes: &[i64]);
        all(axes: &[i64], keep: bool); any(axes: &[i64], keep: bool);
        amax(axes: &[i64], keep: bool); amin(axes: &[i64], keep: bool); max_all(); min_all();
        max_dim(axis: i64, keep: bool) -> (Tensor, Tensor); min_dim(axis: i64, keep: bool) -> (Tensor, Tensor);
        argmax(axis: impl Into<Option<i64>>, keep: bool); argmin(axis: impl Into<Option<i64>>, keep: bool);
        var(axes: &[i64], correction: f64, keep: bool); std(axes: &[i64], correction: f64, keep: bool);
        var_mean(axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor);
        std_mean(axes: &[i64], correction: f64, keep: bool) -> (Tensor, Tensor);
        norm(order: f64, axes: &[i64], keep: bool); vector_norm(order: f64, axes: &[i64], keep: bool);
        softmax(axis: i64); log_softmax(axis: i64); softmin(axis: i64); logsumexp(axes: &[i64], keep: bool);
    }
    "views" {
        reshape(sizes: impl Sizes); view(sizes: impl Sizes); contiguous(); flatten(start: i64, end: i64);
        unflatten(axis: i64, sizes: impl Sizes); unsqueeze(axis: i64); squeeze(axis: i64); squeeze_axes(axes: &[i64]); squeeze_all();
        permute(axes: &[i64]); transpose(a: i64, b: i64); t(); movedim(source: &[i64], destination: &[i64]);
        flip(axes: &[i64]); roll(shifts: &[i64], axes: &[i64]); rearrange(pattern: &str, extents: &[(&str, usize)]);
        narrow(axis: i64, start: i64, length: usize); narrow_at(axis: i64, start: Tensor, length: usize);
        select(axis: i64, position: i64); unfold(axis: i64, size: usize, step: usize);
        split(size: usize, axis: i64) -> Parts; split_with_sizes(sizes: &[usize], axis: i64) -> Parts;
        chunk(chunks: usize, axis: i64) -> Parts; unbind(axis: i64) -> Parts;
        expand(sizes: impl Sizes); broadcast_to(sizes: impl Sizes); expand_as(other: Tensor); repeat(counts: &[usize]); tile(counts: &[usize]);
        repeat_interleave(count: usize, axis: impl Into<Option<i64>>);
        repeat_interleave_each(counts: &[usize], axis: impl Into<Option<i64>>);
        tril(diagonal: i64); triu(diagonal: i64); diagonal(offset: i64, axes: [i64; 2]); diag_embed(offset: i64, axes: [i64; 2]);
        pad(widths: &[i64], value: f64); pad_with(widths: &[i64], mode: PadMode);
    }
    "distances" {
        normalize(options: Normalize); cosine_similarity(other: Tensor, axis: i64, eps: f64); pairwise_distance(other: Tensor, options: PairwiseDistance);
    }
    "attention" {
        scaled_dot_product_attention(key: Tensor, value: Tensor, options: Attention);
    }
    "products" {
        matmul(other: Tensor); mm(other: Tensor); bmm(other: Tensor); mv(other: Tensor); dot(other: Tensor); outer(other: Tensor);
        addmm(a: Tensor, b: Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>);
        baddbmm(a: Tensor, b: Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>);
        linear(weight: Tensor, bias: Option<Tensor>); bilinear(other: Tensor, weight: Tensor, bias: Option<Tensor>);
    }
    "convolutions" {
        conv1d(weight: Tensor, bias: Option<Tensor>, window: Window<1>);
        conv2d(weight: Tensor, bias: Option<Tensor>, window: Window<2>);
        conv3d(weight: Tensor, bias: Option<Tensor>, window: Window<3>);
        conv_transpose1d(weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<1>);
        conv_transpose2d(weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<2>);
        conv_transpose3d(weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<3>);
    }
    "patches" {
        im2col(patches: Patches); col2im(image: [usize; 2], patches: Patches); pixel_shuffle(factor: usize); pixel_unshuffle(factor: usize);
    }
    "sampling" {
        interpolate(options: &Interpolation); grid_sample(grid: Tensor, options: GridSample);
    }
    "pooling" {
        max_pool1d(pool: impl Into<MaxPool<1>>); max_pool2d(pool: impl Into<MaxPool<2>>); max_pool3d(pool: impl Into<MaxPool<3>>);
        max_pool1d_with_indices(pool: impl Into<MaxPool<1>>) -> (Tensor, Tensor);
        max_pool2d_with_indices(pool: impl Into<MaxPool<2>>) -> (Tensor, Tensor);
        max_pool3d_with_indices(pool: impl Into<MaxPool<3>>) -> (Tensor, Tensor);
        avg_pool1d(pool: impl Into<AvgPool<1>>); avg_pool2d(pool: impl Into<AvgPool<2>>); avg_pool3d(pool: impl Into<AvgPool<3>>);
        adaptive_avg_pool1d(output: impl Into<OutputSize<1>>); adaptive_avg_pool2d(output: impl Into<OutputSize<2>>);
        adaptive_avg_pool3d(output: impl Into<OutputSize<3>>);
        adaptive_max_pool1d(output: impl Into<OutputSize<1>>); adaptive_max_pool2d(output: impl Into<OutputSize<2>>);
        adaptive_max_pool3d(output: impl Into<OutputSize<3>>);
        adaptive_max_pool1d_with_indices(output: impl Into<OutputSize<1>>) -> (Tensor, Tensor);
        adaptive_max_pool2d_with_indices(output: impl Into<OutputSize<2>>) -> (Tensor, Tensor);
        adaptive_max_pool3d_with_indices(output: impl Into<OutputSize<3>>) -> (Tensor, Tensor);
    }
    "normalization" {
        batch_norm(running: Option<Running>, affine: Affine, options: NormOptions) -> (Tensor, Option<Running>);
        instance_norm(running: Option<Running>, affine: Affine, options: NormOptions) -> (Tensor, Option<Running>);
        layer_norm(shape: &[usize], affine: Affine, eps: f64); rms_norm(shape: &[usize], weight: Option<Tensor>, eps: Option<f64>);
        group_norm(groups: usize, affine: Affine, eps: f64); local_response_norm(size: usize, alpha: f64, beta: f64, k: f64);
    }
    "random" {
        rand_like(); randn_like(); bernoulli(); dropout(p: f64, training: bool); dropout1d(p: f64, training: bool); dropout2d(p: f64, training: bool);
        dropout3d(p: f64, training: bool); alpha_dropout(p: f64, training: bool); feature_alpha_dropout(p: f64, training: bool);
    }
    "indexing" {
        gather(axis: i64, index: Tensor); take_along_dim(indices: Tensor, axis: impl Into<Option<i64>>); index_select(axis: i64, index: Tensor);
        scatter(axis: i64, index: Tensor, src: impl Operand); scatter_add(axis: i64, index: Tensor, src: impl Operand);
        scatter_reduce(axis: i64, index: Tensor, src: impl Operand, reduce: Reduce, include_self: bool);
        embedding(index: Tensor); embedding_with(index: Tensor, options: EmbeddingOptions) -> (Tensor, Tensor); one_hot(classes: usize);
        at(items: impl AsRef<[At]>); put_at(items: impl AsRef<[At]>, value: impl Operand);
    }
    "order" {
        cumsum(axis: i64); cumprod(axis: i64); prod(axes: &[i64], keep: bool); argsort(axis: i64, descending: bool);
        sort(axis: i64, descending: bool) -> (Tensor, Tensor); topk(k: usize, axis: i64, largest: bool) -> (Tensor, Tensor);
        kthvalue(k: usize, axis: i64, keep: bool) -> (Tensor, Tensor); median(axis: i64, keep: bool) -> (Tensor, Tensor);
    }
}
