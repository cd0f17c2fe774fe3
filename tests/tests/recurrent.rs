//! Recurrent layers against plain loops in f64: outputs, last states, and gradients by finite differences.

use std::collections::BTreeMap;

use kiln::layers::{GruRule, LstmRule, Nonlinearity, Recurrent, RecurrentCell, RnnRule, Rule};
use kiln::prelude::*;
use kiln::runtime::Trainer;
use kiln::runtime::philox::Philox4x32;
use kiln::{Compiler, named_parameters};

const BATCH_SIZE: usize = 2;
const TIME: usize = 3;
const INPUT: usize = 3;
const HIDDEN: usize = 4;

/// The parameters by name, row-major.
type Weights = BTreeMap<String, Vec<f64>>;

/// From the input's and the state's part of each gate, and the state, to the new state.
type Step = fn(&[f64], &[f64], &[Vec<f64>]) -> Vec<Vec<f64>>;

/// A layer as the loops below see it.
#[derive(Clone, Copy)]
struct Spec {
    /// The new states from the gates of the input, those of the hidden state, and the states.
    step: Step,
    states: usize,
    layers: usize,
    directions: usize,
    projection: usize,
}

const RNN: Spec = Spec {
    step: |x, h, _| vec![x.iter().zip(h).map(|(x, h)| (x + h).tanh()).collect()],
    states: 1,
    layers: 1,
    directions: 1,
    projection: 0,
};

const LSTM: Spec = Spec { step: lstm, states: 2, ..RNN };

const GRU: Spec = Spec { step: gru, ..RNN };

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn lstm(x: &[f64], h: &[f64], states: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let gate = |which: usize, unit: usize| x[which * HIDDEN + unit] + h[which * HIDDEN + unit];
    let cell = |unit: usize| sigmoid(gate(1, unit)) * states[1][unit] + sigmoid(gate(0, unit)) * gate(2, unit).tanh();
    let c: Vec<f64> = (0..HIDDEN).map(cell).collect();
    vec![(0..HIDDEN).map(|unit| sigmoid(gate(3, unit)) * c[unit].tanh()).collect(), c]
}

fn gru(x: &[f64], h: &[f64], states: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let unit = |unit: usize| {
        let (r, z) = (sigmoid(x[unit] + h[unit]), sigmoid(x[HIDDEN + unit] + h[HIDDEN + unit]));
        let n = (x[2 * HIDDEN + unit] + r * h[2 * HIDDEN + unit]).tanh();
        (1.0 - z) * n + z * states[0][unit]
    };
    vec![(0..HIDDEN).map(unit).collect()]
}

/// `W·x + b`.
fn affine(weight: &[f64], bias: Option<&Vec<f64>>, x: &[f64]) -> Vec<f64> {
    let row = |(at, row): (usize, &[f64])| {
        row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias.map_or(0.0, |bias| bias[at])
    };
    weight.chunks(x.len()).enumerate().map(row).collect()
}

/// The outputs of one sample, `[time][features]`, and the last states by layer and direction.
fn reference(spec: Spec, weights: &Weights, mut sequence: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<Vec<Vec<f64>>>) {
    let mut last = Vec::new();
    for layer in 0..spec.layers {
        let mut outputs = vec![Vec::new(); TIME];
        for direction in 0..spec.directions {
            let suffix = format!("_l{layer}{}", if direction == 1 { "_reverse" } else { "" });
            let named = |name: &str| weights.get(&format!("{name}{suffix}"));
            let mut states = vec![vec![0.0; HIDDEN]; spec.states];
            if spec.projection > 0 {
                states[0] = vec![0.0; spec.projection];
            }
            for step in 0..TIME {
                let at = if direction == 1 { TIME - 1 - step } else { step };
                let x = affine(&weights[&format!("weight_ih{suffix}")], named("bias_ih"), &sequence[at]);
                let h = affine(&weights[&format!("weight_hh{suffix}")], named("bias_hh"), &states[0]);
                states = (spec.step)(&x, &h, &states);
                if let Some(projection) = named("weight_hr") {
                    states[0] = affine(projection, None, &states[0]);
                }
                outputs[at].extend(&states[0]);
            }
            last.push(states);
        }
        sequence = outputs;
    }
    (sequence, last)
}

/// What the test differentiates: no two elements count alike.
fn weight_of(position: usize) -> f64 {
    1.0 - 0.07 * position as f64
}

