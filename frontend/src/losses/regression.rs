//! Losses between numbers, and between distributions.

use std::f64::consts::PI;
use std::str::FromStr;

use kiln_ir::{Code, Diagnostic, Dim};

use super::{Reduction, aligned, refused, same_shape};
use crate::Tensor;
use crate::arithmetic::{broadcast_shape, common_dtype};

/// `w·(x - y)²`.
///
/// Shapes: input and target broadcast; weight as the input. The mean divides by the sum of the weights. Errors: K0101.
#[track_caller]
pub fn mse_loss_with(input: Tensor, target: Tensor, weight: Option<Tensor>, reduction: Reduction) -> Tensor {
    let Some([x, y]) = aligned("mse_loss", [input, target]) else { return Tensor::poison() };
    weighted("mse_loss", (x - y).square(), input, weight, reduction)
}

/// `w·|x - y|`. Gradient 0 where they are equal.
///
/// Shapes: input and target broadcast; weight as the input. The mean divides by the sum of the weights. Errors: K0101.
#[track_caller]
pub fn l1_loss_with(input: Tensor, target: Tensor, weight: Option<Tensor>, reduction: Reduction) -> Tensor {
    if !input.is_number("l1_loss") || !target.is_number("l1_loss") {
        return Tensor::poison();
    }
    let Some([x, y]) = aligned("l1_loss", [input, target]) else { return Tensor::poison() };
    weighted("l1_loss", (x - y).abs(), input, weight, reduction)
}

#[track_caller]
fn weighted(op: &str, losses: Tensor, input: Tensor, weight: Option<Tensor>, reduction: Reduction) -> Tensor {
    match weight {
        None => reduction.of(losses),
        Some(weight) if same_shape(op, "an input and a weight", input, weight) => {
            reduction.of_shares(losses * weight, weight)
        }
        Some(_) => Tensor::poison(),
    }
}

/// `d²/(2β)` for `d = |x - y|` below β, `d - β/2` above: with β = 0 it is [`l1_loss_with`].
///
/// Shapes: broadcast. Errors: K0101; K0105 for a negative β.
///
/// Source: Girshick, "Fast R-CNN".
#[track_caller]
pub fn smooth_l1_loss_with(input: Tensor, target: Tensor, beta: f64, reduction: Reduction) -> Tensor {
    if beta < 0.0 {
        return refused("smooth_l1_loss", "a beta that is not negative", beta);
    }
    let Some([x, y]) = aligned("smooth_l1_loss", [input, target]) else { return Tensor::poison() };
    let (difference, distance) = (x - y, (x - y).abs());
    if beta == 0.0 {
        return reduction.of(distance);
    }
    let bent = difference.square() * (0.5 / beta);
    reduction.of(bent.where_self(distance.lt(beta), distance - 0.5 * beta))
}

