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

mod problem;
mod winograd;

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::{Graph, ValueId};

pub use problem::{Direction, Problem};

use crate::rewrite::replace;
use winograd::Convolution;

/// How a convolution is computed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// As the op says: sums of products over channels and taps.
    Direct,
    /// Winograd's, with so many outputs of a tile on each axis: 2 or 4.
    Winograd(usize),
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 3] = [Algorithm::Direct, Algorithm::Winograd(2), Algorithm::Winograd(4)];

    /// The name in tuning lock files.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct",
            Algorithm::Winograd(2) => "winograd_2x2",
            Algorithm::Winograd(_) => "winograd_4x4",
        }
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Which algorithms may be chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Selection {
    /// The cheapest one by a model of costs.
    #[default]
    Heuristic,
    /// Only those whose result is a sum of the op's own products.
    Exact,
    /// One algorithm wherever it is possible, to check and compare it.
    Forced(Algorithm),
    /// Those that were the fastest when they were timed; the cheapest one for a problem that was not.
    Tuned(BTreeMap<Problem, Algorithm>),
}

/// Chooses, and rewrites what is not direct.
pub fn run(graph: &mut Graph, selection: &Selection) {
    for value in graph.order() {
        let Some(convolution) = Convolution::of(graph, value) else { continue };
        if let Algorithm::Winograd(outputs) = convolution.problem.algorithm(selection) {
            let result = convolution.rewrite(graph, outputs);
            replace(graph, value, result);
        }
    }
}

/// The convolutions of a graph for which there is a choice.
pub fn problems(graph: &Graph) -> BTreeSet<Problem> {
    graph.order().into_iter().filter_map(|value| Some(Convolution::of(graph, value)?.problem)).collect()
}

/// Whether a value will be computed as its op says.
pub(crate) fn is_direct(graph: &Graph, value: ValueId, selection: &Selection) -> bool {
    let convolution = Convolution::of(graph, value);
    convolution.is_none_or(|convolution| convolution.problem.algorithm(selection) == Algorithm::Direct)
}
