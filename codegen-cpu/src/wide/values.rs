//! Values: where they are held, and what is done about those from outside of the region.
//!
//! Numbers from outside are read from the frame, once. A constant is of the pool: the last operand of an instruction is read from there, another
//! is kept in a register. A vector from outside is made again of what it is made of.

use cranelift_codegen::ir::{InstructionData, Opcode, Value, ValueDef, types};
use regalloc2::VReg;

use super::encode::Width;
use super::inst::{self, Address, Inst, Number, Source};
use super::lower::{Held, Known, Lowering, Unknown};
use super::region;

impl Lowering<'_> {
    /// A value from outside: numbers are read from the frame.
    pub(super) fn given(&mut self, value: Value) -> Known<VReg> {
        let ty = self.func.dfg.value_type(value);
        if !matches!(ty, types::I64 | types::I32 | types::F32) {
            return Err(Unknown);
        }
        let at = Address { base: self.argument, index: None, offset: 8 * self.given.len() as i32 };
        self.given.push(value);
        let dst = if ty == types::I64 { self.integer_register() } else { self.vector_register() };
        let read = if ty == types::I64 { Inst::Read { dst, at } } else { broadcast(dst, Source::Memory(at)) };
        self.first(|e| e.push(read));
        Ok(dst)
    }

    /// Sixteen sums that lie before the loop.
    pub(super) fn sums(&mut self, address: Value, offset: i32) -> Known<VReg> {
        let (base, dst) = (self.integer(address)?, self.vector_register());
        let last = Source::Memory(Address { base, index: None, offset });
        let (op, width) = (inst::LOAD, Width::Full);
        self.first(|e| e.push(Inst::Vector { op, width, dst, second: None, last, immediate: None, masked: false }));
        Ok(dst)
    }

    /// How a value is held, wherever it comes from.
    pub(super) fn held(&mut self, value: Value) -> Known<Held> {
        let value = self.func.dfg.resolve_aliases(value);
        if let Some(held) = self.held.get(&value).or_else(|| self.always.get(&value)) {
            return Ok(*held);
        }
        let inside = |value: Value| match self.func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => {
                self.func.layout.inst_block(inst).is_some_and(|block| self.region.blocks.contains(&block))
            }
            _ => false,
        };
        if inside(value) && !self.is_constant(value) {
            return Err(Unknown);
        }
        let ty = self.func.dfg.value_type(value);
        let Some(inst) = self.func.dfg.value_def(value).inst() else {
            let register = self.given(value)?;
            let held = if ty == types::I64 { Held::Integer(register) } else { Held::Vector(register) };
            self.always.insert(value, held);
            return Ok(held);
        };
        if let Some(bytes) = self.constant(value) {
            let dst = self.vector_register();
            let constant = self.pool.constant(&bytes);
            self.first(|e| e.push(broadcast_constant(dst, constant)));
            self.always.insert(value, Held::Vector(dst));
        } else if let Some(value_of) = self.literal(value).filter(|_| ty == types::I64) {
            // Cheaper to write again than to keep.
            let dst = self.integer_register();
            self.push(Inst::Literal { dst, value: value_of });
            return Ok(Held::Integer(dst));
        } else if matches!(ty, types::I64 | types::I32 | types::F32) {
            let register = self.given(value)?;
            let held = if ty == types::I64 { Held::Integer(register) } else { Held::Vector(register) };
            self.always.insert(value, held);
        } else {
            // A vector from outside is made again of what it is made of.
            if self.func.dfg.insts[inst].opcode().can_load() {
                return Err(Unknown);
            }
            self.first(|e| e.inst(inst))?;
        }
        self.always.get(&value).copied().ok_or(Unknown)
    }

    pub(super) fn integer(&mut self, value: Value) -> Known<VReg> {
        match self.held(value)? {
            Held::Integer(register) => Ok(register),
            Held::Vector(_) | Held::Mask(_) => Err(Unknown),
        }
    }

    /// A vector; a mask becomes ones and zeros.
    pub(super) fn vector(&mut self, value: Value) -> Known<VReg> {
        match self.held(value)? {
            Held::Vector(register) => Ok(register),
            Held::Mask(mask) => {
                let dst = self.vector_register();
                self.push(Inst::Spread { dst, mask });
                Ok(dst)
            }
            Held::Integer(_) => Err(Unknown),
        }
    }

    /// The last operand of a vector instruction: constants stay in memory.
    pub(super) fn source(&mut self, value: Value) -> Known<Source> {
        match self.constant(value) {
            Some(bytes) => Ok(Source::Constant(self.pool.constant(&bytes))),
            None => Ok(Source::Register(self.vector(value)?)),
        }
    }

    /// The last operand of an integer instruction.
    pub(super) fn number(&mut self, value: Value) -> Known<Number> {
        match self.literal(value).and_then(|value| i32::try_from(value).ok()) {
            Some(value) => Ok(Number::Literal(value)),
            None => Ok(Number::Register(self.integer(value)?)),
        }
    }

    /// The value of an integer that is known.
    pub(super) fn literal(&self, value: Value) -> Option<i64> {
        region::literal(self.func, value)
    }

    /// The bytes of a vector constant whose lanes are equal, or of a number.
    pub(super) fn constant(&self, value: Value) -> Option<Vec<u8>> {
        let value = self.func.dfg.resolve_aliases(value);
        let inst = self.func.dfg.value_def(value).inst()?;
        match self.func.dfg.insts[inst] {
            InstructionData::UnaryIeee32 { imm, .. } => Some(imm.bits().to_le_bytes().to_vec()),
            InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle } => {
                let bytes = self.func.dfg.constants.get(constant_handle).as_slice();
                let is_known = matches!(self.func.dfg.value_type(value), types::F32X4 | types::I32X4);
                (is_known && bytes.chunks(4).all(|lane| lane == &bytes[..4])).then(|| bytes[..4].to_vec())
            }
            // Of 32 bits, numbers are held as vectors.
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm }
                if self.func.dfg.value_type(value) == types::I32 =>
            {
                Some((imm.bits() as i32).to_le_bytes().to_vec())
            }
            InstructionData::Unary { opcode: Opcode::Splat | Opcode::Bitcast, arg } => self.constant(arg),
            InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } => self.constant(arg),
            _ => None,
        }
    }

    pub(super) fn is_constant(&self, value: Value) -> bool {
        self.literal(value).is_some() || self.constant(value).is_some()
    }
}

fn broadcast(dst: VReg, last: Source) -> Inst {
    Inst::Vector { op: inst::BROADCAST, width: Width::Full, dst, second: None, last, immediate: None, masked: false }
}

fn broadcast_constant(dst: VReg, constant: usize) -> Inst {
    broadcast(dst, Source::Constant(constant))
}
