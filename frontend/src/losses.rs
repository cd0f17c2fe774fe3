//! Losses: the functions of `torch.nn.functional` that compare a prediction with what it should be, by theme.
//!
//! Each has two forms. `mse_loss(input, target)` takes PyTorch's defaults; `mse_loss_with(input, target, weight, reduction)` takes
//! everything, as plain parameters where they are two and as a struct whose `Default` is PyTorch's where they are more.

mod classification;
mod ctc;
mod ranking;
mod regression;

pub use classification::{
    CrossEntropy, MultiMargin, Nll, WithLogits, binary_cross_entropy_with, binary_cross_entropy_with_logits_with,
    cross_entropy_with, multi_margin_loss_with, nll_loss_with,
};
pub use ctc::{Ctc, Lengths, ctc_loss, ctc_loss_with};
pub use ranking::{
    TripletMargin, cosine_embedding_loss_with, hinge_embedding_loss_with, margin_ranking_loss_with,
    soft_margin_loss_with, triplet_margin_loss_with,
};
pub use regression::{
    GaussianNll, Huber, KlReduction, PoissonNll, gaussian_nll_loss_with, huber_loss_with, kl_div_with, l1_loss_with,
    mse_loss_with, poisson_nll_loss_with, smooth_l1_loss_with,
};

use kiln_ir::{Code, Diagnostic};

use crate::Tensor;
use crate::arithmetic::broadcast_shape;
use crate::words::words;

words! {
    /// What becomes of the losses of the elements.
    pub enum Reduction: "reduction" {
        /// They are the result.
        None = "none",
        /// Their mean, over the true count where the batch axis is among them.
        Mean = "mean",
        /// Their sum.
        Sum = "sum",
    }
}

#[expect(clippy::derivable_impls, reason = "`words!` makes the enum")]
impl Default for Reduction {
    fn default() -> Reduction {
        Reduction::Mean
    }
}

impl Reduction {
    /// The losses, reduced.
    #[track_caller]
    fn of(self, losses: Tensor) -> Tensor {
        match self {
            Reduction::None => losses,
            Reduction::Mean => losses.mean_all(),
            Reduction::Sum => losses.sum_all(),
        }
    }

    /// The losses, reduced, where the mean divides by the sum of `shares`: NaN when that is 0.
    #[track_caller]
    fn of_shares(self, losses: Tensor, shares: Tensor) -> Tensor {
        match self {
            Reduction::Mean => losses.sum_all() / shares.sum_all(),
            _ => self.of(losses),
        }
    }
}

/// The forms with PyTorch's defaults.
macro_rules! with_defaults {
    ($($name:ident($($operand:ident),*) = $full:ident($($default:expr),*);)*) => {$(
        #[doc = concat!("[`", stringify!($full), "`] with PyTorch's defaults.")]
        #[track_caller]
        pub fn $name($($operand: Tensor),*) -> Tensor {
            $full($($operand,)* $($default),*)
        }
    )*};
}

with_defaults! {
    binary_cross_entropy(input, target) = binary_cross_entropy_with(None, Reduction::Mean);
    binary_cross_entropy_with_logits(input, target) = binary_cross_entropy_with_logits_with(WithLogits::default());
    multi_margin_loss(input, target) = multi_margin_loss_with(MultiMargin::default());
    mse_loss(input, target) = mse_loss_with(None, Reduction::Mean);
    l1_loss(input, target) = l1_loss_with(None, Reduction::Mean);
    smooth_l1_loss(input, target) = smooth_l1_loss_with(1.0, Reduction::Mean);
    huber_loss(input, target) = huber_loss_with(Huber::default());
    kl_div(input, target) = kl_div_with(KlReduction::Mean, false);
    poisson_nll_loss(input, target) = poisson_nll_loss_with(PoissonNll::default());
    gaussian_nll_loss(input, target, var) = gaussian_nll_loss_with(GaussianNll::default());
    hinge_embedding_loss(input, target) = hinge_embedding_loss_with(1.0, Reduction::Mean);
    margin_ranking_loss(input1, input2, target) = margin_ranking_loss_with(0.0, Reduction::Mean);
    cosine_embedding_loss(input1, input2, target) = cosine_embedding_loss_with(0.0, Reduction::Mean);
    triplet_margin_loss(anchor, positive, negative) = triplet_margin_loss_with(TripletMargin::default());
    soft_margin_loss(input, target) = soft_margin_loss_with(Reduction::Mean);
}

/// [`cross_entropy_with`] of labels that all are classes: one of them that is not, -100 included, stops the step. So the mean divides by
/// the number of labels, which needs no second look at them.
#[track_caller]
pub fn cross_entropy(input: Tensor, target: Tensor) -> Tensor {
    cross_entropy_with(input, target, CrossEntropy { ignore_index: None, ..CrossEntropy::default() })
}

/// [`nll_loss_with`] of labels that all are classes, as [`cross_entropy`].
#[track_caller]
pub fn nll_loss(input: Tensor, target: Tensor) -> Tensor {
    nll_loss_with(input, target, Nll { ignore_index: None, ..Nll::default() })
}

/// The tensors in real numbers and one shape; `None` after a mistake, which is noted in the name of `op`.
#[track_caller]
fn aligned<const N: usize>(op: &str, mut tensors: [Tensor; N]) -> Option<[Tensor; N]> {
    let shape = broadcast_shape(op, &tensors)?;
    for tensor in &mut tensors {
        *tensor = tensor.to_float().broadcast(&shape);
    }
    Some(tensors)
}

/// Whether two tensors have one shape; a mistake is noted.
#[track_caller]
fn same_shape(op: &str, what: &str, a: Tensor, b: Tensor) -> bool {
    let known = a.value().is_some() && b.value().is_some();
    if known && a.shape() != b.shape() {
        let message = format!("{op} needs {what} of equal shapes: {} and {}", a.shape(), b.shape());
        Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        return false;
    }
    known
}

/// What a loss says of an argument that it does not take.
#[track_caller]
fn refused(op: &str, requirement: &str, found: f64) -> Tensor {
    Tensor::mistake(Diagnostic::new(Code::BadArgument, format!("{op} needs {requirement}: found {found}")))
}
