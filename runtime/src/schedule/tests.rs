//! Worked examples, saved positions, and what is refused. Every kind of schedule is a conformance table.

use super::*;

fn rates(lr: &[f64]) -> Rates {
    Rates::new(lr.to_vec(), Vec::new())
}

/// The first group's rate in each of some epochs.
fn first_rates(mut schedules: Vec<Schedule>, lr: f64, epochs: usize) -> Vec<f64> {
    let mut rates = rates(&[lr]);
    schedules.iter_mut().try_for_each(|schedule| schedule.start(&mut rates)).unwrap();
    let mut all = Vec::new();
    for _ in 0..epochs {
        all.push(rates.lr[0]);
        schedules.iter_mut().try_for_each(|schedule| schedule.step(&mut rates)).unwrap();
    }
    all
}

fn close(got: f64, wanted: f64) {
    assert!((got - wanted).abs() <= 1e-5 * wanted.abs(), "{got} instead of {wanted}");
}

#[test]
fn n_45_two_lambdas() {
    let mut rates = rates(&[1.0, 1.0]);
    let mut schedule = Schedule::lambda_lr_each(vec![
        Box::new(|epoch| (epoch / 30) as f64),
        Box::new(|epoch| 0.95_f64.powf(epoch as f64)),
    ]);
    schedule.start(&mut rates).unwrap();
    let mut all = Vec::new();
    for _ in 0..100 {
        all.push((rates.lr[0], rates.lr[1]));
        schedule.step(&mut rates).unwrap();
    }
    let expected = [
        (0, 0.0, 1.0),
        (1, 0.0, 0.95),
        (29, 0.0, 0.225_936),
        (30, 1.0, 0.214_639),
        (60, 2.0, 0.046_070),
        (99, 3.0, 0.006_232),
    ];
    for (epoch, first, second) in expected {
        assert_eq!(all[epoch].0, first, "epoch {epoch}");
        assert!((all[epoch].1 - second).abs() < 1e-6, "epoch {epoch}: {:?}", all[epoch]);
    }
}

#[test]
fn n_47_two_schedules_in_turn() {
    let chained = vec![Schedule::exponential_lr(0.9), Schedule::multi_step_lr(vec![30, 80], 0.1)];
    let all = first_rates(chained, 0.1, 81);
    let expected = [(0, 0.1), (19, 0.013_508_5), (29, 0.004_710_13), (30, 4.239_12e-4), (80, 2.184_75e-7)];
    expected.into_iter().for_each(|(epoch, wanted)| close(all[epoch], wanted));
}

/// What is saved in the middle goes on as if nothing had been.
#[test]
fn a_schedule_goes_on_where_it_was() {
    let plateau = ReduceLrOnPlateau { patience: 1, ..ReduceLrOnPlateau::default() };
    let kinds: Vec<fn() -> Schedule> = vec![
        || Schedule::cosine_annealing_warm_restarts(3, 2, 0.01),
        || Schedule::cosine_annealing_lr(7, 0.0),
        || Schedule::sequential_lr(vec![Schedule::linear_lr(0.1, 1.0, 3), Schedule::exponential_lr(0.5)], vec![3]),
        || Schedule::one_cycle_lr(OneCycleLr { cycle_momentum: false, ..OneCycleLr::new(1.0, 20) }),
    ];
    for make in kinds {
        let (mut whole, mut before) = (make(), make());
        let (mut expected, mut found) = (rates(&[0.5]), rates(&[0.5]));
        whole.start(&mut expected).unwrap();
        before.start(&mut found).unwrap();
        for _ in 0..4 {
            whole.step(&mut expected).unwrap();
            before.step(&mut found).unwrap();
        }
        let mut resumed = make();
        resumed.load_state(&before.state()).unwrap();
        for _ in 0..5 {
            whole.step(&mut expected).unwrap();
            resumed.step(&mut found).unwrap();
            assert_eq!(found.lr, expected.lr, "{}", whole.name());
        }
    }
    let mut schedule = Schedule::reduce_lr_on_plateau(plateau);
    let mut rates = rates(&[1.0]);
    schedule.start(&mut rates).unwrap();
    schedule.step_with_metric(1.0, &mut rates).unwrap();
    schedule.step_with_metric(2.0, &mut rates).unwrap();
    let mut resumed = Schedule::reduce_lr_on_plateau(ReduceLrOnPlateau { patience: 1, ..ReduceLrOnPlateau::default() });
    let error = resumed.load_state(&Schedule::exponential_lr(0.9).state()).unwrap_err();
    assert_eq!(error.to_string(), "the state of a schedule needs `best`: it has last_epoch");
    resumed.load_state(&schedule.state()).unwrap();
    resumed.step_with_metric(2.0, &mut rates).unwrap();
    assert_eq!(rates.lr, [0.1], "the second bad epoch in a row");
}

#[test]
fn what_does_not_fit_is_refused() {
    let said = |mut schedule: Schedule, mut rates: Rates| schedule.start(&mut rates).unwrap_err().to_string();
    assert_eq!(said(Schedule::step_lr(0, 0.1), rates(&[1.0])), "StepLR needs step_size > 0: found 0");
    let two: Vec<Factor> = vec![Box::new(|_| 1.0), Box::new(|_| 1.0)];
    assert_eq!(
        said(Schedule::lambda_lr_each(two), rates(&[1.0, 1.0, 1.0])),
        "LambdaLR needs one lr_lambda a parameter group: there are 3 groups and 2 values"
    );
    assert_eq!(
        said(Schedule::one_cycle_lr(OneCycleLr::new(1.0, 10)), rates(&[1.0])),
        "OneCycleLR cycles the momentum, and the optimizer has no momentum or beta: set `cycle_momentum` to false"
    );
    let mut rates = rates(&[1.0]);
    let mut cycle = Schedule::one_cycle_lr(OneCycleLr { cycle_momentum: false, ..OneCycleLr::new(1.0, 2) });
    cycle.start(&mut rates).unwrap();
    let steps: Vec<bool> = (0..3).map(|_| cycle.step(&mut rates).is_ok()).collect();
    assert_eq!(steps, [true, true, false]);
    let mut plateau = Schedule::reduce_lr_on_plateau(ReduceLrOnPlateau::default());
    plateau.start(&mut rates).unwrap();
    assert_eq!(plateau.step(&mut rates).unwrap_err().to_string(), "ReduceLROnPlateau is stepped with a metric");
}
