//! Pooling over windows of one, two or three spatial axes. A pool's options are also its layer: `x.max_pool2d(2)`, `x.max_pool2d(MaxPool2d::new(3).stride(2))`.

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim};

use crate::Tensor;
use crate::spatial::PerAxis;

/// The maximum of each window. Padding never wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxPool<const N: usize> {
    /// Extents of the window.
    pub kernel: [usize; N],
    /// Distance between windows; `None`: the kernel's, so that they stand side by side.
    pub stride: Option<[usize; N]>,
    /// Positions outside of the input on both sides; at most half the window.
    pub padding: [usize; N],
    /// Distance between the taps of a window.
    pub dilation: [usize; N],
    /// Whether a last window may begin inside and end outside.
    pub ceil_mode: bool,
}

/// The mean of each window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AvgPool<const N: usize> {
    /// Extents of the window.
    pub kernel: [usize; N],
    /// Distance between windows; `None`: the kernel's, so that they stand side by side.
    pub stride: Option<[usize; N]>,
    /// Zeros outside of the input on both sides; at most half the window.
    pub padding: [usize; N],
    /// Whether a last window may begin inside and end outside.
    pub ceil_mode: bool,
    /// Whether the padding counts as elements. What a last window has beyond the padding never does.
    pub count_include_pad: bool,
    /// What sums are divided by instead of the number of elements.
    pub divisor_override: Option<i64>,
}

/// The extents of an adaptive pool's output: one for all axes, one for each, or `None` for the input's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputSize<const N: usize>(pub [Option<usize>; N]);

impl<const N: usize> MaxPool<N> {
    /// Windows side by side; one number for the kernel makes it square.
    pub fn new(kernel: impl PerAxis<N>) -> MaxPool<N> {
        let kernel = kernel.per_axis();
        MaxPool { kernel, stride: None, padding: [0; N], dilation: [1; N], ceil_mode: false }
    }

    /// The distance between the taps of a window.
    #[must_use]
    pub fn dilation(self, dilation: impl PerAxis<N>) -> MaxPool<N> {
        MaxPool { dilation: dilation.per_axis(), ..self }
    }
}

