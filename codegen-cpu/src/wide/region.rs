//! Which blocks of a function become a wide function: a loop over lanes, or the largest loop around it that holds nothing else than what is
//! known here.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, Function, InstructionData, Opcode, Value, ValueDef, types};
use cranelift_codegen::loop_analysis::Loop;

use super::lower::{LANES, NARROW_LANES};

/// A loop over lanes as the emitter wrote it: steps of four, that stand for steps of sixteen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    /// Its place among all loops over lanes of the kernel.
    pub(crate) number: usize,
    pub(crate) header: Block,
    /// The lanes of a step as they are written, four for each register.
    pub(crate) lanes: i64,
    /// Whether there are full steps alone.
    pub(crate) is_whole: bool,
    /// Of a loop that adds up: the block after it, that stores the sums where they were before, 64 bytes each.
    pub(crate) after: Option<Block>,
}

/// Blocks that become a function.
pub(super) struct Region {
    pub(super) entry: Block,
    /// Values before their uses.
    pub(super) blocks: Vec<Block>,
    pub(super) exit: Block,
    /// Blocks of loops over lanes, by block the header.
    lanes: HashMap<Block, Block>,
    marked: Vec<Marked>,
}

/// A loop over lanes inside a region.
pub(super) struct LaneBlocks {
    pub(super) blocks: Vec<Block>,
    pub(super) position: Value,
    /// The position of the next step.
    pub(super) next: Value,
    /// What goes round with it.
    pub(super) round: Vec<Value>,
    pub(super) end: Value,
    /// The block that ends a step.
    pub(super) latch: Block,
    pub(super) exit: Block,
    /// Positions of a step.
    pub(super) step: i64,
    /// Whether there are full steps alone.
    pub(super) is_whole: bool,
}

impl Region {
    /// The blocks of a loop and those around it, if they are entered and left at one place each.
    pub(super) fn new(context: &Context, held: Loop, marked: &[Marked]) -> Option<Region> {
        let header = context.loop_analysis.loop_header(held);
        let after = marked.iter().find(|mark| mark.header == header).and_then(|mark| mark.after);
        let is_inside = |block: Block| context.loop_analysis.is_in_loop(block, held) || Some(block) == after;
        let order = context.domtree.cfg_postorder().iter().rev().copied();
        let blocks: Vec<Block> = order.filter(|&block| is_inside(block)).collect();
        let entry = *blocks.first()?;
        let mut exits: Vec<Block> =
            blocks.iter().flat_map(|&block| context.cfg.succ_iter(block)).filter(|&block| !is_inside(block)).collect();
        exits.dedup();
        let entered = |block: Block| context.cfg.pred_iter(block).any(|edge| !is_inside(edge.block));
        let [exit] = exits.as_slice() else { return None };
        if blocks.iter().any(|&block| block != entry && entered(block)) || used_after(&context.func, &blocks) {
            return None;
        }
        let mut lanes = HashMap::new();
        let inside: Vec<Marked> = marked.iter().copied().filter(|mark| blocks.contains(&mark.header)).collect();
        for mark in &inside {
            // Registers of four lanes are around such a loop.
            if mark.after.is_some() && mark.header != header {
                return None;
            }
            let own = loop_of(context, mark.header)?;
            let members = blocks.iter().filter(|&&block| context.loop_analysis.is_in_loop(block, own));
            lanes.extend(members.map(|&block| (block, mark.header)));
        }
        let is_narrow = |block: &&Block| !lanes.contains_key(*block) && Some(**block) != after;
        if blocks.iter().filter(is_narrow).any(|&block| has_lanes(&context.func, block)) {
            return None;
        }
        Some(Region { entry, blocks, exit: *exit, lanes, marked: inside })
    }

    /// The header of the loop over lanes that a block is in.
    pub(super) fn lane_loop_of(&self, block: Block) -> Option<Block> {
        self.lanes.get(&block).copied()
    }

