//! Convolutions over one, two or three spatial axes, and the views that they are made of: patches, and channels laid out in space.

use std::str::FromStr;

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim, Number};

use crate::Tensor;
use crate::products::biased;

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

macro_rules! convolutions {
    ($($n:literal $conv:ident $transposed:ident $spatial:literal;)*) => {
        impl Tensor {$(
            #[doc = concat!("`y[n, o, p..] = b[o] + Σ x[n, c, p·stride + k·dilation - padding]·w[o, c, k..]`; x: `[batch, in, ", $spatial, "]` or one sample without the batch, ")]
            /// w: `[out, in/groups, kernel..]`, b: `[out]`. The kernel is not flipped (cross-correlation).
            ///
            /// K0101 for channels, kernels and biases that do not fit; K0103 for dtypes that differ or are not floating; K0105 for a stride, dilation or number of groups
            /// of 0, and for `same` with a stride. Gradients: [`conv_input_grad`](ops::ConvInputGrad), [`conv_weight_grad`](ops::ConvWeightGrad).
            #[track_caller]
            pub fn $conv(self, weight: Tensor, bias: Option<Tensor>, window: Window<$n>) -> Tensor {
                convolve(stringify!($conv), self, weight, bias, &window)
            }

            #[doc = concat!("The transpose of [`Tensor::", stringify!($conv), "`] with this weight, plus `b[o]`; x: `[batch, in, ", $spatial, "]` or one sample, ")]
            /// w: `[in, out/groups, kernel..]`, b: `[out]`. An axis of the result has `(extent - 1)·stride - 2·padding + dilation·(kernel - 1) +
            /// output_padding + 1` positions. Errors as there; K0105 for an output padding that is neither less than the stride nor the dilation.
            #[track_caller]
            pub fn $transposed(self, weight: Tensor, bias: Option<Tensor>, window: TransposedWindow<$n>) -> Tensor {
                convolve_transposed(stringify!($transposed), self, weight, bias, &window)
            }
        )*}
    };
}

convolutions! {
    1 conv1d conv_transpose1d "l";
    2 conv2d conv_transpose2d "h, w";
    3 conv3d conv_transpose3d "d, h, w";
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
    let (mut x, added) = x.as_batch(N + 1);
    let padding = match window.padding {
        Padding::Zeros(padding) => padding,
        Padding::Same if window.stride != [1; N] => {
            let message = format!("{method} needs stride 1 for `same` padding: found {:?}", window.stride);
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        Padding::Same => {
            let total = same_padding(weight, window.dilation);
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
    let product = Tensor::apply_as(method, conv, &[x, weight]);
    with_channel_bias(method, product, bias).without_batch(added)
}

/// How many positions `same` adds to each axis.
pub(crate) fn same_padding<const N: usize>(weight: Tensor, dilation: [usize; N]) -> [usize; N] {
    let shape = weight.shape().0;
    std::array::from_fn(|axis| {
        let kernel = shape.get(axis + 2).map_or(1, |dim| dim.factor);
        dilation[axis] * kernel.saturating_sub(1)
    })
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
    let product = Tensor::apply_as(method, transposed, &[x, weight]);
    with_channel_bias(method, product, bias).without_batch(added)
}

/// One value added to each channel.
#[track_caller]
fn with_channel_bias(method: &str, product: Tensor, bias: Option<Tensor>) -> Tensor {
    let Some(bias) = bias.filter(|_| product.value().is_some()) else { return product };
    let channels = product.shape().0[1];
    if bias.value().is_some() && bias.shape().0 != [channels] {
        let message = format!("{method} needs a bias [{channels}], one value a channel: found {}", bias.ty());
        return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    let mut shape = vec![Dim::ONE; product.rank() - 1];
    shape[0] = channels;
    biased(method, product, bias.reshape(shape))
}

impl Tensor {
    /// Channels laid out in space: `y[.., c, h·r + i, w·r + j] = x[.., c·r² + i·r + j, h, w]` (Shi et al., 2016).
    ///
    /// K0102 for fewer than three axes; K0105 for a factor of 0 or one whose square does not divide the channels.
    #[track_caller]
    pub fn pixel_shuffle(self, factor: usize) -> Tensor {
        let Some((leading, [c, h, w])) = self.image("pixel_shuffle") else { return Tensor::poison() };
        if factor == 0 || !c.is_multiple_of(factor * factor) {
            let message =
                format!("pixel_shuffle needs channels that the square of its factor divides: {c} and {factor}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let split = [c / (factor * factor), factor, factor, h, w];
        self.rearranged(&leading, split, [0, 3, 1, 4, 2], [c / (factor * factor), h * factor, w * factor])
    }

    /// The inverse of [`Tensor::pixel_shuffle`]: `y[.., c·r² + i·r + j, h, w] = x[.., c, h·r + i, w·r + j]`.
    ///
    /// K0102 for fewer than three axes; K0105 for a factor of 0 or one that does not divide height and width.
    #[track_caller]
    pub fn pixel_unshuffle(self, factor: usize) -> Tensor {
        let Some((leading, [c, h, w])) = self.image("pixel_unshuffle") else { return Tensor::poison() };
        if factor == 0 || !h.is_multiple_of(factor) || !w.is_multiple_of(factor) {
            let message =
                format!("pixel_unshuffle needs a height and width that its factor divides: {h}, {w} and {factor}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let split = [c, h / factor, factor, w / factor, factor];
        self.rearranged(&leading, split, [0, 2, 4, 1, 3], [c * factor * factor, h / factor, w / factor])
    }

    /// The leading extents, and channels, height and width.
    #[track_caller]
    fn image(self, method: &str) -> Option<(Vec<Dim>, [usize; 3])> {
        self.value()?;
        let dims = self.shape().0;
        let Some(leading) = dims.len().checked_sub(3) else {
            let message = format!("{method} needs [.., channels, height, width]: found {}", self.ty());
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
            return None;
        };
        let extents = self.fixed_extents(method, leading)?;
        Some((dims[..leading].to_vec(), [extents[0], extents[1], extents[2]]))
    }

    /// The last three axes split into five, in another order, and joined to three again.
    #[track_caller]
    fn rearranged(self, leading: &[Dim], split: [usize; 5], order: [usize; 5], joined: [usize; 3]) -> Tensor {
        let shape =
            |extents: &[usize]| [leading, &extents.iter().copied().map(Dim::fixed).collect::<Vec<_>>()].concat();
        let dims = (0..leading.len()).chain(order.map(|axis| leading.len() + axis)).collect();
        let parts = Tensor::apply(ops::Reshape { shape: shape(&split) }, &[self]);
        let moved = Tensor::apply(ops::Permute { dims }, &[parts]);
        Tensor::apply(ops::Reshape { shape: shape(&joined) }, &[moved])
    }
}
