//! Losses as modules: the options of a function of `functional`, with PyTorch's defaults. A weight is a list of numbers, which becomes a constant.

use crate::functional::{self, KlReduction, Reduction};
use crate::{DType, Scope, Tensor};
use crate::{Forward, Module, Visitor};

/// One row: the type, PyTorch's name, its inputs, the options with their defaults, and the function.
macro_rules! losses {
    ($(
        $(#[$meta:meta])*
        $name:ident $torch:literal ($($input:ident: $input_type:ty),*) {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)*
        } |$loss:ident| $value:expr;
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            /// PyTorch's defaults.
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            $($(#[$field_meta])*
            #[must_use]
            pub fn $field(self, $field: $type) -> $name {
                #[allow(clippy::needless_update)]
                $name { $field, ..self }
            })*

            /// The loss.
            #[track_caller]
            pub fn forward(&self, $($input: $input_type),*) -> Tensor {
                let _scope = Scope::enter(self);
                let $loss = self;
                $value
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}

            fn type_name(&self) -> &'static str {
                $torch
            }
        }

        impl Forward<($($input_type),*)> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, ($($input),*): ($($input_type),*)) -> Tensor {
                $name::forward(self, $($input),*)
            }
        }
    )*};
}

losses! {
    /// Mean squared error: [`functional::mse_loss_with`].
    MseLoss "MSELoss" (input: Tensor, target: Tensor) {
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::mse_loss_with(input, target, None, loss.reduction);
    /// Mean absolute error: [`functional::l1_loss_with`].
    L1Loss "L1Loss" (input: Tensor, target: Tensor) {
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::l1_loss_with(input, target, None, loss.reduction);
    /// [`functional::smooth_l1_loss_with`].
    SmoothL1Loss "SmoothL1Loss" (input: Tensor, target: Tensor) {
        /// Where the square ends.
        beta: f64 = 1.0,
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::smooth_l1_loss_with(input, target, loss.beta, loss.reduction);
    /// [`functional::huber_loss_with`].
    HuberLoss "HuberLoss" (input: Tensor, target: Tensor) {
        /// Where the square ends.
        delta: f64 = 1.0,
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::huber_loss_with(input, target, functional::Huber { delta: loss.delta, weight: None, reduction: loss.reduction });
    /// Binary cross-entropy of probabilities: [`functional::binary_cross_entropy_with`].
    BceLoss "BCELoss" (input: Tensor, target: Tensor) {
        /// A weight for each element of the last axis.
        weight: Option<Vec<f64>> = None,
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::binary_cross_entropy_with(input, target, constant(&loss.weight, input), loss.reduction);
    /// Binary cross-entropy of logits: [`functional::binary_cross_entropy_with_logits_with`].
    BceWithLogitsLoss "BCEWithLogitsLoss" (input: Tensor, target: Tensor) {
        /// A weight for each element of the last axis.
        weight: Option<Vec<f64>> = None,
        /// A weight of positive targets, for each element of the last axis.
        pos_weight: Option<Vec<f64>> = None,
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| {
        let (weight, pos_weight) = (constant(&loss.weight, input), constant(&loss.pos_weight, input));
        let options = functional::WithLogits { weight, pos_weight, reduction: loss.reduction };
        functional::binary_cross_entropy_with_logits_with(input, target, options)
    };
    /// Negative log-likelihood of log-probabilities: [`functional::nll_loss_with`].
    NllLoss "NLLLoss" (input: Tensor, target: Tensor) {
        /// A weight a class.
        weight: Option<Vec<f64>> = None,
        /// A label that counts for nothing.
        ignore_index: i64 = -100,
        /// What becomes of the losses of the samples.
        reduction: Reduction = Reduction::Mean,
    } |loss| {
        let (weight, ignore_index) = (constant(&loss.weight, input), Some(loss.ignore_index));
        functional::nll_loss_with(input, target, functional::Nll { weight, ignore_index, reduction: loss.reduction })
    };
    /// Cross-entropy of logits: [`functional::cross_entropy_with`].
    CrossEntropyLoss "CrossEntropyLoss" (input: Tensor, target: Tensor) {
        /// A weight a class.
        weight: Option<Vec<f64>> = None,
        /// A label that counts for nothing.
        ignore_index: i64 = -100,
        /// How much of each target is spread evenly over the classes.
        label_smoothing: f64 = 0.0,
        /// What becomes of the losses of the samples.
        reduction: Reduction = Reduction::Mean,
    } |loss| {
        let (weight, ignore_index) = (constant(&loss.weight, input), Some(loss.ignore_index));
        let (label_smoothing, reduction) = (loss.label_smoothing, loss.reduction);
        let options = functional::CrossEntropy { weight, ignore_index, label_smoothing, reduction };
        functional::cross_entropy_with(input, target, options)
    };
    /// [`functional::kl_div_with`] of log-probabilities.
    KlDivLoss "KLDivLoss" (input: Tensor, target: Tensor) {
        /// What becomes of the losses of the elements.
        reduction: KlReduction = KlReduction::Mean,
        /// Whether the target holds log-probabilities too.
        log_target: bool = false,
    } |loss| functional::kl_div_with(input, target, loss.reduction, loss.log_target);
    /// [`functional::poisson_nll_loss_with`].
    PoissonNllLoss "PoissonNLLLoss" (input: Tensor, target: Tensor) {
        /// The options.
        options: functional::PoissonNll = functional::PoissonNll::default(),
    } |loss| functional::poisson_nll_loss_with(input, target, loss.options);
    /// [`functional::gaussian_nll_loss_with`].
    GaussianNllLoss "GaussianNLLLoss" (input: Tensor, target: Tensor, var: Tensor) {
        /// The options.
        options: functional::GaussianNll = functional::GaussianNll::default(),
    } |loss| functional::gaussian_nll_loss_with(input, target, var, loss.options);
    /// [`functional::hinge_embedding_loss_with`].
    HingeEmbeddingLoss "HingeEmbeddingLoss" (input: Tensor, target: Tensor) {
        /// Beyond this a negative pair costs nothing.
        margin: f64 = 1.0,
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::hinge_embedding_loss_with(input, target, loss.margin, loss.reduction);
    /// [`functional::cosine_embedding_loss_with`].
    CosineEmbeddingLoss "CosineEmbeddingLoss" (input1: Tensor, input2: Tensor, target: Tensor) {
        /// Below this a negative pair costs nothing.
        margin: f64 = 0.0,
        /// What becomes of the losses of the samples.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::cosine_embedding_loss_with(input1, input2, target, loss.margin, loss.reduction);
    /// [`functional::margin_ranking_loss_with`].
    MarginRankingLoss "MarginRankingLoss" (input1: Tensor, input2: Tensor, target: Tensor) {
        /// How far the better one should be ahead.
        margin: f64 = 0.0,
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::margin_ranking_loss_with(input1, input2, target, loss.margin, loss.reduction);
    /// [`functional::triplet_margin_loss_with`].
    TripletMarginLoss "TripletMarginLoss" (anchor: Tensor, positive: Tensor, negative: Tensor) {
        /// The options.
        options: functional::TripletMargin = functional::TripletMargin::default(),
    } |loss| functional::triplet_margin_loss_with(anchor, positive, negative, loss.options);
    /// [`functional::soft_margin_loss_with`].
    SoftMarginLoss "SoftMarginLoss" (input: Tensor, target: Tensor) {
        /// What becomes of the losses of the elements.
        reduction: Reduction = Reduction::Mean,
    } |loss| functional::soft_margin_loss_with(input, target, loss.reduction);
    /// [`functional::multi_margin_loss_with`].
    MultiMarginLoss "MultiMarginLoss" (input: Tensor, target: Tensor) {
        /// The power of each excess, 1 or 2.
        p: i64 = 1,
        /// How far the score of the label should be above the others.
        margin: f64 = 1.0,
        /// A weight a class.
        weight: Option<Vec<f64>> = None,
        /// What becomes of the losses of the samples.
        reduction: Reduction = Reduction::Mean,
    } |loss| {
        let (p, margin, weight, reduction) = (loss.p, loss.margin, constant(&loss.weight, input), loss.reduction);
        functional::multi_margin_loss_with(input, target, functional::MultiMargin { p, margin, weight, reduction })
    };
}

/// A weight in the input's dtype.
#[track_caller]
#[expect(clippy::manual_map, reason = "a closure would hide the caller's place from `#[track_caller]`")]
fn constant(weight: &Option<Vec<f64>>, input: Tensor) -> Option<Tensor> {
    let dtype = if input.dtype().is_float() { input.dtype() } else { DType::F32 };
    match weight {
        Some(weight) => Some(Tensor::table(weight.iter().copied(), &[weight.len()], dtype)),
        None => None,
    }
}
