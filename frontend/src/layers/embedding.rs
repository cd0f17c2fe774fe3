//! `nn.Embedding`.

use kiln_ir::Init;

use crate::indexing::EmbeddingOptions;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// Rows of a table by number: integers `[..]` → `[.., embedding_dim]`.
///
/// Parameter: `weight` `[num_embeddings, embedding_dim]`, standard normal (PyTorch's default), with zeros in the padding row.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Parameter,
    options: EmbeddingOptions,
}

impl Embedding {
    /// A table for numbers below `num_embeddings`.
    #[track_caller]
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Embedding {
        let weight = Parameter::new([num_embeddings, embedding_dim], Init::Normal { mean: 0.0, std: 1.0 });
        Embedding { weight, options: EmbeddingOptions::default() }
    }

    /// A table that exists already: one that another layer shares.
    pub fn of(weight: Parameter) -> Embedding {
        Embedding { weight, options: EmbeddingOptions::default() }
    }

    /// The row of this number, from the end if negative, starts as zeros and is not trained. The trace reports a number that no row has.
    #[must_use]
    pub fn padding_idx(mut self, padding_idx: i64) -> Embedding {
        self.options.padding_idx = Some(padding_idx);
        let rows = self.weight.shape()[0] as i64;
        let row = if padding_idx < 0 { padding_idx + rows } else { padding_idx };
        if let Ok(row) = usize::try_from(row) {
            self.weight.set_initializer(Init::Padded { std: 1.0, row });
        }
        self
    }

    /// Whether the gradient of a row is divided by how often the batch uses it.
    #[must_use]
    pub fn scale_grad_by_freq(mut self, scale_grad_by_freq: bool) -> Embedding {
        self.options.scale_grad_by_freq = scale_grad_by_freq;
        self
    }
}

impl Module for Embedding {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weight.visit_as("weight", visitor);
    }

    fn extra_repr(&self) -> String {
        let [rows, features] = [0, 1].map(|axis| self.weight.shape()[axis]);
        let padding = self.options.padding_idx.map(|row| format!(", padding_idx={row}")).unwrap_or_default();
        format!("{rows}, {features}{padding}")
    }
}

impl Forward<Tensor> for Embedding {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, index: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        self.weight.tensor().embedding_with(index, self.options).0
    }
}
