//! Convolutions.

use kiln_ir::ops;

use crate::Tensor;

/// How a convolution's window moves; `Window::default()` is PyTorch's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Distance between windows: rows, columns.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
    /// Distance between the taps of a window.
    pub dilation: [usize; 2],
    /// Number of groups that the channels are divided into.
    pub groups: usize,
}

impl Default for Window {
    fn default() -> Window {
        Window { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }
}

impl Tensor {
    /// Two-dimensional convolution; x: `[batch, in, h, w]`, w: `[out, in/groups, kh, kw]`, b: `[out]`.
    #[track_caller]
    pub fn conv2d(self, weight: Tensor, bias: Option<Tensor>, window: Window) -> Tensor {
        let conv = ops::Conv {
            stride: window.stride.to_vec(),
            padding: window.padding.to_vec(),
            dilation: window.dilation.to_vec(),
            groups: window.groups,
        };
        let product = Tensor::apply_as("conv2d", conv, &[self, weight]);
        match bias {
            Some(bias) => product + bias.reshape([-1, 1, 1]),
            None => product,
        }
    }
}
