//! `nn.MaxPool2d` and `nn.AvgPool2d`.

use crate::{Forward, Module, Scope, Tensor, Visitor};

macro_rules! pools {
    ($($(#[$meta:meta])* $name:ident => $method:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name {
            kernel: usize,
            stride: usize,
            padding: usize,
        }

        impl $name {
            /// Square windows side by side: the stride is the kernel's size (PyTorch's default), without padding.
            pub fn new(kernel: usize) -> $name {
                $name { kernel, stride: kernel, padding: 0 }
            }

            /// The distance between windows.
            #[must_use]
            pub fn stride(mut self, stride: usize) -> $name {
                self.stride = stride;
                self
            }

            /// Positions outside the input on every side; at most half the kernel.
            #[must_use]
            pub fn padding(mut self, padding: usize) -> $name {
                self.padding = padding;
                self
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                x.$method(self.kernel, self.stride, self.padding)
            }
        }
    )*};
}

pools! {
    /// The maximum of each window of `[batch, channels, h, w]`.
    MaxPool2d => max_pool2d;
    /// The mean of each window of `[batch, channels, h, w]`; padding counts as zeros.
    AvgPool2d => avg_pool2d;
}
