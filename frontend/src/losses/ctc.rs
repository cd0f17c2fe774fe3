//! Connectionist temporal classification.

use kiln_ir::{Code, DType, Diagnostic, Dim, Number, Shape, ops};

use super::{Reduction, refused};
use crate::{Tensor, creation};

/// Options of [`ctc_loss_with`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Ctc {
    /// The class that stands for no label.
    pub blank: usize,
    /// What becomes of the losses; the mean first divides each by the length of its target.
    pub reduction: Reduction,
    /// Whether an infinite loss, of a target that does not fit into its input, becomes 0.
    pub zero_infinity: bool,
}

/// The lengths of sequences, one a sample.
#[derive(Clone, Copy, Debug)]
pub enum Lengths<'a> {
    /// Known when the model is built.
    Known(&'a [usize]),
    /// Given with the data: `i64[batch]`.
    Tensor(Tensor),
}

impl<'a> From<&'a [usize]> for Lengths<'a> {
    fn from(lengths: &'a [usize]) -> Lengths<'a> {
        Lengths::Known(lengths)
    }
}

impl<'a, const N: usize> From<&'a [usize; N]> for Lengths<'a> {
    fn from(lengths: &'a [usize; N]) -> Lengths<'a> {
        Lengths::Known(lengths)
    }
}

impl From<Tensor> for Lengths<'_> {
    fn from(lengths: Tensor) -> Self {
        Lengths::Tensor(lengths)
    }
}

/// Stands for the logarithm of 0. It is finite, so that derivatives of what cannot happen are zeros and never NaN, and so low that
/// whatever a sequence adds is lost in its rounding.
const IMPOSSIBLE: f64 = -1e30;

const OP: &str = "ctc_loss";

/// [`ctc_loss_with`] with PyTorch's defaults.
#[track_caller]
pub fn ctc_loss<'a>(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: impl Into<Lengths<'a>>,
    target_lengths: impl Into<Lengths<'a>>,
) -> Tensor {
    ctc_loss_with(log_probs, targets, input_lengths, target_lengths, Ctc::default())
}

/// `-log Σ P(path)` over all paths that become the target when repeats are joined and blanks dropped.
///
/// Shapes: log_probs `[time, batch, classes]`, or `[time, classes]` for one sample; targets `i64[batch, longest]` with anything after their
/// ends, or `i64[sum of lengths]`, one after another; lengths `[batch]`, `[]` for one sample. The batch is a constant extent, since time is in
/// front. Errors: K0101, K0102, K0103, K0109; K0105 for a blank that is no class and for a length beyond its bound. Lengths in a tensor are checked when
/// the step runs, as are labels, and stop it.
///
/// Gradient: `e^x - P(class at this time | target)` for log_probs `x`, as PyTorch: a log-softmax in front takes the first part out again.
///
/// Numerics: the forward variables, in logarithms, unrolled over time.
///
/// Source: Graves et al., "Connectionist Temporal Classification".
#[track_caller]
pub fn ctc_loss_with<'a>(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: impl Into<Lengths<'a>>,
    target_lengths: impl Into<Lengths<'a>>,
    options: Ctc,
) -> Tensor {
    let (Some(_), Some(_)) = (log_probs.value(), targets.value()) else { return Tensor::poison() };
    let single = log_probs.rank() == 2;
    let x = if single { log_probs.unsqueeze(1) } else { log_probs };
    let extents = match Extents::of(x, targets) {
        Ok(extents) => extents,
        Err(diagnostic) => return Tensor::mistake(diagnostic),
    };
    if options.blank >= extents.classes {
        return refused(OP, &format!("a blank below {}, the number of classes", extents.classes), options.blank as f64);
    }
    let (given, labels) = (target_lengths.into(), targets.to(DType::I64));
    let Some(input_lengths) = extents.lengths("input", input_lengths.into(), extents.time) else {
        return Tensor::poison();
    };
    let Some(target_lengths) = extents.lengths("target", given, extents.label_count) else { return Tensor::poison() };
    let labels = match (labels.rank(), single, given) {
        (_, true, _) => labels.reshape([1, -1]),
        (2, ..) => labels,
        (_, _, Lengths::Known(known)) if known.iter().sum::<usize>() != extents.label_count => {
            return refused(OP, "as many labels as the target lengths add up to", extents.label_count as f64);
        }
        (_, _, Lengths::Known(known)) => extents.padded(labels, target_lengths, known.iter().copied().max()),
        (_, _, Lengths::Tensor(_)) => extents.padded(labels, target_lengths, None),
    };
    let states = labels.within(target_lengths, options.blank).between_blanks(options.blank); // [batch, states]
    let losses = forward(x, states, options.blank, input_lengths, target_lengths);
    let (infinite, replacement) =
        (losses.gt(-0.5 * IMPOSSIBLE), if options.zero_infinity { 0.0 } else { f64::INFINITY });
    let losses = (losses + softmax_part(x, input_lengths)).masked_fill(infinite, replacement);
    let losses = if single { losses.reshape([0_usize; 0]) } else { losses };
    match options.reduction {
        Reduction::Mean => (losses / target_lengths.maximum(1)).mean_all(),
        other => other.of(losses),
    }
}

