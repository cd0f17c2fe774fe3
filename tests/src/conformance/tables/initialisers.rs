//! `torch.nn.init` and the default initialisation of layers: gains, exact values, and the statistics of what a session draws.

use std::collections::BTreeMap;

use kiln::init::{FanMode, InitError, Nonlinearity, calculate_fan_in_and_fan_out, calculate_gain};
use kiln::prelude::*;
use kiln_ir::interpret::Value;
use kiln_ir::update::names;
use serde::Deserialize;
use serde_json::Value as Json;

use super::super::optimizer::{Args, Arguments};
use super::super::{Backend, EngineError};
use super::{Checks, Table, Tolerance, Unsupported, layers, read};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Row {
    Gain {
        nonlinearity: String,
        param: Option<f64>,
        gain: f64,
    },
    Init {
        init: String,
        args: Args,
        shape: Vec<usize>,
        fan_in: usize,
        fan_out: usize,
        #[serde(flatten)]
        drawn: Distribution,
    },
    Exact {
        init: String,
        args: Args,
        shape: Vec<usize>,
        values: Vec<f64>,
    },
    Sparse {
        init: String,
        args: Args,
        shape: Vec<usize>,
        zeros_per_column: usize,
        std_of_the_rest: f64,
    },
    Layer {
        layer: String,
        args: Args,
        parameters: BTreeMap<String, Member>,
    },
}

/// A parameter or buffer of a layer.
#[derive(Deserialize)]
struct Member {
    shape: Vec<usize>,
    #[serde(default)]
    zero_rows: Vec<usize>,
    #[serde(flatten)]
    drawn: Distribution,
}

#[derive(Deserialize)]
#[serde(tag = "distribution", rename_all = "snake_case")]
enum Distribution {
    Uniform { low: f64, high: f64, mean: f64, std: f64 },
    Normal { mean: f64, std: f64 },
    TruncatedNormal { low: f64, high: f64, mean: f64, std: f64 },
    Orthogonal { gain: f64, rows: usize, cols: usize, orthonormal: String, std: f64 },
    Constant { value: f64 },
}

/// Standard errors by which a sample may miss the mean and the deviation.
const ERRORS: f64 = 5.0;

/// Of single values in f32.
const ROUNDED: Tolerance = Tolerance { rtol: 1e-6, atol: 1e-7 };

pub(super) fn check(table: &Table, case: &Json, checks: &mut Checks) -> Result<(), Unsupported> {
    let exact = table.tolerance.unwrap_or(Tolerance::EXACT);
    match read(case)? {
        Row::Gain { nonlinearity, param, gain } => {
            let found = nonlinearity_of(&nonlinearity, param).map_err(|error| Unsupported(error.to_string()))?;
            checks.number("gain", calculate_gain(found), gain, exact);
        }
        Row::Init { init, args, shape, fan_in, fan_out, drawn } => {
            let fans = calculate_fan_in_and_fan_out(&shape);
            if fans != Ok((fan_in, fan_out)) {
                checks.fault(format!("fans of {shape:?}: {fans:?}"));
            }
            if let Some(values) = values(initialised(&init, &args, &shape)?, checks) {
                drawn.check("values", &values.data, exact, checks);
            }
        }
        Row::Exact { init, args, shape, values: wanted } => {
            if let Some(values) = values(initialised(&init, &args, &shape)?, checks) {
                let wanted = Value { dtype: DType::F32, shape, data: wanted };
                checks.tensor("values", &values, &wanted, exact);
            }
        }
        Row::Sparse { init, args, shape, zeros_per_column, std_of_the_rest } => {
            let Some(values) = values(initialised(&init, &args, &shape)?, checks) else { return Ok(()) };
            for column in 0..shape[1] {
                let zeros = (0..shape[0]).filter(|row| values.data[row * shape[1] + column] == 0.0).count();
                if zeros != zeros_per_column {
                    checks.fault(format!("column {column}: {zeros} zeros instead of {zeros_per_column}"));
                }
            }
            let rest: Vec<f64> = values.data.iter().copied().filter(|&x| x != 0.0).collect();
            statistics("the rest", &rest, 0.0, std_of_the_rest, checks);
        }
        Row::Layer { layer, args, parameters } => {
            let Some(state) = state(layers::layer(&layer, &args)?, checks) else { return Ok(()) };
            let (found, wanted): (Vec<&String>, Vec<&String>) = (state.keys().collect(), parameters.keys().collect());
            if found != wanted {
                checks.fault(format!("state {found:?} instead of {wanted:?}"));
            }
            for (name, member) in &parameters {
                let Some(values) = state.get(name) else { continue };
                if values.shape != member.shape {
                    checks.fault(format!("{name} has the shape {:?} instead of {:?}", values.shape, member.shape));
                    continue;
                }
                let columns: usize = member.shape.iter().skip(1).product();
                let is_zero = |at: usize| columns > 0 && member.zero_rows.contains(&(at / columns));
                let (zeros, rest): (Vec<_>, Vec<_>) = values.data.iter().enumerate().partition(|(at, _)| is_zero(*at));
                if zeros.iter().any(|(_, value)| **value != 0.0) {
                    checks.fault(format!("{name}: rows {:?} are not zero", member.zero_rows));
                }
                let rest: Vec<f64> = rest.into_iter().map(|(_, value)| *value).collect();
                member.drawn.check(name, &rest, exact, checks);
            }
        }
    }
    Ok(())
}

