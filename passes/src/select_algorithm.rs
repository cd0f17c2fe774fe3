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
//! %y = conv %x, %w {padding = [1, 1], ..}  →  %g = to_winograd %w {outputs = 4, side = "kernel"}
//!                                             %m = einsum %d, %g {equation = "npuvc,opc->npuvo"}
//!                                             %y = from_winograd %m {..}            (and a reshape, and slices)
//! ```
//!
//! **Order:** after the last simplification, which would not see through the transforms; before fuse.
//! **Source:** Lavin and Gray (2015); the choice by a model of costs is cuDNN's heuristic mode.

use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Graph, Number, Shape, ValueId};

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
const TRANSFORM_NS: f64 = 0.5;
/// How much slower than a product of matrices a direct convolution is, for the copies of its windows.
const WINDOWS: f64 = 1.25;

/// Chooses, and rewrites what is not direct.
pub fn run(graph: &mut Graph, selection: Selection) {
    for value in graph.order() {
        let Some(convolution) = Convolution::of(graph, value) else { continue };
        let algorithm = match selection {
            Selection::Exact => Algorithm::Direct,
            Selection::Forced(algorithm) => algorithm,
            Selection::Heuristic => convolution.cheapest(graph.max_batch.unwrap_or(1)),
        };
        if let Algorithm::Winograd(outputs) = algorithm {
            let result = convolution.rewrite(graph, outputs);
            replace(graph, value, result);
        }
    }
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
    padding: [usize; 2],
    /// The extents of the images that the tiles cover: of the input for its gradient, else of the output.
    covered: [usize; 2],
}

impl Convolution {
    fn of(graph: &Graph, value: ValueId) -> Option<Convolution> {
        let (direction, geometry) = match &graph.node(value).op {
            Op::Conv(op) => {
                (Direction::Forward, [&op.stride, &op.padding, &op.dilation, &vec![op.groups]].map(Vec::clone))
            }
            Op::ConvInputGrad(op) => {
                (Direction::Input, [&op.stride, &op.padding, &op.dilation, &vec![op.groups]].map(Vec::clone))
            }
            Op::ConvWeightGrad(op) => {
                (Direction::Weight, [&op.stride, &op.padding, &op.dilation, &vec![op.groups]].map(Vec::clone))
            }
            _ => return None,
        };
        let [stride, padding, dilation, groups] = geometry;
        let [first, second] = *graph.operands(value).as_slice() else { return None };
        let (ty, a, b) = (graph.ty(value), graph.ty(first), graph.ty(second));
        // The input, the weight and the output, whichever of them is the result.
        let [input, weight, output] = match direction {
            Direction::Forward => [a, b, ty],
            Direction::Input => [ty, b, a],
            Direction::Weight => [a, ty, b],
        };
        let moves_by_one = stride == [1, 1] && dilation == [1, 1] && groups == [1];
        let taps = weight.rank() == 4 && [2, 3].iter().all(|&axis| weight.dim(axis) == Dim::fixed(WINOGRAD_TAPS));
        let padding: [usize; 2] = padding.try_into().ok()?;
        let inside = padding.iter().all(|&padding| padding < WINOGRAD_TAPS);
        if !moves_by_one || !taps || !inside || ty.dtype != DType::F32 {
            return None;
        }
        let covered = if direction == Direction::Input { input } else { output };
        let covered = [2, 3].map(|axis| covered.dim(axis).factor);
        let counts = [input.dim(0), input.dim(1), output.dim(1)];
        let empty = input.shape.is_empty() || weight.shape.is_empty() || output.shape.is_empty();
        (!empty).then_some(Convolution { value, direction, operands: [first, second], counts, padding, covered })
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
            products(domain) + TRANSFORM_NS * (domain * (channels + outputs) + points * channels * outputs)
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
                let kernel = steps.kernel(second);
                let domain = steps.builder.emit(Einsum::new("npuvc,opc->npuvo"), &[data, kernel]);
                steps.images(domain, self.covered)
            }
            // The convolution of the cotangent with the taps in the other order, from the outputs' channels to the inputs'.
            Direction::Input => {
                let padding = self.padding.map(|padding| WINOGRAD_TAPS - 1 - padding);
                let data = steps.data(first, padding, seen);
                let flipped = steps.builder.emit(Flip { axes: vec![2, 3] }, &[second]);
                let kernel = steps.kernel(flipped);
                let domain = steps.builder.emit(Einsum::new("npuvo,opc->npuvc"), &[data, kernel]);
                steps.images(domain, self.covered)
            }
            Direction::Weight => {
                let data = steps.data(first, self.padding, seen);
                let padded = steps.padded(second, [0, 0], tiles.map(|tiles| tiles * outputs));
                let cotangent = steps.to(padded, "cotangent");
                let domain = steps.builder.emit(Einsum::new("npuvo,npuvc->opc"), &[cotangent, data]);
                steps.taps(domain)
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

    /// Images between zeros: `low` in front on each axis, and as many at the end as the extent asks for.
    fn padded(&mut self, x: ValueId, low: [usize; 2], extent: [usize; 2]) -> ValueId {
        [2, 3].into_iter().zip(low.into_iter().zip(extent)).fold(x, |x, (axis, (low, extent))| {
            let high = extent - low - self.builder.ty(x).dim(axis).factor;
            if low + high == 0 {
                return x;
            }
            self.builder.emit(Pad { axis, low, high, interior: 0, value: Number::new(0.0) }, &[x])
        })
    }

    fn data(&mut self, x: ValueId, padding: [usize; 2], extent: [usize; 2]) -> ValueId {
        let padded = self.padded(x, padding, extent);
        self.to(padded, "data")
    }

    /// `[o, points, c]` of a weight.
    fn kernel(&mut self, weight: ValueId) -> ValueId {
        let kernel = self.to(weight, "kernel");
        let [o, points, .., c] = *self.builder.ty(kernel).shape.0.as_slice() else { unreachable!("it has five axes") };
        self.builder.reshape(kernel, &Shape(vec![o, points, c]))
    }

    /// The images of these extents.
    fn images(&mut self, domain: ValueId, extents: [usize; 2]) -> ValueId {
        let tiles = self.builder.emit(FromWinograd { outputs: self.outputs, side: "data".to_owned() }, &[domain]);
        let [n, c, u, _, v, _] = *self.builder.ty(tiles).shape.0.as_slice() else { unreachable!("it has six axes") };
        let whole = [u, v].map(|tiles| Dim::fixed(tiles.factor * self.outputs));
        let images = self.builder.reshape(tiles, &Shape(vec![n, c, whole[0], whole[1]]));
        [2, 3].into_iter().zip(extents).fold(images, |x, (axis, length)| {
            if self.builder.ty(x).dim(axis) == Dim::fixed(length) {
                return x;
            }
            self.builder.emit(Slice { axis, start: 0, length, step: 1 }, &[x])
        })
    }

    /// The weight of `[o, points, c]`.
    fn taps(&mut self, domain: ValueId) -> ValueId {
        let [o, points, c] = *self.builder.ty(domain).shape.0.as_slice() else { unreachable!("it has three axes") };
        let one_tile = self.builder.reshape(domain, &Shape(vec![o, points, Dim::ONE, Dim::ONE, c]));
        let tap = FromWinograd { outputs: self.outputs, side: "kernel".to_owned() };
        let taps = self.builder.emit(tap, &[one_tile]);
        let extent = Dim::fixed(WINOGRAD_TAPS);
        self.builder.reshape(taps, &Shape(vec![o, c, extent, extent]))
    }
}
