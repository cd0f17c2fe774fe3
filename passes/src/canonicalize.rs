//! Brings a graph into one form, so that equal computations look alike: a table of small local rules, applied until none fires.
//!
//! Neutral operands go, inverse ops meet and vanish, views of views become one view, known values stand on the right, and a reshape moves
//! behind the pointwise op that follows it, so that the op can join what comes before. The operands of commutative ops are in the
//! graph's order.
//!
//! A rule keeps every bit of every result, except that a zero may change its sign, and except the rules marked [`Exactness::Rounding`]
//! in the table, which differ by rounding. `0·x` is not folded: it is NaN where `x` is.
//!
//! **Before:** a verified graph. **After:** no rule of the table applies; what nothing uses is gone; inputs and outputs are the same.
//!
//! ```text
//! %z = add %x, %zero : f32[B,6]              →   %r = relu %x : f32[B,6]
//! %r = reshape %z : f32[B,2,3]                   %h = reshape %r : f32[B,2,3]
//! %h = relu %r : f32[B,2,3]
//! ```
//!
//! **Order:** first, so that every later pass sees one form only; again after `append_update`, for the derivatives' sake.
//! **Source:** the rules are MLIR's canonicalization patterns for `arith` and `tensor`; the fixpoint is LLVM's InstCombine.

mod arithmetic;
mod convolution;
mod view;

use std::collections::BTreeMap;

use kiln_ir::{Graph, Op, ValueId};

use crate::rewrite::{is_commutative, is_known, replace};

/// How far a rule's result may be from what it replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exactness {
    /// Equal bits, but for the sign of a zero.
    Bits,
    /// Equal but for rounding: a sum in another order, a square instead of a power.
    Rounding,
}

/// A local rule: the value that stands for one whose op it knows how to simplify.
struct Rule {
    exactness: Exactness,
    apply: fn(&mut Graph, ValueId) -> Option<ValueId>,
}

const fn exact(apply: fn(&mut Graph, ValueId) -> Option<ValueId>) -> Rule {
    Rule { exactness: Exactness::Bits, apply }
}

const fn rounding(apply: fn(&mut Graph, ValueId) -> Option<ValueId>) -> Rule {
    Rule { exactness: Exactness::Rounding, apply }
}

/// Every rule; the first that fires wins. None undoes another, and each removes an op or a stride, shortens a chain, or moves a reshape or a
/// known value one op further, so the fixpoint exists.
const RULES: &[Rule] = &[
    exact(arithmetic::known_to_the_right),
    exact(arithmetic::neutral_operand),
    exact(arithmetic::integer_zero),
    exact(arithmetic::negations),
    exact(arithmetic::twice_is_once),
    exact(arithmetic::division_by_power_of_two),
    exact(arithmetic::factors),
    rounding(arithmetic::square),
    exact(arithmetic::casts),
    exact(arithmetic::choices),
    exact(view::same_type),
    exact(view::view_of_view),
    exact(view::permute_of_ones),
    exact(view::expand_by_ones),
    exact(view::expand_of_new_axes),
    exact(view::slice_of_pad),
    exact(view::reduction_of_ones),
    exact(view::reduction_reshaped),
    rounding(view::sum_of_sum),
    exact(view::reshape_sinks),
    exact(convolution::single_taps),
];

/// Applies every rule until none fires.
pub fn run(graph: &mut Graph) {
    run_within(graph, Exactness::Rounding);
}

/// Applies only the rules that keep this much of a result: for checks that compare bits.
pub fn run_within(graph: &mut Graph, exactness: Exactness) {
    graph.remove_dead();
    while sweep(graph, exactness) {
        graph.remove_dead();
    }
    order_operands(graph);
}

/// Replaces every op that only says what the gradient is (`detach`, and a user's own derivative) by its operand, once the gradients
/// have been made.
pub fn remove_detach(graph: &mut Graph) {
    for value in graph.order() {
        if matches!(graph.node(value).op, Op::Detach(_) | Op::CustomVjp(_) | Op::CustomResult(_)) {
            let operand = graph.operands(value)[0];
            replace(graph, value, operand);
        }
    }
}

/// Visits every value once, operands first. Whether a rule fired.
fn sweep(graph: &mut Graph, exactness: Exactness) -> bool {
    let mut changed = false;
    for value in graph.order() {
        let rules = RULES.iter().filter(|rule| rule.exactness <= exactness);
        if let Some(simpler) = rules.filter_map(|rule| (rule.apply)(graph, value)).next() {
            replace(graph, value, simpler);
            changed = true;
        }
    }
    changed
}

/// Sorts the operands of commutative ops as in the graph's order, which printing and parsing keep. Known values are on the right already,
/// and between two of them the rules have nothing left to do.
fn order_operands(graph: &mut Graph) {
    let order = graph.order();
    let position: BTreeMap<ValueId, usize> = order.iter().enumerate().map(|(at, &value)| (value, at)).collect();
    for &value in order.iter().filter(|&&value| is_commutative(&graph.node(value).op)).collect::<Vec<_>>() {
        let operands = graph.operands(value);
        if !is_known(graph, operands[1]) && position[&operands[0]] > position[&operands[1]] {
            graph.set_operand(value, 0, operands[1]);
            graph.set_operand(value, 1, operands[0]);
        }
    }
}
