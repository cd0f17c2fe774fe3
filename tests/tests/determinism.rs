//! The same bits: for any number of threads, for a run that was stopped and resumed, and from run to run; and any batch through one program.

use std::path::Path;

use kiln::runtime::data::DataLoader;
use kiln::runtime::schedule::Schedule;
use kiln::runtime::{Every, Fit, ProgramRef, Trainer};
use kiln::{Module, Training, models};
use kiln_tests::support::{compile, dataset, images, state, trainer};

const STEPS: u64 = 20;

#[test]
fn the_thread_count_changes_no_bit() {
    for (model, program, size, batch) in models() {
        let train = |threads| {
            let mut trainer = trainer(&program, 5, threads);
            let losses: Vec<u32> = (0..STEPS).map(|step| step_on(&mut trainer, batch, size, step).to_bits()).collect();
            (losses, state(&trainer))
        };
        let one = train(1);
        for threads in [2, 3] {
            assert!(train(threads) == one, "{model} differs between 1 and {threads} threads");
        }
    }
}

#[test]
fn equal_seeds_give_equal_weights_and_others_do_not() {
    for (model, program, ..) in models() {
        let weights = |seed| state(&trainer(&program, seed, 1));
        assert_eq!(weights(3), weights(3), "{model}");
        let differ = weights(3).into_iter().zip(weights(4)).filter(|(one, other)| one != other).count();
        assert!(differ > 5, "{model}: only {differ} tensors depend on the seed");
    }
}

/// One program takes every batch up to its bound; what rows it does not use does not matter.
#[test]
fn short_batches_run_through_the_same_program() {
    let (program, size) = (compile(&models::lenet::lenet()), 28);
    let (x, _) = images(64, size, 1);
    let mut predicted = Vec::new();
    // The greatest batch first, so that its rows lie in memory while shorter ones run.
    let mut trainer = trainer(&program, 5, 2);
    for batch in [64, 7, 1] {
        let rows = trainer.predict(&[(&x[..batch * size * size]).into()]).expect("it predicts").to_vec();
        assert_eq!(rows.len(), batch * 10);
        predicted.push(rows);
    }
    // Sums inside a sample have one order, whatever the batch.
    assert_eq!(predicted[1][..], predicted[0][..70]);
    assert_eq!(predicted[2][..], predicted[0][..10]);
}

/// A mean over 7 samples divides by 7, in the loss and in the gradients, though the program is compiled for up to 64.
#[test]
fn a_short_batch_is_averaged_over_its_own_samples() {
    short_batch_agrees("lenet", models::lenet::lenet, 28, 64);
    short_batch_agrees("digits", models::digits::digits, 8, 32);
}

fn short_batch_agrees<M: Module>(model: &str, training: fn() -> Training<M>, size: usize, bound: usize) {
    const BATCH: usize = 7;
    let programs = [compile(&training().max_batch(bound)), compile(&training().max_batch(BATCH))];
    let [wide, exact] = programs.map(|program| {
        let mut trainer = trainer(&program, 5, 1);
        // Whatever a full batch leaves behind must not be counted.
        let full = images(bound.min(trainer.session().batch() as usize), size, 9);
        trainer.eval_loss(&[(&full.0).into(), (&full.1).into()]).expect("it evaluates");
        let losses: Vec<f32> = (0..3).map(|step| step_on(&mut trainer, BATCH, size, step)).collect();
        let (x, y) = images(BATCH, size, 77);
        let evaluated = trainer.eval_loss(&[(&x).into(), (&y).into()]).expect("it evaluates");
        (losses, evaluated, parameters(&trainer))
    });
    assert!((wide.1 - exact.1).abs() < 1e-4, "{model}: {} and {}", wide.1, exact.1);
    for (wide, exact) in wide.0.iter().zip(&exact.0) {
        assert!((wide - exact).abs() < 1e-4, "{model}: {wide} and {exact}");
    }
    let distance = wide.2.iter().zip(&exact.2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(distance < 1e-3, "{model}: the parameters differ by {distance}");
}

/// Five steps, a checkpoint, and on in a fresh process: wherever in an epoch the first run ended, the file at the end has the same bytes.
#[test]
fn a_resumed_run_gives_the_bytes_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    for (model, program, size, batch) in models() {
        // Six batches an epoch, the last one short.
        let loader = DataLoader::new(dataset(5 * batch + 3, size, 2)).batch_size(batch).shuffle(true).seed(1);
        let whole = folder.path().join(format!("{model}_whole.safetensors"));
        fit(&program, &loader, None, &whole, 10, None);
        let expected = std::fs::read(&whole).expect("the run has saved a checkpoint");
        for stopped in [1, 5, 6, 8] {
            let part = folder.path().join(format!("{model}_{stopped}.safetensors"));
            fit(&program, &loader, None, &part, stopped, None);
            assert!(std::fs::read(&part).expect("the run has saved a checkpoint") != expected);
            fit(&program, &loader, Some(&part), &part, 10, None);
            let found = std::fs::read(&part).expect("the run has saved a checkpoint");
            assert!(found == expected, "{model}: resumed after step {stopped}, the run ends in other bytes");
        }
    }
}

