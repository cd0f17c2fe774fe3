//! The public conformance cases, where they are: beside the workspace, in `../shared/conformance`.

use std::path::PathBuf;

use kiln_tests::conformance::{self, Backend, Options};

/// Compiled code against everything that PyTorch recorded.
#[test]
fn compiled_programs_train_as_pytorch_does() {
    check(&Options { backend: Backend::Jit, steps: None, only: None });
}

/// The front end, the derivatives and the optimisers alone: they need no pass to be right.
#[test]
fn interpreted_programs_train_as_pytorch_does() {
    let run = |only: &str, steps| check(&Options { backend: Backend::Interpreter, steps, only: Some(only.to_owned()) });
    run("optimizers", None);
    run("mlp", None);
    // The interpreter is slow, and convolutions are much work.
    run("lenet5", Some(2));
}

fn check(options: &Options) {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../shared/conformance"].iter().collect();
    if !directory.is_dir() {
        println!("{} is not there: nothing is compared", directory.display());
        return;
    }
    let mut report = Vec::new();
    let summary = conformance::run(&directory, options, &mut report).expect("the cases can be read");
    let report = String::from_utf8_lossy(&report);
    println!("{report}");
    assert!(summary.programs.passed > 0, "some program runs");
    assert_eq!(summary.failed(), 0, "{}", failures(&report));
}

/// The lines of the cases that failed, each with its values.
fn failures(report: &str) -> String {
    let mut failed = false;
    let shown = report.lines().filter(|line| {
        failed = line.contains(": failed") || (failed && line.starts_with(' '));
        failed
    });
    shown.collect::<Vec<_>>().join("\n")
}
