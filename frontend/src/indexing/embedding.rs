//! Rows of a table by number.

use kiln_ir::ops::Combine;
use kiln_ir::{Code, DType, Diagnostic};

use crate::{Tensor, functional};

/// Options of [`Tensor::embedding_with`]; `Embedding::default()` is PyTorch's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EmbeddingOptions {
    /// A row that gets no gradient; from the end if negative.
    pub padding_idx: Option<i64>,
    /// Rows that are used and have a greater norm are scaled down to it, in the table itself.
    pub max_norm: Option<f64>,
    /// The order of that norm.
    pub norm_type: f64,
    /// Whether the gradient of a row is divided by how often it is used.
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingOptions {
    fn default() -> EmbeddingOptions {
        EmbeddingOptions { padding_idx: None, max_norm: None, norm_type: 2.0, scale_grad_by_freq: false }
    }
}

impl Tensor {
    /// [`Tensor::embedding`] with options: the rows of `self`, `[rows, features]`, that `index` names, and the table afterwards, which `max_norm` changes.
    ///
    /// Shapes: index `[..]`, result `[.., features]`. Errors: K0102, K0103, K0105 for a `padding_idx` that is no row; an index out of range stops the step. Gradient:
    /// `g` added to the rows, in the order of the index.
    #[track_caller]
    pub fn embedding_with(self, index: Tensor, options: EmbeddingOptions) -> (Tensor, Tensor) {
        let (Some(_), Some(_)) = (self.value(), index.value()) else { return (Tensor::poison(), Tensor::poison()) };
        let (table, found) = (self.ty(), index.ty());
        if table.rank() != 2 {
            let message = format!("embedding needs a weight [rows, features]: found {table}");
            return (Tensor::mistake(Diagnostic::new(Code::RankMismatch, message)), Tensor::poison());
        }
        if !matches!(found.dtype, DType::I32 | DType::I64) {
            let message = format!("embedding needs an index of i32 or i64: found {found}");
            return (Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message)), Tensor::poison());
        }
        let rows = table.dim(0).factor as i64;
        if let Some(padding) = options.padding_idx.filter(|padding| !(-rows..rows).contains(padding)) {
            let message =
                format!("embedding needs a padding_idx in {}..{rows}, the rows of {table}: found {padding}", -rows);
            return (Tensor::mistake(Diagnostic::new(Code::BadArgument, message)), Tensor::poison());
        }
        let index = index.to(DType::I64);
        let flat = index.reshape([-1]);
        let one = functional::ones([1], table.dtype).broadcast(&flat.shape());
        let none = functional::zeros([rows], table.dtype);
        let counts = none.scatter_as("embedding", 0, flat, one, Combine::Add);
        let (mut picked, mut after) = (self.embedding(index), self);
        if let Some(max_norm) = options.max_norm {
            let norms = self.detach().vector_norm(options.norm_type, &[1], true);
            let scaled = self.detach() * (max_norm / (norms + 1e-7));
            let long = norms.gt(max_norm).logical_and(counts.gt(0).unsqueeze(1));
            after = scaled.where_self(long, self.detach());
            picked = after.embedding(index).carrying(picked);
        }
        if options.scale_grad_by_freq {
            let share = 1.0 / counts.unsqueeze(1).embedding(index);
            picked = picked.detach().carrying(picked * share);
        }
        if let Some(padding) = options.padding_idx {
            let padding = if padding < 0 { padding + rows } else { padding };
            picked = picked.detach().where_self(index.eq(padding).unsqueeze(-1), picked);
        }
        (picked, after)
    }

    /// This value with the gradient of another: `x + (y - detach(y))`.
    #[track_caller]
    fn carrying(self, other: Tensor) -> Tensor {
        self + (other - other.detach())
    }
}
