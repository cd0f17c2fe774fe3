//! Runs training programs and compares every number that PyTorch recorded.

use std::io::Write;
use std::path::Path;

use kiln::runtime::Lbfgs;
use kiln::runtime::schedule::{Rates, ScheduleError};
use kiln_ir::DType;
use kiln_ir::interpret::Value;
use kiln_ir::update::names;

use super::functions;
use super::models::{Translation, translate};
use super::optimizer::{Unsupported, lbfgs};
use super::recipe::LBFGS;
use super::tables::schedule;
use super::tensors::{ReadError, entries};
use super::{Batch, Checks, Engine, EngineError, Options, Outcome, ProgramFolder, Run, Tally, Tolerance};

/// Schedules are the same few operations in f64.
const RATE_TOLERANCE: Tolerance = Tolerance { rtol: 1e-12, atol: 0.0 };

/// Every run of every folder of `programs/`, a line each.
///
/// # Errors
/// When a file is missing or damaged, or `out` cannot be written. A case that fails is no error.
pub fn programs(folder: &Path, options: &Options, out: &mut dyn Write) -> Result<Tally, ReadError> {
    let mut tally = Tally::default();
    for path in entries(folder)?.iter().filter(|path| path.is_dir() && options.selects(path)) {
        let program = ProgramFolder::read(path)?;
        for run in &program.file.runs {
            let outcome = check(&program, run, options)?;
            writeln!(out, "programs/{}/{}: {outcome}", program.file.name, run.name).map_err(ReadError::Output)?;
            tally.add(&outcome);
        }
        for (number, case) in program.file.functions.iter().enumerate() {
            let outcome = functions::check(&program, case)?;
            let name = format!("{} {number}", case.name);
            writeln!(out, "programs/{}/{name}: {outcome}", program.file.name).map_err(ReadError::Output)?;
            tally.add(&outcome);
        }
    }
    Ok(tally)
}

/// One run.
fn check(program: &ProgramFolder, run: &Run, options: &Options) -> Result<Outcome, ReadError> {
    if let Some(missing) = beyond(run) {
        return Ok(Outcome::Unsupported(missing));
    }
    let traced = match translate(&program.file, run, &program.batch(0)?) {
        Translation::Traced(traced) => *traced,
        Translation::Unsupported(missing) => return Ok(Outcome::Unsupported(missing.0)),
        Translation::Refused(error) => return Ok(Outcome::Failed(vec![error.to_string()])),
    };
    let mut checks = Checks::default();
    let steps = options.steps.unwrap_or(run.losses.len());
    let compared = options.backend.clone().engine(traced).map_err(Stop::Engine);
    let compared = compared.and_then(|mut engine| compare(program, run, steps, &mut *engine, &mut checks));
    match compared {
        Ok(()) => {}
        Err(Stop::Engine(error)) => checks.fault(error.to_string()),
        Err(Stop::Read(error)) => return Err(error),
    }
    Ok(checks.outcome())
}

/// What nobody knows how to run.
fn beyond(run: &Run) -> Option<String> {
    let others: Vec<&str> = run.others.keys().map(String::as_str).collect();
    if others.is_empty() { None } else { Some(others.join(", ")) }
}

