//! Normalisation by statistics of the batch, of each sample, or of neighbours. Half types are normalised in f32 and rounded once.

mod parts;

use kiln_ir::{Code, DType, Diagnostic, Dim, Number, ops};

use crate::Tensor;
use crate::scalar::Operand;

/// What a normalised tensor is multiplied with, and what is added to it; `Affine::default()` is neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine {
    /// The factor.
    pub weight: Option<Tensor>,
    /// The summand.
    pub bias: Option<Tensor>,
}

/// Running statistics of a batch or instance norm.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The running mean of each channel.
    pub mean: Tensor,
    /// The running variance of each channel, with Bessel's correction.
    pub var: Tensor,
}

/// How a batch or instance norm works; `NormOptions::default()` is PyTorch's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NormOptions {
    /// Whether the input's own statistics are used, and the running ones moved towards them.
    pub training: bool,
    /// How far the running statistics move.
    pub momentum: f64,
    /// What is added to the variance.
    pub eps: f64,
}

impl Default for NormOptions {
    fn default() -> NormOptions {
        NormOptions { training: false, momentum: 0.1, eps: 1e-5 }
    }
}

impl Tensor {
    /// `(x - mean) / √(var + eps)·weight + bias` for each channel of `[batch, channels, ..]` (Ioffe and Szegedy, 2015), and the new running
    /// statistics.
    ///
    /// In training mean and biased variance are those of the batch, and the running statistics become
    /// `(1 - momentum)·running + momentum·batch`, the variance with Bessel's correction; no gradient flows through them. Otherwise the
    /// running statistics are used and do not change. K0102 without a channel axis; K0101 for statistics, weight or bias that are not
    /// `[channels]`, and for one value a channel in training; K0105 without statistics in evaluation. An input without elements stays as it
    /// is, whatever its rank.
    #[track_caller]
    pub fn batch_norm(
        self,
        running: Option<Running>,
        affine: Affine,
        options: NormOptions,
    ) -> (Tensor, Option<Running>) {
        let (y, batch) = self.batch_normalized(running, affine, options);
        (y, moved(running, batch, options.momentum))
    }

    /// [`Tensor::batch_norm`] with the statistics of the batch, if they were used.
    #[track_caller]
    pub(crate) fn batch_normalized(
        self,
        running: Option<Running>,
        affine: Affine,
        options: NormOptions,
    ) -> (Tensor, Option<Running>) {
        if self.value().is_some() && self.shape().count() == Dim::fixed(0) {
            return (self, None);
        }
        if options.training && options.eps <= 0.0 {
            let message = format!("batch_norm needs a positive eps in training: found {}", options.eps);
            return (Tensor::mistake(Diagnostic::new(Code::BadArgument, message)), None);
        }
        let axes: Vec<usize> = (0..self.rank()).filter(|&axis| axis != 1).collect();
        let checked = self.has_channels("batch_norm", 2)
            && self.has_channel_values("batch_norm", running, affine)
            && (!options.training || self.has_variance("batch_norm", "value per channel", &axes));
        if !checked {
            return (Tensor::poison(), None);
        }
        let x = self.wide();
        let (mean, var, batch) = match running {
            _ if options.training => {
                let (mean, var) = x.statistics(&axes);
                (mean, var, Some(Running::of(mean, x.unbiased(var, &axes))))
            }
            Some(running) => (x.channel_wise(running.mean), x.channel_wise(running.var), None),
            None => {
                let message = "batch_norm needs running statistics when it does not use those of its input";
                return (Tensor::mistake(Diagnostic::new(Code::BadArgument, message)), None);
            }
        };
        (x.channel_normalized(mean, var, affine, options.eps).to(self.dtype()), batch)
    }

    /// [`Tensor::batch_norm`] of every sample by itself (Ulyanov et al., 2016): mean and variance are over the axes after the channels.
    /// Running statistics move towards the mean over the batch. `options.training` is PyTorch's `use_input_stats`. K0101 also for one
    /// spatial element.
    #[track_caller]
    pub fn instance_norm(
        self,
        running: Option<Running>,
        affine: Affine,
        options: NormOptions,
    ) -> (Tensor, Option<Running>) {
        let (y, batch) = self.instance_normalized(running, affine, options);
        (y, moved(running, batch, options.momentum))
    }

    /// [`Tensor::instance_norm`] with the statistics of the batch, if they were used.
    #[track_caller]
    pub(crate) fn instance_normalized(
        self,
        running: Option<Running>,
        affine: Affine,
        options: NormOptions,
    ) -> (Tensor, Option<Running>) {
        if !options.training {
            return self.batch_normalized(running, affine, options);
        }
        let axes: Vec<usize> = (2..self.rank()).collect();
        let checked = self.has_channels("instance_norm", 2)
            && self.has_channel_values("instance_norm", running, affine)
            && self.has_variance("instance_norm", "spatial element", &axes);
        if !checked {
            return (Tensor::poison(), None);
        }
        let x = self.wide();
        let (mean, var) = x.statistics(&axes);
        let batch = Running::of(mean.mean_of(&[0]), x.unbiased(var, &axes).mean_of(&[0]));
        (x.channel_normalized(mean, var, affine, options.eps).to(self.dtype()), Some(batch))
    }

