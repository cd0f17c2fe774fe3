//! The instructions of wide loops, on registers that are not chosen yet.

use regalloc2::{Operand, OperandConstraint, OperandKind, OperandPos, PReg, RegClass, VReg};

use super::encode::{self, Assembler, Label, Opcode, Place, RSP, Width, opcode};

/// The mask of the positions of the last step that exist.
pub(super) const TAIL: u8 = 1;
/// The register of the first argument.
const ARGUMENT: PReg = PReg::new(7, RegClass::Int);

pub(super) const MOVE: Opcode = opcode(0, 1, 0x28);
pub(super) const LOAD: Opcode = opcode(0, 1, 0x10);
pub(super) const STORE: Opcode = opcode(0, 1, 0x11);
pub(super) const STORE_SCALAR: Opcode = opcode(2, 1, 0x11);
/// 16 bits to 32, with zeros.
pub(super) const LOAD_WORDS: Opcode = opcode(1, 2, 0x33);
/// The lower 16 bits of 32.
pub(super) const STORE_WORDS: Opcode = opcode(2, 2, 0x33);
pub(super) const BROADCAST: Opcode = opcode(1, 2, 0x18);
const BLEND: Opcode = opcode(1, 2, 0x65);
const TERNARY: Opcode = opcode(1, 3, 0x25);
const SHIFT: Opcode = opcode(1, 1, 0x72);

/// A place in memory, of registers that are not chosen yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) base: VReg,
    /// A register, and by how many bits it is shifted.
    pub(super) index: Option<(VReg, u8)>,
    pub(super) offset: i32,
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Register(VReg),
    Memory(Address),
    /// One number of the pool in all lanes.
    Constant(usize),
}

/// The last operand of an integer instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Register(VReg),
    Literal(i32),
}

/// Integer instructions whose result takes the place of their first operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Integer {
    Sub,
    And,
    Or,
    Multiply,
    ShiftLeft,
    ShiftRight,
    ShiftRightUnsigned,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Inst {
    /// The argument of the function.
    Argument {
        dst: VReg,
    },
    /// `dst = op(second, last)` on vectors. A comparison's `dst` is a mask. Only lanes of the tail are read from memory if `masked`.
    Vector {
        op: Opcode,
        width: Width,
        dst: VReg,
        second: Option<VReg>,
        last: Source,
        immediate: Option<u8>,
        masked: bool,
    },
    /// Shifts every lane: `kind` is 2 for right, 4 for right with the sign, 6 for left.
    Shift {
        kind: u8,
        dst: VReg,
        value: VReg,
        bits: u8,
    },
    /// `dst = mask ? on : off`.
    Blend {
        dst: VReg,
        mask: VReg,
        on: VReg,
        off: VReg,
    },
    /// `dst = table(held, second, last)`, bit by bit.
    Ternary {
        table: u8,
        dst: VReg,
        held: VReg,
        second: VReg,
        last: VReg,
    },
    /// The lanes of a mask, zeros elsewhere.
    Keep {
        dst: VReg,
        mask: VReg,
        value: VReg,
    },
    /// All ones in the lanes of a mask, zeros elsewhere.
    Spread {
        dst: VReg,
        mask: VReg,
    },
    /// `dst = op(second, last)` on masks; without a second operand, not.
    Masks {
        op: u8,
        dst: VReg,
        second: Option<VReg>,
        last: VReg,
    },
    Store {
        op: Opcode,
        width: Width,
        value: VReg,
        at: Address,
        masked: bool,
    },
    Literal {
        dst: VReg,
        value: i64,
    },
    /// The address itself.
    Sum {
        dst: VReg,
        at: Address,
    },
    Read {
        dst: VReg,
        at: Address,
    },
    Integer {
        op: Integer,
        dst: VReg,
        left: VReg,
        right: Number,
    },
    /// `dst = left condition right ? on : off`.
    Choose {
        condition: u8,
        dst: VReg,
        left: VReg,
        right: Number,
        on: VReg,
        off: VReg,
    },
    /// The mask that the low bits of an integer are.
    MaskOf {
        dst: VReg,
        value: VReg,
    },
    /// The tail is so many positions; `ones` is lost.
    Tail {
        count: VReg,
        ones: VReg,
        lost: VReg,
    },
    Jump,
    /// To the first successor if `left condition right`, else to the second.
    Branch {
        condition: u8,
        left: VReg,
        right: Number,
    },
    Return,
}

