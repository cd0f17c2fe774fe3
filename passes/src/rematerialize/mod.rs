//! Computes values of the forward pass a second time for the backward pass, so that they need not be kept in between.
//!
//! Which values are kept is a minimal cut between the forward pass, which makes them, and the backward pass, which needs something that follows
//! from each: the fewest bytes from which everything that the backward pass reads can be computed again by what is allowed to be. What is not
//! kept becomes a copy, marked `again`, of the ops that make it, in a kernel of its own.
//!
//! How much may be computed again is a [`Recompute`]: which ops, and through how many layers of contractions. Without the second a chain of residual additions
//! would be computed again from its beginning, all at once, and be in memory as a whole in the end; and with it the dearest kind is Chen's segments:
//! one value in so many layers is kept. A copy is shared by readers in nearby layers of the backward pass, and made anew for those further away.
//!
//! **Before:** a fused train step. **After:** the same kernels for everything that is not computed again, some of which read copies: so each sum has the
//! order it had, and the results the same bits. Copies have kernels with parts of those of their originals.
//!
//! ```text
//! %y = einsum %x, %w                      %y = einsum %x, %w
//! %h = relu %y                            %h = relu %y
//! ..                               →      ..
//! %d_v = einsum %d_z, %h                  %h_1 = relu %y again
//!                                         %d_v = einsum %d_z, %h_1
//! ```
//!
//! **Order:** after fuse, and not before it as in a compiler whose fusion changes no result: only here is it known what is stored at all, which is what can be
//! kept; and a reduction that was fused with copies could get other lanes or partial sums, which round otherwise. Before lower, which knows no values.
//! **Source:** the min-cut partitioner of PyTorch (`min_cut_rematerialization_partition`); Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).

mod copies;
mod cut;
mod flow;
mod phases;
mod scores;

use kiln_ir::{Graph, Kind, ValueId};

use phases::Phases;
pub use scores::run as recompute_scores;

/// What may be computed a second time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recompute {
    /// The ops.
    pub what: What,
    /// From values how many layers of contractions back.
    pub reach: usize,
}

/// The ops that may run a second time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    /// Pointwise ops, views, and gathers: what costs about as much as a load.
    Cheap,
    /// Reductions, windows and sweeps too.
    AllButContractions,
    /// Everything.
    Everything,
}

impl Recompute {
    /// From what costs least to what saves most, for a graph of so many layers.
    pub fn ladder(layers: usize) -> Vec<Recompute> {
        let mut ladder = Vec::new();
        for (what, reaches) in [
            (What::Cheap, &[0, 1, 2, 4][..]),
            (What::AllButContractions, &[1, 2, 4]),
            (What::Everything, &[1, 2, 4, 8, 16]),
        ] {
            let useful = reaches.iter().enumerate().filter(|&(at, &reach)| at == 0 || reach < layers);
            ladder.extend(useful.map(|(_, &reach)| Recompute { what, reach }));
        }
        ladder
    }
}

/// Computes again what may be and is worth it.
pub fn run(graph: &mut Graph, how: Recompute) {
    let phases = Phases::of(graph);
    if phases.readers.is_empty() {
        return;
    }
    let kept = cut::kept(graph, &phases, how);
    copies::run(graph, &phases, &kept, how);
}

/// The contractions on the longest way to a value of the forward pass that the backward pass reads.
pub fn layers(graph: &Graph) -> usize {
    Phases::of(graph).deepest
}

/// Whether an op costs about as much as a load.
fn is_cheap(kind: Kind) -> bool {
    matches!(kind, Kind::Pointwise | Kind::View | Kind::Gather)
}

/// Whether a value can be kept and computed: it is neither given nor part of the backward pass.
fn is_choice(phases: &Phases, value: ValueId) -> bool {
    !phases.leaves.contains(&value) && !phases.late.contains(&value)
}
