//! Mixed precision: trainings whose products take halves follow those in f32, on any number of threads, and keep their weights in f32.

use kiln::prelude::*;
use kiln::runtime::{Pool, Session, Trainer};
use kiln::{Compiler, Inputs};

const SAMPLES: usize = 8;
const STEPS: usize = 25;

/// A convolution by windows, one by single taps, and products of matrices, one of them with an odd sum.
type Net = Sequential<(Conv2d, Relu, Conv2d, Relu, Flatten, Linear, Tanh, Linear)>;

fn training() -> Training<Net> {
    let net = Sequential::new((
        Conv2d::new(3, 32, 3).stride(2),
        Relu,
        Conv2d::new(32, 34, 1),
        Relu,
        Flatten,
        Linear::new(34 * 9, 21),
        Tanh,
        Linear::new(21, 4),
    ));
    Training::new("halves", net)
        .max_batch(SAMPLES)
        .input("x", DType::F32, [BATCH, Dim::fixed(3), Dim::fixed(7), Dim::fixed(7)])
        .input("y", DType::F32, [BATCH, Dim::fixed(4)])
        .loss(|model, batch: &Inputs| mse_loss(model.forward(batch["x"]), batch["y"]))
}

fn numbers(count: usize, step: f64) -> Vec<f32> {
    (0..count).map(|at| ((at as f64 * step).sin() * 43.0).fract() as f32).collect()
}

/// The losses of a few samples seen again and again, and the weights after.
fn train(compiler: &Compiler, training: &Training<Net>, threads: usize) -> (Vec<f32>, Vec<f32>) {
    let compiled = compiler.compile(training).unwrap_or_else(|error| panic!("{}", error.render()));
    let session: Session = compiled.session(compiler, Pool::new(threads).expect("threads start")).expect("it compiles");
    let mut trainer = Trainer::from_session(session);
    let (x, y) = (numbers(SAMPLES * 3 * 49, 0.37), numbers(SAMPLES * 4, 0.71));
    let losses = (0..STEPS).map(|_| trainer.train_step(&[(&x).into(), (&y).into()]).expect("it runs")).collect();
    let weights = trainer.parameters().flat_map(|slot| slot.elements::<f32>().expect("weights are f32").to_vec());
    (losses, weights.collect())
}

#[test]
fn halves_train_as_f32_does() {
    let f32 = train(&Compiler::new().seed(3), &training().optimizer(Sgd::new(0.3)), 1).0;
    assert!(f32[STEPS - 1] < 0.5 * f32[0], "it learns: {f32:?}");
    let scaled = training().grad_scaler(GradScaler::default()).optimizer(Sgd::new(0.3));
    for (half, training) in [(DType::BF16, training().optimizer(Sgd::new(0.3))), (DType::F16, scaled)] {
        let halves = train(&Compiler::new().seed(3).autocast(half), &training, 1).0;
        assert_ne!(halves, f32, "{half} is not f32");
        for (step, (a, b)) in halves.iter().zip(&f32).enumerate() {
            assert!((a - b).abs() <= 0.02 * f32[0], "{half} at step {step}: {a} instead of {b}");
        }
    }
}

#[test]
fn halves_do_not_depend_on_threads() {
    let (compiler, training) = (Compiler::new().seed(3).autocast(DType::BF16), training().optimizer(Sgd::new(0.3)));
    assert_eq!(train(&compiler, &training, 1), train(&compiler, &training, 3));
}

#[test]
#[should_panic(expected = "autocast needs bf16 or f16: found f64")]
fn other_dtypes_are_refused() {
    let _ = Compiler::new().autocast(DType::F64);
}
