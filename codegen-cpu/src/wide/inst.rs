//! The instructions of wide loops, on registers that are not chosen yet.

use regalloc2::{Operand, OperandConstraint, OperandKind, OperandPos, PReg, RegClass, VReg};

use super::encode::{Opcode, Width, opcode};

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
pub(super) const BLEND: Opcode = opcode(1, 2, 0x65);
pub(super) const TERNARY: Opcode = opcode(1, 3, 0x25);
pub(super) const SHIFT: Opcode = opcode(1, 1, 0x72);

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
}
