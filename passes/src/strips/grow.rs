//! Which kernels become one.
//!
//! From a contraction the group grows over tensors as large as its result: to the kernels that read them, and to those that make what these read
//! beside them. A kernel joins if it walks over the same items, and if no kernel outside has to run in the group's middle.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::kernel::{Access, Kernel, Statement};
use kiln_ir::statements::{for_each_load, for_each_store, has_serial};
use kiln_ir::{AxisId, Index, TensorId};

use super::Product;
use crate::steps::Steps;

/// Kernels that become one.
pub(super) struct Group {
    /// The steps, each with its axes that are those of the items.
    pub members: BTreeMap<usize, Vec<AxisId>>,
    /// The slots that become scratch memory, and where in each the items' axes stand.
    pub inner: BTreeMap<usize, Vec<usize>>,
}

struct Growth<'s> {
    steps: &'s Steps,
    /// All steps that run before each.
    before: Vec<BTreeSet<usize>>,
    writers: BTreeMap<usize, usize>,
    /// Elements of the first contraction's result.
    strip: usize,
}

/// The group that grows from a contraction, if it is one.
pub(super) fn group(steps: &Steps, root: usize) -> Option<Group> {
    let kernel = &steps.steps[root].kernel;
    let batch = Product::of(kernel)?.batch;
    let result =
        kernel.tensors.iter().zip(&steps.steps[root].slots).find(|(tensor, _)| tensor.access == Access::Write)?;
    let strip = elements(steps, *result.1);
    let growth = Growth { steps, before: before(steps), writers: writers(steps), strip };
    if !growth.can_join(root, &batch) {
        return None;
    }
    let mut members = BTreeMap::from([(root, batch)]);
    while let Some(more) = growth.next(&members) {
        members = more;
    }
    growth.settled(members, root)
}

fn elements(steps: &Steps, slot: usize) -> usize {
    steps.slots[slot].ty.shape.count().at(steps.max_batch)
}

fn writers(steps: &Steps) -> BTreeMap<usize, usize> {
    let mut writers = BTreeMap::new();
    for (at, step) in steps.steps.iter().enumerate() {
        for (tensor, &slot) in step.kernel.tensors.iter().zip(&step.slots) {
            if tensor.access != Access::Read {
                writers.insert(slot, at);
            }
        }
    }
    writers
}

fn before(steps: &Steps) -> Vec<BTreeSet<usize>> {
    let mut found: Vec<Option<BTreeSet<usize>>> = vec![None; steps.steps.len()];
    fn visit(steps: &Steps, at: usize, found: &mut Vec<Option<BTreeSet<usize>>>) -> BTreeSet<usize> {
        if let Some(held) = &found[at] {
            return held.clone();
        }
        let mut all = steps.steps[at].after.clone();
        for &earlier in &steps.steps[at].after {
            all.extend(visit(steps, earlier, found));
        }
        found[at] = Some(all.clone());
        all
    }
    (0..steps.steps.len()).map(|at| visit(steps, at, &mut found)).collect()
}

/// Every index at which a kernel loads or stores a tensor.
fn indices(kernel: &Kernel, tensor: TensorId) -> Vec<Vec<Index>> {
    let mut found = Vec::new();
    for_each_store(&kernel.body, &mut |held, index| {
        if held == tensor {
            found.push(index.to_vec());
        }
    });
    for_each_load(&kernel.body, &mut |load| {
        if load.tensor == tensor {
            found.push(load.index.clone());
        }
    });
    found
}

/// Where the axes stand alone in every index.
fn places(indices: &[Vec<Index>], axes: &[AxisId]) -> Option<Vec<usize>> {
    let first = indices.first()?;
    let place = |axis: &AxisId| {
        let stands = |at: &usize| indices.iter().all(|index| index[*at].as_axis() == Some(*axis));
        (0..first.len()).find(stands)
    };
    axes.iter().map(place).collect()
}