fn reference_loss(spec: Spec, weights: &Weights, x: &[f64]) -> f64 {
    let mut loss = 0.0;
    for sample in 0..BATCH_SIZE {
        let frame = |time: usize| x[(sample * TIME + time) * INPUT..][..INPUT].to_vec();
        let (outputs, last) = reference(spec, weights, (0..TIME).map(frame).collect());
        loss += outputs.iter().flatten().enumerate().map(|(at, output)| weight_of(at) * output).sum::<f64>();
        let last = last.iter().flat_map(|states| states.iter().enumerate());
        loss += last.map(|(which, state)| 0.3 * (which + 1) as f64 * state.iter().sum::<f64>()).sum::<f64>();
    }
    loss
}

/// The same in a model; `output` has the batch in front.
fn loss<const N: usize>(output: Tensor, last: [Vec<Tensor>; N]) -> Tensor {
    let flat = output.flatten(1, -1);
    let count = flat.size(1).factor;
    let weights: Vec<Tensor> = (0..count).map(|at| Tensor::full(weight_of(at), DType::F32)).collect();
    let mut loss = (flat * stack(&weights, 0)).sum_all();
    for (which, states) in last.iter().enumerate() {
        for state in states {
            loss = loss + state.sum_all() * (0.3 * (which + 1) as f64);
        }
    }
    loss
}

fn trainer<M: Module>(training: &Training<M>) -> Trainer {
    Compiler::new().jit(training).unwrap_or_else(|error| panic!("{}", error.render()))
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Philox4x32::new(seed, 0);
    (0..count).map(|_| 0.5 * random.normal_f32()).collect()
}

/// Compares loss and gradients of a layer that takes the batch first.
fn check<R: Rule<N>, const N: usize>(name: &str, spec: Spec, layer: Recurrent<R, N>) {
    let names: Vec<String> = named_parameters(&layer).into_iter().map(|(name, _)| name).collect();
    let training = Training::new("recurrent", layer.batch_first(true))
        .max_batch(BATCH_SIZE)
        .input("x", DType::F32, [BATCH, Dim::fixed(TIME), Dim::fixed(INPUT)])
        .loss(|layer, batch| {
            let (output, last) = layer.forward(batch["x"]);
            loss(output, last)
        });
    let mut trainer = trainer(&training);
    let mut weights = Weights::new();
    for (at, name) in names.iter().enumerate() {
        let mut slot = trainer.slot_mut(name).expect("it is a parameter");
        let elements = slot.elements_mut::<f32>().expect("parameters are f32");
        elements.copy_from_slice(&random(elements.len(), at as u64 + 1));
        weights.insert(name.clone(), elements.iter().map(|&x| f64::from(x)).collect());
    }
    let x = random(BATCH_SIZE * TIME * INPUT, 99);
    let found = f64::from(trainer.train_step(&[(&x).into()]).expect("the input fits"));
    let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let wanted = reference_loss(spec, &weights, &x);
    assert!((found - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{name}: loss {found}, not {wanted}");
    for parameter in &names {
        let slot = trainer.slot(&format!("d_{parameter}")).expect("without an optimiser gradients are outputs");
        let gradient = slot.elements::<f32>().expect("gradients are f32").to_vec();
        for (at, &found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                weights.get_mut(parameter).expect("it is there")[at] += by;
                reference_loss(spec, &weights, &x)
            };
            let wanted = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let close = (f64::from(found) - wanted).abs() < 1e-5 * (1.0 + wanted.abs());
            assert!(close, "{name}: gradient {at} of {parameter} is {found}, not {wanted}");
        }
    }
}

#[test]
fn layers_agree_with_plain_loops() {
    check("rnn", RNN, Rnn::new(INPUT, HIDDEN));
    let rectified = Spec { step: |x, h, _| vec![x.iter().zip(h).map(|(x, h)| (x + h).max(0.0)).collect()], ..RNN };
    check("rnn with relu", rectified, Rnn::new(INPUT, HIDDEN).nonlinearity(Nonlinearity::Relu));
    check("lstm", LSTM, Lstm::new(INPUT, HIDDEN));
    check("lstm without biases", LSTM, Lstm::new(INPUT, HIDDEN).bias(false));
    check("gru", GRU, Gru::new(INPUT, HIDDEN));
}

#[test]
fn stacks_in_both_directions_agree_with_plain_loops() {
    let deep = |spec| Spec { layers: 2, directions: 2, ..spec };
    check("rnn", deep(RNN), Rnn::new(INPUT, HIDDEN).num_layers(2).bidirectional(true));
    check("gru", deep(GRU), Gru::new(INPUT, HIDDEN).num_layers(2).bidirectional(true));
    let projected = Spec { projection: 2, ..deep(LSTM) };
    check("lstm", projected, Lstm::new(INPUT, HIDDEN).num_layers(2).bidirectional(true).proj_size(2));
}

#[test]
fn parameters_have_the_names_of_pytorch() {
    let layer = Lstm::new(INPUT, HIDDEN).num_layers(2).bidirectional(true).proj_size(2);
    let found: Vec<(String, Vec<usize>)> =
        named_parameters(&layer).into_iter().map(|(name, parameter)| (name, parameter.shape().to_vec())).collect();
    let mut wanted = Vec::new();
    for (layer, features) in [(0, INPUT), (1, 4)] {
        for direction in ["", "_reverse"] {
            wanted.push((format!("weight_ih_l{layer}{direction}"), vec![4 * HIDDEN, features]));
            wanted.push((format!("weight_hh_l{layer}{direction}"), vec![4 * HIDDEN, 2]));
            wanted.push((format!("bias_ih_l{layer}{direction}"), vec![4 * HIDDEN]));
            wanted.push((format!("bias_hh_l{layer}{direction}"), vec![4 * HIDDEN]));
            wanted.push((format!("weight_hr_l{layer}{direction}"), vec![2, HIDDEN]));
        }
    }
    assert_eq!(found, wanted);
    let names = |cell: GruCell| -> Vec<String> { named_parameters(&cell).into_iter().map(|(name, _)| name).collect() };
    assert_eq!(names(GruCell::new(2, 3)), ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]);
    assert_eq!(names(GruCell::new(2, 3).bias(false)), ["weight_ih", "weight_hh"]);
}

