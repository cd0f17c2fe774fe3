//! Values that are not finite: found at the user's line, in the step in which they arise.

use kiln::prelude::*;
use kiln::runtime::{Error, Trainer};
use kiln::{Compiler, functional};

/// A weight of three elements.
#[model]
struct Weight {
    w: Parameter,
}

fn weight() -> Weight {
    Weight { w: Parameter::new([3], Initializer::Constant(1.0)) }
}

fn training(loss: impl Fn(&Weight, Tensor) -> Tensor + 'static, lr: f64) -> Training<Weight> {
    Training::new("anomaly", weight())
        .input("x", DType::F32, [3])
        .loss(move |model, batch| loss(model, batch["x"]))
        .optimizer(Sgd::new(lr))
}

fn detecting(training: &Training<Weight>) -> Trainer {
    Compiler::new().detect_anomaly(true).jit(training).expect("it compiles")
}

/// The message of the first step that fails, which is the last of `batches`.
fn said(trainer: &mut Trainer, batches: &[[f32; 3]]) -> String {
    let (last, before) = batches.split_last().expect("there is a batch");
    for batch in before {
        trainer.train_step(&[batch.into()]).expect("all is finite before");
    }
    let error = trainer.train_step(&[last.into()]).expect_err("something is not finite");
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    error.to_string()
}

#[test]
fn the_forward_pass() {
    let line = line!() + 1;
    let mut trainer = detecting(&training(|model, x| (model.w.tensor() * x).log().sum_all(), 0.0));
    let message = said(&mut trainer, &[[1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [4.0, -1.0, 2.0]]);
    assert!(message.starts_with("run 3 of `train_step`: log at tests/tests/anomaly.rs:"), "{message}");
    assert!(message.contains(&format!("anomaly.rs:{line}:")), "{message}");
    assert!(message.contains("gives NaN, the first value that is not finite, at position 1"), "{message}");
}

/// `√x` is 0 at 0, and its derivative infinite; times a zero from outside it is NaN.
#[test]
fn the_backward_pass() {
    let line = line!() + 1;
    let mut trainer = detecting(&training(|model, x| ((model.w.tensor() * x).sqrt() * x).sum_all(), 0.1));
    let message = said(&mut trainer, &[[1.0, 2.0, 3.0], [1.0, 0.0, 1.0]]);
    assert!(message.starts_with("run 2 of `train_step`: the backward of sqrt at "), "{message}");
    assert!(message.contains(&format!("anomaly.rs:{line}:")), "{message}");
}

#[test]
fn an_overflow_is_one_unless_it_is_meant() {
    let mut trainer = detecting(&training(|model, x| (model.w.tensor() * x).exp().sum_all(), 0.0));
    let message = said(&mut trainer, &[[1.0, 2.0, 3.0], [1.0, 2.0, 300.0]]);
    assert!(message.contains(": exp at ") && message.contains("gives inf"), "{message}");

    // The mask of attention: infinities that a softmax takes.
    let masked = training(
        |model, x| {
            let scores = (model.w.tensor() * x).unsqueeze(0);
            let hidden = functional::tensor([[false, true, false]]);
            let weights = scores.masked_fill(hidden, f64::NEG_INFINITY).softmax(-1);
            (weights * weights).sum_all()
        },
        0.1,
    );
    let mut trainer = detecting(&masked);
    for _ in 0..3 {
        assert!(trainer.train_step(&[(&[1.0_f32, 2.0, 3.0]).into()]).expect("it is meant").is_finite());
    }
}

#[test]
fn the_update() {
    let mut trainer = detecting(&training(|model, x| (model.w.tensor() * x).sum_all(), 1e38));
    let message = said(&mut trainer, &[[1.0, 1.0, 1e3]]);
    assert!(message.starts_with("run 1 of `train_step`: the optimizer's "), "{message}");
}

/// The mode changes what is stored, not what is computed; without it there is nothing to look at.
#[test]
fn a_sound_model_trains_as_without() {
    let loss = |model: &Weight, x: Tensor| ((model.w.tensor() * x).tanh() - 0.5).square().mean_all();
    let mut plain = Compiler::new().jit(&training(loss, 0.1)).expect("it compiles");
    let mut watched = detecting(&training(loss, 0.1));
    for step in 0..5 {
        let x = [0.1 * step as f32, 1.0, -0.5];
        let (a, b) = (plain.train_step(&[(&x).into()]).unwrap(), watched.train_step(&[(&x).into()]).unwrap());
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
    let steps = |trainer: &Trainer| -> Vec<bool> {
        trainer.program().entries.iter().flat_map(|entry| entry.steps.iter().map(|step| step.watch.is_some())).collect()
    };
    assert!(steps(&plain).iter().all(|watched| !watched));
    assert!(steps(&watched).len() > steps(&plain).len() && steps(&watched).iter().all(|watched| *watched));
}

#[test]
fn an_assertion_stays_in_the_program() {
    let line = line!() + 1;
    let asserted = training(|model, x| (model.w.tensor() * x).assert_finite("features").sum_all(), 0.5);
    let mut trainer = Compiler::new().jit(&asserted).expect("it compiles");
    assert_eq!(trainer.train_step(&[(&[1.0_f32, 2.0, 3.0]).into()]).unwrap(), 6.0);
    assert_eq!(trainer.session().slot_as::<f32>("w").unwrap(), [0.5, 0.0, -0.5], "gradients pass");
    let message = trainer.train_step(&[(&[1.0_f32, f32::NAN, 3.0]).into()]).unwrap_err().to_string();
    assert!(message.starts_with("assert_finite: features at ") && message.contains(&format!(":{line}:")), "{message}");
}