impl Distribution {
    fn check(&self, what: &str, values: &[f64], exact: Tolerance, checks: &mut Checks) {
        match *self {
            Distribution::Constant { value } => {
                values.iter().for_each(|&got| checks.number(what, got, value, exact));
            }
            Distribution::Normal { mean, std } => statistics(what, values, mean, std, checks),
            Distribution::Uniform { low, high, mean, std } | Distribution::TruncatedNormal { low, high, mean, std } => {
                let slack = ROUNDED.atol + ROUNDED.rtol * low.abs().max(high.abs());
                if let Some(outside) = values.iter().find(|&&x| x < low - slack || x > high + slack) {
                    checks.fault(format!("{what}: {outside} is outside [{low}, {high}]"));
                }
                statistics(what, values, mean, std, checks);
            }
            Distribution::Orthogonal { gain, rows, cols, ref orthonormal, std } => {
                let by_rows = orthonormal == "rows";
                let (count, length) = if by_rows { (rows, cols) } else { (cols, rows) };
                let at = |vector: usize, i: usize| values[if by_rows { vector * cols + i } else { i * cols + vector }];
                for a in 0..count {
                    for b in 0..=a {
                        let product: f64 = (0..length).map(|i| at(a, i) * at(b, i)).sum();
                        let want = if a == b { gain * gain } else { 0.0 };
                        let tolerance = Tolerance { rtol: 1e-5, atol: 1e-5 };
                        checks.number(&format!("{what}: product of {a} and {b}"), product, want, tolerance);
                    }
                }
                statistics(what, values, 0.0, std, checks);
            }
        }
    }
}

/// The sample's mean and deviation, within so many standard errors.
fn statistics(what: &str, values: &[f64], mean: f64, std: f64, checks: &mut Checks) {
    let n = values.len() as f64;
    let found = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|x| (x - found).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let tolerance = Tolerance { rtol: 0.0, atol: ERRORS * std / n.sqrt() };
    checks.number(&format!("mean of {what}"), found, mean, tolerance);
    checks.number(&format!("deviation of {what}"), deviation, std, tolerance);
}

fn nonlinearity_of(word: &str, param: Option<f64>) -> Result<Nonlinearity, InitError> {
    Ok(match (word.parse()?, param) {
        (Nonlinearity::LeakyRelu(_), Some(slope)) => Nonlinearity::LeakyRelu(slope),
        (nonlinearity, _) => nonlinearity,
    })
}

