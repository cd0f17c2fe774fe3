//! Elements at positions that are computed: `grid_sample`, with gradients for the elements and for the positions.

use kiln_ir::{Code, DType, Diagnostic, Dim, ops};

use crate::Tensor;
use crate::interpolation::{CUBIC, Kernel, LINEAR, NEAREST};
use crate::words::words;

words! {
    /// How [`Tensor::grid_sample`] finds what is between elements.
    pub enum GridMode: "mode of grid_sample" {
        /// Linear along each spatial axis.
        Bilinear = "bilinear",
        /// The nearest element; of two equally near ones that at an even position. No gradient for the grid.
        Nearest = "nearest",
        /// Cubic convolution with a = -0.75 along two spatial axes.
        Bicubic = "bicubic",
    }
}

words! {
    /// What [`Tensor::grid_sample`] finds outside of the input.
    pub enum GridPadding: "padding mode of grid_sample" {
        /// Zeros.
        Zeros = "zeros",
        /// The element at the border.
        Border = "border",
        /// The input mirrored at its border, as often as needed.
        Reflection = "reflection",
    }
}

/// How [`Tensor::grid_sample`] works; `GridSample::default()` is PyTorch's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GridSample {
    /// How elements in between are found.
    pub mode: GridMode,
    /// What is outside.
    pub padding_mode: GridPadding,
    /// Whether -1 and 1 are the centres of the first and last elements, rather than the edges of the image.
    pub align_corners: bool,
}

impl Default for GridSample {
    fn default() -> GridSample {
        GridSample { mode: GridMode::Bilinear, padding_mode: GridPadding::Zeros, align_corners: false }
    }
}

/// One spatial axis of the input, and how positions on it are understood.
struct Axis {
    extent: usize,
    options: GridSample,
}

impl Tensor {
    /// `y[n, c, p..]` is `x[n, c, ..]` at the position `grid[n, p.., :]`; x: `[batch, channels, h, w]` or `[batch, channels, d, h, w]`,
    /// grid: `[batch, p.., 2 or 3]`.
    ///
    /// The numbers of a position are in the order x, y, z, from -1 to 1 over the input. K0102 for other ranks, K0101 for batches or extents
    /// that do not fit, K0103 for dtypes that differ or are not floating. Gradients: of the
    /// input, each cotangent by its weights to the elements; of the grid, the slopes between elements, and nothing where the border holds a
    /// position fixed.
    #[track_caller]
    pub fn grid_sample(self, grid: Tensor, options: GridSample) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), grid.value()) else { return Tensor::poison() };
        if let Err(diagnostic) = check(self, grid) {
            return Tensor::mistake(diagnostic);
        }
        let Some(input) = self.fixed_extents("grid_sample", 2) else { return Tensor::poison() };
        let Some(output) = grid.fixed_extents("grid_sample", 1) else { return Tensor::poison() };
        let (spatial, output) = (input.len(), &output[..input.len()]);
        let kernel = match options.mode {
            GridMode::Bilinear => &LINEAR,
            GridMode::Nearest => &NEAREST,
            GridMode::Bicubic => &CUBIC,
        };
        let (batch, positions) = (self.shape().0[0], output.iter().product::<usize>());
        let half = matches!(self.dtype(), DType::F16 | DType::BF16);
        let dtype = if half { DType::F32 } else { self.dtype() };
        let grid = grid.to(dtype).reshape(vec![batch, Dim::fixed(positions), Dim::fixed(spatial)]);
        // Everything below is [batch, taps of each axis.., positions].
        let mut along = vec![batch];
        along.extend(vec![Dim::ONE; spatial]);
        along.push(Dim::fixed(positions));
        let (mut index, mut weight, mut stride) = (None, None, 1);
        for axis in (0..spatial).rev() {
            let given = grid.narrow(2, (spatial - 1 - axis) as i64, 1).reshape(along.clone());
            let at = Axis { extent: input[axis], options };
            let (place, share) = at.taps(kernel, given, axis + 1);
            let place = if stride == 1 { place } else { place * stride as i64 };
            index = Some(joined(index, place, ops::Add {}.into()));
            weight = Some(joined(weight, share, ops::Mul {}.into()));
            stride *= input[axis];
        }
        let (Some(index), Some(weight)) = (index, weight) else { return Tensor::poison() };
        let taps = kernel.offsets.len().pow(spatial as u32);
        let channels = self.shape().0[1];
        let all = Dim::fixed(taps * positions);
        let index = index.reshape(vec![batch, Dim::ONE, all]).broadcast(&vec![batch, channels, all].into());
        let found = Tensor::apply_as("grid_sample", ops::Gather { axis: 2 }, &[self.to(dtype).flatten(2, -1), index]);
        let (taps, positions) = (Dim::fixed(taps), Dim::fixed(positions));
        let weighted = found.reshape(vec![batch, channels, taps, positions])
            * weight.reshape(vec![batch, Dim::ONE, taps, positions]);
        let sum = Tensor::apply_as("grid_sample", ops::Sum { axes: vec![2], keep: false }, &[weighted]);
        let shape: Vec<Dim> = [batch, channels].into_iter().chain(output.iter().copied().map(Dim::fixed)).collect();
        sum.reshape(shape).to(self.dtype())
    }
}

