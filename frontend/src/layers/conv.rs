//! `nn.Conv1d` to `nn.Conv3d` and `nn.ConvTranspose1d` to `nn.ConvTranspose3d`.

use kiln_ir::Init;

use super::optional;
use crate::convolution::{Padding, TransposedWindow, Window, convolve, convolve_transposed, same_padding};
use crate::functional::PadMode;
use crate::module::python_tuple;
use crate::spatial::PerAxis;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// Convolution (cross-correlation) of `[batch, in, spatial..]` over `N` spatial axes.
///
/// Parameters: `weight` `[out, in/groups, kernel..]` and `bias` `[out]`, both uniform on ±1/√(in/groups · taps) (PyTorch's default, Kaiming
/// uniform with a = √5). The options may be given in any order; the trace reports what does not fit together.
#[derive(Debug, Clone)]
pub struct Conv<const N: usize> {
    /// `[out_channels, in_channels/groups, kernel..]`.
    pub weight: Parameter,
    /// `[out_channels]`.
    pub bias: Option<Parameter>,
    in_channels: usize,
    /// Stride, padding, dilation and groups; a model that exists already is changed here. A number of groups that is changed needs another weight.
    pub window: Window<N>,
    /// What the padding holds.
    pub padding_mode: PadMode,
}

/// The transpose of a convolution of `[batch, out, spatial..]`, for `[batch, in, spatial..]`: it makes inputs larger by its stride.
///
/// Parameters: `weight` `[in, out/groups, kernel..]` and `bias` `[out]`, both uniform on ±1/√(out/groups · taps) (PyTorch's default).
#[derive(Debug, Clone)]
pub struct ConvTranspose<const N: usize> {
    /// `[in_channels, out_channels/groups, kernel..]`.
    pub weight: Parameter,
    /// `[out_channels]`.
    pub bias: Option<Parameter>,
    out_channels: usize,
    /// Stride, padding, dilation and groups.
    pub window: TransposedWindow<N>,
}

/// Convolution of `[batch, in, l]`.
pub type Conv1d = Conv<1>;
/// Convolution of `[batch, in, h, w]`.
pub type Conv2d = Conv<2>;
/// Convolution of `[batch, in, d, h, w]`.
pub type Conv3d = Conv<3>;
/// Transposed convolution of `[batch, in, l]`.
pub type ConvTranspose1d = ConvTranspose<1>;
/// Transposed convolution of `[batch, in, h, w]`.
pub type ConvTranspose2d = ConvTranspose<2>;
/// Transposed convolution of `[batch, in, d, h, w]`.
pub type ConvTranspose3d = ConvTranspose<3>;

/// The builder methods that both kinds have; `$first` of the weight's channel axes is whole, the other is divided by the groups.
macro_rules! options {
    ($name:ident, $divided:ident) => {
        impl<const N: usize> $name<N> {
            /// The distance between windows.
            #[must_use]
            pub fn stride(mut self, stride: impl PerAxis<N>) -> $name<N> {
                self.window.stride = stride.per_axis();
                self
            }

            /// The distance between the taps of a window.
            #[must_use]
            pub fn dilation(mut self, dilation: impl PerAxis<N>) -> $name<N> {
                self.window.dilation = dilation.per_axis();
                self
            }

            /// Divides the channels into groups that do not see each other. The trace reports counts that do not divide.
            #[must_use]
            #[track_caller]
            pub fn groups(mut self, groups: usize) -> $name<N> {
                self.window.groups = groups;
                let mut shape = self.weight.shape().to_vec();
                shape[1] = self.$divided / groups.max(1);
                let init = init(&shape);
                self.weight = Parameter::new(shape, init.clone());
                if let Some(bias) = &mut self.bias {
                    *bias = Parameter::new(bias.shape(), init);
                }
                self
            }

            /// With or without a bias.
            #[must_use]
            pub fn bias(mut self, bias: bool) -> $name<N> {
                if !bias {
                    self.bias = None;
                }
                self
            }
        }

        impl<const N: usize> Module for $name<N> {
            fn visit(&self, visitor: &mut dyn Visitor) {
                self.weight.visit_as("weight", visitor);
                self.bias.visit_as("bias", visitor);
            }

            fn type_name(&self) -> &'static str {
                [concat!(stringify!($name), "1d"), concat!(stringify!($name), "2d"), concat!(stringify!($name), "3d")]
                    [N - 1]
            }

            fn extra_repr(&self) -> String {
                self.repr()
            }
        }
    };
}

options!(Conv, in_channels);
options!(ConvTranspose, out_channels);

