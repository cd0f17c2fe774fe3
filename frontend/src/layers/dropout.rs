//! `nn.Dropout` and its kin: the methods of `random.rs` as layers, which drop in training and are the identity in evaluation.

use crate::module::python;
use crate::{Forward, Module, Scope, Tensor, Visitor};

macro_rules! dropouts {
    ($($(#[$meta:meta])* $name:ident => $method:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name {
            p: f64,
        }

        impl $name {
            /// Drops with probability `p`.
            pub fn new(p: f64) -> $name {
                $name { p }
            }
        }

        /// PyTorch's default, p = 0.5.
        impl Default for $name {
            fn default() -> $name {
                $name::new(0.5)
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}

            fn extra_repr(&self) -> String {
                format!("p={}, inplace=False", python(self.p))
            }
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                x.$method(self.p, Scope::is_training())
            }
        }
    )*};
}

dropouts! {
    /// [`Tensor::dropout`] in training.
    Dropout => dropout;
    /// [`Tensor::dropout1d`] in training.
    Dropout1d => dropout1d;
    /// [`Tensor::dropout2d`] in training.
    Dropout2d => dropout2d;
    /// [`Tensor::dropout3d`] in training.
    Dropout3d => dropout3d;
    /// [`Tensor::alpha_dropout`] in training.
    AlphaDropout => alpha_dropout;
    /// [`Tensor::feature_alpha_dropout`] in training.
    FeatureAlphaDropout => feature_alpha_dropout;
}
