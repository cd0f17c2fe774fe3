//! The character GPT of the benchmarks: 6 layers, 6 heads, width 384, context 256.

use kiln::GeluApproximation;
use kiln::prelude::*;
use kiln::zoo::{Gpt, GptConfig};

/// Cross-entropy over all positions, with AdamW.
pub fn gpt() -> Training<Gpt> {
    let (context, width) = (256, 384);
    let approximate = GeluApproximation::Tanh;
    let config = GptConfig { context, layers: 6, heads: 6, width, tied: false, approximate, ..GptConfig::default() };
    let mut model = Gpt::new(config);
    for block in &mut model.h {
        block.attn.c_attn = Linear::new(width, 3 * width);
    }
    let tokens = [BATCH, Dim::fixed(context)];
    Training::new("gpt", model)
        .max_batch(8)
        .input("x", DType::I64, tokens)
        .input("y", DType::I64, tokens)
        .loss(move |model, batch| {
            let logits = model.forward(batch["x"]).flatten(0, 1);
            cross_entropy(logits, batch["y"].flatten(0, 1))
        })
        .optimizer(AdamW::new(1e-3))
}
