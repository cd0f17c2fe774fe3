//! Kernels with scratch tensors: contractions and loops one after another in each item, over memory that stays in the caches.
//!
//! Each contraction is laid out as it would be alone (see `contract.rs`). What its operands are packed of may not depend on the loops around
//! the stages: then the copy is made outside of those, once an item. Scratch tensors and tiles lie in the thread's scratch memory, where two
//! that are not in use in one stage share their place. A stage whose result takes the place of an operand, element by element, does so.

use cranelift_codegen::ir::Value;
use kiln_ir::TensorId;
use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::statements::{for_each_load, for_each_store, with_tensors};
use kiln_ir::verify::can_share;

use crate::contract::{self, Form, Laid, Plan, Stage, Stages};
use crate::emit::Emitter;
use crate::tile::Nest;
use crate::tiling::Tiles;
use crate::work::Work;

/// Where lines begin.
const LINE_BYTES: usize = 64;

/// A tensor in scratch memory: its bytes, and the first and last stage that use it.
struct Held {
    bytes: usize,
    first: usize,
    last: usize,
}

/// The plan of a kernel that has stages.
pub(crate) fn plan(original: &Kernel) -> Option<Plan> {
    original.stages()?;
    let kernel = in_place(original.clone());
    let (shared, statements) = kernel.stages()?;
    let threads = kernel.schedule.thread.clone();
    let outer: Vec<_> = shared.iter().copied().filter(|axis| !threads.contains(axis)).collect();
    let mut tiles = Tiles::of(&kernel);
    let mut held: Vec<Held> = (kernel.arguments().len()..kernel.tensors.len())
        .map(|at| {
            let uses = |stage: &Statement| touches(stage, TensorId(at as u32));
            let first = statements.iter().position(uses).unwrap_or(0);
            let last = statements.iter().rposition(uses).unwrap_or(0);
            Held {
                bytes: if statements.iter().any(uses) { kernel.tensors[at].ty.size_bytes(1) } else { 0 },
                first,
                last,
            }
        })
        .collect();
    let end = statements.len().saturating_sub(1);
    let mut stages = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let laid = match statement {
            Statement::For(axes, body) => laid_out(&mut tiles, &kernel, axes, body),
            _ => None,
        };
        // Tensors that a layout was begun with and not finished are in nobody's use.
        let new = tiles.kernel.tensors.len() - kernel.arguments().len() - held.len();
        let Some(Laid { contraction, elements }) = laid else {
            held.extend((0..new).map(|_| Held { bytes: 0, first: at, last: at }));
            stages.push(Stage::Loops(statement.clone()));
            continue;
        };
        for (tile, elements) in elements.into_iter().enumerate() {
            // Copies of operands outlive the iterations of the loops around.
            let (first, last) = if outer.is_empty() || tile == 2 { (at, at) } else { (0, end) };
            held.push(Held { bytes: elements * 4, first, last });
        }
        stages.push(Stage::Contraction(Box::new(contraction)));
    }
    let (scratch_offsets, scratch_bytes) = placed(&held);
    let form = Form::Stages(Stages { threads, outer, stages });
    Some(Plan { kernel: tiles.kernel, form, scratch_offsets, scratch_bytes })
}

fn laid_out(tiles: &mut Tiles, kernel: &Kernel, axes: &[kiln_ir::AxisId], body: &[Statement]) -> Option<Laid> {
    let Some(Statement::Reduce { axes: summed, .. }) = body.first() else { return None };
    let contracts = &kernel.schedule.contracts;
    let contract = contracts.iter().find(|contract| contract.k.iter().any(|tile| summed.contains(&tile.axis)))?;
    contract::contraction(tiles, contract, (axes, body), &[])
}

