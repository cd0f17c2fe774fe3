//! Stores images channels last.
//!
//! NCHW is the order in which ops name the axes of an image, and the order of inputs and parameters. In memory another one is faster: with
//! the channels of a position side by side a convolution by single taps is a matrix product as it stands, the windows of other convolutions are
//! runs of memory, and what belongs to a channel (its bias, its statistics) lies along the lanes. So all images of a step are stored that way
//! together: those that convolutions and poolings read and write, and everything pointwise between them.
//!
//! **Before:** a graph in which no value has a layout. **After:** the same values; images have `layout [0, 2, 3, 1]`, which lowering follows.
//!
//! ```text
//! %y = conv %x, %w : f32[B,64,56,56]    →    %y = conv %x, %w : f32[B,64,56,56] layout [0, 2, 3, 1]
//! ```
//!
//! **Order:** after select_algorithm, whose values are images too; before fuse, since it is a matter of what is stored.
//! **Source:** layout propagation, Liu et al., "Optimizing CNN Model Inference on CPUs" (2019), with one layout for both gradients as well.

use std::collections::BTreeSet;

use kiln_ir::ops::Op;
use kiln_ir::{Graph, Kind, ValueId};

use crate::fuse::facts;
use crate::rewrite::is_output;

/// The axes of an image in memory, the outermost first.
const CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];
/// Fewer channels than this fill no register, and rows of an image do.
const MIN_CHANNELS: usize = 32;

/// Gives every image its layout.
pub fn run(graph: &mut Graph) {
    for value in images(graph) {
        graph.assign_layout(value, Some(CHANNELS_LAST.to_vec()));
    }
}

/// What convolutions and poolings read and write, and what is pointwise between.
fn images(graph: &Graph) -> Vec<ValueId> {
    let order = graph.order();
    let mut found: BTreeSet<ValueId> = BTreeSet::new();
    for &value in order.iter().filter(|&&value| names_images(&graph.node(value).op)) {
        let weight = weight(graph, value);
        let members = graph.operands(value).into_iter().chain([value]);
        found.extend(members.filter(|&member| graph.ty(member).rank() == 4 && Some(member) != weight));
    }
    // Forwards and backwards through what keeps positions.
    loop {
        let before = found.len();
        for &value in order.iter().filter(|&&value| keeps_positions(graph, value)) {
            let members: Vec<ValueId> = graph.operands(value).into_iter().chain([value]).collect();
            let same = |&member: &ValueId| graph.ty(member).rank() == 4 && is_large(graph, member);
            if members.iter().any(|member| same(member) && found.contains(member)) {
                found.extend(members.into_iter().filter(same));
            }
        }
        if found.len() == before {
            break;
        }
    }
    let fits = |&value: &ValueId| {
        !facts::is_leaf(graph, value)
            && !is_output(graph, value)
            && is_large(graph, value)
            && graph.ty(value).dim(1).factor >= MIN_CHANNELS
            && graph.users(value).into_iter().all(|user| reads_positions(graph, user))
    };
    found.into_iter().filter(fits).collect()
}

/// The operands or results of an op of images that are weights.
fn weight(graph: &Graph, value: ValueId) -> Option<ValueId> {
    match &graph.node(value).op {
        Op::Conv(_) | Op::ConvInputGrad(_) => Some(graph.operands(value)[1]),
        Op::ConvWeightGrad(_) => Some(value),
        _ => None,
    }
}

/// Whether an op's operands and result are images, but for a weight.
fn names_images(op: &Op) -> bool {
    match op {
        Op::ToWinograd(to) => to.side != "kernel",
        Op::FromWinograd(from) => from.side != "kernel",
        Op::Conv(_) | Op::ConvInputGrad(_) | Op::ConvWeightGrad(_) | Op::SumPool(_) | Op::SumPoolGrad(_) => true,
        Op::MaxPool(_) | Op::MaxPoolIndex(_) | Op::MaxPoolGrad(_) | Op::MaxPoolPick(_) => true,
        _ => false,
    }
}

/// Whether elements come from the operands' elements at about the same position.
fn keeps_positions(graph: &Graph, value: ValueId) -> bool {
    if graph.ty(value).rank() != 4 || facts::is_leaf(graph, value) {
        return false;
    }
    moves_positions(&graph.node(value).op) || facts::body(graph, value).kind == Kind::Pointwise
}

/// Whether an op takes the elements of an image to other positions, and leaves channels where they are.
fn moves_positions(op: &Op) -> bool {
    match op {
        Op::Pad(_) | Op::Slice(_) | Op::Concat(_) | Op::Flip(_) => true,
        Op::Gather(gather) => gather.axis > 1,
        Op::Scatter(scatter) => scatter.axis > 1,
        _ => false,
    }
}

/// Whether an op reads an image as it is, and not as a row of numbers or a stack of matrices.
fn reads_positions(graph: &Graph, user: ValueId) -> bool {
    let op = &graph.node(user).op;
    names_images(op)
        || moves_positions(op)
        || matches!(facts::body(graph, user).kind, Kind::Pointwise | Kind::Reduce | Kind::Window)
}

/// Whether there is more than one position and channel.
fn is_large(graph: &Graph, value: ValueId) -> bool {
    let ty = graph.ty(value);
    ty.dim(1).factor > 1 && ty.dim(2).factor * ty.dim(3).factor > 1
}
