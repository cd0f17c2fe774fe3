//! Pools over any number of spatial axes, for a method that the user knows by its name.

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim};

use super::options::{AvgPool, MaxPool, OutputSize};
use crate::Tensor;

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

/// Where an adaptive window begins and ends.
fn adaptive_window(at: usize, input: usize, output: usize) -> std::ops::Range<usize> {
    at * input / output..((at + 1) * input).div_ceil(output)
}

#[track_caller]
pub(crate) fn adaptive_avg_pool<const N: usize>(method: &str, x: Tensor, output: OutputSize<N>) -> Tensor {
    let (x, added) = x.as_batch(N + 1);
    let Some(input) = spatial_extents::<N>(method, x) else { return Tensor::poison() };
    if !x.is_floating(method) {
        return Tensor::poison();
    }
    let output = output.of(input);
    let mut sum = x.wide();
    for (axis, &windows) in output.iter().enumerate() {
        sum = adaptive_sum(method, sum, axis + 2, windows);
    }
    if sum.value().is_none() {
        return sum;
    }
    let count = |axis: usize, at: usize| adaptive_window(at, input[axis], output[axis]).len();
    divided_by_counts(sum, &count).to(x.dtype()).without_batch(added)
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
        let gather = ops::Gather { axis: 2 };
        Tensor::apply(gather, &[self.flatten(2, -1), position.flatten(2, -1)]).reshape(position.shape().0)
    }
}