enum Stop {
    Engine(EngineError),
    Read(ReadError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Stop {
        Stop::Engine(error)
    }
}

impl From<ScheduleError> for Stop {
    fn from(error: ScheduleError) -> Stop {
        Stop::Engine(error.into())
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Stop {
        Stop::Read(error)
    }
}

/// The initial weights in, then every number in the order in which training makes it.
fn compare(
    program: &ProgramFolder,
    run: &Run,
    steps: usize,
    engine: &mut dyn Engine,
    checks: &mut Checks,
) -> Result<(), Stop> {
    let file = &program.file;
    let is_alias = |name: &str| file.tied.iter().any(|(alias, _)| alias == name);
    for (name, value) in program.init.under("").filter(|(name, _)| !is_alias(name)) {
        engine.set(name, value)?;
    }
    let gradients = engine.gradients(&program.batch(0)?)?;
    for name in &file.parameters {
        let (what, want) = (format!("gradient of {name}"), program.gradients.get(name)?);
        match (gradients.get(name), file.grads0_tolerance.get(name)) {
            (Some(got), Some(&tolerance)) => checks.tensor(&what, got, want, tolerance),
            _ => checks.fault(format!("{what}: none")),
        }
    }
    let mut lbfgs = match run.optimizer.as_str() {
        LBFGS => Some(Lbfgs::new(lbfgs(&run.args).map_err(|missing| EngineError::NoState(missing.0))?)),
        _ => None,
    };
    let unsupported = |missing: Unsupported| EngineError::NoState(missing.0);
    let mut schedule = run.scheduler.as_ref().map(schedule).transpose().map_err(unsupported)?;
    let mut rates = self::rates(engine, run.lrs[0].len());
    if let Some(schedule) = &mut schedule {
        schedule.start(&mut rates)?;
        set_rates(engine, &rates)?;
    }
    let batches = run.accumulate.unwrap_or(1);
    for (step, &want) in run.losses.iter().enumerate().take(steps) {
        let batch = program.batch(run.fixed_batch.unwrap_or(step))?;
        let update = step / batches;
        let updates = (step + 1) % batches == 0;
        if updates && lbfgs.is_none() {
            learning_rates(engine, &run.lrs[update], update, checks)?;
        }
        if let (true, Some(prefix)) = (step + 1 == batches, &run.first_update_grads) {
            first_update(program, run, prefix, &batch, engine, checks)?;
        }
        let loss = match &mut lbfgs {
            None => engine.train_step(&batch)?,
            Some(lbfgs) => {
                let done = engine.lbfgs_step(lbfgs, &batch)?;
                let wanted = run.closure_evaluations.as_ref().map(|all| all[step]);
                if wanted != Some(done.evaluations) {
                    checks.fault(format!("step {step}: {} closure evaluations, not {wanted:?}", done.evaluations));
                }
                done.loss
            }
        };
        if step == 0 {
            checks.number("loss 0 of the program", loss, file.loss0, file.loss0_tolerance);
        }
        checks.number(&format!("loss {step}"), loss, want, run.loss_tolerance);
        if let (true, Some(&want), Some(tolerance)) = (updates, run.grad_norms.get(update), run.grad_norm_tolerance) {
            let norm = engine.get(names::GRADIENT_NORM)?.data[0];
            checks.number(&format!("gradient norm {update}"), norm, want, tolerance);
        }
        if let (true, Some(schedule)) = (updates, &mut schedule) {
            schedule.step(&mut rates)?;
            set_rates(engine, &rates)?;
        }
    }
    if steps < run.losses.len() {
        return Ok(());
    }
    for (name, want) in program.last.under(&format!("{}/", run.name)) {
        let tolerance = run.final_tolerance.get(name).copied().unwrap_or(Tolerance::EXACT);
        let parameter = file.tied.iter().find(|(alias, _)| alias == name).map_or(name, |(_, parameter)| parameter);
        checks.tensor(&format!("final {name}"), &engine.get(parameter)?, want, tolerance);
    }
    let loss = engine.eval_loss(&program.batch(0)?)?;
    checks.number("eval_loss", loss, run.eval_loss, run.eval_loss_tolerance);
    Ok(())
}

/// The rates of an update against those of `torch.optim`.
fn learning_rates(engine: &dyn Engine, wanted: &[f64], update: usize, checks: &mut Checks) -> Result<(), EngineError> {
    let rates = rates(engine, wanted.len());
    for (group, (&want, &rate)) in wanted.iter().zip(&rates.lr).enumerate() {
        checks.number(&format!("learning rate {update} of group {group}"), rate, want, RATE_TOLERANCE);
    }
    Ok(())
}

/// The numbers that the host sets. LBFGS keeps its own rate.
fn rates(engine: &dyn Engine, groups: usize) -> Rates {
    let number = |base, group| Some(engine.get(&of_group(base, group, groups)).ok()?.data[0]);
    let numbers = |base| (0..groups).filter_map(|group| number(base, group)).collect::<Vec<f64>>();
    Rates::new(numbers(names::LEARNING_RATE), numbers(names::MOMENTUM))
}

fn set_rates(engine: &mut dyn Engine, rates: &Rates) -> Result<(), EngineError> {
    for (base, numbers) in [(names::LEARNING_RATE, &rates.lr), (names::MOMENTUM, &rates.momentum)] {
        for (group, &number) in numbers.iter().enumerate() {
            engine.set(&of_group(base, group, rates.lr.len()), &Value::scalar(DType::F64, number))?;
        }
    }
    Ok(())
}

fn of_group(base: &str, group: usize, groups: usize) -> String {
    if groups == 1 { base.to_owned() } else { format!("{base}.{group}") }
}

/// The gradients that the first update sees: what is accumulated, and the share of this batch.
fn first_update(
    program: &ProgramFolder,
    run: &Run,
    prefix: &str,
    batch: &Batch,
    engine: &mut dyn Engine,
    checks: &mut Checks,
) -> Result<(), Stop> {
    let batches = run.accumulate.unwrap_or(1) as f64;
    for (name, gradient) in engine.gradients(batch)? {
        let mut sum = engine.get(&format!("{}.{name}", names::ACCUMULATED))?;
        sum.data.iter_mut().zip(&gradient.data).for_each(|(sum, part)| *sum += part / batches);
        let want = program.gradients.get(&format!("{prefix}{name}"))?;
        let tolerance = run.first_update_grads_tolerance.get(&name).copied().unwrap_or(Tolerance::EXACT);
        checks.tensor(&format!("first update's gradient of {name}"), &sum, want, tolerance);
    }
    Ok(())
}
