//! `torch.amp.GradScaler`: scale, weights and growth tracker of a compiled training in which some gradients overflow.

use kiln::prelude::*;
use kiln_ir::interpret::Value;
use kiln_ir::update::names;
use serde::Deserialize;
use serde_json::Value as Json;

use super::super::{Backend, Batch, EngineError};
use super::{Checks, Table, Tolerance, Unsupported, read};

#[derive(Deserialize)]
struct Row {
    options: ScalerOptions,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalerOptions {
    init_scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u64,
}

#[derive(Deserialize)]
struct Step {
    overflow: bool,
    scale: f64,
    stepped: bool,
    weight: Vec<f64>,
    scale_after: f64,
    growth_tracker: f64,
}

/// Half an ulp of f32.
const TOLERANCE: Tolerance = Tolerance { rtol: 6e-8, atol: 0.0 };

/// The table's description of its training; another one would be another program.
const LOSS: &str = "1.0 * weight[0] + 0.5 * weight[1]";
const COEFFICIENTS: [f64; 2] = [1.0, 0.5];
const OPTIMIZER: &str = "SGD(lr=0.125)";

/// The loss is `Σ coefficients·weight`, so that an infinite coefficient is an infinite gradient.
#[model]
struct Weights {
    weight: Parameter,
}

pub(super) fn check(table: &Table, case: &Json, checks: &mut Checks) -> Result<(), Unsupported> {
    let word = |key: &str| table.shared.get(key).and_then(Json::as_str).unwrap_or_default();
    if (word("loss"), word("optimizer")) != (LOSS, OPTIMIZER) {
        return Err(Unsupported(format!("training of {} by {}", word("loss"), word("optimizer"))));
    }
    let weight: Vec<f64> = read(&table.shared["initial_weight"])?;
    let row: Row = read(case)?;
    if let Err(error) = run(&weight, &row, checks) {
        checks.fault(error.to_string());
    }
    Ok(())
}

fn run(weight: &[f64], row: &Row, checks: &mut Checks) -> Result<(), EngineError> {
    let ScalerOptions { init_scale, growth_factor, backoff_factor, growth_interval } = row.options;
    let count = weight.len();
    let model = Weights { weight: Parameter::new([count], Initializer::Data(weight.to_vec())) };
    let training = Training::new("scaled", model)
        .input("coefficients", DType::F32, [count])
        .loss(|model, batch| (model.weight.tensor() * batch["coefficients"]).sum_all())
        .grad_scaler(GradScaler { init_scale, growth_factor, backoff_factor, growth_interval })
        .optimizer(Sgd::new(0.125));
    let mut engine = Backend::default().engine(training.trace().map_err(EngineError::Diagnostics)?)?;
    for (number, step) in row.steps.iter().enumerate() {
        let scale = engine.get(names::LOSS_SCALE)?.data[0];
        checks.number(&format!("scale of step {number}"), scale, step.scale, TOLERANCE);
        let mut coefficients = COEFFICIENTS.to_vec();
        if step.overflow {
            coefficients[0] = f64::INFINITY;
        }
        let coefficients = Value::new(DType::F32, vec![count], coefficients)?;
        engine.train_step(&Batch::from([("coefficients".to_owned(), coefficients)]))?;
        let stepped = engine.get(names::FOUND_INF)?.data[0] == 0.0;
        if stepped != step.stepped {
            checks.fault(format!("step {number}: stepped is {stepped}"));
        }
        for (got, &want) in engine.get("weight")?.data.iter().zip(&step.weight) {
            checks.number(&format!("weight after step {number}"), *got, want, TOLERANCE);
        }
        let (scale, tracker) = (engine.get(names::LOSS_SCALE)?.data[0], engine.get(names::GROWTH_TRACKER)?.data[0]);
        checks.number(&format!("scale after step {number}"), scale, step.scale_after, TOLERANCE);
        checks.number(&format!("growth tracker after step {number}"), tracker, step.growth_tracker, Tolerance::EXACT);
    }
    Ok(())
}