/// An offset for each, the largest first, each at the lowest place that is free in its stages.
fn placed(held: &[Held]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..held.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(held[at].bytes), at));
    let (mut offsets, mut end) = (vec![0; held.len()], 0);
    let mut done: Vec<usize> = Vec::new();
    for at in order {
        let together = |other: &usize| held[at].first <= held[*other].last && held[*other].first <= held[at].last;
        let mut others: Vec<usize> = done.iter().copied().filter(together).collect();
        others.sort_by_key(|&other| offsets[other]);
        let mut offset = 0;
        for other in others {
            if offset + held[at].bytes <= offsets[other] {
                break;
            }
            offset = offset.max((offsets[other] + held[other].bytes).next_multiple_of(LINE_BYTES));
        }
        offsets[at] = offset;
        end = end.max((offset + held[at].bytes).next_multiple_of(LINE_BYTES));
        done.push(at);
    }
    (offsets, end)
}

/// Lets a stage store over scratch memory that it is the last to load, where the planner would let a kernel do so.
fn in_place(mut kernel: Kernel) -> Kernel {
    let scratch: Vec<TensorId> =
        (kernel.arguments().len()..kernel.tensors.len()).map(|at| TensorId(at as u32)).collect();
    for &written in &scratch {
        let operand = scratch.iter().copied().find(|&read| read != written && can_share(&kernel, read, written));
        if let Some(read) = operand {
            kernel.body = with_tensors(kernel.body, &|id| if id == written { read } else { id });
        }
    }
    kernel
}

/// Whether a stage loads or stores a tensor.
fn touches(stage: &Statement, tensor: TensorId) -> bool {
    let (stage, mut found) = (std::slice::from_ref(stage), false);
    for_each_store(stage, &mut |stored, _| found |= stored == tensor);
    for_each_load(stage, &mut |load| found |= load.tensor == tensor);
    found
}

impl Emitter<'_> {
    /// All stages, for items `[begin, end)`.
    pub(crate) fn stages(&mut self, stages: &Stages, begin: Value, end: Value) {
        let nests: Vec<Option<Nest<'_>>> = stages
            .stages
            .iter()
            .map(|stage| match stage {
                Stage::Contraction(contraction) => Some(self.contraction_nest(contraction, &stages.outer, begin, end)),
                Stage::Loops(_) => None,
            })
            .collect();
        if stages.threads.is_empty() {
            return self.around(stages, &nests, 0);
        }
        self.rows(&stages.threads, begin, end, &mut |e, axis, span| {
            e.counted_loop(span.start, span.end, 1, false, &mut |e, position| {
                e.at(axis, position, &mut |e| e.around(stages, &nests, 0));
            });
        });
    }

    /// The loops around the stages from one on, with what is packed in them.
    fn around(&mut self, stages: &Stages, nests: &[Option<Nest<'_>>], at: usize) {
        // Memory that stages share is written by each: only what is packed around several iterations is packed ahead.
        let is_ahead = !stages.outer.is_empty();
        let Some(&axis) = stages.outer.get(at) else {
            for (stage, nest) in stages.stages.iter().zip(nests) {
                match (stage, nest) {
                    (Stage::Contraction(_), Some(nest)) => {
                        let depths = if is_ahead { at + 1..at + 2 } else { 0..2 };
                        depths.for_each(|depth| self.pack(nest, depth));
                        self.contraction_stage(nest);
                    }
                    (Stage::Loops(Statement::For(axes, body)), _) => self.nest(axes, Work::Statements(body)),
                    (Stage::Loops(other), _) => self.statements(std::slice::from_ref(other)),
                    (Stage::Contraction(_), None) => {}
                }
            }
            return;
        };
        let depths = if at == 0 { 0..2 } else { at + 1..at + 2 };
        for nest in nests.iter().flatten() {
            // What reads scratch memory is packed in its stage.
            depths.clone().for_each(|depth| self.pack(nest, depth));
        }
        let (start, stop, fixed) = (self.int(0), self.trip(axis), self.fixed_trip(axis));
        self.counted_loop(start, stop, 1, fixed.is_some(), &mut |e, position| {
            e.at(axis, position, &mut |e| e.around(stages, nests, at + 1));
        });
    }
}
