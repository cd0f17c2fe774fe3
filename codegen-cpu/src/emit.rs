//! The state of one kernel being written: where each loop axis stands, what each local holds, how many lanes run.
//!
//! Everything is emitted where it is used, the terms of an address outermost axis first; Cranelift's mid-end then merges equal
//! values and hoists each to the outermost loop in which it is constant. Loads of read-only tensors are marked movable, so they are
//! hoisted too. That is why nothing here keeps a table of row addresses or of invariant subexpressions.

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use kiln_ir::interpret::{Precision, Scalar};
use kiln_ir::kernel::{Access, Kernel};
use kiln_ir::{AxisId, DType, Dim, Expr, Index, TensorId};

use crate::lanes::Lanes;
use crate::ops;
use crate::wide_loops::Widening;

/// Where a loop axis stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    /// Its loop has not begun.
    Unbound,
    /// Written out: this position.
    Constant(i64),
    /// A loop variable.
    Scalar {
        /// The position.
        value: Value,
        /// How many loops are around it.
        depth: u32,
    },
    /// A loop variable in vector lanes: lane `l` stands at `base + l`.
    Lane {
        /// The position of lane 0.
        base: Value,
        /// How many loops are around it.
        depth: u32,
    },
}

/// One kernel being written.
pub(crate) struct Emitter<'a> {
    pub(crate) b: FunctionBuilder<'a>,
    pub(crate) kernel: &'a Kernel,
    /// The `KernelContext`.
    pub(crate) cx: Value,
    /// The batch size of this run.
    pub(crate) batch: Value,
    /// The first element of each tensor.
    pub(crate) pointers: Vec<Value>,
    /// By axis.
    pub(crate) positions: Vec<Position>,
    /// By axis: the greatest position, where it is known.
    pub(crate) greatest: Vec<Option<i64>>,
    /// By axis: the trip count of the tile in hand, where it is not the extent.
    pub(crate) trips: Vec<Option<Value>>,
    /// By axis: the lanes of a vector step, or 1.
    pub(crate) vector: Vec<usize>,
    /// By axis: whether it is written out.
    pub(crate) unroll: Vec<bool>,
    /// By local.
    pub(crate) locals: Vec<Option<Lanes>>,
    /// The calls inside the expression at hand, with their values.
    pub(crate) costly: Vec<(Expr, Lanes)>,
    /// Lanes that run now; 1 outside of vector loops.
    pub(crate) lanes: usize,
    /// Index components that the loop bounds in force keep inside their extents.
    pub(crate) proven: Vec<(Index, Dim)>,
    /// Index components that are outside of their extents at every position in force.
    pub(crate) refuted: Vec<(Index, Dim)>,
    /// Loops around the point of emission.
    pub(crate) depth: u32,
    /// Loops that become wide, where the processor has them.
    pub(crate) widening: Option<Widening>,
}

impl<'a> Emitter<'a> {
    /// An emitter at the function's entry.
    pub(crate) fn new(
        b: FunctionBuilder<'a>,
        kernel: &'a Kernel,
        cx: Value,
        batch: Value,
        pointers: Vec<Value>,
    ) -> Self {
        let axes = kernel.axes.len();
        let mut vector = vec![1; axes];
        for entry in &kernel.schedule.vector {
            // Other counts are a schedule for other hardware.
            vector[entry.axis.0 as usize] = if matches!(entry.lanes, 2 | 4 | 8 | 16) { entry.lanes } else { 4 };
        }
        let mut unroll = vec![false; axes];
        for axis in &kernel.schedule.unroll {
            let held = kernel.axis(*axis);
            unroll[axis.0 as usize] = held.limit.is_none() && !held.extent.batch;
        }
        Emitter {
            b,
            kernel,
            cx,
            batch,
            pointers,
            positions: vec![Position::Unbound; axes],
            greatest: kernel.axes.iter().map(|axis| axis.extent.as_fixed().map(|extent| extent as i64 - 1)).collect(),
            trips: vec![None; axes],
            vector,
            unroll,
            locals: vec![None; kernel.locals.len()],
            costly: Vec::new(),
            lanes: 1,
            proven: Vec::new(),
            refuted: Vec::new(),
            depth: 0,
            widening: None,
        }
    }

    /// The dtype of an expression.
    pub(crate) fn dtype(&self, expr: &Expr) -> DType {
        self.kernel.dtype(expr)
    }

