//! Optimisers in a compiled step: groups, accumulation, clipping, loss scaling, schedules, LBFGS, and what is refused.

use kiln::prelude::*;
use kiln::runtime::schedule::Schedule;
use kiln::runtime::{Error, Lbfgs, LbfgsOptions, LineSearch, Trainer};
use kiln::{Compiler, Inputs, set_requires_grad};

type Net = Sequential<(Linear, Tanh, Linear)>;

fn net() -> Net {
    Sequential::new((Linear::new(3, 4), Tanh, Linear::new(4, 2)))
}

fn loss(model: &Net, batch: &Inputs) -> Tensor {
    mse_loss(model.forward(batch["x"]), batch["y"])
}

fn training(net: Net) -> Training<Net> {
    Training::new("net", net)
        .max_batch(4)
        .input("x", DType::F32, [BATCH, Dim::fixed(3)])
        .input("y", DType::F32, [BATCH, Dim::fixed(2)])
        .loss(loss)
}

fn jit(training: &Training<Net>) -> Trainer {
    Compiler::new().seed(7).jit(training).expect("it compiles")
}

/// Samples that differ from step to step.
fn batch(step: usize, samples: usize) -> (Vec<f32>, Vec<f32>) {
    let value = |at: usize| ((at * 7 + step * 13) % 11) as f32 / 5.0 - 1.0;
    ((0..3 * samples).map(value).collect(), (0..2 * samples).map(|at| value(at + 3)).collect())
}

fn step(trainer: &mut Trainer, number: usize) -> f32 {
    let (x, y) = batch(number, 2);
    trainer.train_step(&[(&x).into(), (&y).into()]).expect("it runs")
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    trainer.parameters().flat_map(|slot| slot.elements::<f32>().expect("weights are f32").to_vec()).collect()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 + 1e-5 * b.abs())
}

/// `optim.SGD([{'params': base}, {'params': classifier, 'lr': 1e-3}], lr=1e-2, momentum=0.9)`.
#[test]
fn n_65_groups_have_rates_of_their_own() {
    let tuning = training(net())
        .parameter_group(|model| parameters(&model.children.2), Sgd::new(1e-3).momentum(0.9))
        .optimizer(Sgd::new(1e-2).momentum(0.9));
    let mut trainer = jit(&tuning);
    let rates = trainer.rates().unwrap();
    assert_eq!((rates.lr.as_slice(), rates.momentum.as_slice()), (&[1e-3, 1e-2][..], &[0.9, 0.9][..]));
    let before = weights(&trainer);
    trainer.set_scalar("lr.0", 0.0).unwrap();
    step(&mut trainer, 0);
    let after = weights(&trainer);
    assert!(before[..16] != after[..16] && before[16..] == after[16..], "the second layer's rate is 0");
}

/// Three batches of two samples are one of six, but for rounding.
#[test]
fn accumulated_batches_are_one_large_one() {
    let mut parts = jit(&training(net()).accumulate(3).optimizer(Sgd::new(0.5).momentum(0.9)));
    let mut whole = jit(&training(net()).max_batch(6).optimizer(Sgd::new(0.5).momentum(0.9)));
    for update in 0..2 {
        let start = weights(&parts);
        let batches: Vec<_> = (0..3).map(|part| batch(3 * update + part, 2)).collect();
        for (number, (x, y)) in batches.iter().enumerate() {
            assert_eq!(parts.updates_next(), number == 2);
            assert_eq!(weights(&parts), start, "nothing changes before the last batch");
            parts.train_step(&[x.into(), y.into()]).unwrap();
        }
        let x: Vec<f32> = batches.iter().flat_map(|(x, _)| x).copied().collect();
        let y: Vec<f32> = batches.iter().flat_map(|(_, y)| y).copied().collect();
        whole.train_step(&[(&x).into(), (&y).into()]).unwrap();
        assert!(close(&weights(&parts), &weights(&whole)), "update {update}");
    }
}

/// `coefficient = max_norm / (total + 1e-6)` where that is below 1.
#[test]
fn n_35_gradients_are_clipped_by_their_norm() {
    let plain = |optimizer| jit(&training(net()).optimizer(optimizer));
    let mut gentle = jit(&training(net()).clip_grad_norm(1e3).optimizer(Sgd::new(0.1)));
    let mut free = plain(Sgd::new(0.1));
    step(&mut gentle, 0);
    step(&mut free, 0);
    assert_eq!(weights(&gentle), weights(&free), "a large limit changes nothing");
    let norm = f64::from(gentle.session().slot_as::<f32>("grad_norm").unwrap()[0]);
    let max = norm / 4.0;
    let mut clipped = jit(&training(net()).clip_grad_norm(max).optimizer(Sgd::new(0.1)));
    let mut slower = plain(Sgd::new(0.1 * max / (norm + 1e-6)));
    step(&mut clipped, 0);
    step(&mut slower, 0);
    assert!(close(&weights(&clipped), &weights(&slower)));
}

