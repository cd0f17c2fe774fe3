//! Norms of vectors, which may lie along several axes.

use crate::Tensor;

impl Tensor {
    /// `(Σ |x|^order)^(1/order)` over axes: `torch.linalg.vector_norm`. Order 0 counts what is not zero, infinity takes the greatest `|x|` and
    /// minus infinity the least.
    ///
    /// Floating dtypes (K0103); an axis that does not exist is K0104, one that is named twice K0105; a negative or infinite order of no elements
    /// is K0101. Gradient: `g·sign(x)·(|x|/norm)^(order - 1)`, 0 where the norm or `x` is 0, and in equal parts to the greatest or least
    /// elements (PyTorch).
    #[track_caller]
    pub fn vector_norm(self, order: f64, axes: &[i64], keep: bool) -> Tensor {
        let Some(axes) = self.floating_axes("vector_norm", axes) else { return Tensor::poison() };
        let chooses = order < 0.0 || order.is_infinite();
        if chooses && !self.has_elements("vector_norm", &axes) {
            return Tensor::poison();
        }
        let x = self.wide();
        let norm = if order == 0.0 {
            x.ne(0.0).to(x.dtype()).sum_over(&axes, keep)
        } else if order == 1.0 {
            x.abs().sum_over(&axes, keep)
        } else if order == 2.0 {
            x.square().sum_over(&axes, keep).root()
        } else if order == f64::INFINITY {
            x.abs().max_over(&axes, keep)
        } else if order == f64::NEG_INFINITY {
            x.abs().min_over(&axes, keep)
        } else {
            // A sum of 0 has the root that it has, but no slope, as in `root`.
            let powers = x.abs().pow(order).sum_over(&axes, keep);
            let positive = powers.ne(0.0);
            powers.where_self(positive, 1.0).pow(1.0 / order).where_self(positive, 0f64.powf(1.0 / order))
        };
        norm.to(self.dtype())
    }

    /// [`Tensor::vector_norm`] under its older name: `torch.norm`, whose default `"fro"` is order 2.
    #[track_caller]
    pub fn norm(self, order: f64, axes: &[i64], keep: bool) -> Tensor {
        self.vector_norm(order, axes, keep)
    }
}
