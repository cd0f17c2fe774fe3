//! One call: traced, compiled, run, and compared with what PyTorch answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kiln::prelude::*;
use kiln::runtime::{Input, Trainer};
use kiln::{Compiler, Diagnostic, Function, Traced};
use kiln_ir::Place;
use kiln_ir::interpret::Value;

use super::super::jit::{Elements, value_of};
use super::super::tensors::{ReadError, TensorFile};
use super::super::{Batch, Checks, EngineError, Outcome, Tolerance};
use super::arguments::{Args, Stop};
use super::file::{Argument, Case, ErrorCase, Expected};
use super::rows::{self, Results};

/// How the cases of operators are compiled, and how far they may be off.
pub struct How {
    pub compiler: Compiler,
    /// In units of a case's tolerance.
    pub slack: f64,
}

/// Checks a case. What it took to compile goes to `compile_times`.
pub fn check(
    op: &str,
    case: &Case,
    file: &TensorFile,
    how: &How,
    compile_times: &mut Vec<Duration>,
) -> Result<Outcome, ReadError> {
    let mut checks = Checks::within(how.slack);
    let inputs = inputs(&case.args, file)?;
    let differentiated: Vec<&str> = case.grads.iter().map(|grad| grad.of.as_str()).collect();
    let traced = match trace(op, case.signature, &case.args, &inputs, &differentiated, &case.mutated) {
        Ok(traced) => traced,
        Err(fault) => return Ok(Outcome::Failed(vec![fault.to_string()])),
    };
    if let Some(place) = lost_caller(&traced) {
        checks.fault(format!("a value is placed at {place}, not at the caller's line"));
    }
    let mut batch = inputs.clone();
    for (at, output) in case.outputs.iter().enumerate() {
        if let Some(key) = &output.cotangent {
            batch.insert(format!("cotangent.{at}"), file.get(key)?.clone());
        }
    }
    let run = match Run::new(traced, &batch, file, &how.compiler) {
        Ok(run) => run,
        Err(error) => return Ok(Outcome::Failed(vec![error.to_string()])),
    };
    compile_times.push(run.compile_time);
    let count = case.outputs.len() + case.mutated.len();
    for (at, output) in case.outputs.iter().enumerate() {
        let key = output.reference.as_ref().unwrap_or(&output.tensor);
        run.compare(&result_name(at, count), key, Some(output.dtype), output.tolerance.into(), &mut checks)?;
    }
    for (at, mutated) in case.mutated.iter().enumerate() {
        let name = result_name(case.outputs.len() + at, count);
        run.compare(&name, &mutated.tensor, None, mutated.tolerance.into(), &mut checks)?;
    }
    for grad in &case.grads {
        run.compare(&format!("d_{}", grad.of), &grad.tensor, grad.dtype, grad.tolerance.into(), &mut checks)?;
    }
    Ok(checks.outcome())
}

/// Checks that a call is refused: by a diagnostic when it is traced, or by a fault when it runs.
pub fn check_error(op: &str, case: &ErrorCase, file: &TensorFile, how: &How) -> Result<Outcome, ReadError> {
    let inputs = inputs(&case.args, file)?;
    let traced = match trace(op, case.signature, &case.args, &inputs, &[], &[]) {
        Ok(traced) => traced,
        Err(Fault::Diagnostics(_)) => return Ok(Outcome::Passed { worst: None }),
        Err(fault) => return Ok(Outcome::Failed(vec![fault.to_string()])),
    };
    let fault = match Run::new(traced, &inputs, file, &how.compiler) {
        Ok(_) => format!("no error, where PyTorch says: {}", case.message),
        Err(EngineError::Runtime(kiln::runtime::Error::Fault { .. })) => return Ok(Outcome::Passed { worst: None }),
        Err(error) => error.to_string(),
    };
    Ok(Outcome::Failed(vec![fault]))
}

/// Why a call was not traced.
enum Fault {
    Inexpressible(String),
    Diagnostics(Vec<Diagnostic>),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Inexpressible(what) => write!(f, "the runner cannot express it: {what}"),
            Fault::Diagnostics(all) => {
                let all: Vec<String> = all.iter().map(|one| one.to_string().replace('\n', " ")).collect();
                write!(f, "{}", all.join("; "))
            }
        }
    }
}

/// Records the call as a function of its tensors.
fn trace(
    op: &str,
    signature: usize,
    arguments: &BTreeMap<String, Argument>,
    inputs: &Batch,
    differentiated: &[&str],
    mutated: &[Expected],
) -> Result<Traced, Fault> {
    let call = rows::find(op).ok_or_else(|| Fault::Inexpressible(format!("no row for {op}")))?;
    let mut function = Function::new("case");
    for (key, value) in inputs {
        function = function.input(key, value.dtype, value.shape.clone());
    }
    for key in differentiated {
        function = function.gradient_of(key);
    }
    let stopped = RefCell::new(None);
    let traced = function.trace(|given| {
        let tensors: BTreeMap<String, Tensor> = inputs.keys().map(|key| (key.clone(), given[key])).collect();
        let args = Args { op, signature, arguments, tensors: &tensors };
        match call(&args).and_then(|results| with_mutated(results, &args, mutated)) {
            Ok(results) => results,
            Err(stop) => {
                stopped.replace(Some(stop));
                Vec::new()
            }
        }
    });
    match (stopped.into_inner(), traced) {
        (Some(Stop::Inexpressible(what)), _) => Err(Fault::Inexpressible(what)),
        (Some(Stop::Refused(diagnostic)), _) => Err(Fault::Diagnostics(vec![diagnostic])),
        (None, traced) => traced.map_err(Fault::Diagnostics),
    }
}

