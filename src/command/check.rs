//! `kiln check`: every pass, and the machine code, against the reference interpreter on random inputs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use kiln_codegen_cpu as cpu;
use kiln_frontend::{Code, Diagnostic};
use kiln_ir::interpret::{InterpretError, Precision, ProgramState, Value, evaluate};
use kiln_ir::program::{Class, Entry};
use kiln_ir::{Graph, Place, Program};
use kiln_passes::pipeline::{self, Control, Observer, Stage, Step};
use kiln_runtime::{Input, Session};

use super::source::{Source, find};
use super::{Model, asked, mistake, print};
use crate::Error;
use crate::compiler::run_pipeline;

mod random;

/// f32 sums in another order differ by about this much of the greatest value.
const TOLERANCE: f64 = 1e-4;

pub(super) fn run(models: &[Model], name: &str, batch: usize, asked: &asked::Asked) -> Result<String, Error> {
    let Source::Request(request) = find(models, name)? else {
        let help = "check a model, or a file with graphs".to_owned();
        return Err(mistake(Code::BadArgument, format!("`{name}` holds no graph to compare with"), help));
    };
    let request = asked.of(*request)?;
    let bound = pipeline::units(&request).iter().filter_map(|unit| unit.graph.max_batch).min().unwrap_or(1);
    if !(1..=bound).contains(&batch) {
        let message = format!("--batch needs a number from 1 to {bound}, the bound of `{name}`: found {batch}");
        return Err(mistake(Code::BadArgument, message, "leave it out for 2".to_owned()));
    }
    let mut checker = Checker { batch, expected: BTreeMap::new(), text: String::new(), differences: Vec::new() };
    let _ =
        writeln!(checker.text, "{:<16} {:<12} {:>6} {:>19}", "after", "entry point", "values", "greatest difference");
    let program = run_pipeline(&request, &mut checker)?;
    if let Some(program) = program.filter(|_| checker.differences.is_empty()) {
        checker.machine_code(program)?;
    }
    if checker.differences.is_empty() {
        return Ok(format!("{}everything agrees with the interpreter\n", checker.text));
    }
    print(&checker.text)?;
    Err(Error::Model(checker.differences))
}

struct Checker {
    batch: usize,
    /// What each unit gives, by name of the output or of the state it updates: from the last graph that was right.
    expected: BTreeMap<String, BTreeMap<String, (Value, Place)>>,
    text: String,
    differences: Vec<Diagnostic>,
}

impl Observer for Checker {
    fn after(&mut self, step: Step, unit: &str, stage: Stage<'_>) -> Control {
        let result = match stage {
            Stage::Graph(graph) => self.graph(step, unit, graph),
            // Loop nests alone cannot run: they are checked as part of the program.
            Stage::Kernels(_) => Ok(()),
            Stage::Program(program) => program.entries.iter().try_for_each(|entry| self.program(program, entry)),
        };
        if let Err(error) = result {
            self.differences.push(Diagnostic::new(
                Code::BadProgram,
                format!("after `{}`, {unit} cannot run: {error}", step.name()),
            ));
        }
        if self.differences.is_empty() { Control::Continue } else { Control::Stop }
    }
}

impl Checker {
    fn graph(&mut self, step: Step, unit: &str, graph: &Graph) -> Result<(), InterpretError> {
        let inputs = random::inputs(graph, self.batch);
        let evaluation = evaluate(graph, &inputs, self.batch, Precision::Declared)?;
        let mut found = BTreeMap::new();
        for output in graph.outputs() {
            let place = graph.node(output.value).place.clone();
            found.insert(output.name.clone(), (evaluation.value(output.value).clone(), place));
        }
        self.compare(step.name(), unit, |name| found.get(name).map(|(value, _)| value.clone()));
        self.expected.insert(unit.to_owned(), found);
        Ok(())
    }

