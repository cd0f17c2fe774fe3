//! `nn.MaxPool1d` to `nn.AdaptiveMaxPool3d`: the options of a pool as a module.

use crate::module::{python_bool, python_extents};
use crate::pooling::{AvgPool, MaxPool, OutputSize, adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool};
use crate::{Forward, Module, Scope, Tensor, Visitor};

/// The mean of each of a given number of windows that cover the spatial axes.
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveAvgPool<const N: usize>(OutputSize<N>);

/// The maximum of each of a given number of windows that cover the spatial axes.
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveMaxPool<const N: usize>(OutputSize<N>);

macro_rules! adaptive {
    ($($name:ident)*) => {$(
        impl<const N: usize> $name<N> {
            /// One extent for all axes, one for each, or `None` for those that stay.
            pub fn new(output: impl Into<OutputSize<N>>) -> $name<N> {
                $name(output.into())
            }
        }
    )*};
}

adaptive!(AdaptiveAvgPool AdaptiveMaxPool);

macro_rules! layers {
    ($($name:ident |$method:ident, $x:ident, $pool:ident| $value:expr, $repr:expr; $($alias:ident $n:literal $text:literal,)*;)*) => {$(
        $(
            #[doc = concat!("[`", stringify!($name), "`] over ", stringify!($n), " spatial axes.")]
            pub type $alias = $name<$n>;
        )*

        impl<const N: usize> Module for $name<N> {
            fn visit(&self, _: &mut dyn Visitor) {}

            fn type_name(&self) -> &'static str {
                [$(stringify!($alias)),*][N - 1]
            }

            fn extra_repr(&self) -> String {
                let $pool = self;
                $repr
            }
        }

        impl<const N: usize> Forward<Tensor> for $name<N> {
            type Output = Tensor;

            #[track_caller]
            fn forward(&self, $x: Tensor) -> Tensor {
                let _scope = Scope::enter(self);
                let ($method, $pool) = ([$($text),*][N - 1], self);
                if $x.is_batch_of($method, N + 2) { $value } else { Tensor::poison() }
            }
        }
    )*};
}

layers! {
    MaxPool |method, x, pool| max_pool(method, x, pool), {
        let [kernel, padding, dilation] = [pool.kernel, pool.padding, pool.dilation].map(|extents| python_extents(&extents));
        let (stride, ceil) = (python_extents(&pool.stride.unwrap_or(pool.kernel)), python_bool(pool.ceil_mode));
        format!("kernel_size={kernel}, stride={stride}, padding={padding}, dilation={dilation}, ceil_mode={ceil}")
    };
    MaxPool1d 1 "max_pool1d", MaxPool2d 2 "max_pool2d", MaxPool3d 3 "max_pool3d",;
    AvgPool |method, x, pool| avg_pool(method, x, pool), {
        let [kernel, padding] = [pool.kernel, pool.padding].map(|extents| python_extents(&extents));
        format!("kernel_size={kernel}, stride={}, padding={padding}", python_extents(&pool.stride.unwrap_or(pool.kernel)))
    };
    AvgPool1d 1 "avg_pool1d", AvgPool2d 2 "avg_pool2d", AvgPool3d 3 "avg_pool3d",;
    AdaptiveAvgPool |method, x, pool| adaptive_avg_pool(method, x, pool.0), output_repr(&pool.0.0);
    AdaptiveAvgPool1d 1 "adaptive_avg_pool1d", AdaptiveAvgPool2d 2 "adaptive_avg_pool2d", AdaptiveAvgPool3d 3 "adaptive_avg_pool3d",;
    AdaptiveMaxPool |method, x, pool| adaptive_max_pool(method, x, pool.0).0, output_repr(&pool.0.0);
    AdaptiveMaxPool1d 1 "adaptive_max_pool1d", AdaptiveMaxPool2d 2 "adaptive_max_pool2d", AdaptiveMaxPool3d 3 "adaptive_max_pool3d",;
}

fn output_repr(extents: &[Option<usize>]) -> String {
    let words: Vec<String> = extents.iter().map(|extent| extent.map_or("None".to_owned(), |e| e.to_string())).collect();
    match words.as_slice() {
        [one] => format!("output_size={one}"),
        _ => format!("output_size=({})", words.join(", ")),
    }
}
