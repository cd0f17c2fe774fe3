//! Resampling of spatial axes. Every mode is, axis by axis, a weighted sum of a few elements, and which ones with which weights is known
//! when the model is traced.

mod taps;

use kiln_ir::{Code, DType, Diagnostic, Dim, ops};

use taps::Taps;
pub(crate) use taps::{CUBIC, Kernel, LINEAR, NEAREST};

use crate::Tensor;
use crate::words::words;

words! {
    /// How the elements between others are found.
    pub enum InterpolationMode: "mode of interpolate" {
        /// The element below: `x[⌊i·scale⌋]`.
        Nearest = "nearest",
        /// The element whose centre is nearest: `x[⌊(i + 0.5)·scale⌋]`.
        NearestExact = "nearest-exact",
        /// A line through two elements; one spatial axis.
        Linear = "linear",
        /// Linear along two spatial axes.
        Bilinear = "bilinear",
        /// Linear along three spatial axes.
        Trilinear = "trilinear",
        /// Cubic convolution of four elements with a = -0.75, along two spatial axes (Keys, 1981).
        Bicubic = "bicubic",
        /// The mean of what an element covers: adaptive average pooling.
        Area = "area",
    }
}

/// Something for every spatial axis: one for all, or one for each.
#[derive(Clone, PartialEq, Debug)]
pub enum PerSpatialAxis<T> {
    /// The same for all of them.
    All(T),
    /// In the order of the axes.
    Each(Vec<T>),
}

/// How [`Tensor::interpolate`] works; `Interpolation::default()` has PyTorch's defaults, to which a size or a factor must be added.
#[derive(Clone, PartialEq, Debug)]
pub struct Interpolation {
    /// The extents of the result; either these or the factor.
    pub size: Option<PerSpatialAxis<usize>>,
    /// What the extents are multiplied with; the product is rounded down.
    pub scale_factor: Option<PerSpatialAxis<f64>>,
    /// How elements in between are found.
    pub mode: InterpolationMode,
    /// Whether the first and last elements stay where they are, rather than the edges of the image. For the linear and cubic modes only.
    pub align_corners: Option<bool>,
    /// Whether positions follow from the extents instead of the factor that was given.
    pub recompute_scale_factor: bool,
    /// Whether the kernel is widened where the result is smaller. For `bilinear` and `bicubic` only.
    pub antialias: bool,
}

impl Default for Interpolation {
    fn default() -> Interpolation {
        Interpolation {
            size: None,
            scale_factor: None,
            mode: InterpolationMode::Nearest,
            align_corners: None,
            recompute_scale_factor: false,
            antialias: false,
        }
    }
}

impl<T> From<T> for PerSpatialAxis<T> {
    fn from(value: T) -> PerSpatialAxis<T> {
        PerSpatialAxis::All(value)
    }
}

impl<T, const N: usize> From<[T; N]> for PerSpatialAxis<T> {
    fn from(values: [T; N]) -> PerSpatialAxis<T> {
        PerSpatialAxis::Each(values.into())
    }
}

impl<T: Copy> PerSpatialAxis<T> {
    fn each(&self, axes: usize) -> Option<Vec<T>> {
        match self {
            PerSpatialAxis::All(value) => Some(vec![*value; axes]),
            PerSpatialAxis::Each(values) => Some(values.clone()).filter(|values| values.len() == axes),
        }
    }
}

impl Interpolation {
    /// To these extents.
    pub fn to(size: impl Into<PerSpatialAxis<usize>>) -> Interpolation {
        Interpolation { size: Some(size.into()), ..Interpolation::default() }
    }

    /// By this factor.
    pub fn by(factor: impl Into<PerSpatialAxis<f64>>) -> Interpolation {
        Interpolation { scale_factor: Some(factor.into()), ..Interpolation::default() }
    }

    /// In this mode.
    #[must_use]
    pub fn mode(self, mode: InterpolationMode) -> Interpolation {
        Interpolation { mode, ..self }
    }

    /// Whether the first and last elements stay where they are.
    #[must_use]
    pub fn align_corners(self, align_corners: bool) -> Interpolation {
        Interpolation { align_corners: Some(align_corners), ..self }
    }

