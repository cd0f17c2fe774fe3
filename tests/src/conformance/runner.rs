//! Runs training programs and compares every number that PyTorch recorded.

use std::io::Write;
use std::path::Path;

use super::models::{Translation, translate};
use super::tensors::{ReadError, entries};
use super::{Checks, Engine, EngineError, Options, Outcome, ProgramFolder, Run, Tally, Tolerance};

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
    }
    Ok(tally)
}

/// One run.
fn check(program: &ProgramFolder, run: &Run, options: &Options) -> Result<Outcome, ReadError> {
    if let Some(missing) = beyond(program, run) {
        return Ok(Outcome::Unsupported(missing));
    }
    let traced = match translate(&program.file, run, &program.batch(0)?) {
        Translation::Traced(traced) => *traced,
        Translation::Unsupported(missing) => return Ok(Outcome::Unsupported(missing.0)),
        Translation::Refused(error) => return Ok(Outcome::Failed(vec![error.to_string()])),
    };
    let mut checks = Checks::default();
    let steps = options.steps.unwrap_or(run.losses.len());
    let compared = options.backend.engine(traced).map_err(Stop::Engine);
    let compared = compared.and_then(|mut engine| compare(program, run, steps, &mut *engine, &mut checks));
    match compared {
        Ok(()) => {}
        Err(Stop::Engine(error)) => checks.fault(error.to_string()),
        Err(Stop::Read(error)) => return Err(error),
    }
    Ok(checks.outcome())
}

/// What the run asks for beyond the plain loop of `compare`.
fn beyond(program: &ProgramFolder, run: &Run) -> Option<String> {
    if program.file.mode != "train" {
        return Some(format!("mode {}", program.file.mode));
    }
    if !program.file.tied.is_empty() {
        return Some("tied weights".to_owned());
    }
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
    for (name, value) in program.init.under("") {
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
    for (step, (&want, rates)) in run.losses.iter().zip(&run.lrs).enumerate().take(steps) {
        let rate = engine.learning_rate()?;
        for &want in rates {
            checks.number(&format!("learning rate {step}"), rate, want, Tolerance { rtol: 1e-12, atol: 0.0 });
        }
        let loss = engine.train_step(&program.batch(step)?)?;
        if step == 0 {
            checks.number("loss 0 of the program", loss, file.loss0, file.loss0_tolerance);
        }
        checks.number(&format!("loss {step}"), loss, want, run.loss_tolerance);
    }
    if steps < run.losses.len() {
        return Ok(());
    }
    for (name, want) in program.last.under(&format!("{}/", run.name)) {
        let tolerance = run.final_tolerance.get(name).copied().unwrap_or(Tolerance::EXACT);
        checks.tensor(&format!("final {name}"), &engine.get(name)?, want, tolerance);
    }
    let loss = engine.eval_loss(&program.batch(0)?)?;
    checks.number("eval_loss", loss, run.eval_loss, run.eval_loss_tolerance);
    Ok(())
}
