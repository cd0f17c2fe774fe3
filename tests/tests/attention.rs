//! Attention as one kernel: no scores are stored where a strip of them fits, forward and backward, and the results are those of a kernel a value.

use kiln::functional::{Attention, ones};
use kiln::prelude::*;
use kiln::runtime::{Input, Pool, Trainer};
use kiln::{Compiled, Compiler};
use kiln_ir::Init;
use kiln_ir::kernel::Access;
use kiln_tests::support::state;

/// What differs between the calls.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    heads: usize,
    queries: usize,
    keys: usize,
    features: usize,
    causal: bool,
    masked: bool,
    biased: bool,
}

/// Attention of learnt queries, keys and values of each sample.
#[model]
struct Heads {
    query: Linear,
    key: Linear,
    value: Linear,
    bias: Parameter,
    #[model(skip)]
    call: Call,
}

#[model]
impl Heads {
    fn new(call: Call) -> Heads {
        let Call { heads, queries, keys, features, .. } = call;
        let linear = || Linear::new(features, heads * features);
        let bias = Parameter::new([queries, keys], Init::Normal { mean: 0.0, std: 1.0 });
        Heads { query: linear(), key: linear(), value: linear(), bias, call }
    }

    fn forward(&self, x: Tensor, y: Tensor) -> Tensor {
        let Call { heads, queries, keys, features, causal, masked, biased } = self.call;
        let split = |x: Tensor, rows: usize| {
            x.reshape([BATCH, Dim::fixed(rows), Dim::fixed(heads), Dim::fixed(features)]).transpose(1, 2)
        };
        let (q, k, v) = (split(self.query(x), queries), split(self.key(y), keys), split(self.value(y), keys));
        let mask = match (masked, biased) {
            (true, _) => Some(ones([queries, keys], DType::Bool).tril(1)),
            (_, true) => Some(self.bias.tensor()),
            _ => None,
        };
        q.scaled_dot_product_attention(k, v, Attention { is_causal: causal, mask, ..Attention::default() })
    }
}

fn training(call: Call) -> Training<Heads> {
    let tokens = |rows: usize| [BATCH, Dim::fixed(rows), Dim::fixed(call.features)];
    Training::new("heads", Heads::new(call))
        .max_batch(3)
        .input("x", DType::F32, tokens(call.queries))
        .input("y", DType::F32, tokens(call.keys))
        .loss(|model, batch| model.forward(batch["x"], batch["y"]).square().mean(&[], false))
        .optimizer(Sgd::new(1.0))
}

/// Losses and weights of a few steps, the last with fewer samples.
fn trained(compiled: Compiled, threads: usize, call: Call) -> (Vec<f32>, Vec<(String, Vec<u8>)>) {
    let session = compiled.session(&Compiler::new().seed(3), Pool::new(threads).expect("the system starts threads"));
    let mut trainer = Trainer::from_session(session.expect("the compiler makes sound programs"));
    let noise = |count: usize, by: f32| -> Vec<f32> { (0..count).map(|n| (n as f32 * by).sin()).collect() };
    let mut losses = Vec::new();
    for batch in [3, 2] {
        let x = noise(batch * call.queries * call.features, 0.7);
        let y = noise(batch * call.keys * call.features, 1.3);
        let inputs: [Input<'_>; 2] = [(&x).into(), (&y).into()];
        losses.push(trainer.train_step(&inputs).expect("the inputs fit"));
    }
    (losses, state(&trainer))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

#[test]
fn strips_train_as_stored_scores_do() {
    let call = Call { heads: 2, queries: 33, keys: 33, features: 8, ..Call::default() };
    let calls = [
        Call { causal: true, ..call },
        Call { masked: true, ..call },
        Call { biased: true, ..call },
        Call { heads: 1, queries: 7, keys: 7, features: 3, causal: true, ..call },
        Call { queries: 19, keys: 40, ..call },
        Call { heads: 6, queries: 257, keys: 257, causal: true, ..call },
    ];
    for call in calls {
        let compiled = Compiler::new().compile(&training(call)).expect("the model is sound");
        let joined = |kernel: &&kiln_ir::Kernel| kernel.tensors.iter().any(|tensor| tensor.access == Access::Scratch);
        let strips = compiled.program.kernels.iter().filter(joined).count();
        assert!(strips >= 2, "{call:?}: forward and backward are kernels with stages:\n{}", compiled.program);
        let alone = Compiler::new().detect_anomaly(true).compile(&training(call)).expect("the model is sound");
        let (expected, weights) = trained(alone, 1, call);
        let (found, state) = trained(compiled.clone(), 2, call);
        for (expected, found) in expected.iter().zip(&found) {
            assert!((expected - found).abs() <= 1e-5 * expected.abs(), "{call:?}: {found}, not {expected}");
        }
        for ((name, expected), (_, found)) in weights.iter().zip(&state) {
            for (expected, found) in floats(expected).into_iter().zip(floats(found)) {
                assert!((expected - found).abs() <= 1e-5 * (1.0 + expected.abs()), "{call:?}: `{name}`");
            }
        }
        assert!(trained(compiled, 1, call).1 == state, "{call:?}: one thread computes what two do");
    }
}
