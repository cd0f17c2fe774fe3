//! Bytes of the instructions that wide loops are made of: AVX-512 on `zmm0..zmm31` and `k0..k7`, and a few on general registers.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2.

/// An instruction's opcode: `map` is 1 for 0F, 2 for 0F38, 3 for 0F3A; `prefix` is 1 for 66, 2 for F3, 3 for F2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Opcode {
    pub(super) prefix: u8,
    pub(super) map: u8,
    pub(super) byte: u8,
}

pub(super) const fn opcode(prefix: u8, map: u8, byte: u8) -> Opcode {
    Opcode { prefix, map, byte }
}

/// How many lanes of a register an instruction works on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Width {
    /// The lowest four, of which one counts.
    Scalar,
    /// All sixteen.
    Full,
}

/// A place in memory, of registers by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// `[base + (index << shift) + offset]`.
    At { base: u8, index: Option<(u8, u8)>, offset: i32 },
    /// A constant of the pool.
    Constant(usize),
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operand {
    Register(u8),
    /// All of a place in memory.
    Memory(Place),
    /// One number in memory, in all lanes.
    Broadcast(Place),
}

/// The mask of an instruction: only lanes in it are read or written.
pub(super) type Mask = Option<u8>;

/// A place in the code that jumps lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Label(pub(super) usize);

/// Code as it grows. Places that are not known yet are filled in by [`Assembler::finish`].
#[derive(Default)]
pub(super) struct Assembler {
    bytes: Vec<u8>,
    labels: Vec<Option<usize>>,
    /// Where a distance of 32 bits belongs, and to what.
    jumps: Vec<(usize, Label)>,
    constants: Vec<(usize, usize)>,
    pool: Vec<Vec<u8>>,
}

pub(super) const RSP: u8 = 4;
pub(super) const RBP: u8 = 5;

