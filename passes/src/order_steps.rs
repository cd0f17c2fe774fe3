//! Puts the launches in order: what frees memory runs first.
//!
//! Of the launches that may run, the one is next that leaves the least memory in use; among equals the one that was lowered first. So a
//! weight is updated as soon as its gradient and its last reader are done, and the gradient's memory is free again.
//!
//! A launch that may run early is not therefore needed early: a transposed weight, or what is computed again for the backward pass. So each one then
//! sinks towards its first reader where its result is larger than what it keeps alive on the way, and the order with the lower peak is taken.
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

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::Access;

use crate::steps::{Slot, Steps};

/// Reorders the steps.
pub fn run(steps: &mut Steps) {
    let flow = Flow::of(steps);
    let greedy = greedy(steps, &flow);
    let sunk = [sunk(steps, &flow, greedy.clone()), sunk(steps, &flow, as_lowered(steps))];
    // The first of equals.
    let orders = [greedy].into_iter().chain(sunk);
    let order = orders.min_by_key(|order| flow.peak(order)).expect("there are three");
    let place = |old: usize| order.iter().position(|&at| at == old).expect("every step is in the order");
    let reordered = order.iter().map(|&old| {
        let mut step = steps.steps[old].clone();
        step.after = step.after.iter().map(|&before| place(before)).collect();
        step
    });
    steps.steps = reordered.collect();
}

/// Who touches what.
struct Flow {
    /// The bytes of each slot, 0 of those that live as long as the program.
    sizes: Vec<i64>,
    /// The steps that read or write each slot.
    touched: Vec<BTreeSet<usize>>,
    /// The slots that each step touches, and whether it makes them.
    slots: Vec<BTreeMap<usize, bool>>,
}

impl Flow {
    fn of(steps: &Steps) -> Flow {
        let mut touched: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); steps.slots.len()];
        let mut slots = Vec::new();
        for (at, step) in steps.steps.iter().enumerate() {
            let mut found: BTreeMap<usize, bool> = BTreeMap::new();
            for (&slot, tensor) in step.slots.iter().zip(&step.kernel.tensors) {
                touched[slot].insert(at);
                *found.entry(slot).or_default() |= tensor.access == Access::Write;
            }
            slots.push(found);
        }
        let size = |slot: &Slot| if slot.is_persistent() { 0 } else { slot.ty.size_bytes(steps.max_batch) as i64 };
        Flow { sizes: steps.slots.iter().map(size).collect(), touched, slots }
    }

    /// The most bytes in use at once.
    fn peak(&self, order: &[usize]) -> i64 {
        let mut left: Vec<usize> = self.touched.iter().map(BTreeSet::len).collect();
        let (mut used, mut peak) = (0, 0);
        for &at in order {
            for &slot in self.slots[at].keys() {
                used += if left[slot] == self.touched[slot].len() { self.sizes[slot] } else { 0 };
            }
            peak = peak.max(used);
            for &slot in self.slots[at].keys() {
                left[slot] -= 1;
                used -= if left[slot] == 0 { self.sizes[slot] } else { 0 };
            }
        }
        peak
    }

    /// Bytes times launches that are won when these launches, the last of which is at one place, run right before another place.
    fn gain(&self, moved: &BTreeSet<usize>, places: &[usize], from: usize, to: usize) -> i64 {
        let slots: BTreeSet<usize> = moved.iter().flat_map(|&at| self.slots[at].keys().copied()).collect();
        let of_slot = |slot: usize| {
            let others = self.touched[slot].iter().filter(|at| !moved.contains(at)).map(|&at| places[at]);
            let (first, last) = others.fold((usize::MAX, from), |(first, last), at| (first.min(at), last.max(at)));
            let launches = match first {
                // It is there for these launches alone.
                usize::MAX => 0,
                first if first > from => (to - from) as i64,
                _ => last as i64 - to.max(last) as i64,
            };
            launches * self.sizes[slot]
        };
        slots.into_iter().map(of_slot).sum()
    }
}

/// Always the launch that leaves the least memory in use.
fn greedy(steps: &Steps, flow: &Flow) -> Vec<usize> {
    let count = steps.steps.len();
    let mut order: Vec<usize> = Vec::new();
    let mut done = BTreeSet::new();
    while order.len() < count {
        let ready = (0..count).filter(|at| !done.contains(at) && steps.steps[*at].after.is_subset(&done));
        // Bytes that are in use after the step and were not before.
        let growth = |at: usize| {
            let change = |(&slot, &made): (&usize, &bool)| match (
                made,
                flow.touched[slot].iter().all(|r| *r == at || done.contains(r)),
            ) {
                (true, false) => flow.sizes[slot],
                (false, true) => -flow.sizes[slot],
                _ => 0,
            };
            flow.slots[at].iter().map(change).sum::<i64>()
        };
        let next = ready.min_by_key(|&at| (growth(at), at)).expect("dependences have no cycle");
        order.push(next);
        done.insert(next);
    }
    order
}

/// Always the launch that was lowered first.
fn as_lowered(steps: &Steps) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let mut done = BTreeSet::new();
    while order.len() < steps.steps.len() {
        let ready = |at: &usize| !done.contains(at) && steps.steps[*at].after.is_subset(&done);
        let next = (0..steps.steps.len()).find(ready).expect("dependences have no cycle");
        order.push(next);
        done.insert(next);
    }
    order
}

/// Moves each launch, the last first, to where its result is needed, if that takes fewer bytes for fewer launches than it gives: alone, or
/// together with those that run for it alone.
fn sunk(steps: &Steps, flow: &Flow, mut order: Vec<usize>) -> Vec<usize> {
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (at, step) in steps.steps.iter().enumerate() {
        step.after.iter().for_each(|&before| waiting[before].push(at));
    }
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &at)| places[at] = place);
    for from in (0..order.len()).rev() {
        let at = order[from];
        let Some(to) = waiting[at].iter().map(|&later| places[later]).min().filter(|&to| to > from + 1) else {
            continue;
        };
        let alone = BTreeSet::from([at]);
        let moved = if flow.gain(&alone, &places, from, to) > 0 { alone } else { with_feeders(steps, &waiting, at) };
        if flow.gain(&moved, &places, from, to) > 0 {
            let (chain, rest): (Vec<usize>, Vec<usize>) = order[..to].iter().partition(|&&at| moved.contains(&at));
            order.splice(..to, rest.into_iter().chain(chain));
            order[..to].iter().enumerate().for_each(|(place, &at)| places[at] = place);
        }
    }
    order
}

/// A launch, and all that run before it for nobody else.
fn with_feeders(steps: &Steps, waiting: &[Vec<usize>], at: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([at]);
    let mut pending = vec![at];
    while let Some(at) = pending.pop() {
        for &before in &steps.steps[at].after {
            if !found.contains(&before) && waiting[before].iter().all(|later| found.contains(later)) {
                found.insert(before);
                pending.push(before);
            }
        }
    }
    found
}
