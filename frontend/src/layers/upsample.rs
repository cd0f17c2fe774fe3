//! `nn.Upsample`, `nn.PixelShuffle` and their kind: functions that lay images out anew, as modules.

use crate::interpolation::Interpolation;
use crate::patches::Patches;
use crate::{Forward, Module, Scope, Tensor, Visitor};

/// [`Tensor::interpolate`] as a module: `Upsample::new(Interpolation::by(2.0))`.
#[derive(Debug, Clone)]
pub struct Upsample(Interpolation);

/// [`Tensor::pixel_shuffle`] as a module.
#[derive(Debug, Clone, Copy)]
pub struct PixelShuffle(usize);

/// [`Tensor::pixel_unshuffle`] as a module.
#[derive(Debug, Clone, Copy)]
pub struct PixelUnshuffle(usize);

/// [`Tensor::im2col`] as a module.
#[derive(Debug, Clone, Copy)]
pub struct Unfold(Patches);

/// [`Tensor::col2im`] as a module, of the height and width of the image and the patches.
#[derive(Debug, Clone, Copy)]
pub struct Fold(([usize; 2], Patches));

macro_rules! layers {
    ($($name:ident($options:ty) |$layer:ident, $x:ident| $value:expr;)*) => {$(
        impl $name {
            /// With these options.
            pub fn new(options: $options) -> $name {
                $name(options)
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}
        }

        impl Forward<Tensor> for $name {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, $x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let $layer = self;
                $value
            }
        }
    )*};
}

layers! {
    Upsample(Interpolation) |layer, x| x.interpolate(&layer.0);
    PixelShuffle(usize) |layer, x| x.pixel_shuffle(layer.0);
    PixelUnshuffle(usize) |layer, x| x.pixel_unshuffle(layer.0);
    Unfold(Patches) |layer, x| x.im2col(layer.0);
    Fold(([usize; 2], Patches)) |layer, x| x.col2im(layer.0.0, layer.0.1);
}
