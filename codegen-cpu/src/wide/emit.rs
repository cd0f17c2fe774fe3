//! Instructions of wide loops as bytes, once their registers are chosen.

use regalloc2::RegClass;

use super::encode::{self, Assembler, Label, Opcode, Place, RSP, Width};
use super::inst::{
    Address, BLEND, BROADCAST, Inst, Integer, LOAD, LOAD_WORDS, MOVE, Number, SHIFT, STORE, STORE_WORDS, Source, TAIL,
    TERNARY,
};

impl Inst {
    /// Writes the instruction; `registers` are those of its operands.
    pub(super) fn emit(&self, asm: &mut Assembler, registers: &[u8]) {
        let mut registers = registers.iter().copied();
        let mut next = || registers.next().expect("every operand has a register");
        let place = |at: Address, next: &mut dyn FnMut() -> u8| Place::At {
            base: next(),
            index: at.index.map(|(_, shift)| (next(), shift)),
            offset: at.offset,
        };
        let tail = |masked: bool| masked.then_some(TAIL);
        match *self {
            Inst::Argument { .. } | Inst::Jump | Inst::Branch { .. } | Inst::Return => {}
            Inst::Vector { op, width, second, last, immediate, masked, .. } => {
                let second = second.map_or(0, |_| next());
                let (last, unit) = match last {
                    Source::Register(_) => (encode::Operand::Register(next()), 1),
                    Source::Memory(at) => (encode::Operand::Memory(place(at, &mut next)), unit(op, width)),
                    // That instruction takes one number as it is.
                    Source::Constant(at) if op == BROADCAST => (encode::Operand::Memory(Place::Constant(at)), 4),
                    Source::Constant(at) => (encode::Operand::Broadcast(Place::Constant(at)), 4),
                };
                // What is outside of the tail is 0.
                asm.vector((width, op), next(), second, last, (tail(masked), masked), (unit, immediate));
            }
            Inst::Shift { kind, bits, .. } => {
                let value = encode::Operand::Register(next());
                asm.vector((Width::Full, SHIFT), kind, next(), value, (None, false), (1, Some(bits)));
            }
            Inst::Blend { .. } => {
                let (mask, on, off) = (next(), encode::Operand::Register(next()), next());
                asm.vector((Width::Full, BLEND), next(), off, on, (Some(mask), false), (1, None));
            }
            Inst::Ternary { table, .. } => {
                let (_, second, last) = (next(), next(), encode::Operand::Register(next()));
                asm.vector((Width::Full, TERNARY), next(), second, last, (None, false), (1, Some(table)));
            }
            Inst::Keep { .. } => {
                let (mask, value) = (next(), encode::Operand::Register(next()));
                asm.vector((Width::Full, MOVE), next(), 0, value, (Some(mask), true), (1, None));
            }
            Inst::Spread { .. } => {
                let (mask, dst) = (next(), next());
                let last = encode::Operand::Register(dst);
                asm.vector((Width::Full, TERNARY), dst, dst, last, (Some(mask), true), (1, Some(0xFF)));
            }
            Inst::Masks { op, second, .. } => {
                let length = u8::from(second.is_some());
                let second = second.map_or(0, |_| next());
                let last = encode::Operand::Register(next());
                asm.mask(op, length, 0, next(), second, last);
            }
            Inst::Store { op, width, at, masked, .. } => {
                let value = next();
                let at = encode::Operand::Memory(place(at, &mut next));
                asm.vector((width, op), value, 0, at, (tail(masked), false), (unit(op, width), None));
            }
            Inst::Literal { value, .. } => asm.literal(next(), value),
            Inst::Sum { at, .. } => {
                let at = encode::Operand::Memory(place(at, &mut next));
                asm.general(&[0x8D], next(), at, &[]);
            }
            Inst::Read { at, .. } => {
                let at = encode::Operand::Memory(place(at, &mut next));
                asm.general(&[0x8B], next(), at, &[]);
            }
            Inst::Integer { op, right, .. } => {
                let left = next();
                let right = match right {
                    Number::Register(_) => Ok(next()),
                    Number::Literal(value) => Err(value),
                };
                let dst = next();
                debug_assert_eq!(left, dst);
                integer(asm, op, dst, right);
            }
            Inst::Choose { condition, right, .. } => {
                let (_, left, on) = (next(), next(), next());
                let right = match right {
                    Number::Register(_) => Ok(next()),
                    Number::Literal(value) => Err(value),
                };
                compare(asm, left, right);
                asm.general(&[0x0F, 0x40 | condition], next(), encode::Operand::Register(on), &[]);
            }
            Inst::MaskOf { .. } => {
                let value = encode::Operand::Register(next());
                asm.mask(0x92, 0, 0, next(), 0, value);
            }
            Inst::Tail { .. } => {
                let (count, ones) = (next(), next());
                asm.low_bits(ones, ones, count);
                asm.mask(0x92, 0, 0, TAIL, 0, encode::Operand::Register(ones));
            }
        }
    }
}

