//! Convolutions by Winograd's algorithms: transforms and an einsum in the place of one op.

use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Graph, Number, Op, ValueId};

use super::problem::{Direction, Problem};

/// A convolution that Winograd's algorithms can compute.
pub(super) struct Convolution {
    value: ValueId,
    operands: [ValueId; 2],
    pub(super) problem: Problem,
}

impl Convolution {
    pub(super) fn of(graph: &Graph, value: ValueId) -> Option<Convolution> {
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
        let empty = input.shape.is_empty() || weight.shape.is_empty() || output.shape.is_empty();
        if !plain || !taps || !inside || empty || ty.dtype != DType::F32 {
            return None;
        }
        let images = |ty: &kiln_ir::Type| [2, 3].map(|axis| ty.dim(axis).factor);
        let [samples, channels, outputs] = [input.dim(0), input.dim(1), output.dim(1)];
        let problem = Problem {
            direction,
            samples: samples.at(graph.max_batch.unwrap_or(1)),
            channels: channels.factor,
            outputs: outputs.factor,
            input: images(input),
            output: images(output),
            stride,
            padding,
        };
        Some(Convolution { value, operands: [first, second], problem })
    }

    /// The same value by tiles of so many outputs on each axis.
    pub(super) fn rewrite(&self, graph: &mut Graph, outputs: usize) -> ValueId {
        let place = graph.node(self.value).place.clone();
        let mut steps = Steps { builder: Builder::new(graph, place), outputs };
        let [first, second] = self.operands;
        let tiles = self.problem.covered().map(|extent| extent.div_ceil(outputs));
        // What a tile of outputs sees, without the tiles before it.
        let seen = tiles.map(|tiles| tiles * outputs + WINOGRAD_TAPS - 1);
        match self.problem.direction {
            Direction::Forward => {
                let data = steps.data(first, self.problem.padding, seen);
                let turned = steps.builder.emit(Permute { dims: vec![1, 0, 2, 3] }, &[second]);
                let kernel = steps.to(turned, "kernel");
                let domain = steps.builder.emit(Einsum::new("npuvc,pco->npuvo"), &[data, kernel]);
                steps.images(domain, self.problem.covered())
            }
            // The convolution of the cotangent with the taps in the other order, from the outputs' channels to the inputs'.
            Direction::Input => {
                let padding = self.problem.padding.map(|padding| WINOGRAD_TAPS - 1 - padding);
                let spread = steps.padded(first, self.problem.stride, padding, seen);
                let data = steps.to(spread, "data");
                let flipped = steps.builder.emit(Flip { axes: vec![2, 3] }, &[second]);
                let kernel = steps.to(flipped, "kernel");
                let domain = steps.builder.emit(Einsum::new("npuvo,poc->npuvc"), &[data, kernel]);
                steps.images(domain, self.problem.covered())
            }
            Direction::Weight => {
                let data = steps.data(first, self.problem.padding, seen);
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