    /// `(x - mean) / √(var + eps)·weight + bias` over the last axes, which are `shape` (Ba et al., 2016); the variance is biased. Weight
    /// and bias have that shape.
    ///
    /// K0101 for an input, weight or bias of other extents; K0105 for no axes.
    #[track_caller]
    pub fn layer_norm(self, shape: &[usize], affine: Affine, eps: f64) -> Tensor {
        let Some(axes) = self.last_axes("layer_norm", shape, affine) else { return Tensor::poison() };
        for (name, operand) in [("weight", affine.weight), ("bias", affine.bias)] {
            match operand.filter(|operand| operand.value().is_some()) {
                Some(operand) if !self.takes("layer_norm", name, operand) => return Tensor::poison(),
                _ => {}
            }
        }
        let x = self.wide();
        let (mean, var) = x.statistics(&axes);
        x.normalized(mean, var, eps).affine(affine).to(self.dtype())
    }

    /// `x / √(mean x² + eps)·weight` over the last axes, which are `shape` (Zhang and Sennrich, 2019). Without `eps` it is the dtype's
    /// machine epsilon.
    ///
    /// Errors as of [`Tensor::layer_norm`].
    #[track_caller]
    pub fn rms_norm(self, shape: &[usize], weight: Option<Tensor>, eps: Option<f64>) -> Tensor {
        let affine = Affine { weight, bias: None };
        let Some(axes) = self.last_axes("rms_norm", shape, affine) else { return Tensor::poison() };
        let x = self.wide();
        let squares = x.square().mean_of(&axes);
        let scale = 1.0 / (squares + eps.unwrap_or(epsilon(self.dtype()))).sqrt();
        (x * scale).affine(affine).to(self.dtype())
    }

    /// [`Tensor::layer_norm`] over groups of neighbouring channels and all positions of `[batch, channels, ..]` (Wu and He, 2018); weight
    /// and bias are `[channels]`.
    ///
    /// K0102 without a channel axis; K0101 for weight or bias of other extents, an input without channels or positions and groups of one value; K0105 for groups
    /// that do not divide the channels.
    #[track_caller]
    pub fn group_norm(self, groups: usize, affine: Affine, eps: f64) -> Tensor {
        if !self.has_channels("group_norm", 2) || !self.has_channel_values("group_norm", None, affine) {
            return Tensor::poison();
        }
        let channels = self.shape().0[1].factor;
        if groups == 0 || !channels.is_multiple_of(groups) {
            let message = format!("group_norm needs channels that its groups divide: {channels} and {groups}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let shape = self.shape().0;
        if shape[1..].contains(&Dim::fixed(0)) {
            let message = format!("group_norm needs channels and positions in its input: found {}", self.shape());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        if [&[shape[0], Dim::fixed(channels / groups)], &shape[2..]].concat().iter().all(|extent| *extent == Dim::ONE) {
            let message = format!("group_norm needs more than one value a group: found {} in {groups}", self.shape());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let grouped = [&[shape[0], Dim::fixed(groups), Dim::fixed(channels / groups)], &shape[2..]].concat();
        let x = self.wide().reshape(grouped);
        let axes: Vec<usize> = (2..x.rank()).collect();
        let (mean, var) = x.statistics(&axes);
        x.normalized(mean, var, eps).reshape(shape).channel_affine(affine).to(self.dtype())
    }

    /// `x / (k + alpha/size·Σ x²)^beta` with the sum over `size` neighbouring channels of `[batch, channels, ..]` (Krizhevsky et al.,
    /// 2012), zeros beyond the first and last.
    ///
    /// K0102 for fewer than three axes; K0105 for a size of 0.
    #[track_caller]
    pub fn local_response_norm(self, size: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
        if !self.has_channels("local_response_norm", 3) {
            return Tensor::poison();
        }
        if self.shape().count() == Dim::fixed(0) {
            return self;
        }
        if size == 0 {
            let message = "local_response_norm needs a size of at least 1: found 0".to_owned();
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let shape = self.shape().0;
        let x = self.wide();
        let squares =
            x.square().reshape(vec![shape[0], Dim::ONE, shape[1], kiln_ir::Shape(shape[2..].to_vec()).count()]);
        let pad = ops::Pad { axis: 2, low: size / 2, high: (size - 1) / 2, interior: 0, value: Number::new(0.0) };
        let (kernel, ones, none) = (vec![size, 1], vec![1; 2], vec![0; 2]);
        let pool = ops::SumPool { kernel, stride: ones.clone(), padding: none, dilation: ones, ceil: false };
        let padded = Tensor::apply_as("local_response_norm", pad, &[squares]);
        let sums = Tensor::apply_as("local_response_norm", pool, &[padded]).reshape(shape);
        (x / (sums * (alpha / size as f64) + k).pow(beta)).to(self.dtype())
    }
}

impl Running {
    /// The statistics of a batch, `[channels]`; no gradient flows through them.
    #[track_caller]
    fn of(mean: Tensor, var: Tensor) -> Running {
        Running { mean: mean.detach().reshape([-1]), var: var.detach().reshape([-1]) }
    }

    /// `kept·self + part·batch`.
    #[track_caller]
    pub(crate) fn moved(self, batch: Running, kept: impl Operand + Copy, part: impl Operand + Copy) -> Running {
        Running { mean: mixed(self.mean, batch.mean, kept, part), var: mixed(self.var, batch.var, kept, part) }
    }
}

/// `kept·own + part·new`, half types in `f32`.
#[track_caller]
fn mixed(own: Tensor, new: Tensor, kept: impl Operand, part: impl Operand) -> Tensor {
    let wide = own.wide();
    (wide * kept + new.to(wide.dtype()) * part).to(own.dtype())
}

/// The running statistics after a batch, if there was one whose statistics were used.
#[track_caller]
fn moved(running: Option<Running>, batch: Option<Running>, momentum: f64) -> Option<Running> {
    match (running, batch) {
        (Some(running), Some(batch)) => Some(running.moved(batch, 1.0 - momentum, momentum)),
        _ => running,
    }
}

/// The distance of 1 to the next number of a dtype.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        DType::F64 => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    }
}