/// How many bytes of memory an operand is: short distances count in these.
fn unit(op: Opcode, width: Width) -> i32 {
    match op {
        LOAD_WORDS | STORE_WORDS => 32,
        BROADCAST => 4,
        _ if width == Width::Scalar => 4,
        _ => 64,
    }
}

fn integer(asm: &mut Assembler, op: Integer, dst: u8, right: Result<u8, i32>) {
    let register = encode::Operand::Register;
    match (op, right) {
        (Integer::Sub, Err(value)) => asm.general(&[0x81], 5, register(dst), &value.to_le_bytes()),
        (Integer::Or, Err(value)) => asm.general(&[0x81], 1, register(dst), &value.to_le_bytes()),
        (Integer::Or, Ok(right)) => asm.general(&[0x0B], dst, register(right), &[]),
        (Integer::And, Err(value)) => asm.general(&[0x81], 4, register(dst), &value.to_le_bytes()),
        (Integer::Multiply, Err(value)) => asm.general(&[0x69], dst, register(dst), &value.to_le_bytes()),
        (Integer::ShiftLeft, Err(bits)) => asm.general(&[0xC1], 4, register(dst), &[bits as u8]),
        (Integer::ShiftRight, Err(bits)) => asm.general(&[0xC1], 7, register(dst), &[bits as u8]),
        (Integer::ShiftRightUnsigned, Err(bits)) => asm.general(&[0xC1], 5, register(dst), &[bits as u8]),
        (Integer::Sub, Ok(right)) => asm.general(&[0x2B], dst, register(right), &[]),
        (Integer::And, Ok(right)) => asm.general(&[0x23], dst, register(right), &[]),
        (Integer::Multiply, Ok(right)) => asm.general(&[0x0F, 0xAF], dst, register(right), &[]),
        (Integer::Min | Integer::Max, Ok(right)) => {
            // cmp right, dst; cmovl or cmovg dst, right.
            asm.general(&[0x39], dst, register(right), &[]);
            let condition = if op == Integer::Min { 0x4C } else { 0x4F };
            asm.general(&[0x0F, condition], dst, register(right), &[]);
        }
        (Integer::ShiftLeft | Integer::ShiftRight | Integer::ShiftRightUnsigned, Ok(_))
        | (Integer::Min | Integer::Max, Err(_)) => {
            unreachable!("the lowering gives shifts a literal and choices a register")
        }
    }
}

/// Compares two numbers and jumps to `yes` if the condition holds.
pub(super) fn branch(asm: &mut Assembler, condition: u8, left: u8, right: Result<u8, i32>, yes: Label) {
    compare(asm, left, right);
    asm.jump(Some(condition), yes);
}

fn compare(asm: &mut Assembler, left: u8, right: Result<u8, i32>) {
    match right {
        Ok(right) => asm.general(&[0x39], right, encode::Operand::Register(left), &[]),
        Err(value) => asm.general(&[0x81], 7, encode::Operand::Register(left), &value.to_le_bytes()),
    }
}

/// Moves between registers and the stack, where slots of 8 bytes begin at `rsp`.
pub(super) fn transfer(asm: &mut Assembler, class: RegClass, from: Result<u8, usize>, to: Result<u8, usize>) {
    let slot = |at: usize| encode::Operand::Memory(Place::At { base: RSP, index: None, offset: 8 * at as i32 });
    let plain = (None, false);
    match (class, from, to) {
        (RegClass::Int, Ok(from), Ok(to)) => asm.general(&[0x8B], to, encode::Operand::Register(from), &[]),
        (RegClass::Int, Ok(from), Err(to)) => asm.general(&[0x89], from, slot(to), &[]),
        (RegClass::Int, Err(from), Ok(to)) => asm.general(&[0x8B], to, slot(from), &[]),
        (RegClass::Float, Ok(from), Ok(to)) => {
            asm.vector((Width::Full, MOVE), to, 0, encode::Operand::Register(from), plain, (1, None));
        }
        (RegClass::Float, Ok(from), Err(to)) => asm.vector((Width::Full, STORE), from, 0, slot(to), plain, (64, None)),
        (RegClass::Float, Err(from), Ok(to)) => asm.vector((Width::Full, LOAD), to, 0, slot(from), plain, (64, None)),
        (RegClass::Vector, Ok(from), Ok(to)) => asm.mask(0x90, 0, 0, to, 0, encode::Operand::Register(from)),
        (RegClass::Vector, Ok(from), Err(to)) => asm.mask(0x91, 0, 0, from, 0, slot(to)),
        (RegClass::Vector, Err(from), Ok(to)) => asm.mask(0x90, 0, 0, to, 0, slot(from)),
        (_, Err(_), Err(_)) => unreachable!("the allocator makes no moves from stack to stack"),
    }
}