    /// A 64-bit literal.
    pub(crate) fn int(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    /// An extent of this run.
    pub(crate) fn extent(&mut self, dim: Dim) -> Value {
        match dim.as_fixed() {
            Some(extent) => self.int(extent as i64),
            None => self.scaled(self.batch, dim.factor as i64),
        }
    }

    /// `x · factor`, by a shift where that is possible.
    pub(crate) fn scaled(&mut self, x: Value, factor: i64) -> Value {
        match factor {
            1 => x,
            _ if factor > 1 && factor.count_ones() == 1 => {
                self.b.ins().ishl_imm_u(x, i64::from(factor.trailing_zeros()))
            }
            _ => self.b.ins().imul_imm_s(x, factor),
        }
    }

    /// How many positions of an axis this run walks, from position 0.
    pub(crate) fn trip(&mut self, axis: AxisId) -> Value {
        if let Some(trip) = self.trips[axis.0 as usize] {
            return trip;
        }
        let held = self.kernel.axis(axis);
        let extent = self.extent(held.extent);
        match &held.limit {
            None => extent,
            Some((index, bound)) => {
                let at_start = index.substitute(
                    &mut |id| if id == axis { Index::constant(0) } else { Index::axis(id) },
                    &mut Expr::clone,
                );
                let start = self.index_value(&at_start, 0);
                let bound = self.extent(*bound);
                let rest = self.b.ins().isub(bound, start);
                self.b.ins().smin(rest, extent)
            }
        }
    }

    /// The trip count, where it is known now.
    pub(crate) fn fixed_trip(&self, axis: AxisId) -> Option<i64> {
        let held = self.kernel.axis(axis);
        match (self.trips[axis.0 as usize], &held.limit) {
            (None, None) => held.extent.as_fixed().map(|extent| extent as i64),
            _ => None,
        }
    }

    /// How a tensor's elements are accessed. What is only read does not change during the call.
    pub(crate) fn memory_flags(&self, tensor: TensorId) -> MemFlagsData {
        let flags = MemFlagsData::new().with_notrap();
        match self.kernel.tensor(tensor).access {
            Access::Read => flags.with_readonly().with_can_move(),
            Access::Write | Access::Update | Access::Scratch => flags,
        }
    }

    /// A field of the context.
    pub(crate) fn context(&mut self, ty: Type, offset: i32) -> Value {
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        self.b.ins().load(ty, flags, self.cx, offset)
    }

    /// Calls a function of the context.
    pub(crate) fn call(&mut self, offset: i32, arguments: &[Value], result: Option<Type>) -> Option<Value> {
        use cranelift_codegen::ir::{AbiParam, Signature};
        let mut signature = Signature::new(self.b.func.signature.call_conv);
        for &argument in arguments {
            signature.params.push(AbiParam::new(self.b.func.dfg.value_type(argument)));
        }
        signature.returns.extend(result.map(AbiParam::new));
        let signature = self.b.import_signature(signature);
        let function = self.context(types::I64, offset);
        let call = self.b.ins().call_indirect(signature, function, arguments);
        self.b.inst_results(call).first().copied()
    }

    /// Memory on the stack for a struct of arguments.
    pub(crate) fn stack_struct<T>(&mut self) -> Value {
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size_of::<T>() as u32, 3);
        let slot = self.b.create_sized_stack_slot(slot);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }

    /// Fills a struct of arguments and calls a function of the context with its address.
    pub(crate) fn call_with(&mut self, offset: i32, arguments: Value, fields: &[(usize, Value)]) {
        for &(offset, value) in fields {
            self.b.ins().store(MemFlagsData::trusted(), value, arguments, offset as i32);
        }
        self.call(offset, &[arguments], None);
    }

    /// The address of the element at a position, with these axes at 0.
    pub(crate) fn first_element(&mut self, axes: &[AxisId], tensor: TensorId, position: &Index) -> Value {
        for axis in axes {
            self.positions[axis.0 as usize] = Position::Constant(0);
        }
        let address = self.address(tensor, position, 0, None);
        for axis in axes {
            self.positions[axis.0 as usize] = Position::Unbound;
        }
        match address.offset {
            0 => address.base,
            offset => self.b.ins().iadd_imm_s(address.base, i64::from(offset)),
        }
    }

    /// Calls a function of numbers of the context.
    pub(crate) fn call_math(&mut self, offset: i32, ty: Type, arguments: &[Value]) -> Value {
        self.call(offset, arguments, Some(ty)).expect("the call has one result")
    }

    /// The `index` as it stands: axes that are written out replaced by their positions.
    pub(crate) fn resolve(&self, index: &Index) -> Index {
        index.substitute(
            &mut |axis| match self.positions[axis.0 as usize] {
                Position::Constant(position) => Index::constant(position),
                _ => Index::axis(axis),
            },
            &mut Expr::clone,
        )
    }

    /// A loop over `start, start + step, ...` below `end`, whose body runs once where `nonempty`.
    pub(crate) fn counted_loop(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        nonempty: bool,
        body: &mut dyn FnMut(&mut Self, Value),
    ) {
        use cranelift_codegen::ir::condcodes::IntCC;
        let (inside, after) = (self.b.create_block(), self.b.create_block());
        let position = self.b.append_block_param(inside, types::I64);
        if nonempty {
            self.b.ins().jump(inside, &[start.into()]);
        } else {
            let any = self.b.ins().icmp(IntCC::SignedLessThan, start, end);
            self.b.ins().brif(any, inside, &[start.into()], after, &[]);
        }
        self.b.switch_to_block(inside);
        self.depth += 1;
        body(self, position);
        self.depth -= 1;
        let next = self.b.ins().iadd_imm_s(position, step);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, end);
        self.b.ins().brif(more, inside, &[next.into()], after, &[]);
        self.b.seal_block(inside);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
    }

    /// Stands an axis on a loop variable while `body` runs.
    pub(crate) fn at(&mut self, axis: AxisId, value: Value, body: &mut dyn FnMut(&mut Self)) {
        let depth = self.depth;
        self.standing(axis, Position::Scalar { value, depth }, body);
    }

    /// Stands an axis on a position while `body` runs.
    pub(crate) fn standing(&mut self, axis: AxisId, position: Position, body: &mut dyn FnMut(&mut Self)) {
        let before = std::mem::replace(&mut self.positions[axis.0 as usize], position);
        body(self);
        self.positions[axis.0 as usize] = before;
    }

    /// A literal of a dtype.
    pub(crate) fn constant(&mut self, dtype: DType, value: f64) -> Value {
        let value = Scalar::new(value, dtype, Precision::Declared).to_f64();
        ops::constant(&mut self.b, ops::scalar_type(dtype), value)
    }
}
