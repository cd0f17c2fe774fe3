//! `nn.Upsample`, `nn.PixelShuffle` and their kind: functions that lay images out anew, as modules.

use crate::interpolation::{Interpolation, PerSpatialAxis};
use crate::module::{python, python_extents, python_tuple};
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
    ($($name:ident($options:ty) |$layer:ident, $x:ident| $value:expr, $repr:expr;)*) => {$(
        impl $name {
            /// With these options.
            pub fn new(options: $options) -> $name {
                $name(options)
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut dyn Visitor) {}

            fn extra_repr(&self) -> String {
                let $layer = self;
                $repr
            }
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
    Upsample(Interpolation) |layer, x| x.interpolate(&layer.0), interpolation_repr(&layer.0);
    PixelShuffle(usize) |layer, x| x.pixel_shuffle(layer.0), format!("upscale_factor={}", layer.0);
    PixelUnshuffle(usize) |layer, x| x.pixel_unshuffle(layer.0), format!("downscale_factor={}", layer.0);
    Unfold(Patches) |layer, x| x.im2col(layer.0), patches_repr(&layer.0);
    Fold(([usize; 2], Patches)) |layer, x| x.col2im(layer.0.0, layer.0.1), format!("output_size={}, {}", python_tuple(&layer.0.0), patches_repr(&layer.0.1));
}

fn interpolation_repr(options: &Interpolation) -> String {
    let size = options.size.as_ref().map(|size| format!("size={}", each(size, usize::to_string)));
    let factor = options.scale_factor.as_ref().map(|factor| format!("scale_factor={}", each(factor, |&f| python(f))));
    format!("{}, mode='{}'", factor.or(size).unwrap_or_default(), options.mode.word())
}

fn each<T>(values: &PerSpatialAxis<T>, text: impl Fn(&T) -> String) -> String {
    match values {
        PerSpatialAxis::All(value) => text(value),
        PerSpatialAxis::Each(values) => format!("({})", values.iter().map(text).collect::<Vec<_>>().join(", ")),
    }
}

fn patches_repr(patches: &Patches) -> String {
    let Patches { kernel, dilation, padding, stride } = patches;
    let [kernel, dilation, padding, stride] =
        [kernel, dilation, padding, stride].map(|extents| python_extents(extents));
    format!("kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}")
}
