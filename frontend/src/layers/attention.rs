//! `nn.MultiheadAttention`.

use kiln_ir::{Code, Diagnostic, Dim, Init};

use super::{Linear, optional};
use crate::attention::Attention;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor, init};

/// Attention of several heads with projections of query, key and value (Vaswani et al., 2017). Batch first: `[batch, tokens, embed_dim]`.
///
/// Parameters: `in_proj_weight` `[3·embed_dim, embed_dim]`, Xavier uniform; `in_proj_bias`, zeros; `out_proj.weight`, as [`Linear`]'s, and
/// `out_proj.bias`, zeros.
///
/// PyTorch's default is `batch_first=False`; here the batch is always in front, and the weights, which PyTorch averages over the heads and gives beside the
/// result, are not computed.
#[derive(Debug, Clone)]
pub struct MultiheadAttention {
    /// `[3·embed_dim, embed_dim]`: of query, key and value.
    pub in_proj_weight: Parameter,
    /// `[3·embed_dim]`.
    pub in_proj_bias: Option<Parameter>,
    /// After the heads are joined.
    pub out_proj: Linear,
    heads: usize,
    options: MultiheadOptions,
}

/// Who sees whom, in one call of a [`MultiheadAttention`].
#[derive(Clone, Copy, Debug, Default)]
pub struct MultiheadMask {
    /// Which keys a query may *not* see (`bool`), or what is added to their scores: `[queries, keys]`, or what broadcasts to `[batch, heads, queries, keys]`.
    pub attn_mask: Option<Tensor>,
    /// Which keys of a sample are padding, that no query may see: `bool` `[batch, keys]`.
    pub key_padding_mask: Option<Tensor>,
    /// Whether query `i` sees the keys `0..=i` only.
    pub is_causal: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct MultiheadOptions {
    dropout: f64,
}

impl MultiheadAttention {
    /// With biases and without dropout.
    #[track_caller]
    pub fn new(embed_dim: usize, num_heads: usize) -> MultiheadAttention {
        let in_proj_weight = Parameter::new([3 * embed_dim, embed_dim], Init::Zeros);
        init::xavier_uniform(&in_proj_weight, 1.0);
        let out_proj = Linear::new(embed_dim, embed_dim);
        if let Some(bias) = &out_proj.bias {
            init::zeros(bias);
        }
        let in_proj_bias = Some(Parameter::new([3 * embed_dim], Init::Zeros));
        MultiheadAttention {
            in_proj_weight,
            in_proj_bias,
            out_proj,
            heads: num_heads,
            options: MultiheadOptions::default(),
        }
    }

    /// With or without biases.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> MultiheadAttention {
        if !bias {
            self.in_proj_bias = None;
            self.out_proj = self.out_proj.bias(false);
        }
        self
    }

    /// Drops weights with this probability while training.
    #[must_use]
    pub fn dropout(mut self, p: f64) -> MultiheadAttention {
        self.options.dropout = p;
        self
    }

    /// `[batch, tokens, embed]` → `[batch, heads, tokens, embed/heads]`.
    #[track_caller]
    fn split(&self, x: Tensor) -> Tensor {
        let extents = x.shape().0;
        let [batch, tokens, embed] = extents.as_slice() else { return x };
        let features = Dim::fixed(embed.factor / self.heads.max(1));
        x.reshape([*batch, *tokens, Dim::fixed(self.heads), features]).transpose(1, 2)
    }

    fn fault(&self, inputs: [Tensor; 3]) -> Option<Diagnostic> {
        let embed = self.in_proj_weight.shape()[1];
        if self.heads == 0 || !embed.is_multiple_of(self.heads) {
            let message =
                format!("embed_dim must be divisible by num_heads: {embed} features and {} heads", self.heads);
            return Some(Diagnostic::new(Code::BadArgument, message));
        }
        let wrong = |x: &&Tensor| x.value().is_some() && (x.rank() != 3 || x.shape().0[2] != Dim::fixed(embed));
        let found = inputs.iter().find(wrong)?.ty();
        let message = format!("multihead attention needs [batch, tokens, {embed}]: found {found}");
        Some(Diagnostic::new(Code::ShapeMismatch, message))
    }
}

impl Module for MultiheadAttention {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.in_proj_weight.visit_as("in_proj_weight", visitor);
        self.in_proj_bias.visit_as("in_proj_bias", visitor);
        visitor.child("out_proj", &self.out_proj);
    }
}

impl Forward<(Tensor, Tensor, Tensor, MultiheadMask)> for MultiheadAttention {
    type Output = Tensor;

    /// Query, key and value, `[batch, .., embed_dim]` each.
    #[track_caller]
    fn forward(&self, (query, key, value, mask): (Tensor, Tensor, Tensor, MultiheadMask)) -> Tensor {
        let _scope = Scope::enter(self);
        if let Some(fault) = self.fault([query, key, value]) {
            return Tensor::mistake(fault);
        }
        let embed = self.in_proj_weight.shape()[1];
        let weight = self.in_proj_weight.tensor();
        let bias = optional(self.in_proj_bias.as_ref());
        let inputs = [query, key, value];
        let mut projected = inputs;
        for (part, x) in projected.iter_mut().enumerate() {
            let start = (part * embed) as i64;
            let mut own = None;
            if let Some(bias) = bias {
                own = Some(bias.narrow(0, start, embed));
            }
            *x = self.split(inputs[part].linear(weight.narrow(0, start, embed), own));
        }
        let [query, key, value] = projected;
        let mut seen = mask.attn_mask;
        if let (Some(mask), true) =
            (mask.attn_mask, mask.attn_mask.is_some_and(|mask| mask.dtype() == kiln_ir::DType::Bool))
        {
            seen = Some(mask.logical_not());
        }
        if let Some(padding) = mask.key_padding_mask {
            let keys = padding.logical_not().unsqueeze(1).unsqueeze(1); // [batch, 1, 1, keys]
            seen = Some(match seen {
                None => keys,
                Some(mask) if mask.dtype() == kiln_ir::DType::Bool => mask.logical_and(keys),
                Some(mask) => mask.masked_fill(keys.logical_not(), f64::NEG_INFINITY),
            });
        }
        let dropout_p = if Scope::is_training() { self.options.dropout } else { 0.0 };
        let options = Attention { mask: seen, dropout_p, is_causal: mask.is_causal, ..Attention::default() };
        let heads = query.scaled_dot_product_attention(key, value, options); // [batch, heads, queries, features]
        let joined = heads.transpose(1, 2);
        let extents = joined.shape().0;
        let [batch, tokens, ..] = extents.as_slice() else { return joined };
        self.out_proj.forward(joined.reshape([*batch, *tokens, Dim::fixed(embed)]))
    }
}

impl Forward<Tensor> for MultiheadAttention {
    type Output = Tensor;

    /// Self-attention in which everyone sees everyone.
    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        self.forward((x, x, x, MultiheadMask::default()))
    }
}