/// A place inside the front end: a `#[track_caller]` is missing, or a closure has lost it. The loss of a function with gradients is the front end's own.
fn lost_caller(traced: &Traced) -> Option<Place> {
    let graph = traced.train.as_ref().or(traced.predict.as_ref())?;
    let places = graph.order().into_iter().map(|value| &graph.node(value).place);
    let mut lost = places.filter(|place| place.file.contains("frontend/src/") && !place.file.ends_with("/function.rs"));
    lost.next().cloned()
}

/// The results, and after them the new value of each input that the case says is changed.
fn with_mutated(results: Results, args: &Args<'_>, mutated: &[Expected]) -> Result<Vec<Tensor>, Stop> {
    let Results { mut results, changed } = results;
    for expected in mutated {
        let parameter = args.arguments.iter().find(|(_, argument)| **argument == Argument::Tensor(expected.of.clone()));
        let new = parameter.and_then(|(name, _)| changed.iter().find(|(held, _)| held == name));
        let (_, new) =
            new.ok_or_else(|| Stop::Inexpressible(format!("the row does not give the new `{}`", expected.of)))?;
        results.push(*new);
    }
    Ok(results)
}

/// Every tensor among the arguments, by key; those that have none are zeros, by place.
fn inputs(arguments: &BTreeMap<String, Argument>, file: &TensorFile) -> Result<Batch, ReadError> {
    fn collect(argument: &Argument, path: &str, file: &TensorFile, batch: &mut Batch) -> Result<(), ReadError> {
        match argument {
            Argument::Tensor(key) => {
                batch.insert(key.clone(), file.get(key)?.clone());
            }
            Argument::Zeros(dtype, shape) => {
                batch.insert(path.to_owned(), Value::filled(*dtype, shape.clone(), 0.0));
            }
            Argument::List(items) | Argument::Indices(items) => {
                for (at, item) in items.iter().enumerate() {
                    collect(item, &format!("{path}.{at}"), file, batch)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
    let mut batch = Batch::new();
    for (name, argument) in arguments {
        collect(argument, name, file, &mut batch)?;
    }
    Ok(batch)
}

/// A call that has run.
struct Run<'f> {
    trainer: Trainer,
    /// From the traced graph to machine code in memory.
    compile_time: Duration,
    file: &'f TensorFile,
}

impl<'f> Run<'f> {
    /// Compiles and runs; what `batch` lacks (cotangents that the case has none for) is zero.
    fn new(traced: Traced, batch: &Batch, file: &'f TensorFile, compiler: &Compiler) -> Result<Run<'f>, EngineError> {
        let entry = if traced.train.is_some() { "train_step" } else { "predict" };
        let graph = traced.train.as_ref().or(traced.predict.as_ref()).ok_or(EngineError::NoEntry("predict"))?;
        let mut given = BTreeMap::new();
        for (value, _) in graph.inputs() {
            let (name, ty) = (graph.name_of(value), graph.ty(value));
            let zeros = Value::filled(ty.dtype, ty.shape.at(1), 0.0);
            let elements = match file.integers(name) {
                Some(exact) => Elements::I64(exact.to_vec()),
                // A cotangent is stored as `f32`, and its result may be wider.
                None => Elements::new(&Value { dtype: ty.dtype, ..batch.get(name).unwrap_or(&zeros).clone() }),
            };
            given.insert(name.to_owned(), elements);
        }
        let start = Instant::now();
        let mut trainer = compiler.compile_traced(traced)?.jit(compiler)?;
        let compile_time = start.elapsed();
        for (name, elements) in &given {
            // What is data is given with the call; what the function does not depend on has no slot.
            if let Ok(mut slot) = trainer.slot_mut(name) {
                slot.bytes_mut().copy_from_slice(elements.input().bytes());
            }
        }
        let slots = trainer.session().entry(entry)?.inputs.iter();
        let names = slots.map(|&slot| &*trainer.program().slots[slot as usize].name);
        let inputs: Vec<Input<'_>> = names.map(|name| given[name].input()).collect();
        trainer.run(entry, &inputs)?;
        Ok(Run { trainer, compile_time, file })
    }

    /// Compares an output with the tensor of a key, whose elements may be stored in a wider dtype than the output has.
    fn compare(
        &self,
        name: &str,
        key: &str,
        dtype: Option<DType>,
        tolerance: Tolerance,
        checks: &mut Checks,
    ) -> Result<(), ReadError> {
        let want = self.file.get(key)?;
        let got = match self.trainer.slot(name).map_err(EngineError::from).and_then(value_of) {
            Ok(got) => got,
            Err(error) => {
                checks.fault(error.to_string());
                return Ok(());
            }
        };
        let want = Value { dtype: dtype.unwrap_or(want.dtype), ..want.clone() };
        checks.tensor(name, &got, &want, tolerance);
        let exact = self.trainer.session().slot_as::<i64>(name).ok().zip(self.file.integers(key));
        if exact.is_some_and(|(got, want)| got != want) {
            checks.fault(format!("{name}: an element differs beyond 2^53"));
        }
        Ok(())
    }
}

fn result_name(at: usize, count: usize) -> String {
    if count == 1 { "prediction".to_owned() } else { format!("prediction.{at}") }
}
