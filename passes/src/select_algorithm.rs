//! Chooses how each convolution is computed.
//!
//! A convolution by 3 x 3 taps that does not stride has two ways beside the direct one: Winograd's `F(2x2, 3x3)` and `F(4x4, 3x3)`, which need 2.25 and 4
//! times fewer multiplications and pay with transforms of the images, the weights and the result. All three directions go that way.
//!
//! **Before:** an optimised graph with the gradients and updates. **After:** the same values up to rounding; convolutions for which it pays are
//! transforms and an einsum.
//!
//! ```text
//!                                             %p = pad %x {axis = 2, low = 1, ..}   (and axis 3)
//!                                             %d = to_winograd %p {outputs = 4, side = "data"}
//! %y = conv %x, %w {padding = [1, 1], ..}  →  %g = to_winograd %t {outputs = 4, side = "kernel"}   (%t with exchanged channels)
//!                                             %m = einsum %d, %g {equation = "npuvc,pco->npuvo"}
//!                                             %y = from_winograd %m {..}            (and slices)
//! ```
//!
//! **Order:** after the last simplification, which would not see through the transforms; before fuse.
//! **Source:** Lavin and Gray (2015); the choice by a model of costs is cuDNN's heuristic mode.

use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Graph, Number, ValueId};

use crate::rewrite::replace;
use crate::tile::MACHINE;

/// How a convolution is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// As the op says: sums of products over channels and taps.
    Direct,
    /// Winograd's, with so many outputs of a tile on each axis: 2 or 4.
    Winograd(usize),
}

/// Which algorithms may be chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Selection {
    /// The cheapest one by a model of costs.
    #[default]
    Heuristic,
    /// Only those whose result is a sum of the op's own products.
    Exact,
    /// One algorithm wherever it is possible, to check and compare it.
    Forced(Algorithm),
}

/// Nanoseconds for an element in Winograd's domain: its part of a transform, and its way through memory.
const TRANSFORM_NS: f64 = 0.6;
/// What must be gained, for the memory that the domain takes.
const WORTH: f64 = 1.25;
/// How much slower than a product of matrices a direct convolution is, for the copies of its windows.
const WINDOWS: f64 = 1.25;

/// Chooses, and rewrites what is not direct.
pub fn run(graph: &mut Graph, selection: Selection) {
    for value in graph.order() {
        let Some(convolution) = Convolution::of(graph, value) else { continue };
        if let Algorithm::Winograd(outputs) = convolution.algorithm(graph, selection) {
            let result = convolution.rewrite(graph, outputs);
            replace(graph, value, result);
        }
    }
}

/// Whether a value will be computed as its op says.
pub(crate) fn is_direct(graph: &Graph, value: ValueId, selection: Selection) -> bool {
    let convolution = Convolution::of(graph, value);
    convolution.is_none_or(|convolution| convolution.algorithm(graph, selection) == Algorithm::Direct)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Input,
    Weight,
}

/// A convolution that Winograd's algorithms can compute.
struct Convolution {
    value: ValueId,
    direction: Direction,
    operands: [ValueId; 2],
    /// Samples, channels of the input, and of the output.
    counts: [Dim; 3],
    stride: [usize; 2],
    padding: [usize; 2],
    /// The extents of the images that the tiles cover: of the input for its gradient, else of the output.
    covered: [usize; 2],
}

impl Convolution {
    fn of(graph: &Graph, value: ValueId) -> Option<Convolution> {
        let (direction, stride, padding, dilation, groups) = match &graph.node(value).op {
            Op::Conv(op) => (Direction::Forward, &op.stride, &op.padding, &op.dilation, op.groups),
            Op::ConvInputGrad(op) => (Direction::Input, &op.stride, &op.padding, &op.dilation, op.groups),
            Op::ConvWeightGrad(op) => (Direction::Weight, &op.stride, &op.padding, &op.dilation, op.groups),
            _ => return None,
        };
        let [first, second] = *graph.operands(value).as_slice() else { return None };
        let (ty, a, b) = (graph.ty(value), graph.ty(first), graph.ty(second));
        // The input, the weight and the output, whichever of them is the result.
        let [input, weight, output] = match direction {
            Direction::Forward => [a, b, ty],
            Direction::Input => [ty, b, a],
            Direction::Weight => [a, ty, b],
        };
        let stride: [usize; 2] = stride.as_slice().try_into().ok()?;
        // The gradient of what strides is that of what does not, of a cotangent with zeros between its elements.
        let steps = stride == [1, 1] || direction == Direction::Input;
        let plain = steps && *dilation == [1, 1] && groups == 1;
        let taps = weight.rank() == 4 && [2, 3].iter().all(|&axis| weight.dim(axis) == Dim::fixed(WINOGRAD_TAPS));
        let padding: [usize; 2] = padding.as_slice().try_into().ok()?;
        let inside = padding.iter().all(|&padding| padding < WINOGRAD_TAPS);
        if !plain || !taps || !inside || ty.dtype != DType::F32 {
            return None;
        }
        let covered = if direction == Direction::Input { input } else { output };
        let covered = [2, 3].map(|axis| covered.dim(axis).factor);
        let counts = [input.dim(0), input.dim(1), output.dim(1)];
        let empty = input.shape.is_empty() || weight.shape.is_empty() || output.shape.is_empty();
        (!empty).then_some(Convolution {
            value,
            direction,
            operands: [first, second],
            counts,
            stride,
            padding,
            covered,
        })
    }

