//! Normalisation.

use kiln::functional::*;
use kiln::{Code, Diagnostic};

use super::super::arguments::{Args, Stop};
use super::{Results, Row};

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.batch_norm", |a| {
        let options = options(a, a.flag("training", false)?)?;
        Ok(with_running(a.tensor("input")?.batch_norm(running(a)?, affine(a)?, options)))
    }),
    ("nn.functional.instance_norm", |a| {
        let options = options(a, a.flag("use_input_stats", true)?)?;
        Ok(with_running(a.tensor("input")?.instance_norm(running(a)?, affine(a)?, options)))
    }),
    ("nn.functional.layer_norm", |a| {
        Ok(a.tensor("input")?.layer_norm(&shape(a)?, affine(a)?, a.number("eps", 1e-5)?).into())
    }),
    ("nn.functional.rms_norm", |a| {
        let (weight, eps) = (a.optional_tensor("weight")?, a.optional_number("eps")?);
        Ok(a.tensor("input")?.rms_norm(&shape(a)?, weight, eps).into())
    }),
    ("nn.functional.group_norm", |a| {
        Ok(a.tensor("input")?.group_norm(a.count("num_groups", 1)?, affine(a)?, a.number("eps", 1e-5)?).into())
    }),
    ("nn.functional.local_response_norm", |a| {
        let (alpha, beta, k) = (a.number("alpha", 1e-4)?, a.number("beta", 0.75)?, a.number("k", 1.0)?);
        Ok(a.tensor("input")?.local_response_norm(a.count("size", 1)?, alpha, beta, k).into())
    }),
];

fn affine(a: &Args<'_>) -> Result<Affine, Stop> {
    Ok(Affine { weight: a.optional_tensor("weight")?, bias: a.optional_tensor("bias")? })
}

fn running(a: &Args<'_>) -> Result<Option<Running>, Stop> {
    let (mean, var) = (a.optional_tensor("running_mean")?, a.optional_tensor("running_var")?);
    if mean.is_some() != var.is_some() {
        let message = format!("{} needs `running_mean` and `running_var`, or neither", a.op);
        return Err(Diagnostic::new(Code::BadArgument, message).into());
    }
    Ok(mean.zip(var).map(|(mean, var)| Running { mean, var }))
}

fn options(a: &Args<'_>, training: bool) -> Result<NormOptions, Stop> {
    Ok(NormOptions { training, momentum: a.number("momentum", 0.1)?, eps: a.number("eps", 1e-5)? })
}

fn with_running((result, running): (kiln::Tensor, Option<Running>)) -> Results {
    let changed = running.map_or(Vec::new(), |new| vec![("running_mean", new.mean), ("running_var", new.var)]);
    Results { results: vec![result], changed }
}

fn shape(a: &Args<'_>) -> Result<Vec<usize>, Stop> {
    a.counts_of("normalized_shape")
}
