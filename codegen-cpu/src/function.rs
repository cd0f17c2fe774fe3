//! One kernel to one function: entry, items, body, machine code.
//!
//! Items are the row-major positions of the schedule's thread axes. A range of them is walked row by row of the last thread axis,
//! so that the division into axis positions happens once a row and the row is a loop like any other (it may run in lanes).

use std::collections::HashSet;

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::entity::PrimaryMap;
use cranelift_codegen::ir::{
    AbiParam, ExternalName, Function, InstBuilder, MemFlagsData, Signature, UserExternalName, UserExternalNameRef,
    UserFuncName, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{Context, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use kiln_ir::AxisId;
use kiln_ir::kernel::{Kernel, Statement};
use kiln_runtime::abi::KernelContext;

use crate::Error;
use crate::contract::{Form, Plan};
use crate::emit::{Emitter, Position};
use crate::loops::Span;
use crate::wide::{self, WideFunctions};
use crate::wide_loops::Widening;
use crate::work::Work;

/// The machine code of one kernel. It refers to nothing outside itself.
#[derive(Clone, Debug)]
pub(crate) struct MachineCode {
    pub(crate) bytes: Vec<u8>,
    pub(crate) alignment: u64,
    pub(crate) disassembly: Option<String>,
}

/// Compiles a kernel.
pub(crate) fn machine_code(kernel: &Kernel, isa: &dyn TargetIsa, disassemble: bool) -> Result<MachineCode, Error> {
    let codegen = |message: String| Error::Codegen { kernel: kernel.name.clone(), message };
    let (mut context, behind) = optimised(kernel, isa)?;
    context.set_disasm(disassemble);
    let names = context.func.params.user_named_funcs().clone();
    let compiled = context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|error| codegen(cranelift_codegen::print_errors::pretty_error(error.func, error.inner)))?;
    let mut bytes = compiled.buffer.data().to_vec();
    // Wide functions lie behind, so that a call is a distance.
    let mut starts = Vec::new();
    for function in &behind {
        bytes.resize(bytes.len().next_multiple_of(WIDE_ALIGNMENT), 0xCC);
        starts.push(bytes.len());
        bytes.extend_from_slice(function);
    }
    for relocation in compiled.buffer.relocs() {
        let start = called(&names, relocation).and_then(|number| starts.get(number));
        let Some(start) = start else { return Err(codegen(format!("the code refers to {:?}", relocation.target))) };
        let at = relocation.offset as usize;
        let distance = *start as i64 + relocation.addend - at as i64;
        bytes[at..at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
    }
    let alignment = u64::from(compiled.buffer.alignment).max(u64::from(isa.function_alignment().preferred));
    Ok(MachineCode {
        alignment: if behind.is_empty() { alignment } else { alignment.max(WIDE_ALIGNMENT as u64) },
        disassembly: compiled.vcode.clone().map(|text| wide::disassembled(text, &bytes, &starts)),
        bytes,
    })
}

/// Wide functions and their constants are whole lines.
const WIDE_ALIGNMENT: usize = 64;

/// The number of the wide function that a call refers to.
fn called(names: &PrimaryMap<UserExternalNameRef, UserExternalName>, relocation: &FinalizedMachReloc) -> Option<usize> {
    let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = relocation.target else { return None };
    let is_call = matches!(relocation.kind, Reloc::X86CallPCRel4 | Reloc::X86PCRel4);
    is_call.then(|| names[name].index as usize)
}

/// A kernel after the mid-end, and the wide functions that it calls.
fn optimised(kernel: &Kernel, isa: &dyn TargetIsa) -> Result<(Context, WideFunctions), Error> {
    let codegen = |message: String| Error::Codegen { kernel: kernel.name.clone(), message };
    let mut refused = HashSet::new();
    loop {
        let widening = wide::is_available(isa).then(|| Widening::all_but(refused.clone()));
        let (func, widening) = function(kernel, isa, widening)?;
        let mut context = Context::for_function(func);
        let Some(widening) = widening else { return Ok((context, Vec::new())) };
        if widening.refused.len() > refused.len() {
            refused = widening.refused;
            continue;
        }
        if widening.marked.is_empty() {
            return Ok((context, Vec::new()));
        }
        context.optimize(isa, &mut ControlPlane::default()).map_err(|error| codegen(error.to_string()))?;
        match wide::take_out(&mut context, &widening.marked) {
            Ok(functions) => return Ok((context, functions)),
            Err(more) => refused.extend(more),
        }
    }
}

/// The kernel as a Cranelift function.
pub(crate) fn function(
    kernel: &Kernel,
    isa: &dyn TargetIsa,
    widening: Option<Widening>,
) -> Result<(Function, Option<Widening>), Error> {
    let plan = Plan::new(kernel);
    let mut signature = Signature::new(isa.default_call_conv());
    // cx, buffers, begin, end.
    signature.params.extend([AbiParam::new(types::I64); 4]);
    let mut function = Function::with_name_signature(UserFuncName::default(), signature);
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);

    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let &[cx, buffers, begin, end] = b.block_params(entry) else {
        unreachable!("the signature has four parameters");
    };
    let fixed = MemFlagsData::trusted().with_readonly().with_can_move();
    let batch = b.ins().load(types::I64, fixed, cx, KernelContext::OFFSET_BATCH);
    let mut pointers: Vec<Value> = (0..kernel.arguments().len() as i32)
        .map(|tensor| b.ins().load(types::I64, fixed, buffers, 8 * tensor))
        .collect();
    if !plan.scratch_offsets.is_empty() {
        let scratch = b.ins().load(types::I64, fixed, cx, KernelContext::OFFSET_SCRATCH);
        pointers.extend(plan.scratch_offsets.iter().map(|&offset| b.ins().iadd_imm_s(scratch, offset as i64)));
    }

    let mut emitter = Emitter::new(b, &plan.kernel, cx, batch, pointers);
    emitter.widening = widening;
    match &plan.form {
        Form::Contraction(contraction) => emitter.contraction(contraction, begin, end),
        Form::Stages(stages) => emitter.stages(stages, begin, end),
        Form::Loops => emitter.items(&plan.kernel.body, begin, end),
    }
    emitter.b.ins().return_(&[]);
    let widening = emitter.widening.take();
    emitter.b.finalize(isa.frontend_config());
    Ok((function, widening))
}

impl Emitter<'_> {
    /// The statements, for items `[begin, end)`.
    fn items(&mut self, body: &[Statement], begin: Value, end: Value) {
        let threads = self.kernel.schedule.thread.clone();
        if threads.is_empty() {
            return self.statements(body);
        }
        for statement in body {
            match statement {
                Statement::For(axes, inner) => {
                    let rest = &axes[threads.len()..];
                    self.rows(&threads, begin, end, &mut |e, axis, span| {
                        e.span(axis, span, rest, Work::Statements(inner));
                    });
                }
                // The schedule's verifier allows only loops here; anything else belongs to every item.
                other => self.statements(std::slice::from_ref(other)),
            }
        }
    }

    /// Calls `row` for each run of items that differ only in the last of `threads`; the other axes stand.
    pub(crate) fn rows(
        &mut self,
        threads: &[AxisId],
        begin: Value,
        end: Value,
        row: &mut dyn FnMut(&mut Self, AxisId, Span),
    ) {
        let (&last, outer) = threads.split_last().expect("there is a thread axis");
        if outer.is_empty() {
            return row(self, last, Span { start: begin, end, known: None });
        }
        let extents: Vec<Value> = threads.iter().map(|&axis| self.trip(axis)).collect();
        let (head, inside, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let item = self.b.append_block_param(head, types::I64);
        self.b.ins().jump(head, &[begin.into()]);
        self.b.switch_to_block(head);
        let more = self.b.ins().icmp(cranelift_codegen::ir::condcodes::IntCC::SignedLessThan, item, end);
        self.b.ins().brif(more, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        self.b.seal_block(inside);

        self.depth += 1;
        let mut rest = item;
        let mut positions = Vec::new();
        for (at, &extent) in extents.iter().enumerate().rev() {
            // The first axis needs no remainder.
            positions.push(if at == 0 { rest } else { self.b.ins().urem(rest, extent) });
            if at > 0 {
                rest = self.b.ins().udiv(rest, extent);
            }
        }
        let depth = self.depth;
        for (&axis, &value) in outer.iter().zip(positions[1..].iter().rev()) {
            self.positions[axis.0 as usize] = Position::Scalar { value, depth };
        }
        // The row ends with the axis or with the range.
        let start = positions[0];
        let (in_axis, in_range) = (self.b.ins().isub(extents[outer.len()], start), self.b.ins().isub(end, item));
        let length = self.b.ins().smin(in_axis, in_range);
        let stop = self.b.ins().iadd(start, length);
        row(self, last, Span { start, end: stop, known: None });
        for axis in outer {
            self.positions[axis.0 as usize] = Position::Unbound;
        }
        self.depth -= 1;

        let next = self.b.ins().iadd(item, length);
        self.b.ins().jump(head, &[next.into()]);
        self.b.seal_block(head);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
    }
}