/// Rates that change with every step, or after every epoch, go on where they were.
#[test]
fn a_scheduled_run_resumes_with_its_rates() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let [(_, program, size, batch), _] = models();
    let loader = DataLoader::new(dataset(5 * batch + 3, size, 2)).batch_size(batch).shuffle(true).seed(1);
    let schedules = [(Schedule::cosine_annealing_lr(7, 1e-4), Every::Step), (Schedule::step_lr(1, 0.5), Every::Epoch)];
    let plain = folder.path().join("plain.safetensors");
    fit(&program, &loader, None, &plain, 10, None);
    for schedule in schedules {
        let whole = folder.path().join("whole.safetensors");
        fit(&program, &loader, None, &whole, 10, Some(schedule.clone()));
        let expected = std::fs::read(&whole).expect("the run has saved a checkpoint");
        assert!(expected != std::fs::read(&plain).expect("the run has saved a checkpoint"));
        for stopped in [4, 6, 8] {
            let part = folder.path().join("part.safetensors");
            fit(&program, &loader, None, &part, stopped, Some(schedule.clone()));
            fit(&program, &loader, Some(&part), &part, 10, Some(schedule.clone()));
            let found = std::fs::read(&part).expect("the run has saved a checkpoint");
            assert!(found == expected, "{}: resumed after step {stopped}", schedule.0.name());
        }
    }
}

fn fit(
    program: &ProgramRef,
    loader: &DataLoader,
    resume: Option<&Path>,
    checkpoint: &Path,
    steps: u64,
    schedule: Option<(Schedule, Every)>,
) {
    // Another seed than the weights of the first run had: everything must come from the checkpoint.
    let mut trainer = trainer(program, if resume.is_some() { 1000 } else { 5 }, 2);
    let fit = Fit {
        epochs: 3,
        max_steps: Some(steps),
        checkpoint: Some(checkpoint.to_owned()),
        resume: resume.map(Path::to_owned),
        seed: 5,
        schedule,
        ..Fit::default()
    };
    trainer.fit(loader, None, &fit).unwrap_or_else(|error| panic!("{error}"));
}

/// Name, program, image size and the batch to train with: SGD with momentum, and BatchNorm with AdamW.
fn models() -> [(&'static str, ProgramRef, usize, usize); 2] {
    [("lenet", compile(&models::lenet::lenet()), 28, 16), ("digits", compile(&models::digits::digits()), 8, 16)]
}

fn step_on(trainer: &mut Trainer, batch: usize, size: usize, step: u64) -> f32 {
    let (x, y) = images(batch, size, 100 + step);
    trainer.train_step(&[(&x).into(), (&y).into()]).expect("the inputs fit")
}

fn parameters(trainer: &Trainer) -> Vec<f32> {
    let words = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect::<Vec<_>>()
    };
    trainer.parameters().flat_map(|slot| words(slot.bytes())).collect()
}
