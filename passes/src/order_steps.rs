//! Puts the launches in order: what frees memory runs first.
//!
//! Of the launches that may run, the one is next that leaves the least memory in use; among equals the one that was lowered first. So a
//! weight is updated as soon as its gradient and its last reader are done, and the gradient's memory is free again.
//!
//! **Before:** [`Steps`] in any order, with all dependences in `after`. **After:** the same steps, each behind what it waits for.
//!
//! ```text
//! d_h = ..                        d_h = ..
//! d_x = input_grad d_h, w    →    d_x = input_grad d_h, w
//! loss = mean ..                  w = w - lr * weight_grad d_h, x
//! w = w - lr * weight_grad ..     loss = mean ..
//! ```
//!
//! **Order:** after tile, which can add launches, and before plan_memory, which needs the order.
//! **Source:** list scheduling by register pressure, as in Goodman and Hsu (1988).

use std::collections::BTreeSet;

use kiln_ir::kernel::Access;

use crate::steps::Steps;

/// Reorders the steps.
pub fn run(steps: &mut Steps) {
    let count = steps.steps.len();
    let mut readers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); steps.slots.len()];
    for (at, step) in steps.steps.iter().enumerate() {
        for &slot in &step.slots {
            readers[slot].insert(at);
        }
    }
    let size = |slot: usize| steps.slots[slot].ty.size_bytes(steps.max_batch) as i64;
    let mut order: Vec<usize> = Vec::new();
    let mut done = BTreeSet::new();
    while order.len() < count {
        let ready = (0..count).filter(|at| !done.contains(at) && steps.steps[*at].after.is_subset(&done));
        // Bytes that are in use after the step and were not before.
        let growth = |at: usize| {
            let step = &steps.steps[at];
            let owners: BTreeSet<usize> = step.slots.iter().copied().collect();
            let temporary = owners.into_iter().filter(|&slot| !steps.slots[slot].is_persistent());
            let written = |slot: usize| {
                let tensors = step.slots.iter().zip(&step.kernel.tensors);
                tensors.into_iter().any(|(&held, tensor)| held == slot && tensor.access == Access::Write)
            };
            temporary
                .map(|slot| match (written(slot), readers[slot].iter().all(|r| *r == at || done.contains(r))) {
                    (true, false) => size(slot),
                    (false, true) => -size(slot),
                    _ => 0,
                })
                .sum::<i64>()
        };
        let next = ready.min_by_key(|&at| (growth(at), at)).expect("dependences have no cycle");
        order.push(next);
        done.insert(next);
    }
    let place = |old: usize| order.iter().position(|&at| at == old).expect("every step is in the order");
    let reordered = order.iter().map(|&old| {
        let mut step = steps.steps[old].clone();
        step.after = step.after.iter().map(|&before| place(before)).collect();
        step
    });
    steps.steps = reordered.collect();
}
