//! State: a value in and a value out of the graph, one tensor in memory.
//!
//! The kernel that computes the new value writes it over the old one when it reads the old one only at the element that it writes, and when
//! no kernel that reads the old one has to run after it. Otherwise the new value has memory of its own and is copied at the end.

use std::collections::BTreeMap;

use kiln_ir::{Graph, TensorId, ValueId};

use super::{Lowering, Memory};
use crate::fuse::facts;
use crate::in_place;

/// The named outputs: position among the graph's outputs, and what holds the value.
pub fn outputs(graph: &Graph) -> Vec<(usize, Memory)> {
    let mut taken: Vec<ValueId> = Vec::new();
    let mut found = Vec::new();
    for (at, output) in graph.outputs().iter().enumerate().filter(|(_, output)| output.updates.is_none()) {
        let own = !facts::is_leaf(graph, output.value) && !taken.contains(&output.value);
        taken.push(output.value);
        found.push((at, if own { Memory::Value(output.value) } else { Memory::Output(at) }));
    }
    found
}

/// Makes updates happen in place, or adds the copies. Returns the values that lie over inputs.
pub fn plan(lowering: &mut Lowering<'_>) -> BTreeMap<Memory, Memory> {
    let graph = lowering.cx.graph;
    let mut storage = BTreeMap::new();
    let named = outputs(graph);
    for &(at, memory) in &named {
        if memory == Memory::Output(at) {
            let output = &graph.outputs()[at];
            let copy = lowering.copy(Memory::Value(output.value), memory, graph.ty(output.value), &output.name);
            // An output of a piece of state is its value before the step.
            debug_assert!(copy < lowering.drafts.len());
        }
    }
    let updates: Vec<(ValueId, ValueId)> = (graph.outputs().iter())
        .filter_map(|output| Some((output.updates?, output.value)))
        .filter(|(input, value)| input != value)
        .collect();
    let mut copied: Vec<(ValueId, Memory)> = Vec::new();
    for (input, value) in updates {
        let new = Memory::Value(value);
        let free = !named.iter().any(|&(_, memory)| memory == new) && !storage.contains_key(&new);
        if facts::is_leaf(graph, value) {
            let saved = Memory::Saved(value);
            if lowering.writer(saved).is_none() {
                lowering.copy(new, saved, graph.ty(value), graph.name_of(value));
            }
            copied.push((input, saved));
        } else if free && write_over(lowering, input, value) {
            storage.insert(new, Memory::Value(input));
        } else {
            copied.push((input, new));
        }
    }
    for (input, from) in copied {
        let to = Memory::Updated(input);
        let before = lowering.readers(Memory::Value(input));
        let copy = lowering.copy(from, to, graph.ty(input), graph.name_of(input));
        lowering.drafts[copy].after.extend(before);
        storage.insert(to, Memory::Value(input));
    }
    storage
}

/// Tries to write `value` over `input`.
fn write_over(lowering: &mut Lowering<'_>, input: ValueId, value: ValueId) -> bool {
    let (old, new) = (Memory::Value(input), Memory::Value(value));
    let Some(writer) = lowering.writer(new) else { return false };
    if lowering.cx.graph.ty(input) != lowering.cx.graph.ty(value) {
        return false;
    }
    let readers: Vec<usize> = lowering.readers(old).into_iter().filter(|&reader| reader != writer).collect();
    if readers.iter().any(|&reader| lowering.before(reader).contains(&writer)) {
        return false;
    }
    let position = |memory: Memory| {
        let operands = &lowering.drafts[writer].operands;
        let mut found = (0..operands.len()).filter(|&at| operands[at] == memory);
        (found.next(), found.next().is_some())
    };
    let (written, _) = position(new);
    match (position(old), written) {
        ((None, _), Some(_)) => {}
        ((Some(read), false), Some(written)) => {
            let draft = &lowering.drafts[writer];
            let merged = in_place::run(&draft.kernel, TensorId(read as u32), TensorId(written as u32));
            let Some(kernel) = merged else { return false };
            let draft = &mut lowering.drafts[writer];
            draft.kernel = kernel;
            draft.operands.remove(read);
        }
        _ => return false,
    }
    lowering.drafts[writer].after.extend(readers);
    true
}
