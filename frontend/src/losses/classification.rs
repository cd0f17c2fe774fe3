//! Losses between scores of classes and the class that it should be.

use kiln_ir::{Code, DType, Diagnostic, Dim, Shape, ops};

use super::{Reduction, refused, same_shape};
use crate::Tensor;

/// Options of [`cross_entropy_with`].
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// A weight a class, `[classes]`.
    pub weight: Option<Tensor>,
    /// A label that counts for nothing. `None`: every label is a class.
    pub ignore_index: Option<i64>,
    /// How much of each target is spread evenly over the classes, from 0 to 1.
    pub label_smoothing: f64,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for CrossEntropy {
    fn default() -> CrossEntropy {
        CrossEntropy { weight: None, ignore_index: Some(-100), label_smoothing: 0.0, reduction: Reduction::Mean }
    }
}

/// Options of [`nll_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct Nll {
    /// A weight a class, `[classes]`.
    pub weight: Option<Tensor>,
    /// A label that counts for nothing. `None`: every label is a class.
    pub ignore_index: Option<i64>,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for Nll {
    fn default() -> Nll {
        Nll { weight: None, ignore_index: Some(-100), reduction: Reduction::Mean }
    }
}

/// Cross-entropy of logits and a target: `-Σ_c w_c·y_c·log softmax(x)_c`, where a label `t` stands for `y_t = 1` and zeros.
///
/// Shapes: input `[batch, classes]`, `[batch, classes, d1, ..]` or `[classes]`. Target: labels, `i64` in the input's shape without the classes; or
/// probabilities in the input's shape. The mean of labels divides by the sum of `w_t` over those that count (NaN when none does), that of
/// probabilities by their number. Errors: K0101, K0102; K0103 for labels of another dtype; K0105 for smoothing outside of 0..1; a label that is
/// neither a class nor ignored stops the step. Gradients: for the input, and for probabilities.
///
/// Numerics: one kernel with a row of classes an iteration, by differences to the maximum.
#[track_caller]
pub fn cross_entropy_with(input: Tensor, target: Tensor, options: CrossEntropy) -> Tensor {
    let smoothing = options.label_smoothing;
    if !(0.0..=1.0).contains(&smoothing) {
        return refused("cross_entropy", "label smoothing between 0 and 1", smoothing);
    }
    let Some(x) = classes_last("cross_entropy", input) else { return Tensor::poison() };
    let log_probabilities = x.log_softmax(-1);
    if target.dtype().is_float() && target.value().is_some() && target.rank() == input.rank() {
        probabilities(log_probabilities, input, target, options)
    } else {
        labels("cross_entropy", log_probabilities, target, options)
    }
}

/// `-w_t·x_t` for log-probabilities `x` and labels `t`: [`cross_entropy_with`] after the softmax.
///
/// Shapes, errors and the mean: as there. Gradient: for the input.
#[track_caller]
pub fn nll_loss_with(input: Tensor, target: Tensor, options: Nll) -> Tensor {
    let Nll { weight, ignore_index, reduction } = options;
    let Some(x) = classes_last("nll_loss", input) else { return Tensor::poison() };
    labels("nll_loss", x, target, CrossEntropy { weight, ignore_index, label_smoothing: 0.0, reduction })
}

/// `[batch, classes, d1, ..]` → `[batch, d1, .., classes]`.
#[track_caller]
fn classes_last(op: &str, x: Tensor) -> Option<Tensor> {
    x.value()?;
    let rank = x.rank();
    if rank == 0 || x.shape().0[(rank - 1).min(1)].batch {
        let message = format!("{op} needs an input [classes] or [batch, classes, ..]: found {}", x.ty());
        Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        return None;
    }
    match rank {
        1 | 2 => Some(x),
        _ => {
            let rest = 2..rank as i64;
            let axes: Vec<i64> = [0].into_iter().chain(rest).chain([1]).collect();
            Some(x.permute(&axes))
        }
    }
}

/// The number of classes of `[.., classes]`.
fn class_count(x: Tensor) -> usize {
    x.shape().0.last().map_or(1, |dim| dim.factor)
}

/// The weights of the classes; ones without.
#[track_caller]
fn class_weights(op: &str, x: Tensor, weight: Option<Tensor>) -> Option<Tensor> {
    let Some(weight) = weight else { return Some(Tensor::full(1.0, x.dtype())) };
    weight.value()?;
    if !Tensor::are_alike(op, &[x, weight]) {
        return None;
    }
    let classes = class_count(x);
    if weight.shape().0 == [Dim::fixed(classes)] {
        return Some(weight);
    }
    let message = format!("{op} needs a weight for each of the {classes} classes: found {}", weight.ty());
    Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    None
}