/// A layer and a cell of the same size.
struct Pair<R: Rule<N>, const N: usize> {
    layer: Recurrent<R, N>,
    cell: RecurrentCell<R, N>,
}

impl<R: Rule<N>, const N: usize> Module for Pair<R, N> {
    fn visit(&self, visitor: &mut dyn kiln::Visitor) {
        visitor.child("layer", &self.layer);
        visitor.child("cell", &self.cell);
    }
}

/// The difference of a layer, its time in front, and a loop over its cell; both go on from the states that one step leaves.
fn difference<R: Rule<N>, const N: usize>() -> f32 {
    let pair = Pair::<R, N> { layer: Recurrent::new(INPUT, HIDDEN), cell: RecurrentCell::new(INPUT, HIDDEN) };
    let training =
        Training::new("cells", pair).input("x", DType::F32, [TIME, BATCH_SIZE, INPUT]).predict(|pair, batch| {
            let x = batch["x"];
            let frame = |time: i64| x.narrow(0, time, 1).squeeze(0);
            let mut states = pair.cell.forward(frame(0));
            let (output, last) = pair.layer.forward((x, states.map(|state| vec![state])));
            for time in 0..TIME as i64 {
                states = pair.cell.forward((frame(time), states));
            }
            let mut difference = (output.narrow(0, TIME as i64 - 1, 1).squeeze(0) - states[0]).abs().amax(&[], false);
            for (list, state) in last.iter().zip(states) {
                difference = difference.maximum((list[0] - state).abs().amax(&[], false));
            }
            difference
        });
    let mut trainer = trainer(&training);
    for (name, cell) in
        [("weight_ih", "weight_ih"), ("weight_hh", "weight_hh"), ("bias_ih", "bias_ih"), ("bias_hh", "bias_hh")]
    {
        let bytes = trainer.slot(&format!("cell.{cell}")).expect("it is a parameter").bytes().to_vec();
        trainer.slot_mut(&format!("layer.{name}_l0")).expect("so is this").bytes_mut().copy_from_slice(&bytes);
    }
    let x = random(TIME * BATCH_SIZE * INPUT, 5);
    trainer.predict(&[(&x).into()]).expect("the input fits")[0]
}

#[test]
fn cells_in_a_loop_are_a_layer() {
    assert!(difference::<RnnRule, 1>() < 1e-6);
    assert!(difference::<LstmRule, 2>() < 1e-6);
    assert!(difference::<GruRule, 1>() < 1e-6);
}

#[test]
fn mistakes_name_the_layer() {
    let message = |layer: Lstm, shape: &[Dim]| {
        let training = Training::new("mistake", layer)
            .max_batch(4)
            .input("x", DType::F32, shape)
            .predict(|layer, batch| layer.forward(batch["x"]).0);
        let mistakes = training.trace().expect_err("the input does not fit");
        format!("{} {}", mistakes[0].code, mistakes[0].message)
    };
    let (three, five) = (Dim::fixed(3), Dim::fixed(5));
    let layer = || Lstm::new(INPUT, HIDDEN);
    assert_eq!(message(layer(), &[three, three]), "K0102 lstm needs an input [time, batch, features]: found [3,3]");
    assert_eq!(message(layer(), &[three, three, five]), "K0101 lstm needs 3 features: input [3,3,5] has 5");
    let found = message(layer(), &[BATCH, three, three]);
    assert_eq!(found, "K0109 lstm needs a constant time, [time, batch, features]: found [B,3,3]");
}
