//! What is asked of a convolution, and what each algorithm would cost.

use std::fmt;

use kiln_ir::ops::{Conv, ConvInputGrad, ConvWeightGrad, Input, Op, Sum, WINOGRAD_TAPS};
use kiln_ir::{Builder, DType, Dim, Graph, Init, Place, Role};

use super::{Algorithm, Selection};
use crate::tile::MACHINE;

/// Nanoseconds for an element in Winograd's domain: its part of a transform, and its way through memory.
const TRANSFORM_NS: f64 = 0.6;
/// The same for an element of the weight's domain, of which there are as many for one image as for a thousand: it is too large for the caches, and no
/// row of few samples uses it often.
const WEIGHT_NS: f64 = 1.2;
/// What must be gained, for the memory that the domain takes.
const WORTH: f64 = 1.25;
/// How much slower than a product of matrices a direct convolution is, for the copies of its windows.
const WINDOWS: f64 = 1.25;

/// Which of its three tensors a convolution computes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient of the input.
    Input,
    /// The gradient of the weight.
    Weight,
}

/// A convolution by 3 x 3 taps: for equal problems the same algorithm is the fastest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Problem {
    /// What is computed.
    pub direction: Direction,
    /// The greatest batch.
    pub samples: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Rows and columns of the input's images.
    pub input: [usize; 2],
    /// Rows and columns of the output's images.
    pub output: [usize; 2],
    /// From window to window.
    pub stride: [usize; 2],
    /// Zeros around the input's images.
    pub padding: [usize; 2],
}

impl Problem {
    /// The algorithms that can compute it. With more taps, groups or dilation there is the direct one alone, and so no problem.
    pub const CANDIDATES: [Algorithm; 3] = Algorithm::ALL;

    /// The images that the tiles of Winograd's algorithms cover.
    pub(super) fn covered(&self) -> [usize; 2] {
        if self.direction == Direction::Input { self.input } else { self.output }
    }

    pub(super) fn algorithm(&self, selection: &Selection) -> Algorithm {
        match selection {
            Selection::Exact => Algorithm::Direct,
            Selection::Forced(algorithm) => *algorithm,
            Selection::Heuristic => self.cheapest(),
            Selection::Tuned(winners) => winners.get(self).copied().unwrap_or_else(|| self.cheapest()),
        }
    }

    fn cheapest(&self) -> Algorithm {
        let costs = Problem::CANDIDATES.map(|algorithm| (self.cost_ns(algorithm), algorithm));
        costs.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b)).expect("there are candidates").1
    }

    /// What an algorithm costs by the model: multiplications at the micro-kernel's speed, and what goes on around them.
    fn cost_ns(&self, algorithm: Algorithm) -> f64 {
        let [samples, channels, outputs] = [self.samples, self.channels, self.outputs].map(|count| count as f64);
        let products = |points: f64| points * channels * outputs / MACHINE.products_per_ns;
        match algorithm {
            Algorithm::Direct => {
                let positions: usize = self.covered().iter().product();
                products(samples * (positions * WINOGRAD_TAPS * WINOGRAD_TAPS) as f64) * WINDOWS
            }
            Algorithm::Winograd(size) => {
                let points = ((size + WINOGRAD_TAPS - 1) * (size + WINOGRAD_TAPS - 1)) as f64;
                let tiles: usize = self.covered().iter().map(|extent| extent.div_ceil(size)).product();
                let domain = samples * tiles as f64 * points;
                let transforms = TRANSFORM_NS * domain * (channels + outputs) + WEIGHT_NS * points * channels * outputs;
                WORTH * (products(domain) + transforms)
            }
        }
    }

    /// The problem alone, to be timed. Images come from one kernel and go to another, as they do in a network, so that they lie as they do there; the
    /// names of those two begin with [`Problem::AROUND`].
    pub fn graph(&self) -> Graph {
        let mut graph = Graph::new("convolution");
        graph.max_batch = Some(self.samples);
        let mut builder = Builder::new(&mut graph, Place::NONE);
        let mut given = |name: &str, role: Role, shape: &[Dim]| {
            builder.hint = name.to_owned();
            builder.emit(Input { role, dtype: DType::F32, shape: shape.to_vec(), init: Init::Zeros }, &[])
        };
        let mut images = |name: &str, channels: usize, [rows, columns]: [usize; 2]| {
            let shape = [2, channels, rows, columns].map(Dim::fixed);
            given(name, Role::Data, &[vec![Dim::BATCH], shape.to_vec()].concat())
        };
        let operands = match self.direction {
            Direction::Forward => vec![images("x", self.channels, self.input)],
            Direction::Input => vec![images("g", self.outputs, self.output)],
            Direction::Weight => {
                vec![images("x", self.channels, self.input), images("g", self.outputs, self.output)]
            }
        };
        let taps = [self.outputs, self.channels, WINOGRAD_TAPS, WINOGRAD_TAPS].map(Dim::fixed);
        let weight = (self.direction != Direction::Weight).then(|| given("w", Role::Frozen, &taps));
        builder.hint = Problem::AROUND.to_owned();
        let stored = operands.into_iter().map(|images| builder.emit(Sum { axes: vec![1], keep: false }, &[images]));
        let operands: Vec<_> = stored.chain(weight).collect();
        builder.hint = "convolution".to_owned();
        let (stride, padding, dilation) = (self.stride.to_vec(), self.padding.to_vec(), vec![1; 2]);
        let op = match self.direction {
            Direction::Forward => Op::from(Conv { stride, padding, dilation, groups: 1 }),
            Direction::Input => {
                Op::from(ConvInputGrad { stride, padding, dilation, groups: 1, input: self.input.to_vec() })
            }
            Direction::Weight => {
                Op::from(ConvWeightGrad { stride, padding, dilation, groups: 1, kernel: vec![WINOGRAD_TAPS; 2] })
            }
        };
        let result = builder.emit(op, &operands);
        builder.hint = Problem::AROUND.to_owned();
        let sum = builder.emit(Sum { axes: vec![2, 3], keep: false }, &[result]);
        graph.add_output("prediction", sum);
        graph
    }

    /// How the names of the kernels begin that are not of the convolution.
    pub const AROUND: &str = "around";
}

/// As a line of a tuning lock file: `forward n64 c64 o128 32x32 to 16x16 stride 2x2 padding 1x1`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Forward => "forward",
            Direction::Input => "input_grad",
            Direction::Weight => "weight_grad",
        };
        let pair = |[a, b]: [usize; 2]| format!("{a}x{b}");
        let Problem { samples, channels, outputs, .. } = self;
        let (input, output) = (pair(self.input), pair(self.output));
        let (stride, padding) = (pair(self.stride), pair(self.padding));
        write!(f, "{direction} n{samples} c{channels} o{outputs} {input} to {output} stride {stride} padding {padding}")
    }
}
