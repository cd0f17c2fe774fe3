//! The `kiln` command: look into models and check their compilation.
//!
//! `kiln` itself knows the models of the benchmarks and examples, and `.kir` files. A crate of yours gets the same command for its own models
//! with an `examples/kiln.rs` and `kiln = { features = ["command"] }` in its `[dev-dependencies]`, which its shipped binary never sees:
//!
//! ```no_run
//! use kiln::prelude::*;
//!
//! fn line() -> Training<Linear> {
//!     let training = Training::new("line", Linear::new(1, 1)).input("x", DType::F32, [4, 1]);
//!     training.predict(|model, batch| model.forward(batch["x"]))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     kiln::command::run(vec![kiln::command::Model::new("line", line)])
//! }
//! ```
//!
//! Then `cargo run --example kiln -- dump line --stage kernel` prints its kernels; `examples/mnist` has one. The switches `KILN_DUMP`,
//! `KILN_STOP_AFTER` and `KILN_IR` work here as in a build script.

mod asked;
mod bench;
mod check;
mod dump;
mod source;
mod summary;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use kiln_frontend::{Diagnostic, Module, Traced, Training};

use crate::Error;

/// A model that the command knows by name.
pub struct Model {
    name: &'static str,
    trace: Box<dyn Fn() -> Result<Traced, Vec<Diagnostic>>>,
    inputs: Vec<Draw>,
}

/// Random values for an input of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Of the standard normal distribution.
    Normal,
    /// Whole numbers below a bound: classes, tokens.
    Below(u64),
    /// 0 or 1.
    Coin,
}

impl Model {
    /// A model that is traced when it is asked for.
    pub fn new<M: Module>(name: &'static str, training: impl Fn() -> Training<M> + 'static) -> Model {
        Model { name, trace: Box::new(move || training().trace()), inputs: Vec::new() }
    }

    /// What `kiln bench` feeds it, one an input. Without: normal numbers and zeros.
    #[must_use]
    pub fn fed(mut self, inputs: &[Draw]) -> Model {
        self.inputs = inputs.to_vec();
        self
    }
}

#[derive(Parser)]
#[command(name = "kiln", version, about = "Looks into the compilation of neural networks")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Print what a stage of the compiler makes of a model.
    Dump {
        /// A model's name, or a .kir file.
        model: String,
        /// What to print; the graph if nothing is said.
        #[arg(long, value_enum)]
        stage: Option<Stage>,
        /// Print it as this pass leaves it, instead of in its last form.
        #[arg(long, value_name = "PASS")]
        after: Option<String>,
        #[command(flatten)]
        asked: asked::Asked,
    },
    /// Print a table of a model's layers, and the memory of its program.
    Summary {
        /// A model's name.
        model: String,
        #[command(flatten)]
        asked: asked::Asked,
    },
    /// Compare every pass, and the machine code, with the reference interpreter.
    Check {
        /// A model's name, or a .kir file.
        model: String,
        /// Samples in the batch that is compared.
        #[arg(long, default_value_t = 2)]
        batch: usize,
        #[command(flatten)]
        asked: asked::Asked,
    },
    /// Time whole training steps (or inference, of a model without a loss) on synthetic data.
    Bench(bench::Options),
    /// List the models that have a name.
    Models,
}

/// What `dump` prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Stage {
    /// Tensor ops, before fusion.
    Graph,
    /// Loop nests with their schedules.
    Kernel,
    /// Launches and memory.
    Program,
    /// Cranelift IR.
    Clif,
    /// Machine code of this processor.
    Asm,
    /// CUDA C.
    Cuda,
}

/// Runs the command over these models and returns the exit status: 0, or 1 after an error, which is printed.
pub fn run(models: Vec<Model>) -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.verb {
        Verb::Dump { model, stage, after, asked } => dump::run(&models, model, *stage, after.as_deref(), asked),
        Verb::Summary { model, asked } => summary::run(&models, model, asked),
        Verb::Check { model, batch, asked } => check::run(&models, model, *batch, asked),
        Verb::Bench(options) => bench::run(&models, options),
        Verb::Models => Ok(models.iter().map(|model| format!("{}\n", model.name)).collect()),
    };
    match result.and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{}", error.render());
            ExitCode::FAILURE
        }
    }
}

/// Writes to stdout; a closed pipe (`kiln dump … | head`) is not an error.
fn print(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Error::File { action: "write", path: "stdout".into(), source })
        }
        _ => Ok(()),
    }
}

/// The models, for a message.
fn names(models: &[Model]) -> String {
    models.iter().map(|model| format!("`{}`", model.name)).collect::<Vec<_>>().join(", ")
}

/// A mistake in the arguments, told like one in a model.
fn mistake(code: kiln_frontend::Code, message: String, help: String) -> Error {
    Error::Model(vec![Diagnostic::new(code, message).help(help)])
}
