//! Random numbers in compiled programs: the right distributions, and the same bits everywhere.

use std::collections::BTreeMap;

use kiln::prelude::*;
use kiln::runtime::philox::{self, PhiloxState};
use kiln::runtime::{ProgramRef, Trainer};
use kiln_ir::interpret::{Precision, Value, evaluate};
use kiln_ir::ops::{Input, Random};
use kiln_ir::{Graph, Init, Place, Role, Type};
use kiln_tests::support::{compile, state, trainer};

/// Enough for moments to two digits.
const COUNT: usize = 100_000;
const SEED: u64 = 0x1234_5678_9abc;

/// A program whose prediction is what `draw` gives for an input of one row a sample.
fn drawing(width: usize, draw: impl Fn(Tensor) -> Tensor + 'static) -> Training<Relu> {
    Training::new("drawing", Relu)
        .max_batch(64)
        .input("x", DType::F32, [BATCH, Dim::fixed(width)])
        .predict(move |_, batch| draw(batch["x"]))
}

/// The prediction for rows of ones.
fn predicted(program: &ProgramRef, seed: u64, threads: usize, batch: usize, width: usize) -> Vec<f64> {
    let mut trainer = trainer(program, seed, threads);
    let x = vec![1.0_f32; batch * width];
    trainer.run("predict", &[(&x).into()]).expect("the input fits");
    elements(&trainer, "prediction")
}

fn elements(trainer: &Trainer, slot: &str) -> Vec<f64> {
    let session = trainer.session();
    match session.slot_as::<f32>(slot) {
        Ok(elements) => elements.iter().map(|&x| f64::from(x)).collect(),
        Err(_) => match session.slot_as::<f64>(slot) {
            Ok(elements) => elements.to_vec(),
            Err(_) => session.slot_as::<i64>(slot).expect("i64").iter().map(|&x| x as f64).collect(),
        },
    }
}

/// Numbers that need no input.
fn draws(draw: impl Fn() -> Tensor + 'static) -> Vec<f64> {
    let program = compile(&Training::new("drawing", Relu).predict(move |_, _| draw()));
    let mut trainer = trainer(&program, SEED, 2);
    trainer.run("predict", &[]).expect("there is no input");
    elements(&trainer, "prediction")
}

fn assert_moments(draws: &[f64], mean: f64, variance: f64) {
    let count = draws.len() as f64;
    let found = draws.iter().sum::<f64>() / count;
    let spread = draws.iter().map(|draw| (draw - found).powi(2)).sum::<f64>() / count;
    assert!((found - mean).abs() < 5.0 * (variance / count).sqrt(), "mean {found}, not {mean}");
    assert!((spread / variance - 1.0).abs() < 0.02, "variance {spread}, not {variance}");
}

