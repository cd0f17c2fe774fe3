//! Single instructions.

use cranelift_codegen::ir::{Inst as Clif, InstructionData, Opcode, Type, Value, types};

use super::conditions::{float_condition, int_condition};
use super::encode::{Width, opcode};
use super::inst::{self, Address, Inst, Source};
use super::lower::{Held, Known, Lowering, Unknown};
use super::region;

/// A bit of `bitselect(c, x, y)` as a table of c, x and y.
const SELECT: u8 = 0xCA;

impl Lowering<'_> {
    /// Writes one instruction.
    pub(super) fn inst(&mut self, inst: Clif) -> Known<()> {
        let dfg = &self.func.dfg;
        let (data, result) = (dfg.insts[inst], dfg.inst_results(inst).first().copied());
        match data {
            InstructionData::Load { opcode, arg, offset, .. } => {
                return self.load(opcode, result.ok_or(Unknown)?, arg, offset.into());
            }
            InstructionData::Store { opcode, args: [value, address], offset, .. } => {
                return self.store(opcode, value, address, offset.into());
            }
            _ => {}
        }
        let result = result.ok_or(Unknown)?;
        let ty = dfg.value_type(result);
        match data {
            // Written where they are used: a comparison by what it decides, words by what stores them.
            InstructionData::IntCompare { args: [x, _], .. } if dfg.value_type(x) == types::I64 => Ok(()),
            InstructionData::Binary { opcode: Opcode::Unarrow, .. }
            | InstructionData::BinaryImm8 { opcode: Opcode::Extractlane, .. } => Ok(()),
            InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, .. } if ty == types::I64X2 => Ok(()),
            InstructionData::FloatCompare { opcode: Opcode::Fcmp, args, cond, .. } => {
                let (op, immediate) = (opcode(0, 1, 0xC2), float_condition(cond));
                self.compare(op, immediate, args, result)
            }
            InstructionData::IntCompare { opcode: Opcode::Icmp, args, cond, .. } => {
                let (immediate, is_signed) = int_condition(cond);
                let op = opcode(1, 3, if is_signed { 0x1F } else { 0x1E });
                self.compare(op, immediate, args, result)
            }
            InstructionData::Unary { opcode, arg } => self.unary(opcode, arg, result),
            InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } => {
                self.unary(Opcode::Bitcast, arg, result)
            }
            InstructionData::Binary { opcode, args } if ty == types::I64 => self.integers(opcode, args, result),
            InstructionData::Binary { opcode, args } if ty == types::I8 => self.truths(opcode, args, result),
            InstructionData::Binary { opcode, args } => self.binary(opcode, args, result),
            InstructionData::Ternary { opcode, args } => self.ternary(opcode, args, result),
            _ => Err(Unknown),
        }
    }

    fn numeric(&self, ty: Type) -> Known<()> {
        let is_known = matches!(ty, types::F32 | types::F32X4 | types::I32 | types::I32X4);
        if is_known { Ok(()) } else { Err(Unknown) }
    }

    /// The place of an element.
    fn place(&mut self, value: Value, offset: i32) -> Known<Address> {
        let value = self.func.dfg.resolve_aliases(value);
        if !self.is_folded(value) {
            return Ok(Address { base: self.integer(value)?, index: None, offset });
        }
        let Some((x, y)) = region::sum(self.func, value) else { return Err(Unknown) };
        if let Some(distance) = self.literal(y).and_then(|distance| i32::try_from(distance).ok()) {
            let offset = offset.checked_add(distance).ok_or(Unknown)?;
            return Ok(Address { base: self.integer(x)?, index: None, offset });
        }
        let index = match region::shifted(self.func, y) {
            Some((index, bits)) if self.is_folded(self.func.dfg.resolve_aliases(y)) => (self.integer(index)?, bits),
            _ => (self.integer(y)?, 0),
        };
        Ok(Address { base: self.integer(x)?, index: Some(index), offset })
    }

    fn load(&mut self, op: Opcode, result: Value, address: Value, offset: i32) -> Known<()> {
        let ty = self.func.dfg.value_type(result);
        let at = self.place(address, offset)?;
        if ty == types::I64 && op == Opcode::Load {
            let dst = self.integer_register();
            self.push(Inst::Read { dst, at });
            self.hold(result, Held::Integer(dst));
            return Ok(());
        }
        let (op, masked) = match (op, ty) {
            (Opcode::Load, types::F32X4 | types::I32X4) => (inst::LOAD, self.masked),
            (Opcode::Load, types::F32 | types::I32) => (inst::BROADCAST, false),
            (Opcode::Uload16x4, types::I32X4) => (inst::LOAD_WORDS, self.masked),
            _ => return Err(Unknown),
        };
        let dst = self.vector_register();
        let last = Source::Memory(at);
        self.push(Inst::Vector { op, width: Width::Full, dst, second: None, last, immediate: None, masked });
        self.hold(result, Held::Vector(dst));
        Ok(())
    }

    fn store(&mut self, op: Opcode, value: Value, address: Value, offset: i32) -> Known<()> {
        let at = self.place(address, offset)?;
        let (op, width, value, masked) = match (op, self.func.dfg.value_type(value)) {
            (Opcode::Store, types::F32X4 | types::I32X4) => (inst::STORE, Width::Full, value, self.masked),
            (Opcode::Store, types::F32 | types::I32) => (inst::STORE_SCALAR, Width::Scalar, value, false),
            (Opcode::Store, types::I64) => {
                let words = self.words(value).ok_or(Unknown)?;
                (inst::STORE_WORDS, Width::Full, words, self.masked)
            }
            _ => return Err(Unknown),
        };
        let value = self.vector(value)?;
        self.push(Inst::Store { op, width, value, at, masked });
        Ok(())
    }

    fn compare(&mut self, op: super::encode::Opcode, immediate: u8, [x, y]: [Value; 2], result: Value) -> Known<()> {
        self.numeric(self.func.dfg.value_type(x))?;
        let (second, last) = (self.vector(x)?, self.source(y)?);
        let dst = self.mask_register();
        let (second, immediate) = (Some(second), Some(immediate));
        self.push(Inst::Vector { op, width: Width::Full, dst, second, last, immediate, masked: false });
        self.hold(result, Held::Mask(dst));
        Ok(())
    }

    fn unary(&mut self, op: Opcode, x: Value, result: Value) -> Known<()> {
        self.numeric(self.func.dfg.value_type(result))?;
        let held = match (op, self.func.dfg.value_type(x)) {
            (Opcode::Bmask, types::I8) => Held::Mask(self.mask(x)?.ok_or(Unknown)?),
            // Numbers are in all lanes as it is, and bits are bits.
            (Opcode::Splat, _) => self.held(x)?,
            (Opcode::Bitcast, from) => {
                self.numeric(from)?;
                self.held(x)?
            }
            (Opcode::Fneg, _) => {
                let sign = self.pool.constant(&i32::MIN.to_le_bytes());
                self.operation(opcode(1, 1, 0xEF), x, Source::Constant(sign))?
            }
            (Opcode::Fabs, _) => {
                let rest = self.pool.constant(&i32::MAX.to_le_bytes());
                self.operation(opcode(1, 1, 0xDB), x, Source::Constant(rest))?
            }
            (Opcode::Bnot, _) => match self.held(x)? {
                Held::Mask(last) => {
                    let dst = self.mask_register();
                    self.push(Inst::Masks { op: 0x44, dst, second: None, last });
                    Held::Mask(dst)
                }
                _ => {
                    let ones = self.pool.constant(&(-1i32).to_le_bytes());
                    self.operation(opcode(1, 1, 0xEF), x, Source::Constant(ones))?
                }
            },
            (Opcode::Sqrt, _) => self.conversion(opcode(0, 1, 0x51), x)?,
            (Opcode::FcvtFromSint, types::I32 | types::I32X4) => self.conversion(opcode(0, 1, 0x5B), x)?,
            _ => return Err(Unknown),
        };
        self.hold(result, held);
        Ok(())
    }

    fn conversion(&mut self, op: super::encode::Opcode, x: Value) -> Known<Held> {
        let (dst, last) = (self.vector_register(), Source::Register(self.vector(x)?));
        self.push(Inst::Vector { op, width: Width::Full, dst, second: None, last, immediate: None, masked: false });
        Ok(Held::Vector(dst))
    }

    fn operation(&mut self, op: super::encode::Opcode, x: Value, last: Source) -> Known<Held> {
        let (dst, second) = (self.vector_register(), Some(self.vector(x)?));
        self.push(Inst::Vector { op, width: Width::Full, dst, second, last, immediate: None, masked: false });
        Ok(Held::Vector(dst))
    }

    fn binary(&mut self, op: Opcode, [x, y]: [Value; 2], result: Value) -> Known<()> {
        let ty = self.func.dfg.value_type(result);
        self.numeric(ty)?;
        if let Some(kind) = match op {
            Opcode::Ishl => Some(6),
            Opcode::Ushr => Some(2),
            Opcode::Sshr => Some(4),
            _ => None,
        } {
            let bits = self.literal(y).or_else(|| self.lane_literal(y)).ok_or(Unknown)?;
            let (dst, value) = (self.vector_register(), self.vector(x)?);
            self.push(Inst::Shift { kind, dst, value, bits: (bits & 31) as u8 });
            self.hold(result, Held::Vector(dst));
            return Ok(());
        }
        if let Some(held) = self.of_masks(op, x, y)? {
            self.hold(result, held);
            return Ok(());
        }
        let (code, commutes) = match op {
            Opcode::Fadd => (opcode(0, 1, 0x58), true),
            Opcode::Fsub => (opcode(0, 1, 0x5C), false),
            Opcode::Fmul => (opcode(0, 1, 0x59), true),
            Opcode::Fdiv => (opcode(0, 1, 0x5E), false),
            Opcode::Band => (opcode(1, 1, 0xDB), true),
            Opcode::Bor => (opcode(1, 1, 0xEB), true),
            Opcode::Bxor => (opcode(1, 1, 0xEF), true),
            Opcode::Iadd => (opcode(1, 1, 0xFE), true),
            Opcode::Isub => (opcode(1, 1, 0xFA), false),
            Opcode::Imul => (opcode(1, 2, 0x40), true),
            Opcode::Smin => (opcode(1, 2, 0x39), true),
            Opcode::Smax => (opcode(1, 2, 0x3D), true),
            _ => return Err(Unknown),
        };
        let (x, y) = if commutes && self.constant(x).is_some() { (y, x) } else { (x, y) };
        let last = self.source(y)?;
        let held = self.operation(code, x, last)?;
        self.hold(result, held);
        Ok(())
    }

    /// Bits of truth values: of two masks, or of a value that is kept where a mask is set.
    fn of_masks(&mut self, op: Opcode, x: Value, y: Value) -> Known<Option<Held>> {
        let code = match op {
            Opcode::Band => 0x41,
            Opcode::Bor => 0x45,
            Opcode::Bxor => 0x47,
            _ => return Ok(None),
        };
        if self.is_constant(x) || self.is_constant(y) {
            return Ok(None);
        }
        Ok(match (self.held(x)?, self.held(y)?) {
            (Held::Mask(second), Held::Mask(last)) => {
                let dst = self.mask_register();
                self.push(Inst::Masks { op: code, dst, second: Some(second), last });
                Some(Held::Mask(dst))
            }
            (Held::Mask(mask), Held::Vector(value)) | (Held::Vector(value), Held::Mask(mask)) if op == Opcode::Band => {
                let dst = self.vector_register();
                self.push(Inst::Keep { dst, mask, value });
                Some(Held::Vector(dst))
            }
            _ => None,
        })
    }

    fn ternary(&mut self, op: Opcode, [c, x, y]: [Value; 3], result: Value) -> Known<()> {
        let held = match (op, self.func.dfg.value_type(result)) {
            (Opcode::Select, types::I64) => {
                let (on, off) = (self.integer(x)?, self.integer(y)?);
                Held::Integer(self.choose(c, on, off)?)
            }
            (Opcode::Bitselect | Opcode::Select, types::F32 | types::F32X4 | types::I32X4) => match self.mask(c)? {
                Some(mask) => {
                    let (on, off, dst) = (self.vector(x)?, self.vector(y)?, self.vector_register());
                    self.push(Inst::Blend { dst, mask, on, off });
                    Held::Vector(dst)
                }
                None => {
                    let (held, second, last) = (self.vector(c)?, self.vector(x)?, self.vector(y)?);
                    let dst = self.vector_register();
                    self.push(Inst::Ternary { table: SELECT, dst, held, second, last });
                    Held::Vector(dst)
                }
            },
            _ => return Err(Unknown),
        };
        self.hold(result, held);
        Ok(())
    }

    /// Whether a truth value compares what is held in lanes.
    pub(super) fn is_lane_comparison(&self, value: Value) -> bool {
        let inst = self.func.dfg.value_def(self.func.dfg.resolve_aliases(value)).inst();
        inst.is_some_and(|inst| match self.func.dfg.insts[inst] {
            InstructionData::FloatCompare { .. } => true,
            InstructionData::IntCompare { args: [x, _], .. } => self.func.dfg.value_type(x) == types::I32,
            _ => false,
        })
    }

    /// What `extractlane(bitcast(unarrow(x, x)), 0)` is made of: words that are stored side by side.
    fn words(&self, value: Value) -> Option<Value> {
        let dfg = &self.func.dfg;
        let data = |value: Value| dfg.value_def(dfg.resolve_aliases(value)).inst().map(|inst| dfg.insts[inst]);
        let InstructionData::BinaryImm8 { opcode: Opcode::Extractlane, arg, imm: 0 } = data(value)? else {
            return None;
        };
        let InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } = data(arg)? else { return None };
        let InstructionData::Binary { opcode: Opcode::Unarrow, args: [x, y] } = data(arg)? else { return None };
        (x == y).then_some(x)
    }

    /// An integer that all lanes of a constant are.
    fn lane_literal(&self, value: Value) -> Option<i64> {
        let bytes = self.constant(value)?;
        Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?)))
    }
}