    /// What does not fit together, for an input with these spatial extents; otherwise the extents of the result and the factors that
    /// positions follow from.
    fn resolve(&self, input: &[usize]) -> Result<(Vec<usize>, Vec<Option<f64>>), String> {
        use InterpolationMode::{Area, Bicubic, Bilinear, Linear, Nearest, NearestExact, Trilinear};
        let axes = input.len();
        let wanted = match self.mode {
            Linear => 1..=1,
            Bilinear | Bicubic => 2..=2,
            Trilinear => 3..=3,
            Nearest | NearestExact | Area => 1..=3,
        };
        if !wanted.contains(&axes) {
            let (low, high) = (wanted.start(), wanted.end());
            return Err(format!("{low} to {high} spatial axes for the mode `{}`, found {axes}", self.mode.word()));
        }
        if self.align_corners.is_some() && matches!(self.mode, Nearest | NearestExact | Area) {
            return Err(format!("a linear or cubic mode for `align_corners`: found `{}`", self.mode.word()));
        }
        if self.antialias && !matches!(self.mode, Bilinear | Bicubic) {
            return Err(format!("the mode `bilinear` or `bicubic` for `antialias`: found `{}`", self.mode.word()));
        }
        let (size, factors) = match (&self.size, &self.scale_factor) {
            (Some(_), None) if self.recompute_scale_factor => {
                return Err("a factor, not a size, for `recompute_scale_factor`".to_owned());
            }
            (Some(size), None) => {
                let size =
                    size.each(axes).ok_or_else(|| format!("a size for each of {axes} spatial axes: found {size:?}"))?;
                (size, vec![None; axes])
            }
            (None, Some(factor)) => {
                let factors = factor
                    .each(axes)
                    .ok_or_else(|| format!("a factor for each of {axes} spatial axes: found {factor:?}"))?;
                // A number that is no extent becomes 0, which is refused below.
                let size =
                    input.iter().zip(&factors).map(|(&extent, factor)| (extent as f64 * factor).floor() as usize);
                let kept = |factor: f64| Some(factor).filter(|_| !self.recompute_scale_factor);
                (size.collect(), factors.iter().copied().map(kept).collect())
            }
            _ => return Err("either a size or a factor".to_owned()),
        };
        if size.contains(&0) || input.contains(&0) {
            return Err(format!("extents of at least 1: {input:?} to {size:?}"));
        }
        Ok((size, factors))
    }
}

impl Tensor {
    /// `[batch, channels, spatial..]` with one to three spatial axes in other extents.
    ///
    /// Along each axis `y[i] = Σ w·x[j]` over the elements around the position of `i` in the input: `(i + 0.5)·scale - 0.5` for the linear
    /// and cubic modes, `i·(in - 1)/(out - 1)` with `align_corners`, where `scale` is `in/out` or the inverse of the factor given. Elements
    /// beyond the edges are those at the edges. K0102 for another number of axes than the mode takes; K0105 for options that do not fit
    /// together; K0103 for integers in modes that average. Gradient: each cotangent to the elements it was made of, by the same weights.
    #[track_caller]
    pub fn interpolate(self, options: &Interpolation) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        let fault = |code, requirement: String| Diagnostic::new(code, format!("interpolate needs {requirement}"));
        if !(3..=5).contains(&self.rank()) {
            let requirement = format!("[batch, channels, spatial..] with 3 to 5 axes: found {}", self.ty());
            return Tensor::mistake(fault(Code::RankMismatch, requirement));
        }
        let Some(input) = self.fixed_extents("interpolate", 2) else { return Tensor::poison() };
        let (output, factors) = match options.resolve(&input) {
            Ok(resolved) => resolved,
            Err(requirement) => return Tensor::mistake(fault(Code::BadArgument, requirement)),
        };
        let selects = matches!(options.mode, InterpolationMode::Nearest | InterpolationMode::NearestExact);
        if !selects && !self.dtype().is_float() {
            let requirement = format!("a floating dtype for the mode `{}`: found {}", options.mode.word(), self.ty());
            return Tensor::mistake(fault(Code::DTypeMismatch, requirement));
        }
        if options.mode == InterpolationMode::Area {
            return self.area(&output);
        }
        // Also of elements that are only chosen: their gradients are sums.
        let mut x = self.wide();
        for axis in 0..input.len() {
            let taps = Taps::new(options, input[axis], output[axis], factors[axis]);
            x = x.resampled(axis + 2, &taps);
        }
        x.to(self.dtype())
    }

    #[track_caller]
    fn area(self, output: &[usize]) -> Tensor {
        match *output {
            [l] => self.adaptive_avg_pool1d([l]),
            [h, w] => self.adaptive_avg_pool2d([h, w]),
            [d, h, w] => self.adaptive_avg_pool3d([d, h, w]),
            _ => self,
        }
    }

    /// `y[.., i, ..] = Σₜ weight[i, t]·x[.., index[i, t], ..]`.
    #[track_caller]
    fn resampled(self, axis: usize, taps: &Taps) -> Tensor {
        let (outputs, rank) = (taps.index.len() / taps.count, self.rank());
        let mut place = vec![1; rank];
        place[axis] = taps.index.len();
        let mut shape = self.shape();
        shape.0[axis] = Dim::fixed(taps.index.len());
        let index = Tensor::table(taps.index.iter().map(|&at| at as f64), &place, DType::I64).broadcast(&shape);
        let found = Tensor::apply_as("interpolate", ops::Gather { axis }, &[self, index]);
        if taps.count == 1 {
            return found;
        }
        let mut split = shape.0;
        split[axis] = Dim::fixed(outputs);
        split.insert(axis + 1, Dim::fixed(taps.count));
        let mut place = vec![1; rank + 1];
        (place[axis], place[axis + 1]) = (outputs, taps.count);
        let weight = Tensor::table(taps.weight.iter().copied(), &place, self.dtype());
        let weighted = found.reshape(split) * weight;
        Tensor::apply_as("interpolate", ops::Sum { axes: vec![axis + 1], keep: false }, &[weighted])
    }
}