#[test]
fn distributions_have_their_moments() {
    for dtype in [DType::F32, DType::F64] {
        let uniform = draws(move || rand([COUNT], dtype));
        assert_moments(&uniform, 0.5, 1.0 / 12.0);
        assert!(uniform.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert_moments(&draws(move || randn([COUNT], dtype)), 0.0, 1.0);
    }
    let shifted = draws(|| normal(3.0, 0.5, [COUNT / 8, 8], DType::F32));
    assert_moments(&shifted, 3.0, 0.25);
    let within = shifted.iter().filter(|draw| (*draw - 3.0).abs() < 0.5).count() as f64 / COUNT as f64;
    assert!((within - 0.6827).abs() < 0.01, "{within} within one deviation");
    let dice = draws(|| randint(1, 7, [COUNT]));
    assert_moments(&dice, 3.5, 35.0 / 12.0);
    assert!((1..=6).all(|face| dice.contains(&f64::from(face))) && dice.iter().all(|x| (1.0..=6.0).contains(x)));
    let coins = draws(|| Tensor::full(0.3, DType::F32).expand([COUNT]).bernoulli());
    assert_moments(&coins, 0.3, 0.21);
    let large = draws(|| randint(-(1 << 40), 1 << 40, [COUNT]));
    assert_moments(&large, 0.0, 4.0_f64.powi(41) / 12.0);
}

/// f64 numbers have all their bits.
#[test]
fn wide_numbers_have_53_bits() {
    let scaled = draws(|| rand([1000], DType::F64)).into_iter().map(|draw| draw * 2.0_f64.powi(53));
    let odd = scaled.inspect(|draw| assert_eq!(draw.fract(), 0.0)).filter(|draw| draw % 2.0 == 1.0).count();
    assert!((400..600).contains(&odd), "{odd} of 1000 have the last bit");
}

#[test]
fn dropout_keeps_its_share_and_the_mean() {
    for p in [0.1, 0.5, 0.9] {
        let kept = draws(move || ones([COUNT]).dropout(p, true));
        let scale = f64::from(1.0 / (1.0 - p) as f32);
        assert!(kept.iter().all(|&x| x == 0.0 || (x - scale).abs() < 1e-5));
        assert_moments(&kept, 1.0, p / (1.0 - p));
    }
    assert_eq!(draws(|| ones([1000]).dropout(1.0, true)), [0.0; 1000]);
    assert_eq!(draws(|| ones([1000]).dropout(0.0, true)), [1.0; 1000]);
    assert_eq!(draws(|| ones([1000]).dropout(0.7, false)), [1.0; 1000]);
    assert_moments(&draws(|| randn([COUNT], DType::F32).alpha_dropout(0.3, true)), 0.0, 1.0);
}

#[test]
fn channel_dropout_drops_whole_channels() {
    let planes = draws(|| ones([100, 30, 5, 7]).dropout2d(0.4, true));
    let planes: Vec<&[f64]> = planes.chunks(35).collect();
    assert!(planes.iter().all(|plane| plane.iter().all(|x| x == &plane[0])));
    let dropped = planes.iter().filter(|plane| plane[0] == 0.0).count() as f64 / 3000.0;
    assert!((dropped - 0.4).abs() < 0.05, "{dropped}");
    for (whole, drawn) in [
        (11, draws(|| ones([40, 5, 11]).dropout1d(0.5, true))),
        (11, draws(|| ones([200, 11]).dropout1d(0.5, true))),
        (24, draws(|| ones([40, 5, 2, 3, 4]).dropout3d(0.5, true))),
        (24, draws(|| ones([200, 2, 3, 4]).dropout3d(0.5, true))),
        (6, draws(|| ones([40, 5, 6]).feature_alpha_dropout(0.5, true))),
    ] {
        let channels: Vec<&[f64]> = drawn.chunks(whole).collect();
        assert!(channels.iter().all(|channel| channel.iter().all(|x| x == &channel[0])));
        let first = channels[0][0];
        assert!((60..140).contains(&channels.iter().filter(|channel| channel[0] == first).count()));
    }
}

/// The words are those of the runtime's generator: the key is the seed, the stream is the step and the call.
#[test]
fn words_are_those_of_philox() {
    let (seed, step, call) = (0x0123_4567_89ab_u64, 77, 5);
    for (shape, width) in [(vec![Dim::fixed(1003)], 1003), (vec![Dim::fixed(9), Dim::fixed(13)], 117)] {
        for (seed, step, call) in [(0, 0, 0), (seed, step, call)] {
            let graph = random_graph(&shape, call);
            let scalar = |value: u64| Value::new(DType::I64, vec![], vec![value as f64]).expect("one element");
            let inputs = BTreeMap::from([("seed".to_owned(), scalar(seed)), ("step".to_owned(), scalar(step))]);
            let evaluation = evaluate(&graph, &inputs, 1, Precision::Declared).expect("it evaluates");
            let found = &evaluation.outputs().next().expect("one output").1.data;
            let state = PhiloxState { seed, stream: step << 32 | call as u64, position: 0 };
            let mut expected = philox::Philox4x32::from_state(state);
            assert!(found.len() == width && found.iter().all(|&word| word == f64::from(expected.next_u32() >> 1)));
        }
    }
    // Random123's known answer for a key and a counter of zeros.
    let graph = random_graph(&[Dim::fixed(4)], 0);
    let zero = || Value::new(DType::I64, vec![], vec![0.0]).expect("one element");
    let inputs = BTreeMap::from([("seed".to_owned(), zero()), ("step".to_owned(), zero())]);
    let evaluation = evaluate(&graph, &inputs, 1, Precision::Declared).expect("it evaluates");
    let known = [0x6627_e8d5_u32, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8].map(|word| f64::from(word >> 1));
    assert_eq!(evaluation.outputs().next().expect("one output").1.data, known);
}

fn random_graph(shape: &[Dim], call: usize) -> Graph {
    let mut graph = Graph::new("words");
    let mut input = |name: &str| {
        let input =
            Input { role: Role::Buffer, dtype: DType::I64, shape: Type::scalar(DType::I64).shape.0, init: Init::Zeros };
        graph.add(input, &[], name, &Place::NONE).expect("an input")
    };
    let state = [input("seed"), input("step")];
    let words = graph.add(Random { call, bits: 31, shape: shape.to_vec() }, &state, "words", &Place::NONE);
    graph.add_output("words", words.expect("a sound op"));
    graph
}

/// In lanes that start at a multiple of four, in lanes that do not, in single elements, and with whole channels.
#[test]
fn compiled_masks_are_the_interpreters_to_the_bit() {
    type Draw = fn(Tensor) -> Tensor;
    let cases: [(usize, Draw); 6] = [
        (16, |x| x.dropout(0.4, true)),
        (13, |x| x.dropout(0.4, true)),
        (3, |x| x.dropout(0.4, true)),
        (13, |x| x.dropout(0.5, true).sum(&[1], true) * x.dropout(0.5, true)),
        (24, |x| x.reshape([-1, 4, 6]).dropout2d(0.4, true)),
        (30, |x| x * x.rand_like() * x.reshape([-1, 5, 6]).permute(&[0, 2, 1]).rand_like().reshape([-1, 30])),
    ];
    for (case, (width, draw)) in cases.into_iter().enumerate() {
        let training = drawing(width, draw);
        let graph = training.trace().expect("the shapes fit").predict.expect("there is a prediction");
        let program = compile(&training);
        for batch in [64, 7, 1] {
            let value = |shape: Vec<usize>, dtype, data| Value::new(dtype, shape, data).expect("it fits");
            let inputs = BTreeMap::from([
                ("x".to_owned(), value(vec![batch, width], DType::F32, vec![1.0; batch * width])),
                ("random.seed".to_owned(), value(vec![], DType::I64, vec![SEED as f64])),
                ("random.step".to_owned(), value(vec![], DType::I64, vec![0.0])),
            ]);
            let evaluation = evaluate(&graph, &inputs, batch, Precision::Declared).expect("it evaluates");
            let expected = &evaluation.outputs().next().expect("one output").1.data;
            for threads in [1, 2, 3] {
                let found = predicted(&program, SEED, threads, batch, width);
                assert!(found == *expected, "case {case}, batch {batch}, {threads} threads");
            }
        }
    }
}

#[test]
fn a_short_batch_has_the_first_rows_of_a_full_one() {
    let program = compile(&drawing(11, |x| x.dropout(0.5, true)));
    let full = predicted(&program, SEED, 2, 64, 11);
    for batch in [1, 7, 33] {
        assert_eq!(predicted(&program, SEED, 2, batch, 11), full[..batch * 11]);
    }
}

#[test]
fn seeds_and_calls_differ() {
    let program = compile(&drawing(50, |x| x.dropout(0.5, true)));
    let with = |seed| predicted(&program, seed, 2, 64, 50);
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    assert_ne!(with(1), with(1 | 1 << 40));
    // Where both keep, the product is 4: a quarter, as of independent masks.
    let program = compile(&drawing(50, |x| x.dropout(0.5, true) * x.dropout(0.5, true)));
    let both = predicted(&program, 1, 2, 64, 50).into_iter().filter(|&x| x == 4.0).count();
    assert!((700..900).contains(&both), "{both} of 3200");
}

/// A weight `[64]` under dropout, whose update shows the mask of the gradient.
#[derive(Debug)]
struct Dropped {
    weight: Parameter,
    dropout: Dropout,
}

impl Module for Dropped {
    fn visit(&self, visitor: &mut dyn kiln::Visitor) {
        use kiln::Member;
        self.weight.visit_as("weight", visitor);
        self.dropout.visit_as("dropout", visitor);
    }
}

fn training() -> Training<Dropped> {
    let model =
        Dropped { weight: Parameter::new([64], Init::Normal { mean: 1.0, std: 0.1 }), dropout: Dropout::default() };
    Training::new("dropped", model)
        .loss(|model, _| {
            let kept = model.dropout.forward(model.weight.tensor());
            (kept.exp() * kept).sum(&[0], false)
        })
        .predict(|model, _| model.dropout.forward(model.weight.tensor()))
        .optimizer(Sgd::new(0.01))
}

fn step(trainer: &mut Trainer) -> (f64, Vec<bool>) {
    let before = elements(trainer, "weight");
    let loss = f64::from(trainer.train_step(&[]).expect("there is no input"));
    let after = elements(trainer, "weight");
    let mask: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
    let kept = before.iter().zip(&mask).map(|(w, kept)| if *kept { 2.0 * w } else { 0.0 });
    let expected: f64 = kept.map(|x| x.exp() * x).sum();
    assert!((loss - expected).abs() < 1e-4 * expected, "the gradient's mask gives {expected}, the loss is {loss}");
    (loss, mask)
}

#[test]
fn the_gradient_goes_through_the_mask_of_the_forward_pass() {
    let program = compile(&training());
    let mut one = trainer(&program, SEED, 1);
    let masks: Vec<Vec<bool>> = (0..5).map(|_| step(&mut one).1).collect();
    assert!(masks.iter().all(|mask| (16..48).contains(&mask.iter().filter(|kept| **kept).count())));
    assert!((0..4).all(|at| masks[at] != masks[at + 1]), "two steps have the same mask");
    // Evaluation is the identity and leaves the numbers to come alone.
    let mut other = trainer(&program, SEED, 2);
    for mask in &masks {
        other.run("predict", &[]).expect("there is no input");
        assert_eq!(elements(&other, "prediction"), elements(&other, "weight"));
        other.eval_loss(&[]).expect("there is no input");
        assert_eq!(step(&mut other).1, *mask);
    }
}

#[test]
fn a_resumed_run_goes_on_with_the_same_numbers() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let path = folder.path().join("dropped.safetensors");
    let program = compile(&training());
    let mut whole = trainer(&program, SEED, 2);
    (0..3).for_each(|_| drop(step(&mut whole)));
    whole.save(&path, &BTreeMap::new()).expect("the folder is writable");
    let rest: Vec<_> = (0..3).map(|_| step(&mut whole)).collect();
    // The seed comes from the checkpoint too.
    let mut resumed = trainer(&program, SEED + 1, 1);
    resumed.load(&path, &kiln::runtime::checkpoint::Load::default()).expect("the checkpoint fits");
    assert_eq!((0..3).map(|_| step(&mut resumed)).collect::<Vec<_>>(), rest);
    assert_eq!(state(&resumed), state(&whole));
}

