//! The memory budget: it is kept, it changes no bit, and where it cannot be kept the message says what is in the way.

use kiln::prelude::*;
use kiln::runtime::{Input, Pool, Trainer};
use kiln::zoo::{Gpt, GptConfig};
use kiln::{Code, Compiled, Compiler, Diagnostic, Error, models};
use kiln_tests::support::{images, state};

/// A deep network of layers that forget, normalise and curve.
#[model]
struct Deep {
    layers: Vec<Sequential<(Linear, Gelu, Dropout, LayerNorm)>>,
    head: Linear,
}

#[model]
impl Deep {
    fn new(depth: usize, width: usize) -> Deep {
        let curved = || (Linear::new(width, width), Gelu::default(), Dropout::new(0.2), LayerNorm::new([width]));
        let layer = |_| Sequential::new(curved());
        Deep { layers: (0..depth).map(layer).collect(), head: Linear::new(width, 10) }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        let mut x = x;
        for layer in &self.layers {
            x = layer.forward(x) + x;
        }
        self.head(x)
    }
}

fn deep() -> Training<Deep> {
    Training::new("deep", Deep::new(8, 16))
        .max_batch(64)
        .input("x", DType::F32, [BATCH, Dim::fixed(16)])
        .input("y", DType::I64, [BATCH])
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(AdamW::new(1e-3))
}

/// The norm of all gradients is a second output of the step, after its end.
fn attention() -> Training<Gpt> {
    let config = GptConfig { vocab: 17, context: 16, layers: 3, heads: 2, width: 16, ..GptConfig::default() };
    let tokens = [BATCH, Dim::fixed(16)];
    Training::new("attention", Gpt::new(config))
        .max_batch(16)
        .input("x", DType::I64, tokens)
        .input("y", DType::I64, tokens)
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]).flatten(0, 1), batch["y"].flatten(0, 1)))
        .clip_grad_norm(1.0)
        .optimizer(Sgd::new(0.1).momentum(0.9))
}

fn arena(compiled: &Compiled) -> usize {
    compiled.program.arena_bytes
}

