//! `torch.optim.lr_scheduler`: the rate of each parameter group at each step.

use kiln::runtime::schedule::{
    Anneal, Better, CyclicLr, CyclicMode, Factor, OneCycleLr, Rates, ReduceLrOnPlateau, Schedule, Threshold,
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::super::optimizer::{Args, Arguments};
use super::{Checks, Table, Tolerance, Unsupported, expression, read};

#[derive(Deserialize)]
struct Row {
    lr: Vec<f64>,
    schedulers: Vec<Described>,
    lrs: Vec<Vec<f64>>,
    momentum: Option<f64>,
    #[serde(default)]
    momenta: Vec<Vec<f64>>,
    metrics: Option<Vec<f64>>,
    epochs: Option<Vec<f64>>,
}

/// A class of `torch.optim.lr_scheduler` and its arguments.
#[derive(Deserialize)]
pub struct Described {
    name: String,
    args: Args,
}

pub(super) fn check(table: &Table, case: &Json, checks: &mut Checks) -> Result<(), Unsupported> {
    let row: Row = read(case)?;
    let tolerance = table.tolerance.unwrap_or(Tolerance::EXACT);
    let momentum = row.momentum.iter().flat_map(|&momentum| vec![momentum; row.lr.len()]).collect();
    let mut rates = Rates::new(row.lr.clone(), momentum);
    let mut schedules = row.schedulers.iter().map(of).collect::<Result<Vec<Schedule>, _>>()?;
    let mut go = || {
        schedules.iter_mut().try_for_each(|schedule| schedule.start(&mut rates))?;
        for (step, wanted) in row.lrs.iter().enumerate() {
            let momenta = row.momenta.get(step).map(Vec::as_slice).unwrap_or_default();
            let wanted = [("rate", wanted.as_slice(), &rates.lr), ("momentum", momenta, &rates.momentum)];
            for (what, wanted, got) in wanted {
                for (group, (&want, &got)) in wanted.iter().zip(got).enumerate() {
                    checks.number(&format!("{what} of group {group} at step {step}"), got, want, tolerance);
                }
            }
            let is_last = step + 1 == row.lrs.len();
            for schedule in schedules.iter_mut().filter(|_| !is_last) {
                match (&row.metrics, &row.epochs) {
                    (Some(metrics), _) => schedule.step_with_metric(metrics[step], &mut rates)?,
                    (None, Some(epochs)) => schedule.step_to(epochs[step], &mut rates)?,
                    (None, None) => schedule.step(&mut rates)?,
                }
            }
        }
        Ok::<(), kiln::runtime::schedule::ScheduleError>(())
    };
    if let Err(error) = go() {
        checks.fault(error.to_string());
    }
    Ok(())
}

/// The schedule of this description.
pub fn schedule(json: &Json) -> Result<Schedule, Unsupported> {
    of(&read(json)?)
}

fn of(described: &Described) -> Result<Schedule, Unsupported> {
    let mut args = Arguments::new(&described.name, &described.args);
    let third = 1.0 / 3.0;
    let schedule = match described.name.as_str() {
        "LambdaLR" => Schedule::lambda_lr_each(args.lambdas()?),
        "MultiplicativeLR" => Schedule::multiplicative_lr_each(args.lambdas()?),
        "StepLR" => Schedule::step_lr(args.count("step_size", 0)? as u64, args.number("gamma", 0.1)?),
        "MultiStepLR" => Schedule::multi_step_lr(args.counts("milestones")?, args.number("gamma", 0.1)?),
        "ConstantLR" => Schedule::constant_lr(args.number("factor", third)?, args.count("total_iters", 5)? as u64),
        "LinearLR" => {
            let (start, end) = (args.number("start_factor", third)?, args.number("end_factor", 1.0)?);
            Schedule::linear_lr(start, end, args.count("total_iters", 5)? as u64)
        }
        "ExponentialLR" => Schedule::exponential_lr(args.number("gamma", 1.0)?),
        "PolynomialLR" => Schedule::polynomial_lr(args.count("total_iters", 5)? as u64, args.number("power", 1.0)?),
        "CosineAnnealingLR" => {
            Schedule::cosine_annealing_lr(args.count("T_max", 0)? as u64, args.number("eta_min", 0.0)?)
        }
        "CosineAnnealingWarmRestarts" => {
            let (first, factor) = (args.count("T_0", 0)? as u64, args.count("T_mult", 1)? as u64);
            Schedule::cosine_annealing_warm_restarts(first, factor, args.number("eta_min", 0.0)?)
        }
        "OneCycleLR" => Schedule::one_cycle_lr(args.one_cycle()?),
        "CyclicLR" => Schedule::cyclic_lr(args.cyclic()?),
        "ReduceLROnPlateau" => Schedule::reduce_lr_on_plateau(args.plateau()?),
        "SequentialLR" => {
            let milestones = args.counts("milestones")?;
            Schedule::sequential_lr(args.parts()?, milestones)
        }
        "ChainedScheduler" => Schedule::chained_scheduler(args.parts()?),
        other => return Err(Unsupported(format!("scheduler {other}"))),
    };
    args.finish()?;
    Ok(schedule)
}

impl Arguments<'_> {
    /// `lr_lambda`: an expression, or one a group.
    fn lambdas(&mut self) -> Result<Vec<Factor>, Unsupported> {
        let texts = self.take("lr_lambda", Vec::new(), |json| match json {
            Json::String(text) => Some(vec![text.clone()]),
            Json::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
            _ => None,
        })?;
        let lambda = |text: String| {
            expression::evaluate(&text, 1.0)?;
            let at = move |epoch: u64| expression::evaluate(&text, epoch as f64).unwrap_or(f64::NAN);
            Ok(Box::new(at) as Factor)
        };
        texts.into_iter().map(lambda).collect()
    }

    fn parts(&mut self) -> Result<Vec<Schedule>, Unsupported> {
        let parts = self.take("schedulers", Vec::new(), |json| json.as_array().cloned())?;
        parts.iter().map(schedule).collect()
    }

    /// A number for all groups, or one a group.
    fn each(&mut self, name: &str, default: Vec<f64>) -> Result<Vec<f64>, Unsupported> {
        self.take(name, default, |json| match json {
            Json::Array(numbers) => numbers.iter().map(Json::as_f64).collect(),
            _ => Some(vec![json.as_f64()?]),
        })
    }

    fn one_cycle(&mut self) -> Result<OneCycleLr, Unsupported> {
        let steps = self.count("epochs", 0)? * self.count("steps_per_epoch", 0)?;
        let default = OneCycleLr::new(0.0, self.count("total_steps", steps)? as u64);
        Ok(OneCycleLr {
            max_lr: self.each("max_lr", Vec::new())?,
            pct_start: self.number("pct_start", default.pct_start)?,
            anneal_strategy: self.take("anneal_strategy", default.anneal_strategy, |json| match json.as_str()? {
                "cos" => Some(Anneal::Cos),
                "linear" => Some(Anneal::Linear),
                _ => None,
            })?,
            cycle_momentum: self.flag("cycle_momentum", default.cycle_momentum)?,
            base_momentum: self.number("base_momentum", default.base_momentum)?,
            max_momentum: self.number("max_momentum", default.max_momentum)?,
            div_factor: self.number("div_factor", default.div_factor)?,
            final_div_factor: self.number("final_div_factor", default.final_div_factor)?,
            three_phase: self.flag("three_phase", default.three_phase)?,
            ..default
        })
    }

    fn cyclic(&mut self) -> Result<CyclicLr, Unsupported> {
        let default = CyclicLr::new(0.0, 0.0);
        let gamma = self.number("gamma", 1.0)?;
        Ok(CyclicLr {
            base_lr: self.each("base_lr", Vec::new())?,
            max_lr: self.each("max_lr", Vec::new())?,
            step_size_up: self.count("step_size_up", default.step_size_up as usize)? as u64,
            step_size_down: self.take("step_size_down", None, |json| Some(Some(json.as_u64()?)))?,
            mode: self.take("mode", default.mode, |json| match json.as_str()? {
                "triangular" => Some(CyclicMode::Triangular),
                "triangular2" => Some(CyclicMode::Triangular2),
                "exp_range" => Some(CyclicMode::ExpRange { gamma }),
                _ => None,
            })?,
            cycle_momentum: self.flag("cycle_momentum", default.cycle_momentum)?,
            base_momentum: self.number("base_momentum", default.base_momentum)?,
            max_momentum: self.number("max_momentum", default.max_momentum)?,
        })
    }

    fn plateau(&mut self) -> Result<ReduceLrOnPlateau, Unsupported> {
        let default = ReduceLrOnPlateau::default();
        Ok(ReduceLrOnPlateau {
            mode: self.take("mode", default.mode, |json| match json.as_str()? {
                "min" => Some(Better::Min),
                "max" => Some(Better::Max),
                _ => None,
            })?,
            factor: self.number("factor", default.factor)?,
            patience: self.count("patience", default.patience as usize)? as u64,
            threshold: self.number("threshold", default.threshold)?,
            threshold_mode: self.take("threshold_mode", default.threshold_mode, |json| match json.as_str()? {
                "rel" => Some(Threshold::Rel),
                "abs" => Some(Threshold::Abs),
                _ => None,
            })?,
            cooldown: self.count("cooldown", default.cooldown as usize)? as u64,
            min_lr: self.each("min_lr", default.min_lr)?,
            eps: self.number("eps", default.eps)?,
        })
    }
}
