//! Mistakes that a user would make, from the model to the checkpoint, and what they are told: each message is a snapshot.

#[path = "mistakes/models.rs"]
mod models;

use std::collections::BTreeMap;

use kiln::runtime::checkpoint::{self, TensorView};
use kiln::runtime::data::{DataLoader, Field, HostTensor, TensorDataset};
use kiln::runtime::{Fit, FitError, Trainer};
use kiln::{Compiler, Module, Training};
use kiln_tests::support::{compile, trainer};

#[test]
fn models_that_do_not_fit() {
    let kept = models::kept();
    assert_eq!(told(&kept), "no error");
    let mistakes = [
        ("a layer of another width", told(&models::widths())),
        ("two mistakes in nested models", told(&models::nested())),
        ("two layers with one name", told(&models::twins())),
        ("a tensor kept from another trace", told(&kept)),
        ("a loss for each sample, and an unknown input", told(&models::loss())),
    ];
    let text: String = mistakes.iter().map(|(what, told)| format!("── {what}\n{told}\n")).collect();
    insta::assert_snapshot!("models", text);
}

/// A call with inputs that do not fit.
type Step<'a> = dyn Fn(&mut Trainer) -> Result<f32, kiln::runtime::Error> + 'a;

#[test]
fn inputs_that_do_not_fit() {
    let (x, y, wide) = ([0.5_f32; 32], [1_i64; 8], [0.5_f64; 32]);
    let classifier = || trainer(&compile(&models::classifier()), 1, 1);
    let steps: [(&str, &Step); 9] = [
        ("half a sample", &|trainer| trainer.train_step(&[(&x[..30]).into(), (&y).into()])),
        ("fewer labels than samples", &|trainer| trainer.train_step(&[(&x).into(), (&y[..7]).into()])),
        ("no labels", &|trainer| trainer.train_step(&[(&x).into()])),
        ("no samples", &|trainer| trainer.train_step(&[(&x[..0]).into(), (&y[..0]).into()])),
        ("inputs in the wrong order", &|trainer| trainer.train_step(&[(&y).into(), (&x).into()])),
        ("a float too wide", &|trainer| trainer.train_step(&[(&wide).into(), (&y).into()])),
        ("a batch beyond the bound", &|trainer| trainer.train_step(&[(&[0.5_f32; 36]).into(), (&[1_i64; 9]).into()])),
        ("a label that is no class", &|trainer| {
            trainer.train_step(&[(&x).into(), (&[1_i64, 2, 0, 3, 1, 1, 1, 1]).into()])
        }),
        ("a negative label", &|trainer| trainer.train_step(&[(&x).into(), (&[1_i64, 2, 0, 1, 1, -1, 1, 1]).into()])),
    ];
    let mut text = String::new();
    for (what, step) in steps {
        let mut trainer = classifier();
        let error = step(&mut trainer).expect_err(what);
        text += &format!("── {what}\nerror: {error}\n\n");
        // None of them spoils the trainer.
        trainer.train_step(&[(&x).into(), (&y).into()]).expect("a sound step works after it");
    }
    insta::assert_snapshot!("inputs", text);
}

#[test]
fn an_index_is_named_after_what_was_called() {
    let mut words = trainer(&compile(&models::words()), 1, 1);
    let error = words.train_step(&[(&[1_i64, 0, 2, 34]).into()]).expect_err("there are three words");
    let told = "embedding at tests/tests/mistakes/models.rs:137:52: index 34 at position 3 is outside 0..3";
    assert_eq!(error.to_string(), told);
}

