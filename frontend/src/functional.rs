//! `torch.nn.functional`: layers without parameters of their own.

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim, Shape};

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
    /// The matrix product of the last two axes, batched over equal leading axes: `[.., m, k] · [.., k, n]`.
    #[track_caller]
    pub fn matmul(self, other: Tensor) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), other.value()) else { return Tensor::poison() };
        let (a, b) = (self.shape(), other.shape());
        // Only the call itself is outside of the closure: in it, the caller's place would be lost.
        let fault = |code, requirement: &str| Diagnostic::new(code, format!("matmul needs {requirement}: {a} and {b}"));
        if a.rank() < 2 || b.rank() < 2 || a.rank() > 8 {
            return Tensor::mistake(fault(Code::RankMismatch, "two operands with two to eight axes"));
        }
        if a.0[a.rank() - 1] != b.0[b.rank() - 2] {
            return Tensor::mistake(fault(Code::ShapeMismatch, "equal inner extents"));
        }
        let batch: String = ('a'..).take(a.rank() - 2).collect();
        let equation = match b.rank() {
            2 => format!("{batch}mk,kn->{batch}mn"),
            _ if a.0[..a.rank() - 2] == b.0[..b.rank() - 2] => format!("{batch}mk,{batch}kn->{batch}mn"),
            _ => return Tensor::mistake(fault(Code::ShapeMismatch, "equal leading axes")),
        };
        Tensor::apply(ops::Einsum::new(equation), &[self, other])
    }

    /// `x·wᵀ + b` over the last axis; w: `[out, in]`, b: `[out]`.
    #[track_caller]
    pub fn linear(self, weight: Tensor, bias: Option<Tensor>) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), weight.value()) else { return Tensor::poison() };
        let (x, w) = (self.shape(), weight.shape());
        let inner = |shape: &Shape| shape.0.last().copied();
        if x.rank() < 2 {
            let message =
                format!("linear needs an input with a batch axis, [batch, .., features]: found {}", self.ty());
            let diagnostic = Diagnostic::new(Code::RankMismatch, message);
            return Tensor::mistake(diagnostic.help("`unsqueeze(0)` makes a batch of one sample"));
        }
        if w.rank() != 2 || inner(&x) != inner(&w) {
            let wanted = inner(&w).unwrap_or(Dim::ONE);
            let found = inner(&x).map_or("none".to_owned(), |dim| dim.to_string());
            let message = format!("linear needs {wanted} input features: input {x} has {found}, weight is {w}");
            let diagnostic = Diagnostic::new(Code::ShapeMismatch, message);
            return Tensor::mistake(match x.rank() {
                4 if x.0[1..].iter().map(|dim| dim.factor).product::<usize>() == wanted.factor => {
                    diagnostic.help("flatten the image first: `.flatten(1, -1)`")
                }
                _ => diagnostic,
            });
        }
        if self.dtype() != weight.dtype() {
            let message =
                format!("linear needs an input of its weight's dtype, {}: found {}", weight.dtype(), self.ty());
            let help = format!("convert it with `.to(DType::{:?})`", weight.dtype());
            return Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help(help));
        }
        let leading: String = ('a'..).take(x.rank() - 1).filter(|label| *label != 'o').collect();
        let product = Tensor::apply(ops::Einsum::new(format!("{leading}z,oz->{leading}o")), &[self, weight]);
        match bias {
            Some(bias) => product + bias,
            None => product,
        }
    }

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

    /// The maximum of each `kernel × kernel` window at distance `stride`, with padding that never wins.
    #[track_caller]
    pub fn max_pool2d(self, kernel: usize, stride: usize, padding: usize) -> Tensor {
        let (kernel, stride, padding, dilation) = (vec![kernel; 2], vec![stride; 2], vec![padding; 2], vec![1; 2]);
        Tensor::apply_as("max_pool2d", ops::MaxPool { kernel, stride, padding, dilation, ceil: false }, &[self])
    }

    /// The mean of each `kernel × kernel` window at distance `stride`; padding counts as zeros (`count_include_pad`).
    #[track_caller]
    pub fn avg_pool2d(self, kernel: usize, stride: usize, padding: usize) -> Tensor {
        let area = (kernel * kernel) as f64;
        let (kernel, stride, padding, dilation) = (vec![kernel; 2], vec![stride; 2], vec![padding; 2], vec![1; 2]);
        let pool = ops::SumPool { kernel, stride, padding, dilation, ceil: false };
        Tensor::apply_as("avg_pool2d", pool, &[self]) / area
    }

    /// `bool[.., classes]`, true where the last position is the label. A label outside `0..classes` stops the step.
    #[track_caller]
    pub fn one_hot(self, classes: usize) -> Tensor {
        Tensor::apply(ops::OneHot { classes, checked: true }, &[self])
    }
}

/// Cross-entropy of logits `[batch, classes]` with labels `i64[batch]`, averaged over the batch: PyTorch's `F.cross_entropy`.
///
/// Per sample `-log_softmax(logits)[label]`; a label outside `0..classes` stops the step with the label and the bound.
#[track_caller]
pub fn cross_entropy(logits: Tensor, labels: Tensor) -> Tensor {
    nll_loss(logits.log_softmax(-1), labels)
}

/// `-log_probabilities[label]`, averaged over the batch; log_probabilities: `[batch, classes]`, labels: `i64[batch]`.
#[track_caller]
pub fn nll_loss(log_probabilities: Tensor, labels: Tensor) -> Tensor {
    let (Some(_), Some(_)) = (log_probabilities.value(), labels.value()) else { return Tensor::poison() };
    let (x, y) = (log_probabilities.ty(), labels.ty());
    if x.rank() != 2 || y.rank() != 1 || x.dim(0) != y.dim(0) {
        let message = format!("cross_entropy needs logits [batch, classes] and labels [batch]: {x} and {y}");
        return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    if y.dtype != DType::I64 {
        let message = format!("cross_entropy needs labels i64[batch], the numbers of the classes: found {y}");
        return Tensor::mistake(
            Diagnostic::new(Code::DTypeMismatch, message).help("convert them with `.to(DType::I64)`"),
        );
    }
    let chosen = labels.one_hot(x.dim(1).factor);
    let picked = log_probabilities.where_self(chosen, 0.0);
    -picked.sum(&[-1], false).mean_all()
}

/// The mean of squared differences.
#[track_caller]
pub fn mse_loss(input: Tensor, target: Tensor) -> Tensor {
    (input - target).square().mean_all()
}
