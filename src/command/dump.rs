//! `kiln dump`.

use kiln_codegen_cpu as cpu;
use kiln_frontend::Code;
use kiln_ir::text::Item;
use kiln_ir::{Kernel, Program};
use kiln_passes::pipeline::{self, Control, Observer, Step};

use super::source::{Source, find};
use super::{Model, Stage, mistake};
use crate::{Error, switches};

pub(super) fn run(models: &[Model], name: &str, stage: Stage, after: Option<&str>) -> Result<String, Error> {
    let request = match find(models, name)? {
        Source::Request(request) => request,
        Source::Lower(items) => return lower(&items, stage),
    };
    let step = match (after, stage) {
        (Some(name), _) => Some(step(name)?),
        (None, Stage::Graph) => Step::Fuse.previous(),
        _ => None,
    };
    match step {
        Some(step) => {
            let mut capture = Capture { step, text: String::new() };
            pipeline::run(&request, &mut capture)?;
            Ok(capture.text)
        }
        None => {
            let program = pipeline::run(&request, &mut ())?.expect("nothing stops the pipeline here");
            print(&program, &program.kernels, stage)
        }
    }
}

/// Kernels or a program from a file.
fn lower(items: &[Item], stage: Stage) -> Result<String, Error> {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Program(program) => text += &print(program, &program.kernels, stage)?,
            Item::Kernel(kernel) => text += &kernel_text(kernel, stage)?,
            Item::Graph(_) => {}
        }
    }
    Ok(text)
}

fn print(program: &Program, kernels: &[Kernel], stage: Stage) -> Result<String, Error> {
    match stage {
        Stage::Program => Ok(program.to_string()),
        Stage::Cuda => Ok(kiln_codegen_cuda::write_program(program)?),
        _ => kernels.iter().map(|kernel| kernel_text(kernel, stage)).collect(),
    }
}

fn kernel_text(kernel: &Kernel, stage: Stage) -> Result<String, Error> {
    let options = cpu::Options::default();
    match stage {
        Stage::Kernel => Ok(format!("{kernel}\n")),
        Stage::Clif => Ok(format!("; {}\n{}\n", kernel.name, cpu::clif(kernel, options)?)),
        Stage::Asm => Ok(format!("; {}\n{}\n", kernel.name, cpu::assembly(kernel, options)?)),
        Stage::Cuda => Ok(kiln_codegen_cuda::write_kernel(kernel, 1)?.text),
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

/// Keeps the text of one step.
struct Capture {
    step: Step,
    text: String,
}

impl Observer for Capture {
    fn after(&mut self, step: Step, unit: &str, stage: pipeline::Stage<'_>) -> Control {
        if step == self.step {
            self.text += &format!("// {unit} after {}\n{}\n", step.name(), switches::text(stage));
        }
        Control::Continue
    }
}