impl<const N: usize> AvgPool<N> {
    /// Windows side by side; one number for the kernel makes it square.
    pub fn new(kernel: impl PerAxis<N>) -> AvgPool<N> {
        AvgPool {
            kernel: kernel.per_axis(),
            stride: None,
            padding: [0; N],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// Whether the padding counts as elements.
    #[must_use]
    pub fn count_include_pad(self, count_include_pad: bool) -> AvgPool<N> {
        AvgPool { count_include_pad, ..self }
    }

    /// What sums are divided by instead of the number of elements.
    #[must_use]
    pub fn divisor_override(self, divisor: i64) -> AvgPool<N> {
        AvgPool { divisor_override: Some(divisor), ..self }
    }
}

macro_rules! options {
    ($($name:ident)*) => {$(
        impl<const N: usize> $name<N> {
            /// The distance between windows.
            #[must_use]
            pub fn stride(self, stride: impl PerAxis<N>) -> $name<N> {
                $name { stride: Some(stride.per_axis()), ..self }
            }

            /// Positions outside of the input on both sides; at most half the window.
            #[must_use]
            pub fn padding(self, padding: impl PerAxis<N>) -> $name<N> {
                $name { padding: padding.per_axis(), ..self }
            }

            /// Whether a last window may begin inside and end outside.
            #[must_use]
            pub fn ceil_mode(self, ceil_mode: bool) -> $name<N> {
                $name { ceil_mode, ..self }
            }
        }

        impl<const N: usize> From<usize> for $name<N> {
            fn from(kernel: usize) -> $name<N> {
                $name::new(kernel)
            }
        }

        impl<const N: usize> From<[usize; N]> for $name<N> {
            fn from(kernel: [usize; N]) -> $name<N> {
                $name::new(kernel)
            }
        }
    )*};
}

options!(MaxPool AvgPool);

impl<const N: usize> From<usize> for OutputSize<N> {
    fn from(extent: usize) -> OutputSize<N> {
        OutputSize([Some(extent); N])
    }
}

impl<const N: usize> From<[usize; N]> for OutputSize<N> {
    fn from(extents: [usize; N]) -> OutputSize<N> {
        OutputSize(extents.map(Some))
    }
}

impl<const N: usize> From<[Option<usize>; N]> for OutputSize<N> {
    fn from(extents: [Option<usize>; N]) -> OutputSize<N> {
        OutputSize(extents)
    }
}

macro_rules! pools {
    ($($n:literal $spatial:literal: $max:ident $max_indices:ident $avg:ident $adaptive_avg:ident $adaptive_max:ident $adaptive_indices:ident;)*) => {
        impl Tensor {$(
            #[doc = concat!("The maximum of each window of `[batch, channels, ", $spatial, "]`, or of one sample; NaN if any element is.")]
            ///
            /// An axis has `⌊(extent + 2·padding - dilation·(kernel - 1) - 1)/stride⌋ + 1` windows; with `ceil_mode` the quotient is rounded up, but no
            /// window begins beyond the input and its first padding. K0105 for numbers that do not fit. Gradient: to the first maximum of each window.
            #[track_caller]
            pub fn $max(self, pool: impl Into<MaxPool<$n>>) -> Tensor {
                max_pool(stringify!($max), self, &pool.into())
            }

            #[doc = concat!("[`Tensor::", stringify!($max), "`], and where each maximum is: `i64` row-major positions in the sample's channel, without the padding.")]
            #[track_caller]
            pub fn $max_indices(self, pool: impl Into<MaxPool<$n>>) -> (Tensor, Tensor) {
                max_pool_with_indices(stringify!($max), self, &pool.into())
            }

            #[doc = concat!("The mean of each window of `[batch, channels, ", $spatial, "]`, or of one sample.")]
            ///
            /// Windows as of the maximum. The divisor is the number of elements inside the input and, with `count_include_pad`, its padding.
            /// K0105 for numbers that do not fit and a divisor of 0. Gradient: the cotangents of the windows that an element is in, over their divisors.
            #[track_caller]
            pub fn $avg(self, pool: impl Into<AvgPool<$n>>) -> Tensor {
                avg_pool(stringify!($avg), self, &pool.into())
            }

            #[doc = concat!("The mean of each of `output` windows that cover `[batch, channels, ", $spatial, "]`, or one sample, from `⌊i·in/out⌋` to `⌈(i + 1)·in/out⌉`.")]
            #[track_caller]
            pub fn $adaptive_avg(self, output: impl Into<OutputSize<$n>>) -> Tensor {
                adaptive_avg_pool(stringify!($adaptive_avg), self, output.into())
            }

            #[doc = concat!("The maximum of each of `output` windows as of [`Tensor::", stringify!($adaptive_avg), "`]. Gradient: to the first maximum.")]
            #[track_caller]
            pub fn $adaptive_max(self, output: impl Into<OutputSize<$n>>) -> Tensor {
                adaptive_max_pool(stringify!($adaptive_max), self, output.into()).0
            }

            #[doc = concat!("[`Tensor::", stringify!($adaptive_max), "`], and where each maximum is: `i64` row-major positions in the sample's channel.")]
            #[track_caller]
            pub fn $adaptive_indices(self, output: impl Into<OutputSize<$n>>) -> (Tensor, Tensor) {
                adaptive_max_pool(stringify!($adaptive_max), self, output.into())
            }
        )*}
    };
}

pools! {
    1 "l": max_pool1d max_pool1d_with_indices avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d adaptive_max_pool1d_with_indices;
    2 "h, w": max_pool2d max_pool2d_with_indices avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d adaptive_max_pool2d_with_indices;
    3 "d, h, w": max_pool3d max_pool3d_with_indices avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d adaptive_max_pool3d_with_indices;
}

/// The spatial extents of `[batch, channels, spatial..]`, or what is wrong: only a batch may be empty.
#[track_caller]
fn spatial_extents<const N: usize>(method: &str, x: Tensor) -> Option<[usize; N]> {
    x.value()?;
    let shape = x.shape();
    if shape.rank() != N + 2 {
        let message = format!("{method} needs `input` with {} axes, found {} with {}", N + 2, x.ty(), x.rank());
        Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        return None;
    }
    if shape.0[1..].contains(&Dim::fixed(0)) {
        let message = format!("{method} needs channels and positions in its input: found {shape}");
        Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        return None;
    }
    x.fixed_extents(method, 2)?.try_into().ok()
}

impl<const N: usize> MaxPool<N> {
    fn op(&self) -> ops::MaxPool {
        ops::MaxPool {
            kernel: self.kernel.to_vec(),
            stride: self.stride.unwrap_or(self.kernel).to_vec(),
            padding: self.padding.to_vec(),
            dilation: self.dilation.to_vec(),
            ceil: self.ceil_mode,
        }
    }
}

#[track_caller]
pub(crate) fn max_pool<const N: usize>(method: &str, x: Tensor, pool: &MaxPool<N>) -> Tensor {
    let (x, added) = x.as_batch(N + 1);
    if spatial_extents::<N>(method, x).is_none() {
        return Tensor::poison();
    }
    Tensor::apply_as(method, pool.op(), &[x]).without_batch(added)
}

#[track_caller]
pub(crate) fn max_pool_with_indices<const N: usize>(method: &str, x: Tensor, pool: &MaxPool<N>) -> (Tensor, Tensor) {
    let (x, added) = x.as_batch(N + 1);
    let Some(input) = spatial_extents::<N>(method, x) else { return (Tensor::poison(), Tensor::poison()) };
    let ops::MaxPool { kernel, stride, padding, dilation, ceil } = pool.op();
    let maximum = Tensor::apply_as(method, pool.op(), &[x]);
    let index = ops::MaxPoolIndex { kernel, stride: stride.clone(), padding: padding.clone(), dilation, ceil };
    let tap = Tensor::apply_as(method, index, &[x]);
    let origin = |axis: usize, at: usize| at as i64 * stride[axis] as i64 - padding[axis] as i64;
    let position = positions(tap, &input, &pool.kernel, &pool.dilation, &origin);
    (maximum.without_batch(added), position.without_batch(added))
}

/// Row-major positions in the input of taps that are numbered row-major in windows with these origins.
#[track_caller]
fn positions<const N: usize>(
    tap: Tensor,
    input: &[usize; N],
    kernel: &[usize; N],
    dilation: &[usize; N],
    origin: &dyn Fn(usize, usize) -> i64,
) -> Tensor {
    if tap.value().is_none() {
        return tap;
    }
    let shape = tap.shape();
    let number = |value: usize| value as i64;
    let (mut position, mut rest, mut stride) = (None, tap, 1);
    for axis in (0..N).rev() {
        let whole = int_div(rest, kernel[axis]);
        let offset = (rest - whole * number(kernel[axis])) * number(dilation[axis] * stride);
        let count = shape.0[axis + 2].factor;
        let mut extents = [1; N];
        extents[axis] = count;
        let origins =
            Tensor::table((0..count).map(|at| (origin(axis, at) * number(stride)) as f64), &extents, DType::I64);
        let here = offset + origins;
        position = Some(match position {
            Some(position) => here + position,
            None => here,
        });
        (rest, stride) = (whole, stride * input[axis]);
    }
    position.unwrap_or(tap)
}

/// The quotient of an integer tensor that is not negative and a number.
#[track_caller]
fn int_div(x: Tensor, divisor: usize) -> Tensor {
    let divisor = Tensor::full(divisor as f64, DType::I64).broadcast(&x.shape());
    Tensor::apply(ops::Div {}, &[x, divisor])
}

#[track_caller]
pub(crate) fn avg_pool<const N: usize>(method: &str, x: Tensor, pool: &AvgPool<N>) -> Tensor {
    let (x, added) = x.as_batch(N + 1);
    let Some(input) = spatial_extents::<N>(method, x) else { return Tensor::poison() };
    if pool.divisor_override == Some(0) {
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, format!("{method} needs a divisor that is not 0")));
    }
    let stride = pool.stride.unwrap_or(pool.kernel);
    let op = ops::SumPool {
        kernel: pool.kernel.to_vec(),
        stride: stride.to_vec(),
        padding: pool.padding.to_vec(),
        dilation: vec![1; N],
        ceil: pool.ceil_mode,
    };
    let sum = Tensor::apply_as(method, op, &[x]);
    if sum.value().is_none() {
        return sum;
    }
    if let Some(divisor) = pool.divisor_override {
        return (sum / divisor).without_batch(added);
    }
    let count = |axis: usize, at: usize| {
        let (size, padding) = (input[axis], pool.padding[axis]);
        // Both are counted from the beginning of the padding.
        let (start, end) = (at * stride[axis], (at * stride[axis] + pool.kernel[axis]).min(size + 2 * padding));
        if pool.count_include_pad { end - start } else { end.min(size + padding) - start.max(padding) }
    };
    divided_by_counts(sum, &count).without_batch(added)
}