impl<const N: usize> Conv<N> {
    /// Stride 1, no padding, with a bias; one number for the kernel makes it square.
    #[track_caller]
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl PerAxis<N>) -> Conv<N> {
        let shape = [&[out_channels, in_channels], kernel.per_axis().as_slice()].concat();
        let init = init(&shape);
        Conv {
            weight: Parameter::new(shape, init.clone()),
            bias: Some(Parameter::new([out_channels], init)),
            in_channels,
            window: Window::default(),
            padding_mode: PadMode::Constant,
        }
    }

    /// So many positions on both sides, or `Padding::Same`.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding<N>>) -> Conv<N> {
        self.window.padding = padding.into();
        self
    }

    /// What the padding holds; zeros are `PadMode::Constant`.
    #[must_use]
    pub fn padding_mode(mut self, padding_mode: PadMode) -> Conv<N> {
        self.padding_mode = padding_mode;
        self
    }

    fn repr(&self) -> String {
        let shape = self.weight.shape();
        let mut text = format!("{}, {}, ", self.in_channels, shape[0]);
        text += &format!("kernel_size={}, stride={}", python_tuple(&shape[2..]), python_tuple(&self.window.stride));
        match self.window.padding {
            Padding::Same => text += ", padding=same",
            Padding::Zeros(padding) => text += &unless("padding", &padding, 0),
        }
        text += &unless("dilation", &self.window.dilation, 1);
        text += &rest(self.window.groups, self.bias.is_some());
        if self.padding_mode != PadMode::Constant {
            text += &format!(", padding_mode={}", self.padding_mode.word());
        }
        text
    }

    /// The input with its padding, where that is not zeros, and the window that is left.
    #[track_caller]
    fn padded(&self, x: Tensor) -> (Tensor, Window<N>) {
        if self.padding_mode == PadMode::Constant {
            return (x, self.window);
        }
        let both = match self.window.padding {
            Padding::Zeros(padding) => padding.map(|width| [width, width]),
            Padding::Same => {
                same_padding(self.weight.shape(), self.window.dilation).map(|total| [total / 2, total.div_ceil(2)])
            }
        };
        let widths: Vec<i64> = both.iter().rev().flatten().map(|&width| width as i64).collect();
        (x.pad_with(&widths, self.padding_mode), Window { padding: Padding::Zeros([0; N]), ..self.window })
    }
}

impl<const N: usize> ConvTranspose<N> {
    /// Stride 1, no padding, with a bias; one number for the kernel makes it square.
    #[track_caller]
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl PerAxis<N>) -> ConvTranspose<N> {
        let shape = [&[in_channels, out_channels], kernel.per_axis().as_slice()].concat();
        let init = init(&shape);
        ConvTranspose {
            weight: Parameter::new(shape, init.clone()),
            bias: Some(Parameter::new([out_channels], init)),
            out_channels,
            window: TransposedWindow::default(),
        }
    }

    /// How many positions are cut from both sides of the result.
    #[must_use]
    pub fn padding(mut self, padding: impl PerAxis<N>) -> ConvTranspose<N> {
        self.window.padding = padding.per_axis();
        self
    }

    /// How many positions the result has more at its end.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl PerAxis<N>) -> ConvTranspose<N> {
        self.window.output_padding = output_padding.per_axis();
        self
    }
}

/// Uniform on ±1/√fan_in; PyTorch counts the fan of both kinds from the weight's axes after the first.
fn init(weight: &[usize]) -> Init {
    let fan_in: usize = weight[1..].iter().product();
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Init::Uniform { low: -bound, high: bound }
}

macro_rules! forward {
    ($name:ident |$layer:ident, $method:ident, $x:ident| $value:expr; $($text:literal)*) => {
        impl<const N: usize> Forward<Tensor> for $name<N> {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, $x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let ($layer, $method) = (self, [$($text),*][N - 1]);
                if $x.is_batch_of($method, N + 2) { $value } else { Tensor::poison() }
            }
        }
    };
}

forward! {
    Conv |layer, method, x| {
        let (x, window) = layer.padded(x);
        convolve(method, x, layer.weight.tensor(), optional(layer.bias.as_ref()), &window)
    };
    "conv1d" "conv2d" "conv3d"
}

forward! {
    ConvTranspose |layer, method, x| {
        convolve_transposed(method, x, layer.weight.tensor(), optional(layer.bias.as_ref()), &layer.window)
    };
    "conv_transpose1d" "conv_transpose2d" "conv_transpose3d"
}

impl<const N: usize> ConvTranspose<N> {
    fn repr(&self) -> String {
        let shape = self.weight.shape();
        let mut text = format!("{}, {}, ", shape[0], self.out_channels);
        text += &format!("kernel_size={}, stride={}", python_tuple(&shape[2..]), python_tuple(&self.window.stride));
        text += &unless("padding", &self.window.padding, 0);
        text += &unless("dilation", &self.window.dilation, 1);
        text += &unless("output_padding", &self.window.output_padding, 0);
        text + &rest(self.window.groups, self.bias.is_some())
    }
}

/// An option that PyTorch prints where it is not its default.
fn unless(name: &str, values: &[usize], default: usize) -> String {
    if values.iter().all(|&value| value == default) {
        String::new()
    } else {
        format!(", {name}={}", python_tuple(values))
    }
}

fn rest(groups: usize, bias: bool) -> String {
    let groups = if groups == 1 { String::new() } else { format!(", groups={groups}") };
    groups + if bias { "" } else { ", bias=False" }
}
