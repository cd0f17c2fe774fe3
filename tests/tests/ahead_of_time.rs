//! `kiln::emit`: what a build script leaves for the compiler and the linker, and what it leaves if the model is wrong.

use std::fs;
use std::path::Path;

use kiln::prelude::*;
use kiln::{Compiler, emit, models};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

#[test]
fn the_archive_holds_every_kernel_and_needs_nothing() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let library = emit(&models::lenet::lenet(), &Compiler::new(), folder.path()).expect("lenet is sound");
    assert_eq!(library, "kiln_lenet");
    assert_eq!(names(folder.path()), ["kiln_lenet.rs", "libkiln_lenet.a"]);

    let bytes = fs::read(folder.path().join("libkiln_lenet.a")).expect("the archive is there");
    let archive = ArchiveFile::parse(&*bytes).expect("it is an archive");
    let members: Vec<_> = archive.members().map(|member| member.expect("its members can be read")).collect();
    assert_eq!(members.len(), 1);
    let object = members[0].data(&*bytes).expect("the member is inside the file");
    let object = object::File::parse(object).expect("it is an object file");
    let undefined: Vec<&str> =
        object.symbols().filter(|symbol| symbol.is_undefined()).filter_map(|symbol| symbol.name().ok()).collect();
    assert!(undefined.iter().all(|name| name.is_empty()), "{undefined:?}");

    let program = Compiler::new().compile(&models::lenet::lenet()).expect("lenet is sound").program;
    let mut defined: Vec<&str> =
        object.symbols().filter(|symbol| symbol.is_global()).filter_map(|symbol| symbol.name().ok()).collect();
    let mut kernels: Vec<String> =
        program.kernels.iter().map(|kernel| kiln_codegen_cpu::symbol(&program, kernel)).collect();
    defined.sort_unstable();
    kernels.sort_unstable();
    assert_eq!(defined, kernels);
}

#[test]
fn two_runs_write_the_same_bytes() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("the system has a temporary folder"));
    for folder in &folders {
        emit(&models::digits::digits(), &Compiler::new(), folder.path()).expect("digits is sound");
    }
    let [first, second] = folders.each_ref().map(|folder| files(folder.path()));
    assert!(first == second);
    // Writing over what is there changes nothing either.
    emit(&models::digits::digits(), &Compiler::new(), folders[0].path()).expect("digits is sound");
    assert!(files(folders[0].path()) == second);
}

#[test]
fn steps_take_the_inputs_that_the_model_declares() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    emit(&models::lenet::lenet(), &Compiler::new(), folder.path()).expect("lenet is sound");
    let bindings = fs::read_to_string(folder.path().join("kiln_lenet.rs")).expect("the bindings are there");
    for needed in [
        "pub mod lenet {",
        "pub struct Trainer(",
        "pub fn new(seed: u64) -> Result<Trainer,",
        "pub fn train_step(&mut self, x: &[f32], y: &[i64]) -> Result<f32,",
        "pub fn eval_loss(&mut self, x: &[f32], y: &[i64]) -> Result<f32,",
        "pub fn predict(&mut self, x: &[f32]) -> Result<&[f32],",
    ] {
        assert!(bindings.contains(needed), "`{needed}` is missing");
    }
}

/// Names of inputs are the user's; Rust's keywords are not theirs to avoid.
#[test]
fn any_input_name_makes_a_rust_name() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let training = Training::new("line", Linear::new(1, 1))
        .input("type", DType::F32, [2, 1])
        .input("1.x", DType::F32, [2, 1])
        .loss(|model, batch| mse_loss(model.forward(batch["type"]), batch["1.x"]));
    emit(&training, &Compiler::new(), folder.path()).unwrap_or_else(|error| panic!("{}", error.render()));
    let bindings = fs::read_to_string(folder.path().join("kiln_line.rs")).expect("the bindings are there");
    assert!(bindings.contains("(&mut self, input_type: &[f32], input_1_x: &[f32])"), "{bindings}");
}

#[test]
fn a_wrong_model_leaves_no_file() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let wrong = Training::new("wrong", Linear::new(8, 4))
        .input("x", DType::F32, [2, 9])
        .predict(|model, batch| model.forward(batch["x"]));
    let error = emit(&wrong, &Compiler::new(), folder.path()).expect_err("the shapes disagree");
    let shown = error.render();
    assert!(
        shown.contains(".predict(|model, batch| model.forward(batch[\"x\"]));"),
        "the user's line is shown:\n{shown}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let absent = folder.path().join("absent");
    let error = emit(&models::lenet::lenet(), &Compiler::new(), &absent).expect_err("nothing can be written");
    assert!(error.to_string().starts_with("cannot write `") && error.to_string().contains("absent"), "{error}");
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("the folder can be listed").map(|entry| entry.expect("it can be listed"));
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("the file can be read"))
    };
    let mut files: Vec<_> = entries.map(read).collect();
    files.sort();
    files
}
