//! Attention.

use kiln_ir::{Code, DType, Diagnostic, Dim, Shape};

use crate::Tensor;
use crate::arithmetic::broadcast_shape;

/// Options of [`Tensor::scaled_dot_product_attention`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Attention {
    /// Which keys a query may see (`bool`), or what is added to their scores: it broadcasts to `[.., queries, keys]`.
    pub mask: Option<Tensor>,
    /// The probability with which a weight is dropped; see [`Tensor::dropout`].
    pub dropout_p: f64,
    /// Whether query `i` sees the keys `0..=i` only.
    pub is_causal: bool,
    /// What the products are multiplied by. `None`: `1/√features`.
    pub scale: Option<f64>,
    /// Whether each head of keys and values serves several heads of queries, which stand side by side.
    pub enable_gqa: bool,
}

const OP: &str = "scaled_dot_product_attention";

impl Tensor {
    /// `dropout(softmax(q·kᵀ·scale + mask))·v`. A query that may see no key gives zeros.
    ///
    /// Shapes: query `[.., queries, features]`, key `[.., keys, features]`, value `[.., keys, out]` → `[.., queries, out]`; leading axes as
    /// [`Tensor::matmul`] takes them. With `enable_gqa` the axis in front of the last two holds heads, those of the query a multiple of those of key and
    /// value. Dtypes: one floating dtype. Errors: K0101, K0102, K0103; K0105 for a mask beside `is_causal`. Gradients: for all three, and for a floating mask.
    ///
    /// Source: Vaswani et al., "Attention Is All You Need"; Ainslie et al., "GQA".
    #[track_caller]
    pub fn scaled_dot_product_attention(self, key: Tensor, value: Tensor, options: Attention) -> Tensor {
        let (Some(_), Some(_), Some(_)) = (self.value(), key.value(), value.value()) else { return Tensor::poison() };
        if let Err(diagnostic) = fits(self, key, value, &options) {
            return Tensor::mistake(diagnostic);
        }
        let features = last(self, 1).factor.max(1);
        let scale = options.scale.unwrap_or(1.0 / (features as f64).sqrt());
        let (key, value) = match options.enable_gqa {
            true => (key.repeat_heads(self), value.repeat_heads(self)),
            false => (key, value),
        };
        // Half types are rounded once, at the end.
        let (query, key, value) = (self.wide(), key.wide(), value.wide());
        let scores = (query * scale).matmul(key.transpose(-2, -1)); // [.., queries, keys]
        if scores.value().is_none() {
            return scores;
        }
        let mask = if options.is_causal { Some(scores.causal_mask()) } else { options.mask };
        let mut weights = match mask {
            Some(mask) => scores.masked(mask).softmax_or_zeros(),
            None => scores.softmax(-1),
        };
        if options.dropout_p != 0.0 {
            weights = weights.dropout(options.dropout_p, true);
        }
        weights.matmul(value).to(self.dtype())
    }

    /// Scores without those that the mask forbids.
    #[track_caller]
    fn masked(self, mask: Tensor) -> Tensor {
        let Some(shape) = broadcast_shape(OP, &[self, mask]) else { return Tensor::poison() };
        if shape != self.shape() {
            let message = format!("{OP} needs a mask that broadcasts to the scores, {}: {}", self.shape(), mask.ty());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        match mask.dtype() {
            DType::Bool => self.where_self(mask, f64::NEG_INFINITY),
            _ => self + mask,
        }
    }

    /// The softmax over the last axis; zeros for a row of minus infinities.
    #[track_caller]
    fn softmax_or_zeros(self) -> Tensor {
        let greatest = self.amax(&[-1], true).detach();
        let greatest = greatest.masked_fill(greatest.eq(f64::NEG_INFINITY), 0);
        let exponentials = (self - greatest).exp();
        let sum = exponentials.sum(&[-1], true);
        exponentials / sum.masked_fill(sum.eq(0), 1)
    }

    /// `bool[queries, keys]` for scores `[.., queries, keys]`: whether the key does not come after the query.
    #[track_caller]
    fn causal_mask(self) -> Tensor {
        Tensor::full(1.0, DType::Bool).broadcast(&Shape(vec![last(self, 2), last(self, 1)])).tril(0)
    }

    /// `[.., heads, rows, columns]` with each head as often as the heads of `query` need it: a view.
    #[track_caller]
    fn repeat_heads(self, query: Tensor) -> Tensor {
        let axis = self.rank() - 3;
        let mut shape = self.shape();
        let groups = last(query, 3).factor / shape.0[axis].factor;
        shape.0.insert(axis + 1, Dim::fixed(groups));
        self.unsqueeze(-3).broadcast(&shape).flatten(-4, -3)
    }
}

/// The extent that is `nth` from the end, counted from 1.
fn last(tensor: Tensor, nth: usize) -> Dim {
    tensor.shape().0[tensor.rank() - nth]
}

fn fits(query: Tensor, key: Tensor, value: Tensor, options: &Attention) -> Result<(), Diagnostic> {
    let types = [query, key, value].map(Tensor::ty);
    let found = types.each_ref().map(|ty| ty.to_string()).join(", ");
    let fault =
        |code, requirement: &str| Err(Diagnostic::new(code, format!("{OP} needs {requirement}: found {found}")));
    if types.iter().any(|ty| ty.rank() < if options.enable_gqa { 3 } else { 2 }) {
        let axes = if options.enable_gqa { "[.., heads, rows, columns]" } else { "[.., rows, columns]" };
        return fault(Code::RankMismatch, &format!("query, key and value {axes}"));
    }
    if types.iter().any(|ty| !ty.dtype.is_float() || ty.dtype != types[0].dtype) {
        return fault(Code::DTypeMismatch, "query, key and value of one floating dtype");
    }
    if last(query, 1) != last(key, 1) {
        return fault(Code::ShapeMismatch, "as many features of a key as of a query");
    }
    if last(key, 2) != last(value, 2) {
        return fault(Code::ShapeMismatch, "a value for each key");
    }
    if options.enable_gqa {
        let heads = [query, key, value].map(|tensor| last(tensor, 3));
        let divides = heads[1] == heads[2] && heads[1].factor > 0 && heads[0].factor.is_multiple_of(heads[1].factor);
        if heads.iter().any(|heads| heads.batch) || !divides {
            return fault(Code::ShapeMismatch, "heads of the query in a multiple of those of key and value");
        }
    }
    match options.mask {
        Some(_) if options.is_causal => {
            Err(Diagnostic::new(Code::BadArgument, format!("{OP} needs a mask or `is_causal`: found both")))
        }
        Some(mask) if mask.dtype() != DType::Bool && !mask.dtype().is_float() => {
            let message = format!("{OP} needs a mask of truth values or floating numbers: found {}", mask.ty());
            Err(Diagnostic::new(Code::DTypeMismatch, message))
        }
        _ => Ok(()),
    }
}