#[test]
fn only_programs_with_random_numbers_have_their_state() {
    let has_state = |traced: kiln::Traced| {
        let graphs = [traced.train, traced.eval, traced.predict].map(|graph| graph.expect("every entry is there"));
        graphs.map(|graph| graph.find("random.seed").is_some() || graph.find("random.step").is_some())
    };
    assert_eq!(has_state(training().trace().expect("it is sound")), [true, false, false]);
    let mut model = training();
    model = model.loss(|model, _| model.weight.tensor().sum(&[0], false));
    assert_eq!(has_state(model.trace().expect("it is sound")), [false; 3]);
}

/// The mask costs no memory between the passes.
#[test]
fn the_backward_pass_computes_the_mask_again() {
    let training = Training::new("block", Linear::new(64, 64))
        .max_batch(32)
        .input("x", DType::F32, [BATCH, Dim::fixed(64)])
        .loss(|model, batch| model.forward(model.forward(batch["x"]).gelu().dropout(0.1, true)).square().mean_all())
        .optimizer(Sgd::new(0.1));
    let program = kiln::Compiler::new().compile(&training).expect("it is sound").program;
    let stored = |buffer: &&kiln_ir::program::Buffer| {
        matches!(buffer.ty.dtype, DType::Bool | DType::I32) && buffer.ty.rank() > 0
    };
    let stored: Vec<&str> = program.buffers.iter().filter(stored).map(|buffer| buffer.name.as_str()).collect();
    assert!(stored.is_empty(), "{stored:?}");
}

