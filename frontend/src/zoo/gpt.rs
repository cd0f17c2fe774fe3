//! A GPT over characters: a decoder-only transformer with learned positions (Radford et al., 2019; the names are those of Karpathy's minGPT).

use kiln_macros::model;

use crate::activations::GeluApproximation;
use crate::attention::Attention;
use crate::layers::{Embedding, Gelu, LayerNorm, Linear};
use crate::{DType, Dim, Parameter, Sequential, Tensor, arange, init, ones};

/// Sizes and options.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GptConfig {
    /// Number of tokens.
    pub vocab: usize,
    /// The longest sequence.
    pub context: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Heads of attention; they divide the width.
    pub heads: usize,
    /// Features of a token.
    pub width: usize,
    /// Whether the head has the table of the token embedding as its weight (Press and Wolf, 2017).
    pub tied: bool,
    /// Whether attention is one call of [`Tensor::scaled_dot_product_attention`] rather than written out with a mask.
    pub fused: bool,
    /// The GELU of the blocks.
    pub approximate: GeluApproximation,
    /// Standard deviation of the embeddings at the start.
    pub embedding_std: f64,
}

impl Default for GptConfig {
    /// A model that learns Shakespeare's characters in minutes on a CPU.
    fn default() -> GptConfig {
        GptConfig {
            vocab: 65,
            context: 64,
            layers: 4,
            heads: 4,
            width: 128,
            tied: true,
            fused: true,
            approximate: GeluApproximation::None,
            embedding_std: 0.02,
        }
    }
}

/// Tokens `[batch, time]` → logits `[batch, time, vocab]`.
#[model(crate = crate)]
pub struct Gpt {
    /// Of tokens.
    pub wte: Embedding,
    /// Of positions.
    pub wpe: Embedding,
    /// Blocks.
    pub h: Vec<GptBlock>,
    /// The last normalisation.
    pub ln_f: LayerNorm,
    /// To logits.
    pub lm_head: Linear,
}

/// Attention and a two-layer network, each behind a normalisation and beside the identity.
#[model(crate = crate)]
pub struct GptBlock {
    /// Before attention.
    pub ln_1: LayerNorm,
    /// Attention.
    pub attn: GptAttention,
    /// Before the network.
    pub ln_2: LayerNorm,
    /// `width` → `4·width` → `width`.
    pub mlp: Sequential<(Linear, Gelu, Linear)>,
}

/// Causal self-attention.
#[model(crate = crate)]
pub struct GptAttention {
    /// Queries, keys and values in one product.
    pub c_attn: Linear,
    /// After the heads are joined.
    pub c_proj: Linear,
    heads: usize,
    fused: bool,
}

#[model(crate = crate)]
impl Gpt {
    /// With random weights.
    #[track_caller]
    pub fn new(config: GptConfig) -> Gpt {
        let GptConfig { vocab, context, layers, width, .. } = config;
        let wte = Embedding::new(vocab, width);
        let wpe = Embedding::new(context, width);
        init::normal(&wte.weight, 0.0, config.embedding_std);
        init::normal(&wpe.weight, 0.0, config.embedding_std);
        let mut lm_head = Linear::new(width, vocab).bias(false);
        if config.tied {
            lm_head.weight = Parameter::clone(&wte.weight);
        }
        let h = (0..layers).map(|_| GptBlock::new(&config)).collect();
        Gpt { wte, wpe, h, ln_f: LayerNorm::new([width]), lm_head }
    }

    /// The logits of the token after each.
    pub fn forward(&self, tokens: Tensor) -> Tensor {
        let time = tokens.shape().0.get(1).map_or(1, |dim| dim.factor);
        let positions = arange(0, time as i64, 1);
        let mut x = self.wte(tokens) + self.wpe(positions);
        for block in &self.h {
            x = block.forward(x);
        }
        self.lm_head(self.ln_f(x))
    }
}

#[model(crate = crate)]
impl GptBlock {
    fn new(config: &GptConfig) -> GptBlock {
        let width = config.width;
        GptBlock {
            ln_1: LayerNorm::new([width]),
            attn: GptAttention {
                c_attn: Linear::new(width, 3 * width).bias(false),
                c_proj: Linear::new(width, width),
                heads: config.heads,
                fused: config.fused,
            },
            ln_2: LayerNorm::new([width]),
            mlp: Sequential::new((
                Linear::new(width, 4 * width),
                Gelu { approximate: config.approximate },
                Linear::new(4 * width, width),
            )),
        }
    }

    /// `[batch, time, width]` → the same.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let x = x + self.attn(self.ln_1(x));
        x + self.mlp(self.ln_2(x))
    }
}

#[model(crate = crate)]
impl GptAttention {
    /// `[batch, time, width]` → the same.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let extents = x.shape().0;
        let [_, time, width] = extents.as_slice() else { return self.c_attn(x) };
        let heads = [extents[0], *time, Dim::fixed(self.heads), Dim::fixed(width.factor / self.heads.max(1))];
        let parts = self.c_attn(x).chunk(3, 2);
        let [q, k, v] = [0, 1, 2].map(|part| parts[part].reshape(heads).transpose(1, 2)); // [batch, heads, time, features]
        let y = if self.fused {
            q.scaled_dot_product_attention(k, v, Attention { is_causal: true, ..Attention::default() })
        } else {
            let features = (width.factor / self.heads.max(1)) as f64;
            let scores = q.matmul(k.transpose(-2, -1)) / features.sqrt();
            let future = ones([*time, *time], DType::Bool).triu(1);
            scores.masked_fill(future, f64::NEG_INFINITY).softmax(-1).matmul(v)
        };
        self.c_proj(y.transpose(1, 2).reshape(extents.as_slice()))
    }
}
