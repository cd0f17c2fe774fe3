//! How a run trains, beyond its model and loss: optimiser, parameter groups, clipping, accumulation.

use std::collections::BTreeMap;

use kiln::prelude::*;
use kiln::{Parameter, named_parameters};
use serde::Deserialize;
use serde_json::Value as Json;

use super::Run;
use super::optimizer::{Args, Unsupported, optimizer};

/// The optimiser that is a loop around the program instead of a part of it.
pub const LBFGS: &str = "LBFGS";

/// One of a run's parameter groups.
#[derive(Clone, Debug, Deserialize)]
pub struct ParameterGroup {
    /// Names of parameters.
    pub params: Vec<String>,
    /// Arguments that are other ones than the run's.
    #[serde(flatten)]
    pub args: Args,
}

/// Arguments of `clip_grad_norm_`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipNorm {
    max_norm: f64,
    norm_type: Option<Json>,
}

impl ClipNorm {
    fn order(&self) -> Result<f64, Unsupported> {
        match &self.norm_type {
            None => Ok(2.0),
            Some(Json::String(word)) if word == "inf" => Ok(f64::INFINITY),
            Some(json) => json.as_f64().ok_or_else(|| Unsupported(format!("norm_type {json}"))),
        }
    }
}

/// Adds what the run says about training.
pub fn apply<M: Module + 'static>(
    mut training: Training<M>,
    run: &Run,
    mode: &str,
) -> Result<Training<M>, Unsupported> {
    training = match mode {
        "train" => training,
        "eval" => training.train_mode(Mode::Eval),
        other => return Err(Unsupported(format!("mode {other}"))),
    };
    if run.optimizer == LBFGS {
        return Ok(training);
    }
    training = match &run.groups {
        None => training.optimizer(optimizer(&run.optimizer, &run.args)?),
        Some(groups) => groups.iter().try_fold(training, |training, group| {
            let args: BTreeMap<String, Json> = run.args.clone().into_iter().chain(group.args.clone()).collect();
            let names = group.params.clone();
            Ok(training.parameter_group(move |model| select(model, &names), optimizer(&run.optimizer, &args)?))
        })?,
    };
    if let Some(batches) = run.accumulate {
        training = training.accumulate(batches);
    }
    if let Some(clip) = &run.clip_norm {
        training = training.clip_grad_norm_with(clip.max_norm, clip.order()?);
    }
    if let Some(limit) = run.clip_value {
        training = training.clip_grad_value(limit);
    }
    Ok(training)
}

/// The parameters of these names. Those that the model lacks are missing in the results as well, where the runner sees it.
fn select(model: &dyn Module, names: &[String]) -> Vec<Parameter> {
    let all = named_parameters(model);
    let find = |name: &String| all.iter().find(|(held, _)| held == name).map(|(_, parameter)| parameter.clone());
    names.iter().filter_map(find).collect()
}
