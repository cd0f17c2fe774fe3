//! Functions as modules, for `Sequential` chains.

use crate::{Forward, Module, Scope, Tensor, Visitor};

macro_rules! functions {
    ($($(#[$meta:meta])* $name:ident: |$x:ident| $value:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $name;

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, $x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                $value
            }
        }
    )*};
}

functions! {
    /// `max(x, 0)`.
    Relu: |x| x.relu();
    /// Hyperbolic tangent.
    Tanh: |x| x.tanh();
    /// `1 / (1 + e^-x)`.
    Sigmoid: |x| x.sigmoid();
    /// `x·Φ(x)`.
    Gelu: |x| x.gelu();
    /// All axes after the batch as one.
    Flatten: |x| x.flatten(1, -1);
}
