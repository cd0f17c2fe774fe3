//! `kiln dump`.

use clap::ValueEnum;
use kiln_codegen_cpu as cpu;
use kiln_frontend::Code;
use kiln_ir::text::Item;
use kiln_ir::{Kernel, Program};
use kiln_passes::pipeline::{self, Control, Observer, Step};

use super::source::{Source, find};
use super::{Model, Stage, asked, mistake};
use crate::compiler::run_pipeline;
use crate::{Error, switches};

pub(super) fn run(
    models: &[Model],
    name: &str,
    stage: Option<Stage>,
    after: Option<&str>,
    asked: &asked::Asked,
) -> Result<String, Error> {
    let after = after.map(step).transpose()?;
    let request = match find(models, name)? {
        // A GPU's blocks have no memory that keeps a strip.
        Source::Request(request) => {
            pipeline::Request { stores_strips: stage == Some(Stage::Cuda), ..asked.of(*request)? }
        }
        Source::Lower(items) => return lower(name, &items, stage, after),
    };
    let step = match (after, stage.unwrap_or(Stage::Graph)) {
        (Some(step), _) => step,
        (None, Stage::Graph) => Step::Simplify,
        (None, _) => Step::PlanMemory,
    };
    if let Some(stage) = stage.filter(|&stage| !is_left_by(stage, step)) {
        let left = if step < Step::Lower { "graphs" } else { "kernels" };
        let stage = stage.to_possible_value().expect("no stage is hidden from the command line");
        let message = format!("`--stage {}` cannot show what `{}` leaves, {left}", stage.get_name(), step.name());
        return Err(mistake(Code::BadArgument, message, "leave one of --stage and --after out".to_owned()));
    }
    let max_batch = pipeline::units(&request).iter().filter_map(|unit| unit.graph.max_batch).max().unwrap_or(1);
    let mut capture = Capture { step, stage, max_batch, text: Ok(String::new()) };
    match run_pipeline(&request, &mut capture) {
        // It stopped behind what is shown.
        Err(Error::Stopped(_)) if capture.text.as_ref().is_ok_and(|text| !text.is_empty()) => {}
        result => drop(result?),
    }
    capture.text
}

/// Kernels or a program from a file.
fn lower(file: &str, items: &[Item], stage: Option<Stage>, after: Option<Step>) -> Result<String, Error> {
    if let Some(step) = after {
        let message = format!("`{file}` holds no graph that `{}` could come after", step.name());
        return Err(mistake(Code::BadArgument, message, "leave --after out".to_owned()));
    }
    let mut text = String::new();
    for item in items {
        match item {
            Item::Program(program) => text += &program_text(program, stage.unwrap_or(Stage::Program))?,
            Item::Kernel(kernel) => text += &kernel_text(kernel, stage.unwrap_or(Stage::Kernel), 1)?,
            Item::Graph(_) => {}
        }
    }
    Ok(text)
}

/// Whether a step leaves what the stage is printed from.
fn is_left_by(stage: Stage, step: Step) -> bool {
    match stage {
        Stage::Graph => step < Step::Lower,
        Stage::Program => step == Step::PlanMemory,
        Stage::Kernel | Stage::Clif | Stage::Asm | Stage::Cuda => step >= Step::Lower,
    }
}

fn program_text(program: &Program, stage: Stage) -> Result<String, Error> {
    match stage {
        Stage::Program => Ok(program.to_string()),
        Stage::Cuda => Ok(kiln_codegen_cuda::write_program(program)?),
        _ => program.kernels.iter().map(|kernel| kernel_text(kernel, stage, program.max_batch)).collect(),
    }
}

fn kernel_text(kernel: &Kernel, stage: Stage, max_batch: usize) -> Result<String, Error> {
    let options = cpu::Options::default();
    match stage {
        Stage::Kernel => Ok(format!("{kernel}\n")),
        Stage::Clif => Ok(format!("; {}\n{}\n", kernel.name, cpu::clif(kernel, options)?)),
        Stage::Asm => Ok(format!("; {}\n{}\n", kernel.name, cpu::assembly(kernel, options)?)),
        Stage::Cuda => Ok(format!("{}\n", kiln_codegen_cuda::write_kernel(kernel, max_batch)?.text)),
        Stage::Graph | Stage::Program => {
            let message = format!("kernel `{}` comes from no graph and belongs to no program", kernel.name);
            Err(mistake(Code::BadArgument, message, "use --stage kernel, clif, asm or cuda".to_owned()))
        }
    }
}

fn step(name: &str) -> Result<Step, Error> {
    Step::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
        mistake(Code::UnknownName, format!("there is no pass `{name}`"), format!("the passes are {}", names.join(", ")))
    })
}

/// Keeps the text of what one step leaves.
struct Capture {
    step: Step,
    /// What is asked for; without it, the IR of the step's own level.
    stage: Option<Stage>,
    max_batch: usize,
    text: Result<String, Error>,
}

impl Capture {
    fn text_of(&self, left: pipeline::Stage<'_>) -> Result<String, Error> {
        match (left, self.stage) {
            (pipeline::Stage::Kernels(kernels), Some(stage)) => {
                kernels.iter().map(|kernel| kernel_text(kernel, stage, self.max_batch)).collect()
            }
            (pipeline::Stage::Program(program), Some(stage)) => program_text(program, stage),
            _ => Ok(switches::text(left)),
        }
    }
}

impl Observer for Capture {
    fn after(&mut self, step: Step, unit: &str, left: pipeline::Stage<'_>) -> Control {
        if step != self.step {
            return Control::Continue;
        }
        match (self.text_of(left), &mut self.text) {
            // The program is of all entry points, everything before it of one.
            (Ok(new), Ok(text)) if step == Step::PlanMemory => *text += &new,
            (Ok(new), Ok(text)) => *text += &format!("// {unit} after {}\n{new}\n", step.name()),
            (Err(error), text) => *text = Err(error),
            (Ok(_), Err(_)) => {}
        }
        Control::Continue
    }
}
