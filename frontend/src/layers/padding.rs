//! `nn.ReflectionPad1d` to `nn.ConstantPad3d`: padding of the spatial axes as modules.

use crate::functional::PadMode;
use crate::module::python;
use crate::{Forward, Module, Scope, Tensor, Visitor};

/// Padding of `N` spatial axes. Widths are in PyTorch's order: of the last axis first, before and after.
#[derive(Debug, Clone)]
pub struct Pad<const N: usize> {
    widths: Vec<i64>,
    mode: PadMode,
    value: f64,
    name: &'static str,
}

macro_rules! pads {
    ($($mode:ident $doc:literal: $($name:ident $axes:literal)*;)*) => {$($(
        #[doc = $doc]
        #[derive(Debug, Clone)]
        pub struct $name(Pad<$axes>);

        impl $name {
            /// One width for all sides, or one for each, of the last axis first.
            pub fn new(padding: impl PadWidths<$axes>) -> $name {
                $name(Pad { widths: padding.widths(), mode: PadMode::$mode, value: 0.0, name: stringify!($name) })
            }
        }

        pads!(@module $name);
    )*)*};
    (@module $name:ident) => {
        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}

            fn extra_repr(&self) -> String {
                self.0.repr()
            }
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                self.0.apply(x)
            }
        }
    };
}

pads! {
    Reflect "What is mirrored at the edge, which is not repeated.": ReflectionPad1d 1 ReflectionPad2d 2 ReflectionPad3d 3;
    Replicate "The element at the edge.": ReplicationPad1d 1 ReplicationPad2d 2 ReplicationPad3d 3;
    Circular "The other end.": CircularPad1d 1 CircularPad2d 2 CircularPad3d 3;
    Constant "Zeros.": ZeroPad1d 1 ZeroPad2d 2 ZeroPad3d 3;
}

macro_rules! constants {
    ($($name:ident $axes:literal)*) => {$(
        /// One value.
        #[derive(Debug, Clone)]
        pub struct $name(Pad<$axes>);

        impl $name {
            /// One width for all sides, or one for each, of the last axis first; and the value.
            pub fn new(padding: impl PadWidths<$axes>, value: f64) -> $name {
                $name(Pad { widths: padding.widths(), mode: PadMode::Constant, value, name: stringify!($name) })
            }
        }

        pads!(@module $name);
    )*};
}

constants!(ConstantPad1d 1 ConstantPad2d 2 ConstantPad3d 3);

/// Widths of padding over `N` axes: one for all sides, or `2·N`.
pub trait PadWidths<const N: usize> {
    /// In PyTorch's order.
    fn widths(&self) -> Vec<i64>;
}

impl<const N: usize> PadWidths<N> for i64 {
    fn widths(&self) -> Vec<i64> {
        vec![*self; 2 * N]
    }
}

macro_rules! sides {
    ($($axes:literal)*) => {$(
        impl PadWidths<$axes> for [i64; 2 * $axes] {
            fn widths(&self) -> Vec<i64> {
                self.to_vec()
            }
        }
    )*};
}

sides!(1 2 3);

impl<const N: usize> Pad<N> {
    #[track_caller]
    fn apply(&self, x: Tensor) -> Tensor {
        match self.mode {
            PadMode::Constant => x.pad(&self.widths, self.value),
            mode => x.pad_with(&self.widths, mode),
        }
    }

    fn repr(&self) -> String {
        let widths: Vec<String> = self.widths.iter().map(i64::to_string).collect();
        let value =
            if self.name.starts_with("Constant") { format!(", value={}", python(self.value)) } else { String::new() };
        let padding = if value.is_empty() { "" } else { "padding=" };
        format!("{padding}({}){value}", widths.join(", "))
    }
}
