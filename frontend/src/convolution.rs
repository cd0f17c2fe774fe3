//! Convolutions over one, two or three spatial axes, and their transposes.

use std::str::FromStr;

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim, Number, Op};

use crate::Tensor;
use crate::products::{biased, in_sum_dtype};

/// How a convolution's window moves over `N` spatial axes; `Window::default()` is PyTorch's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window<const N: usize> {
    /// Distance between windows.
    pub stride: [usize; N],
    /// What is around the input.
    pub padding: Padding<N>,
    /// Distance between the taps of a window.
    pub dilation: [usize; N],
    /// Number of groups that the channels are divided into.
    pub groups: usize,
}

/// Zeros around an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Padding<const N: usize> {
    /// So many on both sides of each axis.
    Zeros([usize; N]),
    /// As many as make the output as large as the input, at stride 1; an odd one stands at the end.
    Same,
}

/// How the window of a transposed convolution moves; `TransposedWindow::default()` is PyTorch's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransposedWindow<const N: usize> {
    /// Distance between the windows that the input's elements are spread over.
    pub stride: [usize; N],
    /// How many positions are cut from both sides of the result.
    pub padding: [usize; N],
    /// How many positions the result has more at the end: less than the stride or the dilation.
    pub output_padding: [usize; N],
    /// Distance between the taps of a window.
    pub dilation: [usize; N],
    /// Number of groups that the channels are divided into.
    pub groups: usize,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Window<N> {
        Window { stride: [1; N], padding: Padding::Zeros([0; N]), dilation: [1; N], groups: 1 }
    }
}

impl<const N: usize> Default for TransposedWindow<N> {
    fn default() -> TransposedWindow<N> {
        TransposedWindow { stride: [1; N], padding: [0; N], output_padding: [0; N], dilation: [1; N], groups: 1 }
    }
}

impl<const N: usize> From<usize> for Padding<N> {
    fn from(padding: usize) -> Padding<N> {
        Padding::Zeros([padding; N])
    }
}

impl<const N: usize> From<[usize; N]> for Padding<N> {
    fn from(padding: [usize; N]) -> Padding<N> {
        Padding::Zeros(padding)
    }
}

impl<const N: usize> FromStr for Padding<N> {
    type Err = Diagnostic;

    fn from_str(word: &str) -> Result<Padding<N>, Diagnostic> {
        match word {
            "same" => Ok(Padding::Same),
            "valid" => Ok(Padding::Zeros([0; N])),
            _ => {
                let message = format!("padding needs to be numbers, `same` or `valid`: found `{word}`");
                Err(Diagnostic::new(Code::BadArgument, message))
            }
        }
    }
}

impl Tensor {
    /// `y[n, o, p] = b[o] + Σ x[n, c, p·stride + k·dilation - padding]·w[o, c, k]`; x: `[batch, in, l]` or one sample `[in, l]`, w:
    /// `[out, in/groups, kernel]`, b: `[out]`. The kernel is not flipped (cross-correlation).
    ///
    /// K0101 for channels, kernels and biases that do not fit; K0103 for dtypes that differ or are not floating; K0105 for a stride,
    /// dilation or number of groups of 0, and for `same` with a stride. Gradients: [`conv_input_grad`](ops::ConvInputGrad),
    /// [`conv_weight_grad`](ops::ConvWeightGrad).
    #[track_caller]
    pub fn conv1d(self, weight: Tensor, bias: Option<Tensor>, window: Window<1>) -> Tensor {
        convolve("conv1d", self, weight, bias, &window)
    }

    /// [`Tensor::conv1d`] with two spatial axes; x: `[batch, in, h, w]` or one sample, w: `[out, in/groups, kh, kw]`.
    #[track_caller]
    pub fn conv2d(self, weight: Tensor, bias: Option<Tensor>, window: Window<2>) -> Tensor {
        convolve("conv2d", self, weight, bias, &window)
    }

    /// [`Tensor::conv1d`] with three spatial axes; x: `[batch, in, d, h, w]` or one sample, w: `[out, in/groups, kd, kh, kw]`.
    #[track_caller]
    pub fn conv3d(self, weight: Tensor, bias: Option<Tensor>, window: Window<3>) -> Tensor {
        convolve("conv3d", self, weight, bias, &window)
    }

    /// The transpose of [`Tensor::conv1d`] with this weight, plus `b[o]`; x: `[batch, in, l]` or one sample `[in, l]`, w:
    /// `[in, out/groups, kernel]`, b: `[out]`.
    ///
    /// The result has `(l - 1)·stride - 2·padding + dilation·(kernel - 1) + output_padding + 1` positions. Errors as there; K0105 also for
    /// an output padding that is neither less than the stride nor the dilation. Gradients: [`conv`](ops::Conv),
    /// [`conv_weight_grad`](ops::ConvWeightGrad).
    #[track_caller]
    pub fn conv_transpose1d(self, weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<1>) -> Tensor {
        convolve_transposed("conv_transpose1d", self, weight, bias, &window)
    }

    /// [`Tensor::conv_transpose1d`] with two spatial axes; x: `[batch, in, h, w]` or one sample, w: `[in, out/groups, kh, kw]`.
    #[track_caller]
    pub fn conv_transpose2d(self, weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<2>) -> Tensor {
        convolve_transposed("conv_transpose2d", self, weight, bias, &window)
    }

    /// [`Tensor::conv_transpose1d`] with three spatial axes; x: `[batch, in, d, h, w]` or one sample, w: `[in, out/groups, kd, kh, kw]`.
    #[track_caller]
    pub fn conv_transpose3d(self, weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<3>) -> Tensor {
        convolve_transposed("conv_transpose3d", self, weight, bias, &window)
    }
}

