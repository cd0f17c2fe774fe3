//! `nn.BatchNorm1d` to `nn.BatchNorm3d` and `nn.InstanceNorm1d` to `nn.InstanceNorm3d`.

use kiln_ir::{Code, DType, Diagnostic, Dim, Init};

use super::optional;
use crate::module::{python, python_bool};
use crate::normalization::{Affine, NormOptions, Running};
use crate::{Buffer, Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// Running statistics as state.
#[derive(Debug, Clone)]
pub struct RunningBuffers {
    /// `[channels]`.
    pub running_mean: Buffer,
    /// `[channels]`.
    pub running_var: Buffer,
    /// The number of training steps.
    pub num_batches_tracked: Buffer,
}

impl RunningBuffers {
    fn new(channels: usize) -> RunningBuffers {
        RunningBuffers {
            running_mean: Buffer::new([channels], 0.0),
            running_var: Buffer::new([channels], 1.0),
            num_batches_tracked: Buffer::with_dtype([], DType::I64, 0.0),
        }
    }

    #[track_caller]
    fn tensors(&self) -> Running {
        Running { mean: self.running_mean.tensor(), var: self.running_var.tensor() }
    }

    /// Counts the step, and moves towards the statistics of its batch: by `momentum`, or so that all steps have the same part.
    #[track_caller]
    fn follow(&self, old: Running, batch: Running, momentum: Option<f64>) {
        let steps = self.num_batches_tracked.tensor() + 1;
        self.num_batches_tracked.update(steps);
        let new = match momentum {
            Some(momentum) => old.moved(batch, 1.0 - momentum, momentum),
            None => {
                let part = 1.0 / steps.to(DType::F32);
                old.moved(batch, 1.0 - part, part)
            }
        };
        self.running_mean.update(new.mean);
        self.running_var.update(new.var);
    }
}

macro_rules! channel_norms {
    ($($(#[doc = $doc:literal])* $name:ident $method:ident $text:literal affine $affine:literal ranks $ranks:expr; $($alias:ident $n:literal,)*;)*) => {$(
        $(#[doc = $doc])*
        ///
        /// State as PyTorch's: `weight` 1 and `bias` 0 if it is affine; `running_mean` 0, `running_var` 1 and `num_batches_tracked` if it
        /// tracks them.
        #[derive(Debug, Clone)]
        pub struct $name<const N: usize> {
            /// `[channels]`.
            pub weight: Option<Parameter>,
            /// `[channels]`.
            pub bias: Option<Parameter>,
            /// The running statistics, if it tracks them.
            pub running: Option<RunningBuffers>,
            channels: usize,
            momentum: Option<f64>,
            eps: f64,
        }

        $(
            #[doc = concat!("[`", stringify!($name), "`] over ", stringify!($n), " spatial axes.")]
            pub type $alias = $name<$n>;
        )*

        impl<const N: usize> $name<N> {
            /// With PyTorch's defaults: momentum 0.1, eps 1e-5.
            #[track_caller]
            pub fn new(channels: usize) -> $name<N> {
                let norm = $name { weight: None, bias: None, running: None, channels, momentum: Some(0.1), eps: 1e-5 };
                norm.affine($affine).track_running_stats($affine)
            }

            /// How far the running statistics move in a step; `None`: they are the mean over all steps.
            #[must_use]
            pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> $name<N> {
                self.momentum = momentum.into();
                self
            }

            /// What is added to the variance.
            #[must_use]
            pub fn eps(mut self, eps: f64) -> $name<N> {
                self.eps = eps;
                self
            }

            /// With or without a learned weight and bias.
            #[must_use]
            #[track_caller]
            pub fn affine(mut self, affine: bool) -> $name<N> {
                self.weight = None;
                self.bias = None;
                if affine {
                    self.weight = Some(Parameter::new([self.channels], Init::Constant(1.0)));
                    self.bias = Some(Parameter::new([self.channels], Init::Zeros));
                }
                self
            }

            /// With or without running statistics; without, evaluation uses those of its input too.
            #[must_use]
            pub fn track_running_stats(mut self, track: bool) -> $name<N> {
                self.running = track.then(|| RunningBuffers::new(self.channels));
                self
            }
        }

        impl<const N: usize> Module for $name<N> {
            fn visit(&self, visitor: &mut dyn Visitor) {
                self.weight.visit_as("weight", visitor);
                self.bias.visit_as("bias", visitor);
                if let Some(running) = &self.running {
                    running.running_mean.visit_as("running_mean", visitor);
                    running.running_var.visit_as("running_var", visitor);
                    running.num_batches_tracked.visit_as("num_batches_tracked", visitor);
                }
            }

            fn type_name(&self) -> &'static str {
                [$(stringify!($alias)),*][N - 1]
            }

            fn extra_repr(&self) -> String {
                let (eps, momentum) = (python(self.eps), self.momentum.map_or("None".to_owned(), python));
                let (affine, tracks) = (python_bool(self.weight.is_some()), python_bool(self.running.is_some()));
                let channels = self.channels;
                format!("{channels}, eps={eps}, momentum={momentum}, affine={affine}, track_running_stats={tracks}")
            }
        }

        impl<const N: usize> Forward<Tensor> for $name<N> {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let ranks: &[usize] = $ranks;
                let fits = ranks.contains(&x.rank()) && x.shape().0[1] == Dim::fixed(self.channels);
                if x.value().is_some() && !fits {
                    let spatial = [", length", ", height, width", ", depth, height, width"][N - 1];
                    let message = format!("{} needs [batch, {}{spatial}]: found {}", $text, self.channels, x.shape());
                    return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
                }
                let affine = Affine { weight: optional(self.weight.as_ref()), bias: optional(self.bias.as_ref()) };
                let training = Scope::is_training() || self.running.is_none();
                let options = NormOptions { training, eps: self.eps, ..NormOptions::default() };
                let Some(running) = &self.running else { return x.$method(None, affine, options).0 };
                let old = running.tensors();
                let (y, batch) = x.$method(Some(old), affine, options);
                if let Some(batch) = batch {
                    running.follow(old, batch, self.momentum);
                }
                y
            }
        }
    )*};
}

channel_norms! {
    /// Normalises each channel of `[batch, channels, spatial..]`: `(x - mean) / √(var + eps)·weight + bias` (Ioffe and Szegedy, 2015).
    ///
    /// In training mean and (biased) variance are the batch's, and the running statistics move towards them by `momentum`, the variance
    /// with Bessel's correction; in evaluation the running statistics are used. `BatchNorm1d` also takes `[batch, channels]`.
    BatchNorm batch_normalized "batch_norm" affine true ranks if N == 1 { &[2, 3] } else { &[N + 2] };
    BatchNorm1d 1, BatchNorm2d 2, BatchNorm3d 3,;
    /// Normalises each channel of each sample of `[batch, channels, spatial..]` (Ulyanov et al., 2016). Neither affine nor with running
    /// statistics, unless asked for.
    InstanceNorm instance_normalized "instance_norm" affine false ranks &[N + 2];
    InstanceNorm1d 1, InstanceNorm2d 2, InstanceNorm3d 3,;
}