#[track_caller]
fn joined(all: Option<Tensor>, one: Tensor, op: kiln_ir::Op) -> Tensor {
    match all {
        Some(all) => crate::arithmetic::broadcast_apply(op, one, all),
        None => one,
    }
}

fn check(x: Tensor, grid: Tensor) -> Result<(), Diagnostic> {
    let fault = |code, requirement: &str| {
        let message = format!("grid_sample needs {requirement}: input {} and grid {}", x.ty(), grid.ty());
        Err(Diagnostic::new(code, message))
    };
    let (input, positions) = (x.shape().0, grid.shape().0);
    if !(4..=5).contains(&input.len()) || input.len() != positions.len() {
        return fault(Code::RankMismatch, "an input and a grid with 4 axes, or with 5");
    }
    if x.dtype() != grid.dtype() || !x.dtype().is_float() {
        return fault(Code::DTypeMismatch, "one floating dtype");
    }
    if input[0] != positions[0] {
        return fault(Code::ShapeMismatch, "equal batches");
    }
    if positions.last() != Some(&Dim::fixed(input.len() - 2)) {
        return fault(Code::ShapeMismatch, "a number in the last axis of the grid for each spatial axis");
    }
    if input[2..].contains(&Dim::fixed(0)) {
        return fault(Code::ShapeMismatch, "elements along each spatial axis");
    }
    Ok(())
}

impl Axis {
    /// The places of the kernel's taps, `i64` and inside the input, and their weights: zero for what is outside. The taps are the axis
    /// `own`.
    #[track_caller]
    fn taps(&self, kernel: &Kernel, given: Tensor, own: usize) -> (Tensor, Tensor) {
        let (dtype, extent) = (given.dtype(), self.extent as f64);
        let position = match self.options.align_corners {
            true => (given + 1.0) * ((extent - 1.0) / 2.0),
            false => ((given + 1.0) * extent - 1.0) * 0.5,
        };
        // A cubic kernel reaches beyond the border, so there it is the taps that are put back inside.
        let cubic = self.options.mode == GridMode::Bicubic;
        let position = if cubic { position } else { self.inside(position) };
        let first = match self.options.mode {
            GridMode::Nearest => position.round(),
            _ => position.floor(),
        };
        let first = first.detach();
        let mut shape = vec![1; given.rank()];
        shape[own] = kernel.offsets.len();
        let offsets = Tensor::table(kernel.offsets.iter().map(|&offset| offset as f64), &shape, dtype);
        let place = first + offsets;
        let place = if cubic { self.inside(place).detach() } else { place };
        let held = place.maximum(0.0).minimum(extent - 1.0);
        let weight = match self.options.mode {
            GridMode::Nearest => Tensor::full(1.0, dtype).broadcast(&place.shape()),
            _ => polynomial(kernel, position - first, &shape),
        };
        let zero = Tensor::full(0.0, dtype);
        (held.to(DType::I64), weight.where_self(place.eq(held), zero))
    }

    /// A position put back into the input, as the padding mode says.
    #[track_caller]
    fn inside(&self, position: Tensor) -> Tensor {
        match self.options.padding_mode {
            GridPadding::Zeros => position,
            GridPadding::Border => self.clipped(position),
            GridPadding::Reflection => self.clipped(self.reflected(position)),
        }
    }

    /// At most at the first and last elements; no gradient there.
    #[track_caller]
    fn clipped(&self, position: Tensor) -> Tensor {
        let last = self.extent as f64 - 1.0;
        let moves = position.gt(0.0).logical_and(position.lt(last));
        position.where_self(moves, position.detach().maximum(0.0).minimum(last))
    }

    /// Mirrored at the centres of the first and last elements, or at the edges of the image.
    #[track_caller]
    fn reflected(&self, position: Tensor) -> Tensor {
        let (low, span) = match self.options.align_corners {
            true => (0.0, self.extent as f64 - 1.0),
            false => (-0.5, self.extent as f64),
        };
        if span == 0.0 {
            return position * 0.0;
        }
        let beyond = position - low;
        let distance = beyond.where_self(beyond.ge(0.0), -beyond);
        let flips = (distance.detach() * (1.0 / span)).floor();
        let rest = distance - flips * span;
        let odd = (flips - (flips * 0.5).floor() * 2.0).gt(0.5);
        (-rest + span).where_self(odd, rest) + low
    }
}

/// The weight of each tap for a fraction.
#[track_caller]
fn polynomial(kernel: &Kernel, fraction: Tensor, shape: &[usize]) -> Tensor {
    let coefficients = |power: usize| kernel.weights.iter().map(move |weight| weight[power]);
    let powers = (0..4).rev().skip_while(|&power| coefficients(power).all(|coefficient| coefficient == 0.0));
    let mut sum = None;
    for power in powers {
        let coefficient = Tensor::table(coefficients(power), shape, fraction.dtype());
        sum = Some(match sum {
            Some(sum) => coefficient + fraction * sum,
            None => coefficient,
        });
    }
    sum.unwrap_or(fraction)
}