/// The loss of labels under log-probabilities `x`: `[.., classes]`.
#[track_caller]
fn labels(op: &str, x: Tensor, target: Tensor, options: CrossEntropy) -> Tensor {
    let (Some(_), Some(_)) = (x.value(), target.value()) else { return Tensor::poison() };
    let (wanted, found) = (Shape(x.shape().0[..x.rank() - 1].to_vec()), target.ty());
    if found.shape != wanted {
        let message = format!("{op} needs one label for each row of classes, {wanted}: found {found}");
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, message);
        let column = found.rank() == wanted.rank() + 1 && found.shape.0.last() == Some(&Dim::ONE);
        return Tensor::mistake(if column { diagnostic.help("drop its last axis: `squeeze(-1)`") } else { diagnostic });
    }
    if found.dtype != DType::I64 {
        let message = format!("{op} needs labels of i64, the numbers of the classes: found {found}");
        return Tensor::mistake(
            Diagnostic::new(Code::DTypeMismatch, message).help("convert them with `.to(DType::I64)`"),
        );
    }
    #[expect(clippy::manual_map, reason = "a closure would lose the caller's line")]
    let counted = match options.ignore_index {
        Some(ignored) => Some(target.ne(ignored)),
        None => None,
    };
    // What is not counted is still looked up: as class 0, which exists.
    let target = match counted {
        Some(counted) => target.where_self(counted, 0),
        None => target,
    };
    let chosen = target.is_class(op, class_count(x));
    // Likelihoods in logarithms; the sign changes last, when few are left.
    let mut scores = x.where_self(chosen, 0.0).sum(&[-1], false);
    let mut shares = None;
    if options.weight.is_some() {
        let Some(weight) = class_weights(op, x, options.weight) else { return Tensor::poison() };
        let share = weight.where_self(chosen, 0.0).sum(&[-1], false);
        scores = scores * share;
        shares = Some(share);
    }
    if options.label_smoothing > 0.0 {
        let Some(weight) = class_weights(op, x, options.weight) else { return Tensor::poison() };
        let spread = (x * weight).sum(&[-1], false) / class_count(x) as f64;
        scores = scores * (1.0 - options.label_smoothing) + spread * options.label_smoothing;
    }
    if let Some(counted) = counted {
        scores = scores.where_self(counted, 0.0);
        shares = Some(match shares {
            Some(shares) => shares.where_self(counted, 0.0),
            None => counted.to(x.dtype()),
        });
    }
    -match shares {
        Some(shares) => options.reduction.of_shares(scores, shares),
        None => options.reduction.of(scores),
    }
}

/// The loss of probabilities under log-probabilities `x`: `[.., classes]`; the target is in the order of the input.
#[track_caller]
fn probabilities(x: Tensor, input: Tensor, target: Tensor, options: CrossEntropy) -> Tensor {
    if !same_shape("cross_entropy", "an input and a target of probabilities", input, target) {
        return Tensor::poison();
    }
    let Some(mut y) = classes_last("cross_entropy", target) else { return Tensor::poison() };
    let Some(weight) = class_weights("cross_entropy", x, options.weight) else { return Tensor::poison() };
    let smoothing = options.label_smoothing;
    if smoothing > 0.0 {
        y = y * (1.0 - smoothing) + smoothing / class_count(x) as f64;
    }
    -options.reduction.of((x * y * weight).sum(&[-1], false))
}

/// `-w·(y·log x + (1 - y)·log(1 - x))` of probabilities, with logarithms of at least -100.
///
/// Shapes: input and target are equal; the weight broadcasts. Errors: K0101. Gradients: `(x - y)/max(x·(1 - x), 1e-12)` for the input, which no bound on the
/// logarithm cuts off, and `log(1 - x) - log x` for the target. An input outside of 0..1 gives NaN.
#[track_caller]
pub fn binary_cross_entropy_with(
    input: Tensor,
    target: Tensor,
    weight: Option<Tensor>,
    reduction: Reduction,
) -> Tensor {
    if !same_shape("binary_cross_entropy", "an input and a target", input, target) {
        return Tensor::poison();
    }
    if !Tensor::are_alike("binary_cross_entropy", &[input, target]) {
        return Tensor::poison();
    }
    let losses = Tensor::apply(ops::BinaryCrossEntropy {}, &[input, target]);
    reduction.of(match weight {
        Some(weight) => losses * weight,
        None => losses,
    })
}

