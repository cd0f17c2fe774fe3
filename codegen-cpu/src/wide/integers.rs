//! Integers and truth values: addresses, positions, and what is the same in every lane.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstructionData, Opcode, Value, types};
use regalloc2::VReg;

use super::conditions::branch_condition;
use super::inst::{Address, Inst, Integer, Number};
use super::lower::{Held, Known, Lowering, Unknown};

impl Lowering<'_> {
    pub(super) fn integers(&mut self, op: Opcode, [x, y]: [Value; 2], result: Value) -> Known<()> {
        let dst = self.integer_register();
        let (x, y, op) = match op {
            Opcode::Iadd => {
                let (x, y) = if self.literal(x).is_some() { (y, x) } else { (x, y) };
                let base = self.integer(x)?;
                let at = match self.number(y)? {
                    Number::Literal(offset) => Address { base, index: None, offset },
                    Number::Register(index) => Address { base, index: Some((index, 0)), offset: 0 },
                };
                self.push(Inst::Sum { dst, at });
                self.hold(result, Held::Integer(dst));
                return Ok(());
            }
            Opcode::Isub => (x, y, Integer::Sub),
            Opcode::Imul if self.literal(x).is_some() => (y, x, Integer::Multiply),
            Opcode::Imul => (x, y, Integer::Multiply),
            Opcode::Band if self.literal(x).is_some() => (y, x, Integer::And),
            Opcode::Band => (x, y, Integer::And),
            Opcode::Ishl => (x, y, Integer::ShiftLeft),
            Opcode::Sshr => (x, y, Integer::ShiftRight),
            Opcode::Ushr => (x, y, Integer::ShiftRightUnsigned),
            Opcode::Smin => (x, y, Integer::Min),
            Opcode::Smax => (x, y, Integer::Max),
            _ => return Err(Unknown),
        };
        let left = self.integer(x)?;
        let right = match op {
            Integer::Min | Integer::Max => Number::Register(self.integer(y)?),
            Integer::ShiftLeft | Integer::ShiftRight | Integer::ShiftRightUnsigned => {
                Number::Literal(self.literal(y).filter(|bits| (0..64).contains(bits)).ok_or(Unknown)? as i32)
            }
            _ => self.number(y)?,
        };
        self.push(Inst::Integer { op, dst, left, right });
        self.hold(result, Held::Integer(dst));
        Ok(())
    }

    pub(super) fn truths(&mut self, op: Opcode, [x, y]: [Value; 2], result: Value) -> Known<()> {
        let op = match op {
            Opcode::Band => Integer::And,
            Opcode::Bor => Integer::Or,
            _ => return Err(Unknown),
        };
        let (left, right, dst) = (self.truth(x, 1)?, self.truth(y, 1)?, self.integer_register());
        self.push(Inst::Integer { op, dst, left, right: Number::Register(right) });
        self.hold(result, Held::Integer(dst));
        Ok(())
    }

    /// The comparison of integers that decides whether a truth value holds.
    pub(super) fn comparison(&mut self, value: Value) -> Known<(u8, VReg, Number)> {
        let value = self.func.dfg.resolve_aliases(value);
        let inst = self.func.dfg.value_def(value).inst().ok_or(Unknown)?;
        match self.func.dfg.insts[inst] {
            InstructionData::IntCompare { opcode: Opcode::Icmp, args: [x, y], cond }
                if self.func.dfg.value_type(x) == types::I64 =>
            {
                Ok((branch_condition(cond), self.integer(x)?, self.number(y)?))
            }
            _ => Ok((branch_condition(IntCC::NotEqual), self.integer(value)?, Number::Literal(0))),
        }
    }

    /// One integer or another.
    pub(super) fn choose(&mut self, truth: Value, on: VReg, off: VReg) -> Known<VReg> {
        let ((condition, left, right), dst) = (self.comparison(truth)?, self.integer_register());
        self.push(Inst::Choose { condition, dst, left, right, on, off });
        Ok(dst)
    }

    /// A truth value as an integer: `on` or 0.
    fn truth(&mut self, value: Value, on: i64) -> Known<VReg> {
        let (yes, no) = (self.integer_register(), self.integer_register());
        self.push(Inst::Literal { dst: yes, value: on });
        self.push(Inst::Literal { dst: no, value: 0 });
        self.choose(value, yes, no)
    }

    /// A truth value as a mask: one in lanes, or the same in all.
    pub(super) fn mask(&mut self, value: Value) -> Known<Option<VReg>> {
        if self.func.dfg.value_type(value) == types::I8 && !self.is_lane_comparison(value) {
            let (value, dst) = (self.truth(value, -1)?, self.mask_register());
            self.push(Inst::MaskOf { dst, value });
            return Ok(Some(dst));
        }
        match self.held(value)? {
            Held::Mask(mask) => Ok(Some(mask)),
            Held::Vector(_) => Ok(None),
            Held::Integer(_) => Err(Unknown),
        }
    }
}
