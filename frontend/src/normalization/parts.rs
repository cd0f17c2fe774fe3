//! What norms are made of: the checks of their operands, statistics, and weight and bias.

use kiln_ir::{Code, DType, Diagnostic, Dim, ops};

use super::{Affine, Running};
use crate::Tensor;

impl Tensor {
    /// Whether this is a floating `[batch, channels, ..]` with at least `rank` axes, of which only the first may be symbolic.
    #[track_caller]
    pub(super) fn has_channels(self, method: &str, rank: usize) -> bool {
        if self.value().is_none() || !self.is_floating(method) {
            return false;
        }
        if self.rank() < rank {
            let message =
                format!("{method} needs an input [batch, channels, ..] with at least {rank} axes: found {}", self.ty());
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
            return false;
        }
        self.fixed_extents(method, 1).is_some()
    }

    /// Whether everything that is given for each channel is `[channels]`.
    #[track_caller]
    pub(super) fn has_channel_values(self, method: &str, running: Option<Running>, affine: Affine) -> bool {
        let channels = self.shape().0[1];
        let (mean, var) = (running.map(|running| running.mean), running.map(|running| running.var));
        let given = [("running_mean", mean), ("running_var", var), ("weight", affine.weight), ("bias", affine.bias)];
        for (name, tensor) in given {
            let Some(tensor) = tensor.filter(|tensor| tensor.value().is_some()) else { continue };
            if tensor.shape().0 != [channels] {
                let message =
                    format!("{method} needs a `{name}` [{channels}], one value a channel: found {}", tensor.ty());
                Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
                return false;
            }
            if !self.takes(method, name, tensor) {
                return false;
            }
        }
        true
    }

    /// Whether an operand has the dtype of this input, or f32 beside a half type; a mistake is noted.
    #[track_caller]
    pub(super) fn takes(self, method: &str, name: &str, operand: Tensor) -> bool {
        let fits = operand.dtype() == self.dtype() || self.dtype().is_half() && operand.dtype() == DType::F32;
        if !fits {
            let message =
                format!("{method} needs a `{name}` of {}, as its input: found {}", self.dtype(), operand.ty());
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help("convert it with `.to(dtype)`"));
        }
        fits
    }

    /// Whether there is more than one element to take statistics of.
    #[track_caller]
    pub(super) fn has_variance(self, method: &str, what: &str, axes: &[usize]) -> bool {
        let shape = self.shape();
        if axes.iter().any(|&axis| shape.0[axis] != Dim::ONE) {
            return true;
        }
        let message = format!("{method} needs more than one {what} in training: found {shape}");
        Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        false
    }

    /// The last axes, which are to be `shape`.
    #[track_caller]
    pub(super) fn last_axes(self, method: &str, shape: &[usize], affine: Affine) -> Option<Vec<usize>> {
        self.value()?;
        if shape.is_empty() {
            let message = format!("{method} needs at least one axis to normalise over");
            Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
            return None;
        }
        if !self.is_floating(method) {
            return None;
        }
        let wanted: Vec<Dim> = shape.iter().copied().map(Dim::fixed).collect();
        let whole = Some(("input", self)).filter(|_| !self.shape().0.ends_with(&wanted));
        let other = |name, tensor: Option<Tensor>| {
            tensor.filter(|t| t.value().is_some() && t.shape().0 != wanted).map(|t| (name, t))
        };
        if let Some((name, tensor)) = whole.or(other("weight", affine.weight)).or(other("bias", affine.bias)) {
            let message = format!("{method} needs a last shape of {shape:?}: `{name}` is {}", tensor.ty());
            Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
            return None;
        }
        Some((self.rank() - shape.len()..self.rank()).collect())
    }

    /// The mean over axes, which stay.
    #[track_caller]
    pub(super) fn mean_of(self, axes: &[usize]) -> Tensor {
        Tensor::apply(ops::Sum { axes: axes.to_vec(), keep: true }, &[self]) / self.count(axes)
    }

    /// Mean and biased variance over axes, which stay.
    #[track_caller]
    pub(super) fn statistics(self, axes: &[usize]) -> (Tensor, Tensor) {
        let mean = self.mean_of(axes);
        (mean, (self - mean).square().mean_of(axes))
    }

    /// A biased variance over axes of `self`, with Bessel's correction.
    #[track_caller]
    pub(super) fn unbiased(self, var: Tensor, axes: &[usize]) -> Tensor {
        let count = self.count(axes);
        var * (count / (count - 1.0))
    }

    #[track_caller]
    pub(super) fn normalized(self, mean: Tensor, var: Tensor, eps: f64) -> Tensor {
        (self - mean) * (1.0 / (var + eps).sqrt())
    }

    /// [`Tensor::normalized`] and [`Tensor::channel_affine`] with one factor for each channel.
    #[track_caller]
    pub(super) fn channel_normalized(self, mean: Tensor, var: Tensor, affine: Affine, eps: f64) -> Tensor {
        let root = (var + eps).sqrt();
        let scale = match affine.weight {
            Some(weight) => self.channel_wise(weight) / root,
            None => 1.0 / root,
        };
        ((self - mean) * scale).channel_affine(Affine { weight: None, ..affine })
    }

    /// `[channels]` beside `[batch, channels, ..]`, in the dtype that is calculated in.
    #[track_caller]
    pub(super) fn channel_wise(self, values: Tensor) -> Tensor {
        let mut shape = vec![Dim::ONE; self.rank() - 1];
        shape[0] = values.size(0);
        values.to(self.dtype()).reshape(shape)
    }

    #[track_caller]
    pub(super) fn channel_affine(self, affine: Affine) -> Tensor {
        let mut y = self;
        if let Some(weight) = affine.weight {
            y = y * y.channel_wise(weight);
        }
        match affine.bias {
            Some(bias) => y + y.channel_wise(bias),
            None => y,
        }
    }

    #[track_caller]
    pub(super) fn affine(self, affine: Affine) -> Tensor {
        let mut y = self;
        if let Some(weight) = affine.weight {
            y = y * weight.to(y.dtype());
        }
        match affine.bias {
            Some(bias) => y + bias.to(y.dtype()),
            None => y,
        }
    }
}
