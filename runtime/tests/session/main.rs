//! A session and a trainer over a small program, run as a compiled one would be.

mod linear;

use std::borrow::Cow::Owned;
use std::sync::Arc;

use kiln_runtime::abi::*;
use kiln_runtime::{Error, Input, Pool, Session, Trainer, peak_resident_bytes};

use linear::{ARENA, FEATURES, LABELS, MAX_BATCH, PROGRAM};

fn session(threads: usize, seed: u64) -> Session {
    Session::with_pool(&PROGRAM, seed, Pool::new(threads).unwrap()).unwrap()
}

/// Samples of the function 1 + 2 + .. weighted features.
fn samples(batch: u64, round: u64) -> (Vec<f32>, Vec<f32>) {
    let x: Vec<f32> = (0..batch * FEATURES).map(|i| ((i * 7 + round * 13) % 11) as f32 / 11.0 - 0.4).collect();
    let target = x.chunks(FEATURES as usize).map(|row| row.iter().zip(1..).map(|(x, j)| x * j as f32).sum()).collect();
    (x, target)
}

#[test]
fn thread_counts_give_equal_bits() {
    let results: Vec<(Vec<u32>, Vec<u8>)> = [1, 2, 3]
        .map(|threads| {
            let mut trainer = Trainer::from_session(session(threads, 7));
            let losses = (0..40)
                .map(|round| {
                    let (x, target) = samples(1 + (round * 17) % MAX_BATCH, round);
                    trainer.train_step(&[(&x).into(), (&target).into()]).unwrap().to_bits()
                })
                .collect();
            (losses, trainer.state().flat_map(|slot| slot.bytes().to_vec()).collect())
        })
        .into();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn training_learns_the_weights() {
    let mut trainer = Trainer::from_session(session(2, 0));
    trainer.set_learning_rate(0.3).unwrap();
    let (x, target) = samples(MAX_BATCH, 0);
    let inputs = [Input::from(&x), Input::from(&target)];
    let first = trainer.eval_loss(&inputs).unwrap();
    assert_eq!(trainer.eval_loss(&inputs).unwrap(), first, "evaluation does not learn");
    for _ in 0..500 {
        trainer.train_step(&inputs).unwrap();
    }
    assert!(trainer.eval_loss(&inputs).unwrap() < first * 1e-3);
    let w = trainer.slot("w").unwrap().elements::<f32>().unwrap();
    for (w, j) in w.iter().zip(1..) {
        assert!((2.0 * w - j as f32).abs() < 0.1, "{w} at {j}");
    }
}

#[test]
fn a_short_batch_uses_only_its_rows() {
    let mut trainer = Trainer::from_session(session(3, 0));
    let (x, target) = samples(MAX_BATCH, 0);
    let whole = trainer.predict(&[(&x).into(), (&target).into()]).unwrap().to_vec();
    assert_eq!(whole.len() as u64, MAX_BATCH);
    for batch in [1usize, 2, 13, 63] {
        let x = &x[..batch * FEATURES as usize];
        let rows = trainer.predict(&[x.into(), target[..batch].into()]).unwrap();
        assert_eq!(rows, &whole[..batch]);
        let loss = trainer.eval_loss(&[x.into(), target[..batch].into()]).unwrap();
        let mean = whole[..batch].iter().map(|error| error * error).sum::<f32>() / batch as f32;
        assert!((loss - mean).abs() <= 1e-6 * mean, "{loss} is not the mean over {batch}: {mean}");
        assert_eq!(trainer.slot("x").unwrap().shape(), [batch as u64, FEATURES]);
    }
}

#[test]
fn wrong_calls_are_explained_and_change_nothing() {
    let mut session = session(2, 0);
    let before: Vec<u8> = session.slots().flat_map(|slot| slot.bytes().to_vec()).collect();
    let (x, target) = ([1f32; 10], [1f32; 2]);
    let (wide_x, long_target) = ([1f64; 10], [1f32; 3]);
    let mut message = |entry, batch, inputs: &[Input]| session.run(entry, batch, inputs).unwrap_err().to_string();
    assert_eq!(
        message("train", 2, &[]),
        "program `linear` has no entry `train`; it has train_step, eval_loss, predict, check"
    );
    assert_eq!(message("train_step", 65, &[]), "program `linear` takes a batch of 1 to 64, not 65");
    assert_eq!(message("train_step", 0, &[]), "program `linear` takes a batch of 1 to 64, not 0");
    assert_eq!(message("train_step", 2, &[(&x).into()]), "entry `train_step` takes 2 inputs (x, target), not 1");
    assert_eq!(message("train_step", 2, &[(&wide_x).into(), (&target).into()]), "slot `x` holds f32, not f64");
    assert_eq!(
        message("train_step", 2, &[(&x).into(), (&long_target).into()]),
        "input `target` needs 2 elements at batch 2, not 3"
    );
    let after: Vec<u8> = session.slots().flat_map(|slot| slot.bytes().to_vec()).collect();
    assert!(before == after, "a refused run changed a slot");

    assert_eq!(session.slot("v").unwrap_err().to_string(), "program `linear` has no slot `v`");
    assert_eq!(session.slot_as::<i64>("w").unwrap_err().to_string(), "slot `w` holds f32, not i64");
    assert_eq!(session.output_f32("w").unwrap_err().to_string(), "slot `w` is of kind parameter, not output");
    assert_eq!(session.set_scalar("w", 1.0).unwrap_err().to_string(), "slot `w` is of kind parameter, not scalar");

    let mut trainer = Trainer::from_session(session);
    let error = trainer.train_step(&[(&x[..7]).into(), (&target).into()]).unwrap_err();
    assert_eq!(error.to_string(), "input `x` needs a multiple of 5 elements, one sample each, not 7");
    let error = trainer.train_step(&[(&x[..0]).into(), (&target[..0]).into()]).unwrap_err();
    assert_eq!(error.to_string(), "program `linear` takes a batch of 1 to 64, not 0");
}

#[test]
fn a_fault_names_kernel_place_and_value() {
    for threads in [1, 3] {
        let mut session = session(threads, 0);
        let mut labels = [3i64; 20];
        session.run("check", 20, &[(&labels).into()]).unwrap();
        labels[13] = -4;
        let error = session.run("check", 20, &[(&labels).into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "kernel `check_labels` (linear.rs:7:9): index -4 at position 13 is outside 0..10"
        );
        labels[13] = 9;
        session.run("check", 20, &[(&labels).into()]).expect("the fault does not outlive its run");
    }
}

#[test]
fn equal_seeds_give_equal_slots() {
    let values = |session: &Session, name| session.slot_as::<f32>(name).unwrap().to_vec();
    let (first, again, other) = (session(1, 5), session(3, 5), session(1, 6));
    for name in ["uniform", "normal", "truncated"] {
        assert_eq!(values(&first, name), values(&again, name), "{name}");
        assert_ne!(values(&first, name), values(&other, name), "{name}");
    }
    assert!(values(&first, "uniform").iter().all(|value| (-2.0..3.0).contains(value)));
    assert!(values(&first, "truncated").iter().all(|value| (-0.5..=1.0).contains(value)));
    let mean = values(&first, "normal").iter().sum::<f32>() / 100.0;
    assert!((mean - 5.0).abs() < 1.0, "{mean}");
    assert_eq!(first.slot("data").unwrap().bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(first.slot_as::<i64>("key").unwrap(), [5]);
    assert_eq!(values(&first, "w"), [0.5; 5]);
}

#[test]
fn a_slot_does_not_depend_on_the_others() {
    let mut program = PROGRAM.clone();
    let slots: Vec<Slot> = program.slots.iter().filter(|slot| slot.name != "uniform").cloned().collect();
    for entry in program.entries.to_mut() {
        entry.inputs = Owned(Vec::new());
        entry.outputs = Owned(Vec::new());
    }
    program.slots = Owned(slots);
    let fewer = Session::new(Arc::new(program), 5).unwrap();
    assert_eq!(fewer.slot_as::<f32>("normal").unwrap(), session(1, 5).slot_as::<f32>("normal").unwrap());
}

#[test]
fn learning_rates_are_set_together_or_alone() {
    let mut trainer = Trainer::from_session(session(1, 0));
    assert_eq!(trainer.learning_rate(), Some(f64::from(0.1f32)));
    trainer.set_learning_rate(0.25).unwrap();
    trainer.set_scalar("lr.1", 0.5).unwrap();
    assert_eq!(trainer.session().scalar("lr.0").unwrap(), 0.25);
    assert_eq!(trainer.session().scalar("lr.1").unwrap(), 0.5);
    assert_eq!(trainer.parameters().map(|slot| slot.name()).collect::<Vec<_>>(), ["w", "uniform"]);
    let state = ["w", "lr.0", "lr.1", "uniform", "normal", "truncated", "data", "key"];
    assert_eq!(trainer.state().map(|slot| slot.name()).collect::<Vec<_>>(), state);
    assert_eq!(trainer.slot("truncated").unwrap().shape(), [10, 10]);
}

#[test]
fn state_written_back_continues_with_the_same_bits() {
    let (x, target) = samples(9, 3);
    let inputs = [Input::from(&x), Input::from(&target)];
    let mut trainer = Trainer::from_session(session(2, 1));
    trainer.train_step(&inputs).unwrap();
    let saved: Vec<(String, Vec<u8>)> =
        trainer.state().map(|slot| (slot.name().to_owned(), slot.bytes().to_vec())).collect();
    let expected = trainer.train_step(&inputs).unwrap();
    let mut resumed = Trainer::from_session(session(1, 99));
    for (name, bytes) in saved {
        resumed.slot_mut(&name).unwrap().bytes_mut().copy_from_slice(&bytes);
    }
    assert_eq!(resumed.train_step(&inputs).unwrap().to_bits(), expected.to_bits());
}

#[test]
fn steps_are_timed_in_order() {
    let (x, target) = samples(4, 0);
    let times = session(2, 0).run_timed("train_step", 4, &[(&x).into(), (&target).into()]).unwrap();
    assert_eq!(times.iter().map(|time| &*time.name).collect::<Vec<_>>(), ["forward", "mean_square", "update"]);
}

#[test]
fn memory_is_reported_by_class() {
    let trainer = Trainer::from_session(session(2, 0));
    let report = trainer.memory_report();
    assert_eq!(report.total_bytes(), ARENA + 2 * 128);
    assert_eq!(report.classes.iter().map(|class| &*class.name).collect::<Vec<_>>(), ["parameters", "thread scratch"]);
    assert_eq!(trainer.peak_resident_bytes().is_some(), cfg!(target_os = "linux"));
    assert!(peak_resident_bytes().unwrap_or(u64::MAX) > report.total_bytes());
}

#[test]
fn a_processor_that_lacks_instructions_is_told_before_it_meets_them() {
    let mut program = PROGRAM.clone();
    program.required_features = Owned(vec!["sse9".into(), "avx1024".into()]);
    let error = Session::new(Arc::new(program), 0).map(|_| ()).map_err(|error| error.to_string());
    if cfg!(target_arch = "x86_64") {
        let error = error.expect_err("no processor has these");
        assert!(error.contains("sse9, avx1024, which this one lacks"), "{error}");
    }
}

#[test]
fn malformed_programs_are_refused() {
    type Change = fn(&mut Program);
    let cases: [(Change, &str); 8] = [
        (|program| program.arena_bytes = LABELS, "slot `labels` leaves the arena"),
        (|program| program.slots.to_mut()[0].offset = 2, "slot `w` is not aligned to its elements"),
        (|program| program.slots.to_mut()[0].name = "x".into(), "slot `x` shares its name with another slot"),
        (
            |program| program.slots.to_mut()[0].shape = Owned(vec![Extent::fixed(u64::MAX / 2)]),
            "slot `w` leaves the arena",
        ),
        (
            |program| program.slots.to_mut()[10].init = Init::Data(0),
            "slot `data` starts from a constant of another size",
        ),
        (
            |program| program.entries.to_mut()[0].inputs = Owned(vec![0]),
            "entry `train_step` names a slot of the wrong kind",
        ),
        (
            |program| program.entries.to_mut()[0].steps.to_mut()[1].grain = 0,
            "step `mean_square` of entry `train_step` has no items in a chunk",
        ),
        (
            |program| program.entries.to_mut()[1].steps.to_mut()[0].buffers = Owned(vec![ARENA + 1]),
            "step `forward` of entry `eval_loss` has a buffer outside the arena",
        ),
    ];
    for (change, problem) in cases {
        let mut program = PROGRAM.clone();
        change(&mut program);
        let error = Session::new(Arc::new(program), 0).unwrap_err();
        assert!(matches!(error, Error::MalformedProgram { .. }));
        assert_eq!(
            error.to_string(),
            format!("program `linear` is malformed, which is a bug in its compiler: {problem}")
        );
    }
}

#[test]
fn a_program_without_symbolic_batch_runs_at_one() {
    let mut program = PROGRAM.clone();
    program.max_batch = 0;
    let mut session = Session::new(Arc::new(program), 0).unwrap();
    let (x, target) = samples(1, 0);
    session.run("eval_loss", 1, &[(&x).into(), (&target).into()]).unwrap();
    let error = session.run("eval_loss", 2, &[(&x).into(), (&target).into()]).unwrap_err();
    assert_eq!(error.to_string(), "program `linear` takes a batch of 1 to 1, not 2");
}

#[test]
fn sessions_move_between_threads() {
    let mut session = session(2, 0);
    let (x, target) = samples(8, 0);
    let loss = std::thread::spawn(move || {
        session.run("train_step", 8, &[(&x).into(), (&target).into()]).unwrap();
        session.output_f32("loss").unwrap()[0]
    });
    assert!(loss.join().unwrap().is_finite());
}
