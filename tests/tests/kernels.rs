//! What the compiler generates for the models of the benchmarks and examples, under review: kernels and program as snapshots, and the CUDA C
//! of two train steps as golden files that the tests of the CUDA writer compile.
//!
//! `INSTA_UPDATE=always KILN_BLESS=1 cargo test -p kiln-tests --test kernels` renews all of it.

use std::fs;
use std::path::PathBuf;

use kiln::{Compiler, Module, Traced, Training, models};
use kiln_ir::Program;
use kiln_ir::text::parse_program;

#[test]
fn kernels_of_the_train_steps() {
    insta::assert_snapshot!("mlp_train_step", kernels(&train_step(&models::mlp::mlp())));
    insta::assert_snapshot!("lenet_train_step", kernels(&train_step(&models::lenet::lenet())));
    insta::assert_snapshot!("digits_train_step", kernels(&train_step(&models::digits::digits())));
}

#[test]
fn steps_and_memory_of_lenet() {
    let program = Compiler::new().compile(&models::lenet::lenet()).expect("lenet is sound").program;
    insta::assert_snapshot!("lenet_program", without_kernels(&program.to_string()));
}

/// The text is the program: nothing that a launch needs is lost on paper.
#[test]
fn programs_read_back_as_they_were() {
    for program in
        [train_step(&models::mlp::mlp()), train_step(&models::lenet::lenet()), train_step(&models::digits::digits())]
    {
        let text = program.to_string();
        let read = parse_program(&text, "printed").expect("what is printed parses");
        assert_eq!(read.to_string(), text);
        assert_eq!(read, program);
    }
}

/// The same text twice in one process, and from a second trace: no order comes from a hash map or an address.
#[test]
fn compiling_twice_gives_the_same_program() {
    let texts = || {
        let compiler = Compiler::new();
        let compiled = compiler.compile(&models::digits::digits()).expect("digits is sound");
        (compiled.program.to_string(), compiled.object(&compiler).expect("the back end writes every kernel").bytes)
    };
    let (first, second) = (texts(), texts());
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1, "the object files differ");
}

#[test]
fn cuda_sources_match_their_golden_files() {
    let bless = std::env::var_os("KILN_BLESS").is_some();
    for program in [train_step(&models::mlp::mlp()), train_step(&models::lenet::lenet())] {
        let text = kiln_codegen_cuda::write_program(&program).expect("the CUDA writer knows these kernels");
        let path = golden_folder().join(format!("{}.cu", program.name));
        if bless {
            fs::write(&path, text).expect("the golden folder is writable");
            continue;
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == text,
            "{} is stale: {}\n(KILN_BLESS=1 rewrites it)",
            path.display(),
            first_difference(&golden, &text)
        );
    }
}

/// The program of the train step alone.
fn train_step<M: Module>(training: &Training<M>) -> Program {
    let traced = training.trace().expect("the model is sound");
    let traced = Traced { eval: None, predict: None, ..traced };
    Compiler::new().compile_traced(traced).expect("the model is sound").program
}

fn kernels(program: &Program) -> String {
    program.kernels.iter().map(|kernel| format!("{kernel}\n")).collect()
}

/// A program's text without its kernels, which another snapshot has.
fn without_kernels(text: &str) -> String {
    let mut in_kernel = false;
    let kept = text.lines().filter(|line| {
        let depth = line.len() - line.trim_start().len();
        if depth <= 2 {
            in_kernel = line.trim_start().starts_with("kernel ");
        }
        !in_kernel
    });
    kept.map(|line| format!("{line}\n")).collect()
}

fn first_difference(golden: &str, text: &str) -> String {
    let lines = text.lines().zip(golden.lines().chain(std::iter::repeat("")));
    let different = lines.enumerate().find(|(_, (new, old))| new != old);
    different
        .map_or("its end differs".to_owned(), |(number, (new, old))| format!("line {}\n- {old}\n+ {new}", number + 1))
}

fn golden_folder() -> PathBuf {
    kiln_tests::support::root().join("codegen-cuda/tests/golden")
}