#[test]
fn data_that_do_not_fit() {
    let sound: Vec<f32> = (0..80).map(|number| number as f32 / 80.0).collect();
    let labels: Vec<i64> = (0..20).map(|number| number % 3).collect();
    let with = |position: usize, value: f32| {
        let mut x = sound.clone();
        x[position] = value;
        x
    };
    let (mut wrong_label, mut text) = (labels.clone(), String::new());
    wrong_label[17] = 30;
    let fields = || (Field::f32("x", &[4]), Field::i64("y", &[]));
    let runs = [
        ("NaN in the data", fields(), with(53, f32::NAN), labels.clone()),
        ("infinity in the data", fields(), with(0, f32::INFINITY), labels.clone()),
        ("numbers too great for the learning rate", fields(), with(7, 3e38), labels.clone()),
        ("a label that is no class", fields(), sound.clone(), wrong_label),
        ("a field with another name", (Field::f32("image", &[4]), Field::i64("y", &[])), sound.clone(), labels.clone()),
        (
            "the same elements in another shape",
            (Field::f32("x", &[2, 2]), Field::i64("y", &[])),
            sound.clone(),
            labels.clone(),
        ),
        ("samples of another size", (Field::f32("x", &[5]), Field::i64("y", &[])), vec![0.5; 100], labels.clone()),
    ];
    for (what, (x_field, y_field), x, y) in runs {
        let columns = vec![(x_field, HostTensor::F32(x)), (y_field, HostTensor::I64(y))];
        let data = TensorDataset::new(20, columns).expect("the columns have 20 rows");
        let loader = DataLoader::new(data).batch_size(8).shuffle(true).seed(3);
        let mut trainer = trainer(&compile(&models::classifier()), 1, 1);
        let told = match trainer.fit(&loader, None, &Fit { epochs: 2, ..Fit::default() }) {
            Ok(_) => "no error".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        text += &format!("── {what}\n{told}\n\n");
    }
    let loader =
        DataLoader::new(TensorDataset::new(20, Vec::new()).expect("no column has a wrong length")).batch_size(9);
    let error = trainer(&compile(&models::classifier()), 1, 1).fit(&loader, None, &Fit { epochs: 1, ..Fit::default() });
    text += &format!("── no fields at all\nerror: {}\n", error.expect_err("there is no input"));
    let columns =
        vec![(Field::f32("x", &[4]), HostTensor::F32(vec![])), (Field::i64("y", &[]), HostTensor::I64(vec![]))];
    let loader = DataLoader::new(TensorDataset::new(0, columns).expect("no column has a row")).batch_size(8);
    let error = trainer(&compile(&models::classifier()), 1, 1).fit(&loader, None, &Fit { epochs: 1, ..Fit::default() });
    text += &format!("\n── no samples at all\nerror: {}\n", error.expect_err("there is no batch"));
    insta::assert_snapshot!("data", text);
}

#[test]
fn checkpoints_that_do_not_fit() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let nothing = BTreeMap::new();
    let mut mine = trainer(&compile(&models::classifier()), 1, 1);
    mine.save(file("mine.safetensors"), &nothing).expect("the folder is writable");
    let before = kiln_tests::support::state(&mine);
    trainer(&compile(&models::wider()), 1, 1)
        .save(file("wider.safetensors"), &nothing)
        .expect("the folder is writable");
    trainer(&compile(&models::more_classes()), 1, 1)
        .save(file("classes.safetensors"), &nothing)
        .expect("the folder is writable");
    let whole = std::fs::read(file("mine.safetensors")).expect("it was just saved");
    std::fs::write(file("truncated.safetensors"), &whole[..whole.len() - 5]).expect("the folder is writable");
    std::fs::write(file("text.safetensors"), "no tensors here").expect("the folder is writable");
    let halves = [TensorView::new("weight", checkpoint::Dtype::F16, &[3, 4], &[0; 24])];
    checkpoint::save(file("half.safetensors"), halves, &nothing).expect("the folder is writable");

    let mut text = String::new();
    for name in ["wider", "classes", "half", "truncated", "text", "absent"] {
        let error = mine
            .load(file(&format!("{name}.safetensors")), &kiln::runtime::checkpoint::Load::default())
            .expect_err(name);
        text += &format!("── {name}\nerror: {error}\n\n");
    }
    assert!(kiln_tests::support::state(&mine) == before, "what was refused has changed nothing");

    let data = TensorDataset::new(
        4,
        vec![
            (Field::f32("x", &[4]), HostTensor::F32(vec![0.5; 16])),
            (Field::i64("y", &[]), HostTensor::I64(vec![0; 4])),
        ],
    );
    let loader = DataLoader::new(data.expect("the columns have 4 rows")).batch_size(4);
    let mut resume = |name: &str, seed| {
        let fit = Fit {
            epochs: 1,
            seed,
            resume: Some(file(name)),
            checkpoint: Some(file("run.safetensors")),
            ..Fit::default()
        };
        mine.fit(&loader, None, &fit)
    };
    let weights_only = resume("mine.safetensors", 0).expect_err("it was saved by hand");
    let fit = Fit { epochs: 1, seed: 6, checkpoint: Some(file("run.safetensors")), ..Fit::default() };
    trainer(&compile(&models::classifier()), 1, 1).fit(&loader, None, &fit).expect("the run is sound");
    let other_seed: FitError = resume("run.safetensors", 7).expect_err("the run had seed 6");
    text += &format!(
        "── to go on from weights only\nerror: {weights_only}\n\n── to go on with another seed\nerror: {other_seed}\n"
    );
    let text = text.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!("checkpoints", text);
}

/// What the user of a model that does not compile reads.
fn told<M: Module>(training: &Training<M>) -> String {
    match Compiler::new().compile(training) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.render(),
    }
}
