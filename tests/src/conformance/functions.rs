//! A function of a program's source by itself: its result and its gradients for a cotangent.

use kiln::{Compiler, Function, PREDICTION, Traced};
use serde_json::Value as Json;

use super::jit::{Elements, value_of};
use super::models::warp;
use super::tensors::ReadError;
use super::{Batch, Checks, EngineError, FunctionCase, Outcome, ProgramFolder, Tolerance};

/// One call.
pub fn check(program: &ProgramFolder, case: &FunctionCase) -> Result<Outcome, ReadError> {
    if case.name != "warp" {
        return Ok(Outcome::Unsupported(format!("function {}", case.name)));
    }
    let Some(tensors) = &program.functions else { return Ok(Outcome::Unsupported("functions.safetensors".to_owned())) };
    let mut batch = Batch::from([("cotangent.0".to_owned(), tensors.get(&case.cotangent)?.clone())]);
    for (name, json) in &case.args {
        if let Some(key) = json.as_str() {
            batch.insert(name.clone(), tensors.get(key)?.clone());
        }
    }
    let mut checks = Checks::default();
    let mut compare = |what: &str, slot: &str, key: &str, trainer: &kiln::runtime::Trainer| {
        let tolerance = case.tolerance.get(what).copied().unwrap_or(Tolerance::EXACT);
        match trainer.slot(slot).map_err(EngineError::from).and_then(value_of) {
            Ok(got) => checks.tensor(what, &got, tensors.get(key)?, tolerance),
            Err(error) => checks.fault(error.to_string()),
        }
        Ok::<(), ReadError>(())
    };
    match run(case, &batch) {
        Ok(trainer) => {
            compare("out", PREDICTION, &case.out, &trainer)?;
            for (argument, key) in &case.grads {
                compare(&format!("grad_{argument}"), &format!("d_{argument}"), key, &trainer)?;
            }
        }
        Err(error) => checks.fault(error.to_string()),
    }
    Ok(checks.outcome())
}

fn run(case: &FunctionCase, batch: &Batch) -> Result<kiln::runtime::Trainer, EngineError> {
    let masked = case.args.get("masked").and_then(Json::as_bool).unwrap_or(true);
    let mut function = Function::new(&case.name);
    for name in ["x", "flow"] {
        let value = batch.get(name).ok_or_else(|| EngineError::NoState(name.to_owned()))?;
        function = function.input(name, value.dtype, &value.shape).gradient_of(name);
    }
    let traced: Traced =
        function.trace(|given| vec![warp(given["x"], given["flow"], masked)]).map_err(EngineError::Diagnostics)?;
    let compiler = Compiler::new();
    let mut trainer = compiler.compile_traced(traced)?.jit(&compiler)?;
    // Differentiated inputs are state, as parameters are.
    for name in ["x", "flow"] {
        let elements = batch.get(name).map(Elements::new).ok_or_else(|| EngineError::NoState(name.to_owned()))?;
        trainer.slot_mut(name)?.bytes_mut().copy_from_slice(elements.input().bytes());
    }
    let slots = trainer.session().entry("train_step")?.inputs.iter();
    let names = slots.map(|&slot| trainer.program().slots[slot as usize].name.to_string());
    let elements = names.map(|name| batch.get(&name).map(Elements::new).ok_or(EngineError::NoState(name)));
    let elements = elements.collect::<Result<Vec<Elements>, _>>()?;
    let inputs: Vec<_> = elements.iter().map(Elements::input).collect();
    trainer.run("train_step", &inputs)?;
    Ok(trainer)
}
