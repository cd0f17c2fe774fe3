//! One kernel to one function: entry, items, body, machine code.
//!
//! Items are the row-major positions of the schedule's thread axes. A range of them is walked row by row of the last thread axis,
//! so that the division into axis positions happens once a row and the row is a loop like any other (it may run in lanes).

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, UserFuncName, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use kiln_ir::AxisId;
use kiln_ir::kernel::{Kernel, Statement};
use kiln_runtime::abi::KernelContext;

use crate::Error;
use crate::contract::Plan;
use crate::emit::{Emitter, Position};
use crate::loops::Span;
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
    let mut context = Context::for_function(function(kernel, isa)?);
    context.set_disasm(disassemble);
    let compiled = context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|error| codegen(cranelift_codegen::print_errors::pretty_error(error.func, error.inner)))?;
    if let Some(relocation) = compiled.buffer.relocs().first() {
        return Err(codegen(format!("the code refers to {:?}", relocation.target)));
    }
    Ok(MachineCode {
        bytes: compiled.buffer.data().to_vec(),
        alignment: u64::from(compiled.buffer.alignment).max(u64::from(isa.function_alignment().preferred)),
        disassembly: compiled.vcode.clone(),
    })
}

/// The kernel as a Cranelift function.
pub(crate) fn function(kernel: &Kernel, isa: &dyn TargetIsa) -> Result<Function, Error> {
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
    let mut pointers: Vec<Value> =
        (0..kernel.tensors.len() as i32).map(|tensor| b.ins().load(types::I64, fixed, buffers, 8 * tensor)).collect();
    if plan.contraction.is_some() {
        let scratch = b.ins().load(types::I64, fixed, cx, KernelContext::OFFSET_SCRATCH);
        pointers.extend(plan.scratch_offsets.iter().map(|&offset| b.ins().iadd_imm_s(scratch, offset as i64)));
    }

    let mut emitter = Emitter::new(b, &plan.kernel, cx, batch, pointers);
    match &plan.contraction {
        Some(contraction) => emitter.contraction(contraction, begin, end),
        None => emitter.items(&plan.kernel.body, begin, end),
    }
    emitter.b.ins().return_(&[]);
    emitter.b.finalize(isa.frontend_config());
    Ok(function)
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