    fn algorithm(&self, graph: &Graph, selection: Selection) -> Algorithm {
        match selection {
            Selection::Exact => Algorithm::Direct,
            Selection::Forced(algorithm) => algorithm,
            Selection::Heuristic => self.cheapest(graph.max_batch.unwrap_or(1)),
        }
    }

    fn cheapest(&self, max_batch: usize) -> Algorithm {
        let [samples, channels, outputs] = self.counts.map(|count| count.at(max_batch) as f64);
        let products = |points: f64| points * channels * outputs / MACHINE.products_per_ns;
        let positions: usize = self.covered.iter().product();
        let direct = products(samples * (positions * WINOGRAD_TAPS * WINOGRAD_TAPS) as f64) * WINDOWS;
        let winograd = |size: usize| {
            let points = ((size + WINOGRAD_TAPS - 1) * (size + WINOGRAD_TAPS - 1)) as f64;
            let tiles: usize = self.covered.iter().map(|extent| extent.div_ceil(size)).product();
            let domain = samples * tiles as f64 * points;
            let transforms = TRANSFORM_NS * (domain * (channels + outputs) + points * channels * outputs);
            WORTH * (products(domain) + transforms)
        };
        let candidates =
            [(direct, Algorithm::Direct), (winograd(2), Algorithm::Winograd(2)), (winograd(4), Algorithm::Winograd(4))];
        let cheapest = candidates.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b));
        cheapest.expect("there are candidates").1
    }

    fn rewrite(&self, graph: &mut Graph, outputs: usize) -> ValueId {
        let place = graph.node(self.value).place.clone();
        let mut steps = Steps { builder: Builder::new(graph, place), outputs };
        let [first, second] = self.operands;
        let tiles = self.covered.map(|extent| extent.div_ceil(outputs));
        // What a tile of outputs sees, without the tiles before it.
        let seen = tiles.map(|tiles| tiles * outputs + WINOGRAD_TAPS - 1);
        match self.direction {
            Direction::Forward => {
                let data = steps.data(first, self.padding, seen);
                let turned = steps.builder.emit(Permute { dims: vec![1, 0, 2, 3] }, &[second]);
                let kernel = steps.to(turned, "kernel");
                let domain = steps.builder.emit(Einsum::new("npuvc,pco->npuvo"), &[data, kernel]);
                steps.images(domain, self.covered)
            }
            // The convolution of the cotangent with the taps in the other order, from the outputs' channels to the inputs'.
            Direction::Input => {
                let padding = self.padding.map(|padding| WINOGRAD_TAPS - 1 - padding);
                let spread = steps.padded(first, self.stride, padding, seen);
                let data = steps.to(spread, "data");
                let flipped = steps.builder.emit(Flip { axes: vec![2, 3] }, &[second]);
                let kernel = steps.to(flipped, "kernel");
                let domain = steps.builder.emit(Einsum::new("npuvo,poc->npuvc"), &[data, kernel]);
                steps.images(domain, self.covered)
            }
            Direction::Weight => {
                let data = steps.data(first, self.padding, seen);
                let padded = steps.padded(second, [1, 1], [0, 0], tiles.map(|tiles| tiles * outputs));
                let cotangent = steps.to(padded, "cotangent");
                let domain = steps.builder.emit(Einsum::new("npuvo,npuvc->poc"), &[cotangent, data]);
                steps.from(domain, "kernel")
            }
        }
    }
}

/// The steps of one convolution.
struct Steps<'g> {
    builder: Builder<'g>,
    outputs: usize,
}

impl Steps<'_> {
    fn to(&mut self, x: ValueId, side: &str) -> ValueId {
        self.builder.emit(ToWinograd { outputs: self.outputs, side: side.to_owned() }, &[x])
    }

    fn from(&mut self, x: ValueId, side: &str) -> ValueId {
        self.builder.emit(FromWinograd { outputs: self.outputs, side: side.to_owned() }, &[x])
    }

    /// Images between zeros: their elements `stride` apart, `low` zeros in front on each axis, and as many at the end as the extent asks for.
    fn padded(&mut self, x: ValueId, stride: [usize; 2], low: [usize; 2], extent: [usize; 2]) -> ValueId {
        (0..2).fold(x, |x, at| {
            let (axis, low, interior) = (at + 2, low[at], stride[at] - 1);
            let length = self.builder.ty(x).dim(axis).factor;
            let high = extent[at] - low - (length + interior * (length - 1));
            if low + high + interior == 0 {
                return x;
            }
            self.builder.emit(Pad { axis, low, high, interior, value: Number::new(0.0) }, &[x])
        })
    }

    fn data(&mut self, x: ValueId, padding: [usize; 2], extent: [usize; 2]) -> ValueId {
        let padded = self.padded(x, [1, 1], padding, extent);
        self.to(padded, "data")
    }

    /// The images of these extents.
    fn images(&mut self, domain: ValueId, extents: [usize; 2]) -> ValueId {
        let images = self.from(domain, "data");
        [2, 3].into_iter().zip(extents).fold(images, |x, (axis, length)| {
            if self.builder.ty(x).dim(axis) == Dim::fixed(length) {
                return x;
            }
            self.builder.emit(Slice { axis, start: 0, length, step: 1 }, &[x])
        })
    }
}
