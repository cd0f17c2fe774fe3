//! The options of pools. They are also their layers, so that a pool is described once: `x.max_pool2d(2)`,
//! `x.max_pool2d(MaxPool2d::new(3).stride(2))`.

use kiln_ir::ops;

use crate::spatial::PerAxis;

/// The maximum of each window. Padding never wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxPool<const N: usize> {
    /// Extents of the window.
    pub kernel: [usize; N],
    /// Distance between windows; `None`: the kernel's, so that they stand side by side.
    pub stride: Option<[usize; N]>,
    /// Positions outside of the input on both sides; at most half the window.
    pub padding: [usize; N],
    /// Distance between the taps of a window.
    pub dilation: [usize; N],
    /// Whether a last window may begin inside and end outside.
    pub ceil_mode: bool,
}

/// The mean of each window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AvgPool<const N: usize> {
    /// Extents of the window.
    pub kernel: [usize; N],
    /// Distance between windows; `None`: the kernel's, so that they stand side by side.
    pub stride: Option<[usize; N]>,
    /// Zeros outside of the input on both sides; at most half the window.
    pub padding: [usize; N],
    /// Whether a last window may begin inside and end outside.
    pub ceil_mode: bool,
    /// Whether the padding counts as elements. What a last window has beyond the padding never does.
    pub count_include_pad: bool,
    /// What sums are divided by instead of the number of elements.
    pub divisor_override: Option<i64>,
}

/// The extents of an adaptive pool's output: one for all axes, one for each, or `None` for the input's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputSize<const N: usize>(pub [Option<usize>; N]);

impl<const N: usize> MaxPool<N> {
    /// Windows side by side; one number for the kernel makes it square.
    pub fn new(kernel: impl PerAxis<N>) -> MaxPool<N> {
        let kernel = kernel.per_axis();
        MaxPool { kernel, stride: None, padding: [0; N], dilation: [1; N], ceil_mode: false }
    }

    /// The distance between the taps of a window.
    #[must_use]
    pub fn dilation(self, dilation: impl PerAxis<N>) -> MaxPool<N> {
        MaxPool { dilation: dilation.per_axis(), ..self }
    }
}

impl<const N: usize> AvgPool<N> {
    /// Windows side by side; one number for the kernel makes it square.
    pub fn new(kernel: impl PerAxis<N>) -> AvgPool<N> {
        AvgPool {
            kernel: kernel.per_axis(),
            stride: None,
            padding: [0; N],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// Whether the padding counts as elements.
    #[must_use]
    pub fn count_include_pad(self, count_include_pad: bool) -> AvgPool<N> {
        AvgPool { count_include_pad, ..self }
    }

    /// What sums are divided by instead of the number of elements.
    #[must_use]
    pub fn divisor_override(self, divisor: i64) -> AvgPool<N> {
        AvgPool { divisor_override: Some(divisor), ..self }
    }
}

macro_rules! options {
    ($($name:ident)*) => {$(
        impl<const N: usize> $name<N> {
            /// The distance between windows.
            #[must_use]
            pub fn stride(self, stride: impl PerAxis<N>) -> $name<N> {
                $name { stride: Some(stride.per_axis()), ..self }
            }

            /// Positions outside of the input on both sides; at most half the window.
            #[must_use]
            pub fn padding(self, padding: impl PerAxis<N>) -> $name<N> {
                $name { padding: padding.per_axis(), ..self }
            }

            /// Whether a last window may begin inside and end outside.
            #[must_use]
            pub fn ceil_mode(self, ceil_mode: bool) -> $name<N> {
                $name { ceil_mode, ..self }
            }
        }

        impl<const N: usize> From<usize> for $name<N> {
            fn from(kernel: usize) -> $name<N> {
                $name::new(kernel)
            }
        }

        impl<const N: usize> From<[usize; N]> for $name<N> {
            fn from(kernel: [usize; N]) -> $name<N> {
                $name::new(kernel)
            }
        }
    )*};
}

options!(MaxPool AvgPool);

impl<const N: usize> From<usize> for OutputSize<N> {
    fn from(extent: usize) -> OutputSize<N> {
        OutputSize([Some(extent); N])
    }
}

impl<const N: usize> From<[usize; N]> for OutputSize<N> {
    fn from(extents: [usize; N]) -> OutputSize<N> {
        OutputSize(extents.map(Some))
    }
}

impl<const N: usize> From<[Option<usize>; N]> for OutputSize<N> {
    fn from(extents: [Option<usize>; N]) -> OutputSize<N> {
        OutputSize(extents)
    }
}

impl<const N: usize> MaxPool<N> {
    pub(super) fn op(&self) -> ops::MaxPool {
        ops::MaxPool {
            kernel: self.kernel.to_vec(),
            stride: self.stride.unwrap_or(self.kernel).to_vec(),
            padding: self.padding.to_vec(),
            dilation: self.dilation.to_vec(),
            ceil: self.ceil_mode,
        }
    }
}

impl<const N: usize> OutputSize<N> {
    /// The extents, for an input.
    pub(super) fn of(self, input: [usize; N]) -> [usize; N] {
        std::array::from_fn(|axis| self.0[axis].unwrap_or(input[axis]))
    }
}