#[test]
fn mistakes_are_at_their_line() {
    let code = |draw: fn(Tensor) -> Tensor| {
        let found = drawing(4, draw).trace().expect_err("a mistake");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].place.file.ends_with("random.rs"), "{}", found[0].place);
        found[0].code
    };
    assert_eq!(code(|x| x.dropout(1.5, true)), kiln::Code::BadArgument);
    assert_eq!(code(|x| x.dropout(-0.1, false)), kiln::Code::BadArgument);
    assert_eq!(code(|x| x.alpha_dropout(f64::NAN, true)), kiln::Code::BadArgument);
    assert_eq!(code(|x| x.to(DType::I64).dropout(0.5, true)), kiln::Code::DTypeMismatch);
    assert_eq!(code(|x| x.reshape([-1, 1, 2, 2]).dropout1d(0.5, true)), kiln::Code::RankMismatch);
    assert_eq!(code(|x| x.sum(&[1], false).dropout2d(0.5, true)), kiln::Code::RankMismatch);
    assert_eq!(code(|_| rand([3], DType::I32)), kiln::Code::DTypeMismatch);
    assert_eq!(code(|_| randn([3], DType::Bool)), kiln::Code::DTypeMismatch);
    assert_eq!(code(|_| randint(5, 5, [3])), kiln::Code::BadArgument);
    assert_eq!(code(|_| normal(0.0, -1.0, [3], DType::F32)), kiln::Code::BadArgument);
}

fn ones(shape: impl kiln::Sizes) -> Tensor {
    Tensor::full(1.0, DType::F32).expand(shape)
}