    /// Where the sums of a loop lie before and after it, by the parameter of its header: the address and a distance.
    pub(super) fn sums(&self, func: &Function) -> Option<Vec<(Value, i32)>> {
        let mark = self.marked.iter().find(|mark| mark.header == self.entry)?;
        let held = self.lane_loop(func, self.entry)?;
        let stores = func.layout.block_insts(mark.after?).filter_map(|inst| match func.dfg.insts[inst] {
            InstructionData::Store { opcode: Opcode::Store, args: [value, address], offset, .. } => {
                Some((func.dfg.resolve_aliases(value), (func.dfg.resolve_aliases(address), i32::from(offset))))
            }
            _ => None,
        });
        let stores: Vec<_> = stores.collect();
        held.round
            .iter()
            .map(|value| stores.iter().find(|(stored, _)| stored == value).map(|(_, place)| *place))
            .collect()
    }

    /// A loop over lanes, if it ends as the emitter ends it.
    pub(super) fn lane_loop(&self, func: &Function, header: Block) -> Option<LaneBlocks> {
        let blocks: Vec<Block> =
            self.blocks.iter().copied().filter(|block| self.lanes.get(block) == Some(&header)).collect();
        let mark = self.marked.iter().find(|mark| mark.header == header)?;
        let pool = &func.dfg.value_lists;
        let mut found = None;
        for &latch in &blocks {
            let InstructionData::Brif { arg, blocks: ways, .. } = func.dfg.insts[func.layout.last_inst(latch)?] else {
                continue;
            };
            if ways[0].block(pool) != header {
                continue;
            }
            let condition = func.dfg.value_def(func.dfg.resolve_aliases(arg)).inst()?;
            let InstructionData::IntCompare { opcode: Opcode::Icmp, args: [next, end], cond: IntCC::SignedLessThan } =
                func.dfg.insts[condition]
            else {
                return None;
            };
            let exit = ways[1].block(pool);
            if ways[1].args(pool).next().is_some() || blocks.contains(&exit) || found.is_some() {
                return None;
            }
            let arguments: Vec<Value> = ways[0]
                .args(pool)
                .map(|argument| argument.as_value().map(|value| func.dfg.resolve_aliases(value)))
                .collect::<Option<_>>()?;
            let next = func.dfg.resolve_aliases(next);
            let at = arguments.iter().position(|&value| value == next)?;
            let position = func.dfg.block_params(header)[at];
            let (from, step) = sum(func, next)?;
            // The position comes first, and the emitter's steps are of four lanes.
            if func.dfg.resolve_aliases(from) != position || literal(func, step) != Some(mark.lanes) || at != 0 {
                return None;
            }
            let round = arguments[1..].to_vec();
            let is_whole = mark.is_whole || has_full_steps(func, header, &blocks, end);
            let step = mark.lanes / NARROW_LANES * LANES;
            found =
                Some(LaneBlocks { blocks: blocks.clone(), position, next, round, end, latch, exit, step, is_whole });
        }
        found
    }
}

/// Whether the length of a loop is known, and a multiple of the lanes.
fn has_full_steps(func: &Function, header: Block, blocks: &[Block], end: Value) -> bool {
    let (pool, literal) = (&func.dfg.value_lists, |value: Value| literal(func, value));
    let Some(end) = literal(end) else { return false };
    let outside = func.layout.blocks().filter(|block| !blocks.contains(block));
    let ways = outside.filter_map(|block| func.layout.last_inst(block)).flat_map(|inst| {
        func.dfg.insts[inst].branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables).to_vec()
    });
    let starts: Vec<Option<i64>> = ways
        .filter(|way| way.block(pool) == header)
        .map(|way| way.args(pool).next().and_then(|argument| argument.as_value()).and_then(literal))
        .collect();
    starts.into_iter().all(|start| start.is_some_and(|start| (end - start) % LANES == 0))
}

/// The value of an integer that is known.
pub(super) fn literal(func: &Function, value: Value) -> Option<i64> {
    let inst = func.dfg.value_def(func.dfg.resolve_aliases(value)).inst()?;
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
        _ => None,
    }
}

/// The loop with this header.
pub(super) fn loop_of(context: &Context, header: Block) -> Option<Loop> {
    let held = context.loop_analysis.innermost_loop(header)?;
    (context.loop_analysis.loop_header(held) == header).then_some(held)
}