/// A parameter without a gradient is left alone: no decay, no state.
#[test]
fn what_the_loss_does_not_use_stays() {
    let unused = Training::new("net", net())
        .max_batch(4)
        .input("x", DType::F32, [BATCH, Dim::fixed(3)])
        .loss(|model, batch| model.children.0.forward(batch["x"]).square().mean_all())
        .optimizer(AdamW::new(0.1).weight_decay(0.5));
    let mut trainer = jit(&unused);
    let before = weights(&trainer);
    trainer.train_step(&[(&[1.0_f32, 2.0, 3.0]).into()]).unwrap();
    let after = weights(&trainer);
    assert!(before[..16] != after[..16] && before[16..] == after[16..]);
    assert!(trainer.slot("optimizer.0.weight.exp_avg").is_ok() && trainer.slot("optimizer.2.weight.exp_avg").is_err());
}

/// A step that overflows changes no weight, no moment and no counter, and halves the scale.
#[test]
fn the_scaler_skips_what_overflows() {
    let scaled = training(net()).grad_scaler(GradScaler::default()).clip_grad_norm(10.0).optimizer(Adam::new(0.1));
    let (mut scaled, mut plain) = (jit(&scaled), jit(&training(net()).clip_grad_norm(10.0).optimizer(Adam::new(0.1))));
    let scale = |trainer: &Trainer| trainer.session().slot_as::<f32>("scaler.scale").unwrap()[0];
    let found = |trainer: &Trainer| trainer.session().slot_as::<u8>("found_inf").map(|found| found[0] != 0);
    for number in 0..3 {
        assert_eq!(step(&mut scaled, number), step(&mut plain, number), "a power of two changes no bit");
        assert!(!found(&scaled).unwrap());
    }
    let (x, y) = ([f32::INFINITY; 6], [0.0_f32; 4]);
    scaled.train_step(&[(&x).into(), (&y).into()]).unwrap();
    assert!(found(&scaled).unwrap());
    assert_eq!((scale(&scaled), weights(&scaled)), (32768.0, weights(&plain)));
    assert_eq!(step(&mut scaled, 4), step(&mut plain, 4));
    assert!(close(&weights(&scaled), &weights(&plain)), "the counter has not moved either");
}

/// A schedule sets numbers of the running program; nothing is compiled again.
#[test]
fn n_46_a_schedule_moves_the_rate() {
    let mut trainer = jit(&training(net()).optimizer(Sgd::new(0.1)));
    let mut rates = trainer.rates().unwrap();
    let mut schedule = Schedule::exponential_lr(0.9);
    schedule.start(&mut rates).unwrap();
    for epoch in 0..20 {
        trainer.set_rates(&rates).unwrap();
        assert!((trainer.learning_rate().unwrap() - 0.1 * 0.9_f64.powi(epoch)).abs() < 1e-12);
        step(&mut trainer, epoch as usize);
        schedule.step(&mut rates).unwrap();
    }
    assert!((rates.lr[0] - 0.012_157_7).abs() < 1e-7);
}

/// The loss is a program without an optimiser; LBFGS evaluates it as often as it needs.
#[test]
fn p_18_lbfgs_closes_in() {
    let mut trainer = jit(&training(net()));
    let options = LbfgsOptions { line_search: LineSearch::StrongWolfe, ..LbfgsOptions::default() };
    let mut lbfgs = Lbfgs::new(options);
    let (x, y) = batch(0, 4);
    let losses: Vec<f64> =
        (0..6).map(|_| lbfgs.step(&mut trainer, &[(&x).into(), (&y).into()]).expect("it runs").loss).collect();
    assert!(losses[5] < losses[0] / 100.0, "{losses:?}");
    let mut fixed = jit(&training(net()).optimizer(Sgd::new(0.1)));
    let error = lbfgs.step(&mut fixed, &[(&x).into(), (&y).into()]).unwrap_err();
    assert!(matches!(error, Error::NoSlot { .. }), "a program with an optimiser of its own: {error}");
}