/// Options of [`huber_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct Huber {
    /// Where the square ends, above 0.
    pub delta: f64,
    /// A weight an element, in the input's shape. The mean still divides by the number of elements.
    pub weight: Option<Tensor>,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for Huber {
    fn default() -> Huber {
        Huber { delta: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

/// `d²/2` for `d = |x - y|` up to δ, `δ·(d - δ/2)` above.
///
/// Shapes: broadcast; weight as the input. Errors: K0101; K0105 for a δ that is not positive.
///
/// Source: Huber, "Robust Estimation of a Location Parameter".
#[track_caller]
pub fn huber_loss_with(input: Tensor, target: Tensor, options: Huber) -> Tensor {
    let Huber { delta, weight, reduction } = options;
    if delta <= 0.0 {
        return refused("huber_loss", "a positive delta", delta);
    }
    let Some([x, y]) = aligned("huber_loss", [input, target]) else { return Tensor::poison() };
    let (x, y, dtype) = (x.wide(), y.wide(), common_dtype(&[x, y]));
    let (difference, distance) = (x - y, (x - y).abs());
    let losses = (difference.square() * 0.5).where_self(distance.le(delta), (distance - 0.5 * delta) * delta);
    let losses = losses.to(dtype);
    match weight {
        None => reduction.of(losses),
        Some(weight) if same_shape("huber_loss", "an input and a weight", input, weight) => {
            reduction.of(losses * weight)
        }
        Some(_) => Tensor::poison(),
    }
}

/// What becomes of the elements of [`kl_div_with`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KlReduction {
    /// As any other loss.
    Elements(Reduction),
    /// Their sum divided by the first extent: the divergence as mathematics has it, averaged over the batch.
    BatchMean,
}

impl KlReduction {
    /// The mean of all elements, PyTorch's default.
    #[allow(non_upper_case_globals, reason = "it stands beside a variant")]
    pub const Mean: KlReduction = KlReduction::Elements(Reduction::Mean);
}

impl FromStr for KlReduction {
    type Err = Diagnostic;

    fn from_str(word: &str) -> Result<KlReduction, Diagnostic> {
        match word {
            "batchmean" => Ok(KlReduction::BatchMean),
            _ => match word.parse() {
                Ok(reduction) => Ok(KlReduction::Elements(reduction)),
                Err(diagnostic) => Err(Diagnostic::help(diagnostic, "`kl_div` also knows `batchmean`")),
            },
        }
    }
}

/// The Kullback–Leibler divergence of log-probabilities `x` from probabilities `y`: `y·(log y - x)`, 0 where `y` is 0; with `log_target`, `y` is
/// log-probabilities too: `e^y·(y - x)`.
///
/// Shapes: broadcast. Errors: K0101. Gradients: for both.
#[track_caller]
pub fn kl_div_with(input: Tensor, target: Tensor, reduction: KlReduction, log_target: bool) -> Tensor {
    if !input.is_floating("kl_div") || !target.is_floating("kl_div") {
        return Tensor::poison();
    }
    let Some([x, y]) = aligned("kl_div", [input, target]) else { return Tensor::poison() };
    let losses = if log_target {
        y.exp() * (y - x)
    } else {
        // The logarithm of 1 stands in for that of 0, whose derivative would make a NaN of a zero.
        let entropy = y * y.masked_fill(y.eq(0), 1).log();
        entropy - y * x
    };
    match reduction {
        KlReduction::Elements(reduction) => reduction.of(losses),
        KlReduction::BatchMean => {
            let first = input.shape().0.first().copied().unwrap_or(Dim::ONE);
            losses.sum_all() / Tensor::extent(&[first], losses.dtype())
        }
    }
}

/// Options of [`poisson_nll_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct PoissonNll {
    /// Whether the input is the logarithm of the rate.
    pub log_input: bool,
    /// Whether Stirling's approximation of `log y!` is added where `y > 1`.
    pub full: bool,
    /// Keeps `log x` away from `log 0` where the input is the rate itself.
    pub eps: f64,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for PoissonNll {
    fn default() -> PoissonNll {
        PoissonNll { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

/// The negative logarithm of the likelihood of counts `y` under Poisson's distribution, but for `log y!`: `e^x - y·x` for the logarithm of the rate,
/// `x - y·log(x + eps)` for the rate.
///
/// Shapes: broadcast. Errors: K0101. Gradients: for both.
#[track_caller]
pub fn poisson_nll_loss_with(input: Tensor, target: Tensor, options: PoissonNll) -> Tensor {
    let Some([x, y]) = aligned("poisson_nll_loss", [input, target]) else { return Tensor::poison() };
    let mut losses = if options.log_input { x.exp() - y * x } else { x - y * (x + options.eps).log() };
    if options.full {
        let small = y.le(1);
        let count = y.masked_fill(small, 1);
        let stirling = count * count.log() - count + (count * (2.0 * PI)).log() * 0.5;
        losses = losses + stirling.masked_fill(small, 0);
    }
    options.reduction.of(losses)
}

/// Options of [`gaussian_nll_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct GaussianNll {
    /// Whether the constant `log(2π)/2` is added.
    pub full: bool,
    /// The least variance, above 0.
    pub eps: f64,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for GaussianNll {
    fn default() -> GaussianNll {
        GaussianNll { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

/// The negative logarithm of the likelihood of `y` under normal distributions of mean `x` and variance `v`:
/// `(log v + (x - y)²/v)/2` with `v` at least `eps`.
///
/// Shapes: input and target broadcast; the variance has the input's shape, or 1 as its last extent, or lacks the last axis. Errors: K0101; K0105 for an `eps` that is
/// not positive. Gradients: for all three; that of the variance passes through the bound (PyTorch).
#[track_caller]
pub fn gaussian_nll_loss_with(input: Tensor, target: Tensor, var: Tensor, options: GaussianNll) -> Tensor {
    let GaussianNll { full, eps, reduction } = options;
    if eps <= 0.0 {
        return refused("gaussian_nll_loss", "a positive eps", eps);
    }
    let (Some(_), Some(_)) = (input.value(), var.value()) else { return Tensor::poison() };
    let (of_input, of_var) = (input.shape().0, var.shape().0);
    let var = match (of_var.as_slice(), of_input.as_slice()) {
        (var_dims, dims) if var_dims == dims => var,
        (var_dims, [dims @ .., _]) if var_dims == dims => var.unsqueeze(-1),
        (var_dims, dims) if differ_at_a_one(var_dims, dims) => var,
        _ => {
            let (x, v) = (input.shape(), var.shape());
            let message = format!(
                "gaussian_nll_loss needs a variance an element of the input, or one along one axis: {v} for {x}"
            );
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
    };
    let Some(shape) = broadcast_shape("gaussian_nll_loss", &[input, target, var]) else { return Tensor::poison() };
    let (x, y, v) = (input.to_float(), target.to_float(), var.to_float().at_least(eps));
    let mut losses = (v.log() + (x - y).square() / v) * 0.5;
    if full {
        losses = losses + 0.5 * (2.0 * PI).ln();
    }
    reduction.of(losses.broadcast(&shape))
}

/// Whether the extents are equal but for one, which is 1 on the left.
fn differ_at_a_one(ours: &[Dim], theirs: &[Dim]) -> bool {
    let mut different = ours.iter().zip(theirs).filter(|(our, their)| our != their);
    ours.len() == theirs.len()
        && different.next().is_some_and(|(our, _)| *our == Dim::ONE)
        && different.next().is_none()
}
