//! Computes nothing twice: values of one op on the same operands become one value, and what nothing uses is removed.
//!
//! The operands of commutative ops are compared in either order. Inputs are never merged, whatever they hold; constants with the same elements
//! are. What is computed `again` on purpose stays.
//!
//! **Before:** a verified graph. **After:** no two values have the same op, attributes and operands; every value but an input leads to
//! an output.
//!
//! ```text
//! %a = mul %x, %y : f32[B]       →   %a = mul %x, %y : f32[B]
//! %b = mul %y, %x : f32[B]           %c = add %a, %a : f32[B]
//! %c = add %a, %b : f32[B]
//! ```
//!
//! **Order:** after `canonicalize`, which makes equal values look equal; before autodiff, so that no value is differentiated twice.
//! **Source:** value numbering in one sweep over a graph in order, as in Cooper and Torczon, "Engineering a Compiler", section 8.4.

use std::collections::BTreeMap;

use kiln_ir::{Graph, Op, ValueId};

use crate::rewrite::{is_commutative, replace};

/// Merges equal values, the later into the earlier, and removes dead ones.
pub fn run(graph: &mut Graph) {
    graph.remove_dead();
    // An op's attributes have equality but no order, so values are found by the rest and compared one by one.
    let mut seen: BTreeMap<(&'static str, Vec<ValueId>), Vec<ValueId>> = BTreeMap::new();
    for value in graph.order() {
        let op = &graph.node(value).op;
        if matches!(op, Op::Input(_)) || graph.node(value).again {
            continue;
        }
        let mut operands = graph.operands(value);
        if is_commutative(op) {
            operands.sort_unstable();
        }
        let alike = seen.entry((op.name(), operands)).or_default();
        match alike.iter().copied().find(|&earlier| graph.node(earlier).op == *op) {
            Some(earlier) => replace(graph, value, earlier),
            None => alike.push(value),
        }
    }
}
