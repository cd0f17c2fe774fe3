//! What PyTorch computes, against what Kiln does: a sample of the operator cases, committed in `tests/conformance`, and every public case
//! where they are, beside the workspace in `../shared/conformance`.

use std::path::{Path, PathBuf};

use kiln::{Algorithm, Selection};
use kiln_tests::conformance::{Backend, Options, ReadError, Tally, operators, programs, tables};

/// Compiled code against everything that PyTorch recorded of training.
#[test]
fn compiled_programs_train_as_pytorch_does() {
    check_programs(&Options { backend: Backend::default(), steps: None, only: None });
}

/// The front end, the derivatives and the optimisers alone: they need no pass to be right.
#[test]
fn interpreted_programs_train_as_pytorch_does() {
    let run = |only: &str, steps| {
        check_programs(&Options { backend: Backend::Interpreter, steps, only: Some(only.to_owned()) });
    };
    run("optimizers", None);
    run("mlp", None);
    // The interpreter is slow, and convolutions are much work.
    run("lenet5", Some(2));
}

/// Schedules, initialisers, samplers, loss scaling: all rows are committed.
#[test]
fn tables_hold() {
    let options = Options { backend: Backend::default(), steps: None, only: None };
    check(|report| tables(&path("conformance/tables"), &options, report).map(|rows| vec![rows]));
}

/// A clone on its own has these.
#[test]
fn a_sample_of_programs_trains_as_in_pytorch() {
    let options = Options { backend: Backend::default(), steps: None, only: None };
    check(|report| programs(&path("conformance/programs"), &options, report).map(|runs| vec![runs]));
}

/// A clone on its own has these.
#[test]
fn operators_give_what_pytorch_gives_in_the_sample() {
    let sample = path("conformance/operators");
    assert!(sample.is_dir(), "the sample is committed");
    check_operators(&sample);
}

/// Not only the algorithm that would be chosen.
#[test]
fn convolutions_give_what_pytorch_gives_with_every_algorithm() {
    let sample = path("conformance/operators");
    let folders = [Some(sample), shared("operators")];
    for algorithm in [Algorithm::Direct, Algorithm::Winograd(2), Algorithm::Winograd(4)] {
        for (folder, only) in folders.iter().flatten().flat_map(|folder| CONVOLUTIONS.map(|op| (folder, op))) {
            let only = Some(format!("nn.functional.{only}"));
            let options = Options { backend: Backend::Jit(Selection::Forced(algorithm)), steps: None, only };
            let mut report = Vec::new();
            let (cases, _) = operators(folder, &options, &mut report).expect("the cases can be read");
            assert!(cases.passed + cases.failed > 0, "the cases are there");
            assert_eq!(cases.failed, 0, "{algorithm:?}: {}", String::from_utf8_lossy(&report));
        }
    }
}

/// The operators that are convolutions.
const CONVOLUTIONS: [&str; 2] = ["conv2d", "conv_transpose2d"];

#[test]
fn operators_give_what_pytorch_gives_in_every_public_case() {
    if let Some(folder) = shared("operators") {
        check_operators(&folder);
    }
}

fn check_operators(folder: &Path) {
    let options = Options { backend: Backend::default(), steps: None, only: None };
    check(|report| operators(folder, &options, report).map(|(cases, errors)| vec![cases, errors]));
}

fn check_programs(options: &Options) {
    if let Some(folder) = shared("programs") {
        check(|report| programs(&folder, options, report).map(|runs| vec![runs]));
    }
}

fn path(below: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), below].iter().collect()
}

/// A folder of the public cases, which a clone on its own lacks.
fn shared(kind: &str) -> Option<PathBuf> {
    let folder = path("../../shared/conformance").join(kind);
    if !folder.is_dir() {
        println!("{} is not there: nothing is compared", folder.display());
    }
    folder.is_dir().then_some(folder)
}

/// Fails unless each kind of case has some that pass and none that fails.
fn check(run: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Tally>, ReadError>) {
    let mut report = Vec::new();
    let tallies = run(&mut report).expect("the cases can be read");
    let report = String::from_utf8_lossy(&report);
    println!("{report}");
    for tally in tallies {
        assert!(tally.passed > 0, "some case runs");
        assert_eq!(tally.failed, 0, "{}", failures(&report));
    }
}

/// The lines of the programs and of the cases that failed, each with its values.
fn failures(report: &str) -> String {
    let shown = report.lines().filter(|line| line.starts_with(' ') || line.contains(": failed"));
    shown.collect::<Vec<_>>().join("\n")
}