/// Options of [`binary_cross_entropy_with_logits_with`].
#[derive(Clone, Copy, Default, Debug)]
pub struct WithLogits {
    /// A weight that broadcasts to the input.
    pub weight: Option<Tensor>,
    /// A weight of positive targets, for example `[classes]`: above 1 it raises the recall, below the precision.
    pub pos_weight: Option<Tensor>,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

/// `-w·(p·y·log σ(x) + (1 - y)·log(1 - σ(x)))` of logits, by `log σ`, which overflows nowhere.
///
/// Shapes: input and target are equal; both weights broadcast to them. Errors: K0101. Gradients: for input and target.
#[track_caller]
pub fn binary_cross_entropy_with_logits_with(input: Tensor, target: Tensor, options: WithLogits) -> Tensor {
    if !same_shape("binary_cross_entropy_with_logits", "an input and a target", input, target) {
        return Tensor::poison();
    }
    if !input.is_floating("binary_cross_entropy_with_logits") {
        return Tensor::poison();
    }
    let (x, y) = (input, target.to_float());
    let scale = match options.pos_weight {
        Some(positive) => (positive - 1.0) * y + 1.0,
        None => Tensor::full(1.0, x.dtype()),
    };
    let losses = (1.0 - y) * x - scale * x.logsigmoid();
    options.reduction.of(match options.weight {
        Some(weight) => losses * weight,
        None => losses,
    })
}

/// Options of [`multi_margin_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct MultiMargin {
    /// The power of each excess, 1 or 2.
    pub p: i64,
    /// How far the score of the label should be above the others.
    pub margin: f64,
    /// A weight a class, `[classes]`.
    pub weight: Option<Tensor>,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for MultiMargin {
    fn default() -> MultiMargin {
        MultiMargin { p: 1, margin: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

/// `w_t/classes · Σ_{c ≠ t} max(0, margin - x_t + x_c)^p` for scores `x` and a label `t`.
///
/// Shapes: input `[batch, classes]` with labels `i64[batch]`; a single sample `[classes]` or `[]` with `[]` or `[1]`. Errors: K0101, K0102, K0103; K0105 for another
/// `p`; a label that is no class stops the step. Gradient: for the input.
#[track_caller]
pub fn multi_margin_loss_with(input: Tensor, target: Tensor, options: MultiMargin) -> Tensor {
    let MultiMargin { p, margin, weight, reduction } = options;
    if p != 1 && p != 2 {
        return refused("multi_margin_loss", "a power of 1 or 2", p as f64);
    }
    let (Some(_), Some(_)) = (input.value(), target.value()) else { return Tensor::poison() };
    if input.rank() > 2 || input.shape().0.last().is_some_and(|dim| dim.batch || dim.factor == 0) {
        let message = format!("multi_margin_loss needs an input [batch, classes] or [classes]: found {}", input.ty());
        return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
    }
    // A single score is a row of one class, and a label in brackets makes a row a batch of one.
    let mut x = if input.rank() == 0 { input.reshape([1]) } else { input };
    if x.rank() == 1 && target.rank() == 1 {
        x = x.unsqueeze(0);
    }
    let rows = Shape(x.shape().0[..x.rank() - 1].to_vec());
    if target.shape() != rows || target.dtype() != DType::I64 {
        let code = if target.shape() == rows { Code::DTypeMismatch } else { Code::ShapeMismatch };
        let message = format!("multi_margin_loss needs labels i64{rows}, one a row of classes: found {}", target.ty());
        return Tensor::mistake(Diagnostic::new(code, message));
    }
    let chosen = target.is_class("multi_margin_loss", class_count(x));
    let own = x.where_self(chosen, 0.0).sum(&[-1], true);
    let mut excess = (x - own + margin).relu().masked_fill(chosen, 0);
    if p == 2 {
        excess = excess.square();
    }
    let mut losses = excess.sum(&[-1], false) / class_count(x) as f64;
    if weight.is_some() {
        let Some(weight) = class_weights("multi_margin_loss", x, weight) else { return Tensor::poison() };
        losses = losses * weight.where_self(chosen, 0.0).sum(&[-1], false);
    }
    reduction.of(losses)
}