/// A parameter after `torch.nn.init.<init>`.
fn initialised(init: &str, args: &Args, shape: &[usize]) -> Result<Parameter, Unsupported> {
    let parameter = Parameter::new(shape, Initializer::Zeros);
    let mut args = Arguments::new(init, args);
    match init {
        "kaiming_uniform_" | "kaiming_normal_" => {
            let word = |json: &Json| json.as_str().map(str::to_owned);
            let slope = args.number("a", 0.0)?;
            let mode: FanMode = args.take("mode", FanMode::FanIn, |json| word(json)?.parse().ok())?;
            let nonlinearity = args.take("nonlinearity", Nonlinearity::LeakyRelu(slope), |json| {
                nonlinearity_of(&word(json)?, Some(slope)).ok()
            })?;
            let kaiming =
                if init == "kaiming_normal_" { kiln::init::kaiming_normal } else { kiln::init::kaiming_uniform };
            kaiming(&parameter, mode, nonlinearity);
        }
        "xavier_uniform_" => kiln::init::xavier_uniform(&parameter, args.number("gain", 1.0)?),
        "xavier_normal_" => kiln::init::xavier_normal(&parameter, args.number("gain", 1.0)?),
        "orthogonal_" => kiln::init::orthogonal(&parameter, args.number("gain", 1.0)?),
        "sparse_" => kiln::init::sparse(&parameter, args.number("sparsity", 0.0)?, args.number("std", 0.01)?),
        "uniform_" => kiln::init::uniform(&parameter, args.number("a", 0.0)?, args.number("b", 1.0)?),
        "normal_" => kiln::init::normal(&parameter, args.number("mean", 0.0)?, args.number("std", 1.0)?),
        "trunc_normal_" => {
            let (mean, std) = (args.number("mean", 0.0)?, args.number("std", 1.0)?);
            kiln::init::trunc_normal(&parameter, mean, std, args.number("a", -2.0)?, args.number("b", 2.0)?);
        }
        "constant_" => kiln::init::constant(&parameter, args.number("val", 0.0)?),
        "ones_" => kiln::init::ones(&parameter),
        "zeros_" => kiln::init::zeros(&parameter),
        "eye_" => kiln::init::eye(&parameter),
        "dirac_" => kiln::init::dirac(&parameter, args.count("groups", 1)?),
        other => return Err(Unsupported(format!("initialiser {other}"))),
    }
    args.finish()?;
    Ok(parameter)
}

/// What a session draws for a parameter.
fn values(parameter: Parameter, checks: &mut Checks) -> Option<Value> {
    state(Box::new(One { weight: parameter }), checks)?.remove("weight")
}

/// The state of a layer in a new session.
fn state(layer: Box<dyn Module>, checks: &mut Checks) -> Option<BTreeMap<String, Value>> {
    match drawn(layer) {
        Ok(state) => Some(state),
        Err(error) => {
            checks.fault(error.to_string());
            None
        }
    }
}

/// A program that does nothing but hold the layer's state.
fn drawn(layer: Box<dyn Module>) -> Result<BTreeMap<String, Value>, EngineError> {
    let names: Vec<String> = kiln::state_dict(&*layer).into_iter().map(|entry| entry.name).collect();
    let parameters = kiln::parameters(&*layer);
    let training = Training::new("state", Held { layer })
        .input("x", DType::F32, [1])
        .loss(move |_, batch| parameters.iter().fold(batch["x"].sum_all(), |sum, p| sum + p.tensor().sum_all() * 0.0))
        .optimizer(Sgd::new(0.0));
    let engine = Backend::default().engine(training.trace().map_err(EngineError::Diagnostics)?)?;
    let value = |name: String| {
        let value = engine.get(&format!("layer.{name}"))?;
        debug_assert_ne!(name, names::LOSS);
        Ok((name, value))
    };
    names.into_iter().map(value).collect()
}

#[model]
struct One {
    weight: Parameter,
}

/// A layer of any type.
struct Held {
    layer: Box<dyn Module>,
}

impl Module for Held {
    fn visit(&self, visitor: &mut dyn kiln::Visitor) {
        visitor.child("layer", &*self.layer);
    }
}