/// The loss of each sample of log-probabilities `[time, batch, classes]`: `-log` of the probability that the sequence of states `[batch, states]` is
/// walked through from one of the first two to one of the last two, where a state may be kept, and a blank between two different labels
/// passed over.
#[track_caller]
fn forward(x: Tensor, states: Tensor, blank: usize, input_lengths: Tensor, target_lengths: Tensor) -> Tensor {
    let count = states.shape().0[1].factor;
    let every_time = Shape([&x.shape().0[..1], &states.shape().0].concat()); // [time, batch, states]
    let emissions = x.gather(2, states.broadcast(&every_time)).maximum(IMPOSSIBLE);
    let blank = blank as f64;
    let passes = states.ne(blank as i64).logical_and(states.ne(states.delayed(2, blank)));
    let position = positions(count); // [states]
    // Before the first frame every path stands in front of its first blank, as if that had been there.
    let mut alpha = Tensor::full(IMPOSSIBLE, x.dtype()).broadcast(&states.shape()).masked_fill(position.eq(0), 0);
    for time in 0..x.shape().0[0].factor {
        let (step, skip) = (alpha.delayed(1, IMPOSSIBLE), alpha.delayed(2, IMPOSSIBLE));
        let skip = skip.where_self(passes, IMPOSSIBLE);
        let greatest = alpha.maximum(step).maximum(skip).detach();
        let sum = (alpha - greatest).exp() + (step - greatest).exp() + (skip - greatest).exp();
        let next = greatest + sum.log() + emissions.narrow(0, time as i64, 1).squeeze(0);
        alpha = next.where_self(input_lengths.gt(time as i64).unsqueeze(1), alpha);
    }
    let end = (target_lengths * 2).unsqueeze(1);
    let last = position.eq(end).logical_or(position.eq(end - 1));
    let ends = alpha.where_self(last, IMPOSSIBLE);
    let greatest = ends.amax(&[1], true).detach();
    let sum = (ends - greatest).exp().sum(&[1], true);
    -(greatest + sum.log()).squeeze(1)
}

/// Lengths that the model is built with, as a constant.
#[track_caller]
fn known_lengths(which: &str, lengths: &[usize], bound: usize) -> Option<Tensor> {
    if let Some(&found) = lengths.iter().find(|&&length| length > bound) {
        refused(OP, &format!("{which} lengths of at most {bound}"), found as f64);
        return None;
    }
    let data = lengths.iter().map(|&length| Number::new(length as f64)).collect();
    let shape = vec![Dim::fixed(lengths.len())];
    Some(Tensor::apply(ops::Constant { dtype: DType::I64, shape, data }, &[]))
}

/// Nothing, whose gradient is `e^x` in the frames of each sample: what PyTorch's derivative has beside that of the formula.
#[track_caller]
fn softmax_part(x: Tensor, input_lengths: Tensor) -> Tensor {
    let time = positions(x.shape().0[0].factor).unsqueeze(1); // [time, 1]
    let probabilities = x.exp();
    let nothing = (probabilities - probabilities.detach()).sum(&[2], false); // [time, batch]
    nothing.where_self(time.lt(input_lengths), 0.0).sum(&[0], false)
}