/// A convolution that the user knows as `method`.
#[track_caller]
pub(crate) fn convolve<const N: usize>(
    method: &str,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    window: &Window<N>,
) -> Tensor {
    let dtype = x.dtype();
    let (mut x, added) = x.as_batch(N + 1);
    let padding = match window.padding {
        Padding::Zeros(padding) => padding,
        Padding::Same if window.stride != [1; N] => {
            let message = format!("{method} needs stride 1 for `same` padding: found {:?}", window.stride);
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        Padding::Same => {
            let total = same_padding(&weight.shape().at(1), window.dilation);
            let axes = if x.rank() == N + 2 { N } else { 0 };
            for axis in (0..axes).filter(|&axis| total[axis] % 2 == 1) {
                let pad = ops::Pad { axis: axis + 2, low: 0, high: 1, interior: 0, value: Number::new(0.0) };
                x = Tensor::apply_as(method, pad, &[x]);
            }
            total.map(|total| total / 2)
        }
    };
    let conv = ops::Conv {
        stride: window.stride.to_vec(),
        padding: padding.to_vec(),
        dilation: window.dilation.to_vec(),
        groups: window.groups,
    };
    with_channel_bias(method, conv, [x, weight], bias).to(dtype).without_batch(added)
}

/// How many positions `same` adds to each axis, for a weight of this shape.
pub(crate) fn same_padding<const N: usize>(weight: &[usize], dilation: [usize; N]) -> [usize; N] {
    std::array::from_fn(|axis| dilation[axis] * weight.get(axis + 2).map_or(0, |kernel| kernel.saturating_sub(1)))
}

/// A transposed convolution that the user knows as `method`: `conv_input_grad` with the cotangent as input.
#[track_caller]
pub(crate) fn convolve_transposed<const N: usize>(
    method: &str,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    window: &TransposedWindow<N>,
) -> Tensor {
    let dtype = x.dtype();
    let (mut x, added) = x.as_batch(N + 1);
    let (Some(_), Some(_)) = (x.value(), weight.value()) else { return Tensor::poison() };
    let TransposedWindow { stride, padding, output_padding, dilation, groups } = *window;
    let fault = |code, requirement: String| Diagnostic::new(code, format!("{method} needs {requirement}"));
    if stride.contains(&0) || dilation.contains(&0) || groups == 0 {
        return Tensor::mistake(fault(Code::BadArgument, "stride, dilation and groups of at least 1".to_owned()));
    }
    if let Some(axis) = (0..N).find(|&axis| output_padding[axis] >= stride[axis].max(dilation[axis])) {
        let (extra, stride, dilation) = (output_padding[axis], stride[axis], dilation[axis]);
        let requirement = format!("output padding below its stride or dilation: {extra}, and {stride} and {dilation}");
        return Tensor::mistake(fault(Code::BadArgument, requirement));
    }
    let (input, kernel) = (x.shape(), weight.shape());
    if input.rank() != N + 2 || kernel.rank() != N + 2 {
        let requirement = format!("`input` and `weight` with {} axes: found {input} and {kernel}", N + 2);
        return Tensor::mistake(fault(Code::RankMismatch, requirement));
    }
    if input.0[1] != kernel.0[0] || !kernel.0[0].factor.is_multiple_of(groups) {
        let (found, takes) = (input.0[1], kernel.0[0]);
        let requirement = format!(
            "the input channels that its weight takes: input {input} has {found}, weight {kernel} takes {takes} in {groups} groups"
        );
        return Tensor::mistake(fault(Code::ShapeMismatch, requirement));
    }
    let mut output = Vec::with_capacity(N);
    for axis in 0..N {
        let (extent, taps) = (input.0[axis + 2].factor, kernel.0[axis + 2].factor);
        let spread = extent.saturating_sub(1) * stride[axis] + dilation[axis] * taps.saturating_sub(1) + 1;
        let Some(extent) = (spread + output_padding[axis]).checked_sub(2 * padding[axis]).filter(|&extent| extent > 0)
        else {
            let requirement =
                format!("padding below half of its result: {padding:?}, input {input} and weight {kernel}");
            return Tensor::mistake(fault(Code::ShapeMismatch, requirement));
        };
        output.push(extent);
        // Output padding of whole strides is what zeros at the end of the input would give.
        let high = output_padding[axis] / stride[axis];
        if high > 0 {
            let pad = ops::Pad { axis: axis + 2, low: 0, high, interior: 0, value: Number::new(0.0) };
            x = Tensor::apply_as(method, pad, &[x]);
        }
    }
    let transposed = ops::ConvInputGrad {
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups,
        input: output,
    };
    with_channel_bias(method, transposed, [x, weight], bias).to(dtype).without_batch(added)
}

/// The product, with one value added to each channel.
#[track_caller]
fn with_channel_bias(method: &str, op: impl Into<Op>, [x, weight]: [Tensor; 2], bias: Option<Tensor>) -> Tensor {
    let Some(bias) = bias else { return Tensor::apply_as(method, op, &[x, weight]) };
    let Some([x, weight, bias]) = in_sum_dtype(method, [x, weight, bias]) else { return Tensor::poison() };
    let product = Tensor::apply_as(method, op, &[x, weight]);
    if product.value().is_none() {
        return product;
    }
    let channels = product.shape().0[1];
    if bias.shape().0 != [channels] {
        let message = format!("{method} needs a bias [{channels}], one value a channel: found {}", bias.shape());
        return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    let mut shape = vec![Dim::ONE; product.rank() - 1];
    shape[0] = channels;
    biased(method, product, bias.reshape(shape))
}
