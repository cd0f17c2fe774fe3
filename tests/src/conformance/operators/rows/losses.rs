//! Losses.

use kiln::functional::*;
use kiln::prelude::Tensor;

use super::super::arguments::{Args, Stop};
use super::super::file::Argument;
use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.cross_entropy", |a| {
        let options = CrossEntropy {
            weight: a.optional_tensor("weight")?,
            ignore_index: Some(a.int("ignore_index", -100)?),
            label_smoothing: a.number("label_smoothing", 0.0)?,
            reduction: reduction(a)?,
        };
        Ok(cross_entropy_with(a.tensor("input")?, a.tensor("target")?, options).into())
    }),
    ("nn.functional.nll_loss", |a| {
        let options = Nll {
            weight: a.optional_tensor("weight")?,
            ignore_index: Some(a.int("ignore_index", -100)?),
            reduction: reduction(a)?,
        };
        Ok(nll_loss_with(a.tensor("input")?, a.tensor("target")?, options).into())
    }),
    ("nn.functional.binary_cross_entropy", |a| {
        let (x, y) = (a.tensor("input")?, a.tensor("target")?);
        Ok(binary_cross_entropy_with(x, y, a.optional_tensor("weight")?, reduction(a)?).into())
    }),
    ("nn.functional.binary_cross_entropy_with_logits", |a| {
        let options = WithLogits {
            weight: a.optional_tensor("weight")?,
            pos_weight: a.optional_tensor("pos_weight")?,
            reduction: reduction(a)?,
        };
        Ok(binary_cross_entropy_with_logits_with(a.tensor("input")?, a.tensor("target")?, options).into())
    }),
    ("nn.functional.multi_margin_loss", |a| {
        let options = MultiMargin {
            p: a.int("p", 1)?,
            margin: a.number("margin", 1.0)?,
            weight: a.optional_tensor("weight")?,
            reduction: reduction(a)?,
        };
        Ok(multi_margin_loss_with(a.tensor("input")?, a.tensor("target")?, options).into())
    }),
    ("nn.functional.mse_loss", |a| {
        let (x, y) = (a.tensor("input")?, a.tensor("target")?);
        Ok(mse_loss_with(x, y, a.optional_tensor("weight")?, reduction(a)?).into())
    }),
    ("nn.functional.l1_loss", |a| {
        let (x, y) = (a.tensor("input")?, a.tensor("target")?);
        Ok(l1_loss_with(x, y, a.optional_tensor("weight")?, reduction(a)?).into())
    }),
    ("nn.functional.smooth_l1_loss", |a| {
        let (x, y) = (a.tensor("input")?, a.tensor("target")?);
        Ok(smooth_l1_loss_with(x, y, a.number("beta", 1.0)?, reduction(a)?).into())
    }),
    ("nn.functional.huber_loss", |a| {
        let options =
            Huber { delta: a.number("delta", 1.0)?, weight: a.optional_tensor("weight")?, reduction: reduction(a)? };
        Ok(huber_loss_with(a.tensor("input")?, a.tensor("target")?, options).into())
    }),
    ("nn.functional.kl_div", |a| {
        let reduction = a.word("reduction", KlReduction::Mean)?;
        Ok(kl_div_with(a.tensor("input")?, a.tensor("target")?, reduction, a.flag("log_target", false)?).into())
    }),
    ("nn.functional.poisson_nll_loss", |a| {
        let options = PoissonNll {
            log_input: a.flag("log_input", true)?,
            full: a.flag("full", false)?,
            eps: a.number("eps", 1e-8)?,
            reduction: reduction(a)?,
        };
        Ok(poisson_nll_loss_with(a.tensor("input")?, a.tensor("target")?, options).into())
    }),
    ("nn.functional.gaussian_nll_loss", |a| {
        let options =
            GaussianNll { full: a.flag("full", false)?, eps: a.number("eps", 1e-6)?, reduction: reduction(a)? };
        Ok(gaussian_nll_loss_with(a.tensor("input")?, a.tensor("target")?, a.tensor("var")?, options).into())
    }),
    ("nn.functional.hinge_embedding_loss", |a| {
        let (x, y) = (a.tensor("input")?, a.tensor("target")?);
        Ok(hinge_embedding_loss_with(x, y, a.number("margin", 1.0)?, reduction(a)?).into())
    }),
    ("nn.functional.margin_ranking_loss", |a| {
        let (x1, x2, y) = (a.tensor("input1")?, a.tensor("input2")?, a.tensor("target")?);
        Ok(margin_ranking_loss_with(x1, x2, y, a.number("margin", 0.0)?, reduction(a)?).into())
    }),
    ("nn.functional.cosine_embedding_loss", |a| {
        let (x1, x2, y) = (a.tensor("input1")?, a.tensor("input2")?, a.tensor("target")?);
        Ok(cosine_embedding_loss_with(x1, x2, y, a.number("margin", 0.0)?, reduction(a)?).into())
    }),
    ("nn.functional.triplet_margin_loss", |a| {
        let options = TripletMargin {
            margin: a.number("margin", 1.0)?,
            p: a.number("p", 2.0)?,
            eps: a.number("eps", 1e-6)?,
            swap: a.flag("swap", false)?,
            reduction: reduction(a)?,
        };
        Ok(triplet_margin_loss_with(a.tensor("anchor")?, a.tensor("positive")?, a.tensor("negative")?, options).into())
    }),
    ("nn.functional.soft_margin_loss", |a| {
        Ok(soft_margin_loss_with(a.tensor("input")?, a.tensor("target")?, reduction(a)?).into())
    }),
    ("nn.functional.ctc_loss", |a| {
        let options = Ctc {
            blank: a.count("blank", 0)?,
            reduction: reduction(a)?,
            zero_infinity: a.flag("zero_infinity", false)?,
        };
        let (inputs, targets) = (lengths(a, "input_lengths")?, lengths(a, "target_lengths")?);
        Ok(ctc_loss_with(a.tensor("log_probs")?, a.tensor("targets")?, inputs.get(), targets.get(), options).into())
    }),
];

fn reduction(a: &Args<'_>) -> Result<Reduction, Stop> {
    a.word("reduction", Reduction::Mean)
}

/// What [`Lengths`] borrows from.
enum Given {
    Known(Vec<usize>),
    Tensor(Tensor),
}

impl Given {
    fn get(&self) -> Lengths<'_> {
        match self {
            Given::Known(lengths) => Lengths::Known(lengths),
            Given::Tensor(lengths) => Lengths::Tensor(*lengths),
        }
    }
}

fn lengths(a: &Args<'_>, name: &str) -> Result<Given, Stop> {
    if !matches!(a.get(name), Some(Argument::List(_) | Argument::Int(_))) {
        return a.tensor(name).map(Given::Tensor);
    }
    let given = a.ints(name)?.unwrap_or_default();
    given.into_iter().map(|length| a.count_of(name, length)).collect::<Result<_, _>>().map(Given::Known)
}