/// Each optimiser makes the loss smaller, and `maximize` greater.
#[test]
fn every_optimizer_learns() {
    let optimizers: Vec<(&str, Box<dyn Optimizer>)> = vec![
        ("Sgd", Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true))),
        ("Adam", Box::new(Adam::new(0.02).amsgrad(true))),
        ("AdamW", Box::new(AdamW::new(0.02))),
        ("RmsProp", Box::new(RmsProp::new(0.01).centered(true).momentum(0.5))),
        ("Adagrad", Box::new(Adagrad::new(0.1))),
        ("Adadelta", Box::new(Adadelta::default())),
        ("Adamax", Box::new(Adamax::new(0.02))),
        ("NAdam", Box::new(NAdam::new(0.02))),
        ("RAdam", Box::new(RAdam::new(0.05))),
        ("Lion", Box::new(Lion::new(0.01))),
    ];
    for (name, optimizer) in optimizers {
        let mut trainer = jit(&training(net()).optimizer(optimizer));
        let losses: Vec<f32> = (0..60).map(|_| step(&mut trainer, 0)).collect();
        assert!(losses[59] < 0.7 * losses[0], "{name}: {} → {}", losses[0], losses[59]);
    }
    let mut climber = jit(&training(net()).optimizer(Sgd::new(0.05).maximize(true)));
    let losses: Vec<f32> = (0..10).map(|_| step(&mut climber, 0)).collect();
    assert!(losses[9] > losses[0]);
}

/// Muon's direction is a semi-orthogonal matrix; vectors go to another optimiser.
#[test]
fn muon_orthogonalises_matrices() {
    let net = Sequential::new((Linear::new(3, 4).bias(false), Tanh, Linear::new(4, 2).bias(false)));
    let mut trainer = jit(&training(net).optimizer(Muon::new(0.1).weight_decay(0.0).momentum(0.0).nesterov(false)));
    let before = trainer.session().slot_as::<f32>("2.weight").unwrap().to_vec();
    step(&mut trainer, 0);
    let after = trainer.session().slot_as::<f32>("2.weight").unwrap();
    let change: Vec<f32> = before.iter().zip(after).map(|(before, after)| (before - after) / 0.1).collect();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let (first, second) = change.split_at(4);
    // The polynomial ends with singular values between about 0.7 and 1.2.
    assert!((0.4..1.6).contains(&dot(first, first)) && (0.4..1.6).contains(&dot(second, second)), "{change:?}");
    assert!(dot(first, second).abs() < 0.4, "{change:?}");
    let refused = training(self::net()).optimizer(Muon::new(0.1)).trace().unwrap_err();
    assert!(refused[0].message.starts_with("Muon only supports 2D parameters: `0.bias`"), "{}", refused[0].message);
}

/// `torch.optim`'s errors, at the line of the optimiser.
#[test]
fn err_09_optimizers_refuse_what_pytorch_refuses() {
    let said = |training: Training<Net>| {
        let found = training.trace().unwrap_err();
        assert!(found[0].place.file.ends_with("training.rs"), "{:?}", found[0]);
        found[0].message.clone()
    };
    assert_eq!(said(training(net()).optimizer(Sgd::new(-0.1))), "Invalid learning rate: -0.1");
    assert_eq!(
        said(training(net()).optimizer(Adam::new(0.1).betas((0.9, 1.5)))),
        "Invalid beta parameter at index 1: 1.5"
    );
    let nesterov = "Nesterov momentum requires a momentum and zero dampening";
    assert_eq!(said(training(net()).optimizer(Sgd::new(0.1).nesterov(true))), nesterov);
    let empty = training(net()).parameter_group(|_| Vec::new(), Sgd::new(0.1)).optimizer(Sgd::new(0.1));
    assert_eq!(said(empty), "optimizer got an empty parameter list");
    let twice = training(net())
        .parameter_group(|model| parameters(model), Sgd::new(0.1))
        .parameter_group(|model| parameters(&model.children.2), Sgd::new(0.1));
    assert_eq!(said(twice), "some parameters appear in more than one parameter group: `2.weight`");
    let foreign = training(net()).parameter_group(|_| parameters(&Linear::new(1, 1)), Sgd::new(0.1));
    assert!(said(foreign).contains("that the model lacks"));
}

/// Frozen parameters have no update; a group of them alone is sound.
#[test]
fn frozen_parameters_are_left_out() {
    let net = net();
    set_requires_grad(&net.children.0, false);
    let mut trainer = jit(&training(net).optimizer(Adam::new(0.1)));
    let before = weights(&trainer);
    step(&mut trainer, 0);
    let after = weights(&trainer);
    assert!(before[..16] == after[..16] && before[16..] != after[16..]);
}
