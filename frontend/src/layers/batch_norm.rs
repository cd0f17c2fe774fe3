//! `nn.BatchNorm2d`.

use kiln_ir::{Code, DType, Diagnostic, Init};

use crate::{Buffer, Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// Normalises each channel of `[batch, channels, h, w]`: `(x - mean) / √(var + eps) · weight + bias` (Ioffe and Szegedy, 2015).
///
/// In training mean and (biased) variance are the batch's, and the running statistics move towards them by `momentum`, the
/// variance with Bessel's correction; in evaluation the running statistics are used. State as PyTorch's: `weight` 1, `bias` 0,
/// `running_mean` 0, `running_var` 1, `num_batches_tracked`.
#[derive(Debug, Clone)]
pub struct BatchNorm2d {
    /// `[channels]`.
    pub weight: Parameter,
    /// `[channels]`.
    pub bias: Parameter,
    /// `[channels]`.
    pub running_mean: Buffer,
    /// `[channels]`.
    pub running_var: Buffer,
    /// The number of training steps.
    pub num_batches_tracked: Buffer,
    momentum: f64,
    eps: f64,
}

impl BatchNorm2d {
    /// With PyTorch's defaults: momentum 0.1, eps 1e-5.
    #[track_caller]
    pub fn new(channels: usize) -> BatchNorm2d {
        BatchNorm2d {
            weight: Parameter::new([channels], Init::Constant(1.0)),
            bias: Parameter::new([channels], Init::Zeros),
            running_mean: Buffer::new([channels], 0.0),
            running_var: Buffer::new([channels], 1.0),
            num_batches_tracked: Buffer::with_dtype([], DType::I64, 0.0),
            momentum: 0.1,
            eps: 1e-5,
        }
    }

    /// How far the running statistics move in a step.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> BatchNorm2d {
        self.momentum = momentum;
        self
    }

    /// What is added to the variance.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> BatchNorm2d {
        self.eps = eps;
        self
    }

    /// Mean and biased variance of the batch, as `[1, channels, 1, 1]`; moves the running statistics.
    #[track_caller]
    fn batch_statistics(&self, x: Tensor) -> (Tensor, Tensor) {
        let axes = [0, 2, 3];
        let mean = x.mean(&axes, true);
        let var = (x - mean).square().mean(&axes, true);
        let count = x.count(&[0, 2, 3]);
        let unbiased = var * (count / (count - 1.0));
        self.follow(&self.running_mean, mean);
        self.follow(&self.running_var, unbiased);
        self.num_batches_tracked.update(self.num_batches_tracked.tensor() + 1.0);
        (mean, var)
    }

    #[track_caller]
    fn follow(&self, running: &Buffer, batch: Tensor) {
        let batch = batch.detach().reshape([-1]);
        running.update(running.tensor() * (1.0 - self.momentum) + batch * self.momentum);
    }
}

/// `[channels]` → `[1, channels, 1, 1]`.
#[track_caller]
fn channel(tensor: Tensor) -> Tensor {
    tensor.reshape([1, -1, 1, 1])
}

impl Module for BatchNorm2d {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weight.visit_as("weight", visitor);
        self.bias.visit_as("bias", visitor);
        self.running_mean.visit_as("running_mean", visitor);
        self.running_var.visit_as("running_var", visitor);
        self.num_batches_tracked.visit_as("num_batches_tracked", visitor);
    }
}

impl Forward<Tensor> for BatchNorm2d {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        let channels = self.weight.shape()[0];
        if x.value().is_some() && (x.rank() != 4 || x.size(1).as_fixed() != Some(channels)) {
            let message = format!("batch_norm needs [batch, {channels}, height, width]: found {}", x.shape());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let (mean, var) = match Scope::is_training() {
            true => self.batch_statistics(x),
            false => (channel(self.running_mean.tensor()), channel(self.running_var.tensor())),
        };
        let scale = channel(self.weight.tensor()) / (var + self.eps).sqrt();
        (x - mean) * scale + channel(self.bias.tensor())
    }
}