/// Each sum over the number of its elements, the product over the axes of `count(axis, position)`.
#[track_caller]
fn divided_by_counts(sum: Tensor, count: &dyn Fn(usize, usize) -> usize) -> Tensor {
    let extents: Vec<usize> = sum.shape().0[2..].iter().map(|dim| dim.factor).collect();
    let counts = extents.iter().enumerate().fold(vec![1.0], |counts: Vec<f64>, (axis, &extent)| {
        let one = |product: &f64| (0..extent).map(|at| product * count(axis, at) as f64).collect::<Vec<f64>>();
        counts.iter().flat_map(one).collect()
    });
    match counts.first() {
        Some(first) if counts.iter().all(|count| count == first) => sum / *first,
        _ => sum / Tensor::table(counts, &extents, sum.dtype()),
    }
}

impl<const N: usize> OutputSize<N> {
    /// The extents, for an input.
    fn of(self, input: [usize; N]) -> [usize; N] {
        std::array::from_fn(|axis| self.0[axis].unwrap_or(input[axis]))
    }
}

/// Where an adaptive window begins and ends.
fn adaptive_window(at: usize, input: usize, output: usize) -> std::ops::Range<usize> {
    at * input / output..((at + 1) * input).div_ceil(output)
}

#[track_caller]
pub(crate) fn adaptive_avg_pool<const N: usize>(method: &str, x: Tensor, output: OutputSize<N>) -> Tensor {
    let (x, added) = x.as_batch(N + 1);
    let Some(input) = spatial_extents::<N>(method, x) else { return Tensor::poison() };
    let output = output.of(input);
    let mut sum = x;
    for axis in 0..N {
        sum = adaptive_sum(method, sum, axis + 2, output[axis]);
    }
    let count = |axis: usize, at: usize| adaptive_window(at, input[axis], output[axis]).len();
    divided_by_counts(sum, &count).without_batch(added)
}

