//! Loops over lanes in AVX-512: sixteen lanes where Cranelift, whose vectors have 128 bits, has four.
//!
//! The emitter writes such a loop once, in Cranelift's instructions on four lanes, and marks it. After Cranelift's mid-end, which merges and
//! hoists, the marked loops and as much around them as is known here are taken out of the function: in their place stands a call, and they
//! themselves become functions behind it, in which every operation on four lanes is one on sixteen. Each lane goes through the same operations
//! either way, so results are the same bits. A loop with something that is not known here is written anew, for four lanes.
//!
//! `region.rs` finds what is taken out; `lower.rs`, `lane_loop.rs`, `ops.rs` and `integers.rs` choose instructions; regalloc2 (Cranelift's allocator)
//! chooses registers; `emit.rs` and `encode.rs` write bytes.

mod code;
mod conditions;
mod disassemble;
mod emit;
mod encode;
mod inst;
mod integers;
mod lane_loop;
mod lower;
mod ops;
mod region;
mod values;

use std::collections::HashSet;

use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, ExtFuncData, ExternalName, Function, InstBuilder, MemFlagsData, Signature,
    StackSlotData, StackSlotKind, UserExternalName, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};

use lower::Written;
use region::Region;

pub(crate) use disassemble::disassembled;
pub(crate) use region::Marked;

/// Lanes of a register.
pub(crate) const LANES: usize = lower::LANES as usize;
/// How many registers of Cranelift's a register is.
pub(crate) const TIMES: usize = (lower::LANES / lower::NARROW_LANES) as usize;

/// Functions behind a function, by the number under which it calls them.
pub(crate) type WideFunctions = Vec<Vec<u8>>;

/// Whether machine code for this target may use AVX-512.
pub(crate) fn is_available(isa: &dyn TargetIsa) -> bool {
    let needed = ["has_avx512f", "has_bmi2"];
    let has = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    isa.default_call_conv() == CallConv::SystemV && needed.into_iter().all(has)
}

/// Takes marked loops out of a function that the mid-end has been over. An error names those, by number, that must be written for four lanes.
pub(crate) fn take_out(context: &mut Context, marked: &[Marked]) -> Result<WideFunctions, HashSet<usize>> {
    context.flowgraph();
    context.compute_loop_analysis();
    let (mut found, mut refused): (Vec<(Region, Written)>, HashSet<usize>) = (Vec::new(), HashSet::new());
    for mark in marked {
        let is_taken = found.iter().any(|(region, _)| region.blocks.contains(&mark.header));
        if is_taken || !context.func.layout.is_block_inserted(mark.header) {
            continue;
        }
        match largest(context, marked, mark.header) {
            Some(region) => found.push(region),
            None => {
                refused.insert(mark.number);
            }
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut functions = Vec::new();
    for (region, written) in found {
        let Some(lowered) = written.assemble() else {
            // The allocator gave up; then so do we.
            return Err(marked.iter().map(|mark| mark.number).collect());
        };
        call(&mut context.func, &region, &lowered.given, functions.len() as u32);
        functions.push(lowered.bytes);
    }
    context.flowgraph();
    Ok(functions)
}

/// The largest region around a loop in which everything is known, and what it becomes.
fn largest(context: &Context, marked: &[Marked], header: Block) -> Option<(Region, Written)> {
    let mut held = Some(region::loop_of(context, header)?);
    let mut best = None;
    while let Some(around) = held {
        let Some(region) = Region::new(context, around, marked) else { break };
        let Ok(written) = lower::lower(&context.func, &region) else { break };
        best = Some((region, written));
        held = context.loop_analysis.loop_parent(around);
    }
    best
}

/// Puts a call in the place of a region.
fn call(func: &mut Function, region: &Region, given: &[Value], number: u32) {
    let block = func.dfg.make_block();
    let parameters: Vec<Value> = func.dfg.block_params(region.entry).to_vec();
    let types: Vec<_> = parameters.iter().map(|&value| func.dfg.value_type(value)).collect();
    let own: Vec<Value> = types.into_iter().map(|ty| func.dfg.append_block_param(block, ty)).collect();
    let outside: Vec<Block> = func.layout.blocks().filter(|block| !region.blocks.contains(block)).collect();
    for from in outside {
        let Some(last) = func.layout.last_inst(from) else { continue };
        let dfg = &mut func.stencil.dfg;
        for way in dfg.insts[last].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables) {
            if way.block(&dfg.value_lists) == region.entry {
                way.set_block(block, &mut dfg.value_lists);
            }
        }
    }
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(types::I64));
    let signature = func.import_signature(signature);
    let name = func.declare_imported_user_function(UserExternalName { namespace: 1, index: number });
    let data = ExtFuncData { name: ExternalName::user(name), signature, colocated: true, patchable: false };
    let function = func.import_function(data);
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * given.len().max(1) as u32, 3);
    let slot = func.create_sized_stack_slot(slot);

    let mut cursor = FuncCursor::new(func);
    cursor.insert_block(block);
    let frame = cursor.ins().stack_addr(types::I64, slot, 0);
    for (value, offset) in given.iter().zip((0..).step_by(8)) {
        let value = parameters.iter().position(|parameter| parameter == value).map_or(*value, |at| own[at]);
        cursor.ins().store(MemFlagsData::trusted(), value, frame, offset);
    }
    cursor.ins().call(function, &[frame]);
    let none: [BlockArg; 0] = [];
    cursor.ins().jump(region.exit, &none);
}
