//! `nn.CosineSimilarity` and `nn.PairwiseDistance`.

use crate::functional;
use crate::{Forward, Module, Scope, Tensor, Visitor};

/// `x₁·x₂ / max(‖x₁‖·‖x₂‖, eps)` over an axis.
#[derive(Debug, Clone, Copy)]
pub struct CosineSimilarity {
    /// The axis.
    pub dim: i64,
    /// The least norm that is divided by.
    pub eps: f64,
}

impl Default for CosineSimilarity {
    /// PyTorch's: axis 1, eps 1e-8.
    fn default() -> CosineSimilarity {
        CosineSimilarity { dim: 1, eps: 1e-8 }
    }
}

/// The norm of the difference of two vectors.
#[derive(Debug, Clone, Copy, Default)]
pub struct PairwiseDistance(pub functional::PairwiseDistance);

macro_rules! distances {
    ($($name:ident |$layer:ident, $x1:ident, $x2:ident| $value:expr;)*) => {$(
        impl $name {
            /// Of two tensors of one shape.
            #[track_caller]
            pub fn forward(&self, $x1: Tensor, $x2: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let $layer = self;
                $value
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}
        }

        impl Forward<(Tensor, Tensor)> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, (x1, x2): (Tensor, Tensor)) -> Tensor {
                $name::forward(self, x1, x2)
            }
        }
    )*};
}

distances! {
    CosineSimilarity |layer, x1, x2| x1.cosine_similarity(x2, layer.dim, layer.eps);
    PairwiseDistance |layer, x1, x2| x1.pairwise_distance(x2, layer.0);
}