/// The sum of each adaptive window of an axis; windows of one size side by side are a view of it.
#[track_caller]
fn adaptive_sum(method: &str, x: Tensor, axis: usize, output: usize) -> Tensor {
    let Some(input) = x.value().map(|_| x.shape().0[axis].factor).filter(|&input| input != output) else { return x };
    if output == 0 || !input.is_multiple_of(output) {
        return Tensor::apply_as(method, ops::AdaptiveSum { axis, output }, &[x]);
    }
    let mut shape = x.shape().0;
    shape[axis] = Dim::fixed(output);
    shape.insert(axis + 1, Dim::fixed(input / output));
    let split = Tensor::apply(ops::Reshape { shape }, &[x]);
    Tensor::apply(ops::Sum { axes: vec![axis + 1], keep: false }, &[split])
}

#[track_caller]
pub(crate) fn adaptive_max_pool<const N: usize>(method: &str, x: Tensor, output: OutputSize<N>) -> (Tensor, Tensor) {
    let (x, added) = x.as_batch(N + 1);
    let Some(input) = spatial_extents::<N>(method, x) else { return (Tensor::poison(), Tensor::poison()) };
    let output = output.of(input);
    let op = ops::AdaptiveArgmax { output: output.to_vec() };
    let kernel = op.kernel(&input).try_into().unwrap_or(input);
    let tap = Tensor::apply_as(method, op, &[x]);
    let origin = |axis: usize, at: usize| adaptive_window(at, input[axis], output[axis]).start as i64;
    let position = positions(tap, &input, &kernel, &[1; N], &origin);
    let maximum = x.at_positions(position);
    (maximum.without_batch(added), position.without_batch(added))
}

impl Tensor {
    /// The elements of `[batch, channels, spatial..]` at row-major positions `i64[batch, channels, ..]` in each channel.
    #[track_caller]
    fn at_positions(self, position: Tensor) -> Tensor {
        if position.value().is_none() {
            return position;
        }
        // TEMPORARY until `gather` is in main.
        position.to(self.dtype())
    }
}