/// Whether a block computes with registers of several lanes.
fn has_lanes(func: &Function, block: Block) -> bool {
    let is_wide = |&value: &Value| func.dfg.value_type(value).is_vector();
    let computed = func.layout.block_insts(block).any(|inst| {
        let is_copy = matches!(func.dfg.insts[inst].opcode(), Opcode::Vconst | Opcode::Splat);
        !is_copy && func.dfg.inst_results(inst).iter().any(is_wide)
    });
    computed || func.dfg.block_params(block).iter().any(is_wide)
}

/// Whether a value of these blocks is used elsewhere.
fn used_after(func: &Function, blocks: &[Block]) -> bool {
    let inside: HashSet<Block> = blocks.iter().copied().collect();
    let defined = |value: Value| match func.dfg.value_def(func.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, _) => func.layout.inst_block(inst),
        ValueDef::Param(block, _) => Some(block),
        ValueDef::Union(..) => None,
    };
    func.layout.blocks().filter(|block| !inside.contains(block)).any(|block| {
        func.layout.block_insts(block).any(|inst| {
            func.dfg.inst_values(inst).any(|value| defined(value).is_some_and(|block| inside.contains(&block)))
        })
    })
}

/// The parts of a sum: what may be shifted, or is a literal, is the second.
pub(super) fn sum(func: &Function, value: Value) -> Option<(Value, Value)> {
    let inst = func.dfg.value_def(func.dfg.resolve_aliases(value)).inst()?;
    let InstructionData::Binary { opcode: Opcode::Iadd, args: [x, y] } = func.dfg.insts[inst] else { return None };
    let (x, y) = (func.dfg.resolve_aliases(x), func.dfg.resolve_aliases(y));
    let is_last = |value: Value| shifted(func, value).is_some() || literal(func, value).is_some();
    Some(if is_last(x) && !is_last(y) { (y, x) } else { (x, y) })
}

/// A value that is shifted by so few bits that an address can do it.
pub(super) fn shifted(func: &Function, value: Value) -> Option<(Value, u8)> {
    let inst = func.dfg.value_def(func.dfg.resolve_aliases(value)).inst()?;
    let InstructionData::Binary { opcode: Opcode::Ishl, args: [x, bits] } = func.dfg.insts[inst] else { return None };
    literal(func, bits).filter(|bits| (0..=3).contains(bits)).map(|bits| (x, bits as u8))
}

/// Sums and shifts that are needed in addresses of their own block alone, and so are not computed.
pub(super) fn folded(func: &Function, region: &Region) -> HashSet<Value> {
    let mut folded = HashSet::new();
    let mut refused = HashSet::new();
    let mut shifts: Vec<(Value, Value)> = Vec::new();
    for &block in &region.blocks {
        let own = |value: Value| {
            let inst = func.dfg.value_def(value).inst()?;
            (func.layout.inst_block(inst) == Some(block) && func.dfg.value_type(value) == types::I64).then_some(value)
        };
        for inst in func.layout.block_insts(block) {
            let address = match func.dfg.insts[inst] {
                InstructionData::Load { arg, .. } => Some(arg),
                InstructionData::Store { args: [_, address], .. } => Some(address),
                _ => None,
            };
            let address = address.map(|value| func.dfg.resolve_aliases(value)).and_then(own);
            let address = address.filter(|&value| sum(func, value).is_some());
            folded.extend(address);
            let result = func.dfg.inst_results(inst).first().copied();
            for value in func.dfg.inst_values(inst).map(|value| func.dfg.resolve_aliases(value)) {
                if Some(value) == address {
                    continue;
                }
                match result.filter(|&result| {
                    own(value).is_some()
                        && shifted(func, value).is_some()
                        && sum(func, result).is_some_and(|(_, y)| y == value)
                }) {
                    Some(result) => shifts.push((value, result)),
                    None => {
                        refused.insert(value);
                    }
                }
            }
        }
    }
    folded.retain(|value| !refused.contains(value));
    let kept: HashSet<Value> =
        shifts.iter().filter(|(_, sum)| !folded.contains(sum)).map(|(shift, _)| *shift).collect();
    folded.extend(
        shifts.iter().map(|(shift, _)| *shift).filter(|shift| !refused.contains(shift) && !kept.contains(shift)),
    );
    folded
}