impl Growth<'_> {
    fn kernel(&self, step: usize) -> &Kernel {
        &self.steps.steps[step].kernel
    }

    /// The tensors of a step with their slots.
    fn tensors(&self, step: usize) -> impl Iterator<Item = (TensorId, Access, usize)> {
        let step = &self.steps.steps[step];
        let tensors = step.kernel.tensors.iter().zip(&step.slots).enumerate();
        tensors.map(|(at, (tensor, &slot))| (TensorId(at as u32), tensor.access, slot))
    }

    fn readers(&self, slot: usize) -> impl Iterator<Item = usize> {
        let reads = move |at: &usize| self.tensors(*at).any(|(_, access, held)| held == slot && access == Access::Read);
        (0..self.steps.steps.len()).filter(reads)
    }

    /// Whether a slot is a temporary as large as a strip.
    fn is_strip(&self, slot: usize) -> bool {
        !self.steps.slots[slot].is_persistent() && elements(self.steps, slot) == self.strip
    }

    /// Whether a kernel is loops over the items with anything but serial loops and updates in them.
    fn can_join(&self, step: usize, axes: &[AxisId]) -> bool {
        let kernel = self.kernel(step);
        let [Statement::For(loops, inner)] = kernel.body.as_slice() else { return false };
        let plain = kernel.tensors.iter().all(|tensor| matches!(tensor.access, Access::Read | Access::Write));
        let distinct = axes.iter().collect::<BTreeSet<_>>().len() == axes.len();
        let limited = kernel.axes.iter().any(|axis| axis.limit.is_some());
        plain && distinct && !limited && !has_serial(inner) && axes.iter().all(|axis| loops.contains(axis))
    }

    /// The axes of a step at these places of one of its tensors.
    fn axes_at(&self, step: usize, tensor: TensorId, places: &[usize]) -> Option<Vec<AxisId>> {
        let indices = indices(self.kernel(step), tensor);
        let axes: Option<Vec<AxisId>> = places.iter().map(|&place| indices.first()?.get(place)?.as_axis()).collect();
        let axes = axes?;
        let stands = (0..axes.len())
            .all(|at| indices.iter().all(|index| index.get(places[at]).and_then(Index::as_axis) == Some(axes[at])));
        (stands && self.can_join(step, &axes)).then_some(axes)
    }

    /// The members and one more, with all that makes large tensors for it.
    fn next(&self, members: &BTreeMap<usize, Vec<AxisId>>) -> Option<BTreeMap<usize, Vec<AxisId>>> {
        for (&member, axes) in members {
            for (tensor, access, slot) in self.tensors(member) {
                if access != Access::Write || !self.is_strip(slot) {
                    continue;
                }
                let Some(places) = places(&indices(self.kernel(member), tensor), axes) else { continue };
                for reader in self.readers(slot).filter(|reader| !members.contains_key(reader)) {
                    let mut more = members.clone();
                    if self.attach(reader, slot, &places, &mut more) && self.is_convex(&more) {
                        return Some(more);
                    }
                }
            }
        }
        None
    }

    /// Adds a step that touches a slot in which the items' axes stand at these places, and what makes large tensors for it.
    fn attach(&self, step: usize, slot: usize, at: &[usize], members: &mut BTreeMap<usize, Vec<AxisId>>) -> bool {
        let Some((tensor, ..)) = self.tensors(step).find(|(_, _, held)| *held == slot) else { return false };
        let Some(axes) = self.axes_at(step, tensor, at) else { return false };
        members.insert(step, axes.clone());
        for (tensor, access, slot) in self.tensors(step) {
            let writer = self.writers.get(&slot).filter(|writer| !members.contains_key(writer));
            if access == Access::Read
                && self.is_strip(slot)
                && let Some(&writer) = writer
                && let Some(places) = places(&indices(self.kernel(step), tensor), &axes)
            {
                // What cannot join stays outside and is loaded.
                let mut more = members.clone();
                if self.attach(writer, slot, &places, &mut more) {
                    *members = more;
                }
            }
        }
        true
    }

    /// Whether nothing outside has to run after one member and before another.
    fn is_convex(&self, members: &BTreeMap<usize, Vec<AxisId>>) -> bool {
        let outside: BTreeSet<usize> = members
            .keys()
            .flat_map(|&at| self.before[at].iter().copied())
            .filter(|at| !members.contains_key(at))
            .collect();
        outside.iter().all(|&at| self.before[at].iter().all(|earlier| !members.contains_key(earlier)))
    }

    /// The group without the kernels that read what others need as well, if it is still worth it.
    fn settled(&self, mut members: BTreeMap<usize, Vec<AxisId>>, root: usize) -> Option<Group> {
        loop {
            let inner = self.inner(&members);
            let reads_stored = |at: &usize| {
                self.tensors(*at).any(|(_, access, slot)| {
                    let made = self.writers.get(&slot).is_some_and(|writer| members.contains_key(writer));
                    access == Access::Read && made && !inner.contains_key(&slot)
                })
            };
            let leaving: Vec<usize> = members.keys().copied().filter(reads_stored).collect();
            if !leaving.is_empty() {
                members.retain(|at, _| !leaving.contains(at));
                continue;
            }
            let consumes = |at: &usize| {
                let reads = |(_, access, slot): (TensorId, Access, usize)| {
                    access == Access::Read && self.is_strip(slot) && inner.contains_key(&slot)
                };
                *at != root && Product::of(self.kernel(*at)).is_some() && self.tensors(*at).any(reads)
            };
            let is_worth_it = members.contains_key(&root) && members.keys().any(consumes);
            return (is_worth_it && self.is_convex(&members)).then_some(Group { members, inner });
        }
    }

    /// The slots that only members touch, and each item's part of which only its own iteration does.
    fn inner(&self, members: &BTreeMap<usize, Vec<AxisId>>) -> BTreeMap<usize, Vec<usize>> {
        let mut inner = BTreeMap::new();
        for (&member, axes) in members {
            for (tensor, access, slot) in self.tensors(member) {
                if access != Access::Write || self.steps.slots[slot].is_persistent() {
                    continue;
                }
                let Some(places) = places(&indices(self.kernel(member), tensor), axes) else { continue };
                let ty = &self.kernel(member).tensor(tensor).ty;
                let rest = (0..ty.rank()).filter(|axis| !places.contains(axis));
                let is_fixed = rest.into_iter().all(|axis| !ty.dim(axis).batch);
                let fits = |reader: usize| {
                    let Some(axes) = members.get(&reader) else { return false };
                    let mut seen = self.tensors(reader).filter(|(_, _, held)| *held == slot);
                    seen.all(|(tensor, ..)| {
                        let alike = self.kernel(reader).tensor(tensor).ty == *ty;
                        let stand = |index: &Vec<Index>| {
                            places.iter().zip(axes).all(|(&at, &axis)| index[at].as_axis() == Some(axis))
                        };
                        alike && indices(self.kernel(reader), tensor).iter().all(stand)
                    })
                };
                if is_fixed && self.readers(slot).all(fits) && self.readers(slot).next().is_some() {
                    inner.insert(slot, places);
                }
            }
        }
        inner
    }
}