    fn program(&mut self, program: &Program, entry: &Entry) -> Result<(), InterpretError> {
        let batch = self.batch;
        let mut fill = |buffer: &kiln_ir::program::Buffer, _: usize| {
            random::state(&buffer.name, &buffer.ty, &buffer.init, program.max_batch, buffer.class == Class::Constant)
        };
        let mut state = ProgramState::new(program, Precision::Declared, &mut fill)?;
        let inputs: Vec<Value> = entry
            .inputs
            .iter()
            .map(|&id| random::data(&program.buffer(id).name, &program.buffer(id).ty, batch))
            .collect();
        let outputs = state.run_entry(&entry.name, batch, &inputs)?;
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for (id, buffer) in (0..).zip(&program.buffers) {
            if matches!(buffer.class, Class::Parameter | Class::Buffer | Class::OptimizerState) {
                found.insert(buffer.name.clone(), state.read(kiln_ir::program::BufferId(id), batch)?);
            }
        }
        for (&id, value) in entry.outputs.iter().zip(outputs) {
            found.insert(program.buffer(id).name.clone(), value);
        }
        self.compare("plan_memory", &entry.name, |name| found.get(name).cloned());
        Ok(())
    }

    /// Runs the compiled kernels in this process.
    fn machine_code(&mut self, program: Program) -> Result<(), Error> {
        let code = cpu::jit(Arc::new(program.clone()), cpu::Options::default())?.into_runtime_program();
        let batch = self.batch;
        for entry in &program.entries {
            let mut session = Session::new(code.clone(), 0)?;
            for buffer in &program.buffers {
                if let (true, Ok(mut slot)) = (is_state(buffer.class), session.slot_mut(&buffer.name)) {
                    let values = random::state(&buffer.name, &buffer.ty, &buffer.init, program.max_batch, false);
                    random::write(buffer.ty.dtype, &values, slot.bytes_mut());
                }
            }
            let values: Vec<(kiln_ir::DType, Vec<u8>)> = (entry.inputs.iter().map(|&id| program.buffer(id)))
                .map(|buffer| {
                    let data = random::data(&buffer.name, &buffer.ty, batch).data;
                    let mut bytes = vec![0; data.len() * buffer.ty.dtype.size_bytes()];
                    random::write(buffer.ty.dtype, &data, &mut bytes);
                    (buffer.ty.dtype, bytes)
                })
                .collect();
            let typed: Vec<random::Typed> =
                values.iter().map(|(dtype, bytes)| random::Typed::read(*dtype, bytes)).collect();
            let inputs: Vec<Input<'_>> = typed.iter().map(random::Typed::input).collect();
            session.run(&entry.name, batch as u64, &inputs)?;
            let found = |name: &str| {
                let buffer = program.buffers.iter().find(|buffer| buffer.name == name)?;
                let slot = session.slot(name).ok()?;
                let data = random::read(buffer.ty.dtype, slot.bytes());
                Value::new(buffer.ty.dtype, buffer.ty.shape.at(batch), data).ok()
            };
            self.compare("machine code", &entry.name, found);
        }
        Ok(())
    }

    /// One line of the report; what differs becomes a diagnostic at the line of the value that differs first.
    fn compare(&mut self, step: &str, unit: &str, found: impl Fn(&str) -> Option<Value>) {
        let Some(expected) = self.expected.get(unit) else { return };
        let (mut greatest, mut compared) = (0.0_f64, 0);
        for (name, (value, place)) in expected {
            let Some(found) = found(name) else { continue };
            let error = distance(value, &found);
            compared += 1;
            greatest = greatest.max(error);
            if error > TOLERANCE {
                let message =
                    format!("`{step}` changes `{name}` of {unit}: it differs by {error:.1e} of its greatest value");
                let help = "this is a bug in Kiln; please report it with the output of KILN_DUMP";
                self.differences.push(Diagnostic::new(Code::BadProgram, message).at(place.clone()).help(help));
            }
        }
        let verdict = if greatest <= TOLERANCE { "ok" } else { "DIFFERS" };
        let _ = writeln!(self.text, "{step:<16} {unit:<12} {compared:>6} {greatest:>19.1e}  {verdict}");
    }
}

fn is_state(class: Class) -> bool {
    matches!(class, Class::Parameter | Class::Buffer | Class::OptimizerState | Class::Scalar)
}

/// The greatest difference, relative to the greatest magnitude; infinite where types or the places of NaN differ.
fn distance(expected: &Value, found: &Value) -> f64 {
    if expected.dtype != found.dtype || expected.data.len() != found.data.len() {
        return f64::INFINITY;
    }
    let scale = expected.data.iter().fold(1e-6_f64, |scale, x| if x.is_finite() { scale.max(x.abs()) } else { scale });
    let difference = |(a, b): (&f64, &f64)| match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if a.is_finite() && b.is_finite() => (a - b).abs() / scale,
        false => f64::INFINITY,
    };
    expected.data.iter().zip(&found.data).map(difference).fold(0.0, f64::max)
}