impl Address {
    fn uses(self, operands: &mut Vec<Operand>) {
        operands.push(Operand::reg_use(self.base));
        operands.extend(self.index.map(|(index, _)| Operand::reg_use(index)));
    }
}

fn reused(dst: VReg, operand: usize) -> Operand {
    Operand::new(dst, OperandConstraint::Reuse(operand), OperandKind::Def, OperandPos::Late)
}

impl Inst {
    /// What the register allocator chooses, in the order in which [`Inst::emit`] takes it.
    pub(super) fn operands(&self) -> Vec<Operand> {
        let mut all = Vec::new();
        match *self {
            Inst::Argument { dst } => all.push(Operand::reg_fixed_def(dst, ARGUMENT)),
            Inst::Vector { dst, second, last, .. } => {
                all.extend(second.map(Operand::reg_use));
                match last {
                    Source::Register(last) => all.push(Operand::reg_use(last)),
                    Source::Memory(at) => at.uses(&mut all),
                    Source::Constant(_) => {}
                }
                all.push(Operand::reg_def(dst));
            }
            Inst::Shift { dst, value, .. } => all.extend([Operand::reg_use(value), Operand::reg_def(dst)]),
            Inst::Blend { dst, mask, on, off } => {
                all.extend([mask, on, off].map(Operand::reg_use));
                all.push(Operand::reg_def(dst));
            }
            Inst::Ternary { dst, held, second, last, .. } => {
                all.extend([held, second, last].map(Operand::reg_use));
                all.push(reused(dst, 0));
            }
            Inst::Keep { dst, mask, value } => {
                all.extend([mask, value].map(Operand::reg_use));
                all.push(Operand::reg_def(dst));
            }
            Inst::Spread { dst, mask } => all.extend([Operand::reg_use(mask), Operand::reg_def(dst)]),
            Inst::Masks { dst, second, last, .. } => {
                all.extend(second.map(Operand::reg_use));
                all.extend([Operand::reg_use(last), Operand::reg_def(dst)]);
            }
            Inst::Store { value, at, .. } => {
                all.push(Operand::reg_use(value));
                at.uses(&mut all);
            }
            Inst::Literal { dst, .. } => all.push(Operand::reg_def(dst)),
            Inst::Sum { dst, at } | Inst::Read { dst, at } => {
                at.uses(&mut all);
                all.push(Operand::reg_def(dst));
            }
            Inst::Integer { dst, left, right, .. } => {
                all.push(Operand::reg_use(left));
                if let Number::Register(right) = right {
                    all.push(Operand::reg_use(right));
                }
                all.push(reused(dst, 0));
            }
            Inst::Choose { dst, left, right, on, off, .. } => {
                all.extend([off, left, on].map(Operand::reg_use));
                if let Number::Register(right) = right {
                    all.push(Operand::reg_use(right));
                }
                all.push(reused(dst, 0));
            }
            Inst::MaskOf { dst, value } => all.extend([Operand::reg_use(value), Operand::reg_def(dst)]),
            Inst::Tail { count, ones, lost } => {
                all.extend([count, ones].map(Operand::reg_use));
                all.push(reused(lost, 1));
            }
            Inst::Branch { left, right, .. } => {
                all.push(Operand::reg_use(left));
                if let Number::Register(right) = right {
                    all.push(Operand::reg_use(right));
                }
            }
            Inst::Jump | Inst::Return => {}
        }
        all
    }

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
