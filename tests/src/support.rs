//! What the whole-system tests share: batches of random data, trainers on some number of threads, and the workspace's programs as a user
//! has them, built and run in a folder of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use kiln::runtime::data::{Field, HostTensor, TensorDataset};
use kiln::runtime::philox::Philox4x32;
use kiln::runtime::{Pool, ProgramRef, Session, Trainer};
use kiln::{Compiler, Module, Training};

/// Labels are drawn below this.
const CLASSES: u64 = 10;

/// A training, compiled into this process.
pub fn compile<M: Module>(training: &Training<M>) -> ProgramRef {
    let compiled = Compiler::new().compile(training).unwrap_or_else(|error| panic!("{}", error.render()));
    let code = kiln_codegen_cpu::jit(Arc::new(compiled.program), kiln_codegen_cpu::Options::default());
    ProgramRef::Shared(code.unwrap_or_else(|error| panic!("{error}")).into_runtime_program())
}

/// A trainer with fresh weights on this many threads.
pub fn trainer(program: &ProgramRef, seed: u64, threads: usize) -> Trainer {
    let pool = Pool::new(threads).expect("the system starts threads");
    Trainer::from_session(Session::with_pool(program.clone(), seed, pool).expect("the compiler makes sound programs"))
}

/// Random images, `[count, 1, size, size]`, and labels.
pub fn images(count: usize, size: usize, seed: u64) -> (Vec<f32>, Vec<i64>) {
    let mut random = Philox4x32::new(seed, 0);
    let x = (0..count * size * size).map(|_| random.normal_f32()).collect();
    let y = (0..count).map(|_| random.below(CLASSES) as i64).collect();
    (x, y)
}

/// The same as a data set with the fields `x` and `y`.
pub fn dataset(count: usize, size: usize, seed: u64) -> TensorDataset {
    let (x, y) = images(count, size, seed);
    let columns =
        vec![(Field::f32("x", &[1, size, size]), HostTensor::F32(x)), (Field::i64("y", &[]), HostTensor::I64(y))];
    TensorDataset::new(count, columns).expect("the columns have a row for each sample")
}

/// The bytes of everything that a checkpoint would hold, in the program's order.
pub fn state(trainer: &Trainer) -> Vec<(String, Vec<u8>)> {
    trainer.state().map(|slot| (slot.name().to_owned(), slot.bytes().to_vec())).collect()
}

/// The `kiln` command.
pub fn kiln() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("kiln"))
}

/// The MNIST example, alone: built with the rest of the workspace its dependencies would have the compiler's features.
pub fn mnist() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("mnist"))
}

/// What a program wrote, as text.
pub struct Said {
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a program to its end, without the switches that the surroundings may have set.
pub fn run(command: &mut Command) -> Said {
    let output = plain(command).output().expect("the program starts");
    said(&output)
}

/// What a finished program has written.
pub fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The command without the variables that change what it does.
pub fn plain(command: &mut Command) -> &mut Command {
    for variable in ["KILN_DUMP", "KILN_STOP_AFTER", "KILN_IR"] {
        let is_asked_for = command.get_envs().any(|(name, value)| name == variable && value.is_some());
        if !is_asked_for {
            command.env_remove(variable);
        }
    }
    command
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().expect("this crate is a folder of the workspace").to_owned()
}

/// Builds a package's binary of the same name, in the folder and the profile of this test.
fn build(package: &str) -> PathBuf {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--package", package, "--bin", package, "--message-format", "json"]).current_dir(root());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let said = run(&mut command);
    assert_eq!(said.status, Some(0), "{package} is built:\n{}", said.err);
    let artifact = said.out.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executable = artifact
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| Some(message["executable"].as_str()?.into()));
    executable.expect("cargo names the executable that it has built")
}