impl Assembler {
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The next instruction is what `label` leads to.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.bytes.len());
    }

    /// A constant of the pool: 4 bytes that are broadcast, or 64.
    pub(super) fn constant(&mut self, bytes: &[u8]) -> usize {
        self.pool.iter().position(|held| held == bytes).unwrap_or_else(|| {
            self.pool.push(bytes.to_vec());
            self.pool.len() - 1
        })
    }

    /// The code and, after it, the pool.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // The longest first: then every constant is aligned to its length.
        let mut order: Vec<usize> = (0..self.pool.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.pool[at].len()));
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0xCC);
        let mut starts = vec![0; self.pool.len()];
        for at in order {
            starts[at] = self.bytes.len();
            self.bytes.extend_from_slice(&self.pool[at]);
        }
        let jumps = self.jumps.iter().map(|&(at, label)| (at, self.labels[label.0].expect("every label is bound")));
        let constants = self.constants.iter().map(|&(at, constant)| (at, starts[constant]));
        for (at, target) in jumps.chain(constants).collect::<Vec<_>>() {
            // Distances count from the end of the instruction, which is kept where they belong.
            let rest = i32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("there are four"));
            let distance = target as i32 - (at as i32 + 4 + rest);
            self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.bytes
    }

    /// `op reg, second, last`: an EVEX instruction. Without a second operand it is 0. `unit` is how many bytes of memory the last operand is.
    pub(super) fn vector(
        &mut self,
        (width, op): (Width, Opcode),
        reg: u8,
        second: u8,
        last: Operand,
        mask: (Mask, bool),
        (unit, immediate): (i32, Option<u8>),
    ) {
        let (x, b, broadcast) = match last {
            Operand::Register(number) => (number >> 4 & 1, number >> 3 & 1, 0),
            Operand::Memory(place) => (index_bit(place), base_bit(place), 0),
            Operand::Broadcast(place) => (index_bit(place), base_bit(place), 1),
        };
        let not = |bit: u8| bit & 1 ^ 1;
        let length = if width == Width::Full { 2 } else { 0 };
        self.bytes.extend([
            0x62,
            not(reg >> 3) << 7 | not(x) << 6 | not(b) << 5 | not(reg >> 4) << 4 | op.map,
            (!second & 15) << 3 | 4 | op.prefix,
            u8::from(mask.1) << 7 | length << 5 | broadcast << 4 | not(second >> 4) << 3 | mask.0.unwrap_or(0),
            op.byte,
        ]);
        match last {
            Operand::Register(number) => self.bytes.push(0xC0 | (reg & 7) << 3 | number & 7),
            Operand::Memory(place) => self.place(reg, place, unit, immediate.map_or(0, |_| 1)),
            Operand::Broadcast(place) => self.place(reg, place, 4, immediate.map_or(0, |_| 1)),
        }
        self.bytes.extend(immediate);
    }

    /// `op reg, second, rm` on mask registers, and between them and others: a VEX instruction of 0F.
    pub(super) fn mask(&mut self, op: u8, length: u8, prefix: u8, reg: u8, second: u8, last: Operand) {
        let b = match last {
            Operand::Register(number) => number >> 3 & 1,
            Operand::Memory(place) | Operand::Broadcast(place) => base_bit(place),
        };
        let not = |bit: u8| bit & 1 ^ 1;
        self.bytes.extend([
            0xC4,
            not(reg >> 3) << 7 | 1 << 6 | not(b) << 5 | 1,
            (!second & 15) << 3 | length << 2 | prefix,
            op,
        ]);
        match last {
            Operand::Register(number) => self.bytes.push(0xC0 | (reg & 7) << 3 | number & 7),
            Operand::Memory(place) | Operand::Broadcast(place) => self.place(reg, place, 1, 0),
        }
    }

    /// `op reg, rm` on 64 bits of general registers.
    pub(super) fn general(&mut self, op: &[u8], reg: u8, last: Operand, immediate: &[u8]) {
        let (x, b) = match last {
            Operand::Register(number) => (0, number >> 3 & 1),
            Operand::Memory(place) | Operand::Broadcast(place) => (index_bit(place), base_bit(place)),
        };
        self.bytes.push(0x48 | (reg >> 3 & 1) << 2 | x << 1 | b);
        self.bytes.extend_from_slice(op);
        match last {
            Operand::Register(number) => self.bytes.push(0xC0 | (reg & 7) << 3 | number & 7),
            Operand::Memory(place) | Operand::Broadcast(place) => self.place(reg, place, 1, immediate.len() as i32),
        }
        self.bytes.extend_from_slice(immediate);
    }

    /// `bzhi`, of 32 bits: `reg` is what is left of `last` below bit `second`.
    pub(super) fn low_bits(&mut self, reg: u8, last: u8, second: u8) {
        let not = |bit: u8| bit & 1 ^ 1;
        self.bytes.extend([
            0xC4,
            not(reg >> 3) << 7 | 1 << 6 | not(last >> 3) << 5 | 2,
            (!second & 15) << 3,
            0xF5,
            0xC0 | (reg & 7) << 3 | last & 7,
        ]);
    }

    /// `mov reg, immediate`, of 64 bits.
    pub(super) fn literal(&mut self, reg: u8, value: i64) {
        if let Ok(short) = i32::try_from(value) {
            return self.general(&[0xC7], 0, Operand::Register(reg), &short.to_le_bytes());
        }
        self.bytes.extend([0x48 | reg >> 3 & 1, 0xB8 | reg & 7]);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A jump, or one on a condition (the last four bits of its opcode).
    pub(super) fn jump(&mut self, condition: Option<u8>, label: Label) {
        match condition {
            None => self.bytes.push(0xE9),
            Some(condition) => self.bytes.extend([0x0F, 0x80 | condition]),
        }
        self.jumps.push((self.bytes.len(), label));
        self.bytes.extend([0; 4]);
    }

    /// An instruction as it is.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// ModRM and what follows it; `rest` bytes of the instruction are after the distance.
    fn place(&mut self, reg: u8, place: Place, unit: i32, rest: i32) {
        let reg = (reg & 7) << 3;
        let Place::At { base, index, offset } = place else {
            let Place::Constant(constant) = place else { unreachable!() };
            self.bytes.push(reg | 5);
            self.constants.push((self.bytes.len(), constant));
            return self.bytes.extend(rest.to_le_bytes());
        };
        let short = (offset % unit == 0).then(|| i8::try_from(offset / unit).ok()).flatten();
        // A base of rbp or r13 without a distance means something else.
        let mode = match short {
            Some(0) if base & 7 != RBP => 0,
            Some(_) => 1 << 6,
            None => 2 << 6,
        };
        match index {
            Some((index, shift)) => self.bytes.extend([mode | reg | 4, shift << 6 | (index & 7) << 3 | base & 7]),
            None if base & 7 == RSP => self.bytes.extend([mode | reg | 4, RSP << 3 | base & 7]),
            None => self.bytes.push(mode | reg | base & 7),
        }
        match short {
            Some(0) if base & 7 != RBP => {}
            Some(short) => self.bytes.push(short as u8),
            None => self.bytes.extend(offset.to_le_bytes()),
        }
    }
}

fn base_bit(place: Place) -> u8 {
    match place {
        Place::At { base, .. } => base >> 3 & 1,
        Place::Constant(_) => 0,
    }
}

fn index_bit(place: Place) -> u8 {
    match place {
        Place::At { index: Some((index, _)), .. } => index >> 3 & 1,
        _ => 0,
    }
}