/// `[0, 1, ..]`.
#[track_caller]
fn positions(count: usize) -> Tensor {
    creation::positions(&[Dim::fixed(count)], 0)
}

impl Tensor {
    /// The elements of the last axis `by` positions later, and `fill` in front.
    #[track_caller]
    fn delayed(self, by: i64, fill: f64) -> Tensor {
        let count = self.shape().0[self.rank() - 1].factor;
        self.pad(&[by, 0], fill).narrow(-1, 0, count)
    }

    /// Labels `[batch, longest]` where they are within their lengths, blanks elsewhere.
    #[track_caller]
    fn within(self, lengths: Tensor, blank: usize) -> Tensor {
        let position = positions(self.shape().0[1].factor);
        self.where_self(position.lt(lengths.unsqueeze(1)), blank as i64)
    }

    /// `a b c` → `- a - b - c -`: `[batch, n]` → `[batch, 2n + 1]`.
    #[track_caller]
    fn between_blanks(self, blank: usize) -> Tensor {
        let blank = blank as f64;
        self.unsqueeze(2).pad(&[1, 0], blank).flatten(1, 2).pad(&[0, 1], blank)
    }
}

/// The constant extents of a call.
struct Extents {
    time: usize,
    batch: usize,
    classes: usize,
    /// The extent of the targets' last axis.
    label_count: usize,
}

impl Extents {
    fn of(x: Tensor, targets: Tensor) -> Result<Extents, Diagnostic> {
        let (x, y) = (x.ty(), targets.ty());
        let fault =
            |code, requirement: &str| Err(Diagnostic::new(code, format!("{OP} needs {requirement}: {x} and {y}")));
        if x.rank() != 3 || y.rank() == 0 || y.rank() > 2 {
            return fault(
                Code::RankMismatch,
                "log_probs [time, batch, classes] and targets [batch, longest] or [labels]",
            );
        }
        if !x.dtype.is_float() || !y.dtype.is_integer() {
            return fault(Code::DTypeMismatch, "floating log_probs and targets of integers");
        }
        if x.shape.0.iter().chain(&y.shape.0).any(|dim| dim.batch) {
            return fault(Code::BatchAxis, "constant extents, since time is in front");
        }
        let [time, batch, classes] = [0, 1, 2].map(|axis| x.shape.0[axis].factor);
        if y.rank() == 2 && y.shape.0[0].factor != batch {
            return fault(Code::ShapeMismatch, "one target for each sample");
        }
        Ok(Extents { time, batch, classes, label_count: y.shape.0[y.rank() - 1].factor })
    }

    /// Lengths as `i64[batch]`, each at most `bound`.
    #[track_caller]
    fn lengths(&self, which: &str, lengths: Lengths<'_>, bound: usize) -> Option<Tensor> {
        let found = match lengths {
            Lengths::Known(known) if known.len() == self.batch => return known_lengths(which, known, bound),
            Lengths::Known(known) => format!("{} of them", known.len()),
            Lengths::Tensor(given) => {
                given.value()?;
                let (ty, count) = (given.ty(), given.shape().count().as_fixed());
                if ty.rank() <= 1 && ty.dtype.is_integer() && count == Some(self.batch) {
                    // Looked up among the lengths there are, so that one beyond them stops the step.
                    return Some(positions(bound + 1).gather(0, given.to(DType::I64).reshape([-1])));
                }
                ty.to_string()
            }
        };
        let message = format!("{OP} needs {which} lengths, integers [{}]: found {found}", self.batch);
        Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        None
    }

    /// Labels that stand one after another, `[labels]`, as `[batch, longest]`.
    #[track_caller]
    fn padded(&self, labels: Tensor, lengths: Tensor, longest: Option<usize>) -> Tensor {
        let sample = positions(self.batch);
        let before = sample.lt(sample.unsqueeze(1)); // [batch, batch]
        let start = lengths.where_self(before, 0).sum(&[1], true); // [batch, 1]
        let offset = positions(longest.unwrap_or(self.label_count)); // [longest]
        let index = (start + offset).where_self(offset.lt(lengths.unsqueeze(1)), 0);
        labels.gather(0, index.flatten(0, 1)).reshape(index.shape().0)
    }
}