/// Every byte of the weights and of the optimiser's state after two steps.
fn trained(compiled: Compiled, inputs: &[Input<'_>]) -> Vec<(String, Vec<u8>)> {
    let compiler = Compiler::new().seed(3);
    let session = compiled.session(&compiler, Pool::new(1).expect("the system starts threads"));
    let mut trainer = Trainer::from_session(session.expect("the compiler makes sound programs"));
    for _ in 0..2 {
        trainer.train_step(inputs).expect("the inputs fit");
    }
    state(&trainer)
}

fn told(error: Error) -> Diagnostic {
    match error {
        Error::Model(mut told) if told.len() == 1 => told.remove(0),
        other => panic!("one mistake is expected: {other}"),
    }
}

/// Asks for less and less, down to what cannot be had, and compares each program with the one that keeps everything.
fn agrees_at_every_budget<M: Module>(training: &Training<M>, inputs: &[Input<'_>], least_share: f64) {
    let free = Compiler::new().compile(training).expect("the model is sound");
    let (whole, mut last) = (arena(&free), arena(&free));
    let expected = trained(free, inputs);
    let told = loop {
        match Compiler::new().peak_memory(last - 1).compile(training) {
            Ok(compiled) => {
                assert!(arena(&compiled) < last);
                last = arena(&compiled);
                let found = trained(compiled, inputs);
                for (expected, found) in expected.iter().zip(&found) {
                    assert!(expected == found, "`{}` differs with an arena of {last} of {whole}", expected.0);
                }
            }
            Err(error) => break told(error),
        }
    };
    assert!(last as f64 <= least_share * whole as f64, "the least is {last} of {whole}");
    assert_eq!(told.code, Code::PeakMemory);
}

#[test]
fn a_deep_network_trains_alike_in_less_memory() {
    let x: Vec<f32> = images(64, 4, 1).0;
    let y: Vec<i64> = (0..64).map(|n| n % 10).collect();
    agrees_at_every_budget(&deep(), &[(&x).into(), (&y).into()], 0.7);
}

#[test]
fn attention_trains_alike_in_less_memory() {
    let tokens: Vec<i64> = (0..16 * 16).map(|n| n * n % 17).collect();
    agrees_at_every_budget(&attention(), &[(&tokens).into(), (&tokens).into()], 0.7);
}

#[test]
fn residual_blocks_train_alike_in_less_memory() {
    let (x, y) = images(32, 8, 1);
    agrees_at_every_budget(&models::digits::digits(), &[(&x).into(), (&y).into()], 0.9);
}

/// A model that promises what no program of it can keep.
#[model(peak_memory = "2 KiB")]
struct Small {
    layer: Linear,
}

#[model]
impl Small {
    fn forward(&self, x: Tensor) -> Tensor {
        self.layer(x).relu()
    }
}

/// A model that promises nothing that means anything.
#[model(peak_memory = "a lot")]
struct Vague {
    part: Small,
}

#[model]
impl Vague {
    fn forward(&self, x: Tensor) -> Tensor {
        self.part(x)
    }
}

fn small() -> Training<Small> {
    training(Small { layer: Linear::new(16, 16) }, |model, x| model.forward(x))
}

fn training<M: Module + 'static>(model: M, forward: fn(&M, Tensor) -> Tensor) -> Training<M> {
    Training::new("small", model)
        .max_batch(8)
        .input("x", DType::F32, [BATCH, Dim::fixed(16)])
        .loss(move |model, batch| forward(model, batch["x"]).square().mean_all())
        .optimizer(Sgd::new(0.1))
}

/// The line of this file that holds a text first.
fn line_of(text: &str) -> u32 {
    let at = include_str!("rematerialize.rs").lines().position(|line| line.contains(text));
    1 + at.expect("the text is there") as u32
}

#[test]
fn a_budget_that_cannot_be_kept_ends_the_build_at_its_line() {
    let told = told(Compiler::new().compile(&small()).expect_err("the budget is too small"));
    assert_eq!((told.code, told.place.line), (Code::PeakMemory, line_of("peak_memory = \"2 KiB\"")));
    assert!(told.place.file.ends_with("tests/rematerialize.rs"), "{told}");
    assert!(told.message.starts_with("`small` needs to fit in 2.0 KiB: the least that it can do with is "), "{told}");
    assert!(told.message.contains("\n  layer.weight: f32[16,16] parameter, 1.0 KiB"), "{told}");
    assert!(told.message.contains(" activation, 512 bytes, tests/tests/rematerialize.rs:"), "{told}");
    let place = format!("rematerialize.rs:{}", line_of("peak_memory = \"2 KiB\""));
    assert!(Error::Model(vec![told]).render().contains(&place), "the line is shown");
}

#[test]
fn the_smallest_budget_counts() {
    let arena_of = |training: &Training<Deep>| arena(&Compiler::new().compile(training).expect("the model is sound"));
    let free = arena_of(&deep());
    let budget = free * 7 / 10;
    assert!(arena_of(&deep().peak_memory(&budget.to_string())) <= budget);
    assert!(arena_of(&deep().peak_memory("1 TiB")) == free);
    let both = Compiler::new().peak_memory(free).compile(&deep().peak_memory(&budget.to_string()));
    assert!(arena(&both.expect("it fits")) <= budget);
    let told = told(Compiler::new().peak_memory(1000).compile(&deep().peak_memory("1 GB")).expect_err("it cannot fit"));
    assert_eq!((told.code, told.place.line), (Code::PeakMemory, line_of("Compiler::new().peak_memory(1000)")));
}

#[test]
fn what_is_no_amount_is_told_with_the_other_mistakes() {
    let vague = training(Vague { part: Small { layer: Linear::new(16, 16) } }, |model, x| model.forward(x));
    let told = vague.peak_memory("5 parsecs").trace().expect_err("neither is an amount");
    let told: Vec<String> = told.iter().map(|one| format!("{} {}", one.code, one.message)).collect();
    assert_eq!(
        told,
        [
            "K0105 an amount of memory needs a unit of B, KB, MB, GB, TB, KiB, MiB, GiB or TiB: found `5 parsecs`",
            "K0105 an amount of memory needs a number in front, such as 512 or 1.5: found `a lot`",
        ]
    );
}
