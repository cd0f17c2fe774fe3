//! A wide function before and after registers are chosen.

use regalloc2::{
    Algorithm, Allocation, AllocationKind, Block, Edit, Function, InstRange, MachineEnv, Operand, PReg, PRegSet,
    RegClass, RegallocOptions, VReg,
};

use super::emit;
use super::encode::{Assembler, Label};
use super::inst::{Inst, Number};

/// Straight-line code between jumps.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) parameters: Vec<VReg>,
    pub(super) insts: Vec<Inst>,
    /// Where its last instruction goes, with what.
    pub(super) next: Vec<(usize, Vec<VReg>)>,
}

/// The piece by which a function is left.
pub(super) const EXIT: usize = 1;

/// A function as pieces, of which the first is entered.
#[derive(Default)]
pub(super) struct Code {
    pub(super) pieces: Vec<Piece>,
    pub(super) registers: usize,
}

/// The same as the allocator sees it.
struct Flat<'c> {
    code: &'c Code,
    insts: Vec<Inst>,
    operands: Vec<Vec<Operand>>,
    ranges: Vec<InstRange>,
    next: Vec<Vec<Block>>,
    previous: Vec<Vec<Block>>,
}

const CALLEE_SAVED: [u8; 5] = [3, 12, 13, 14, 15];
/// `k1` is the tail.
const MASKS: std::ops::Range<usize> = 2..8;

impl Code {
    pub(super) fn register(&mut self, class: RegClass) -> VReg {
        self.registers += 1;
        VReg::new(self.registers - 1, class)
    }

    pub(super) fn piece(&mut self) -> usize {
        self.pieces.push(Piece::default());
        self.pieces.len() - 1
    }

    /// The bytes; `None` if the allocator gives up. `pool` is an assembler with the constants that the code names.
    pub(super) fn assemble(mut self, asm: Assembler) -> Option<Vec<u8>> {
        self.split_edges();
        let flat = Flat::of(&self);
        let options =
            RegallocOptions { verbose_log: false, validate_ssa: cfg!(debug_assertions), algorithm: Algorithm::Ion };
        let chosen = regalloc2::run(&flat, &environment(), &options).ok()?;
        Some(flat.emit(&chosen, asm))
    }

    /// Gives each way of a branch a piece of its own, where moves can go.
    fn split_edges(&mut self) {
        for at in 0..self.pieces.len() {
            if self.pieces[at].next.len() < 2 {
                continue;
            }
            for way in 0..2 {
                let between = self.piece();
                let held = std::mem::replace(&mut self.pieces[at].next[way], (between, Vec::new()));
                self.pieces[between] = Piece { insts: vec![Inst::Jump], next: vec![held], ..Piece::default() };
            }
        }
    }
}

fn environment() -> MachineEnv {
    let set = |numbers: &mut dyn Iterator<Item = usize>, class| {
        numbers.fold(PRegSet::empty(), |set, number| set.with(PReg::new(number, class)))
    };
    let general = |saved: bool| {
        set(&mut (0..16).filter(|&n| n != 4 && n != 5 && CALLEE_SAVED.contains(&(n as u8)) == saved), RegClass::Int)
    };
    MachineEnv {
        preferred_regs_by_class: [
            general(false),
            set(&mut (0..32), RegClass::Float),
            set(&mut MASKS.clone(), RegClass::Vector),
        ],
        non_preferred_regs_by_class: [general(true), PRegSet::empty(), PRegSet::empty()],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

impl<'c> Flat<'c> {
    fn of(code: &'c Code) -> Flat<'c> {
        let (mut insts, mut ranges) = (Vec::new(), Vec::new());
        let mut previous = vec![Vec::new(); code.pieces.len()];
        for (at, piece) in code.pieces.iter().enumerate() {
            let first = regalloc2::Inst::new(insts.len());
            insts.extend(piece.insts.iter().copied());
            ranges.push(InstRange::new(first, regalloc2::Inst::new(insts.len())));
            for (next, _) in &piece.next {
                previous[*next].push(Block::new(at));
            }
        }
        let next =
            code.pieces.iter().map(|piece| piece.next.iter().map(|(next, _)| Block::new(*next)).collect()).collect();
        let operands = insts.iter().map(Inst::operands).collect();
        Flat { code, insts, operands, ranges, next, previous }
    }

    fn emit(&self, chosen: &regalloc2::Output, mut asm: Assembler) -> Vec<u8> {
        let labels: Vec<Label> = self.ranges.iter().map(|_| asm.label()).collect();
        let leads: Vec<usize> = (0..self.ranges.len()).map(|piece| self.leads(chosen, piece)).collect();
        let order = self.order(&leads);
        let used = self.saved(chosen);
        // push rbp; mov rbp, rsp; push ...; sub rsp, slots; and rsp, -64.
        asm.raw(&[0x55, 0x48, 0x89, 0xE5]);
        used.iter().for_each(|&number| asm.raw(&[0x40 | number >> 3, 0x50 | number & 7]));
        if chosen.num_spillslots > 0 {
            asm.raw(&[0x48, 0x81, 0xEC]);
            asm.raw(&(8 * chosen.num_spillslots as i32).to_le_bytes());
            asm.raw(&[0x48, 0x83, 0xE4, 0xC0]);
        }
        for (at, &piece) in order.iter().enumerate() {
            asm.bind(labels[piece]);
            let following = order.get(at + 1).copied();
            for step in chosen.block_insts_and_edits(self, Block::new(piece)) {
                match step {
                    regalloc2::InstOrEdit::Edit(Edit::Move { from, to }) => move_between(&mut asm, *from, *to),
                    regalloc2::InstOrEdit::Inst(inst) => {
                        let registers: Vec<u8> = chosen.inst_allocs(inst).iter().map(|held| number(*held)).collect();
                        self.insts[inst.index()].emit(&mut asm, &registers);
                        let next: Vec<usize> = self.next[piece].iter().map(|next| leads[next.index()]).collect();
                        control(&mut asm, &self.insts[inst.index()], &registers, (&next, following), &labels, &used);
                    }
                }
            }
        }
        asm.finish()
    }

    /// The piece that a jump to this one leads to: pieces that do nothing are passed by.
    fn leads(&self, chosen: &regalloc2::Output, piece: usize) -> usize {
        let mut steps = chosen.block_insts_and_edits(self, Block::new(piece));
        let is_empty = steps.all(|step| match step {
            regalloc2::InstOrEdit::Edit(Edit::Move { from, to }) => from == to,
            regalloc2::InstOrEdit::Inst(inst) => matches!(self.insts[inst.index()], Inst::Jump),
        });
        if is_empty { self.leads(chosen, self.next[piece][0].index()) } else { piece }
    }

    /// Pieces in the order in which they are written: the last of a branch's ways after it where that is possible.
    fn order(&self, leads: &[usize]) -> Vec<usize> {
        let mut order = Vec::new();
        let mut placed = vec![false; leads.len()];
        let mut waiting = vec![0];
        while let Some(at) = waiting.pop() {
            if !std::mem::replace(&mut placed[at], true) {
                order.push(at);
                waiting.extend(self.next[at].iter().map(|next| leads[next.index()]));
            }
        }
        // The way out comes last: the disassembler stops at the return.
        order.retain(|piece| *piece != EXIT);
        order.push(EXIT);
        order
    }

    /// The registers in use that belong to the caller.
    fn saved(&self, chosen: &regalloc2::Output) -> Vec<u8> {
        let moved = chosen.edits.iter().flat_map(|(_, Edit::Move { from, to })| [*from, *to]);
        let held = chosen.allocs.iter().copied().chain(moved);
        let general: Vec<u8> = held
            .filter_map(|allocation| allocation.as_reg())
            .filter(|register| register.class() == RegClass::Int)
            .map(|register| register.hw_enc() as u8)
            .collect();
        CALLEE_SAVED.into_iter().filter(|number| general.contains(number)).collect()
    }
}

/// Writes the jumps of the last instruction of a piece.
fn control(
    asm: &mut Assembler,
    inst: &Inst,
    registers: &[u8],
    (next, following): (&[usize], Option<usize>),
    labels: &[Label],
    used: &[u8],
) {
    match *inst {
        Inst::Jump if following != Some(next[0]) => asm.jump(None, labels[next[0]]),
        Inst::Branch { condition, right, .. } => {
            let right = match right {
                Number::Register(_) => Ok(registers[1]),
                Number::Literal(value) => Err(value),
            };
            if following == Some(next[0]) {
                // The opposite of a condition is its last bit turned over.
                emit::branch(asm, condition ^ 1, registers[0], right, labels[next[1]]);
            } else {
                emit::branch(asm, condition, registers[0], right, labels[next[0]]);
                if following != Some(next[1]) {
                    asm.jump(None, labels[next[1]]);
                }
            }
        }
        Inst::Return => {
            // lea rsp, [rbp - saved]; pop ...; pop rbp; vzeroupper; ret.
            asm.raw(&[0x48, 0x8D, 0x65, (-8 * used.len() as i8) as u8]);
            used.iter().rev().for_each(|&number| asm.raw(&[0x40 | number >> 3, 0x58 | number & 7]));
            asm.raw(&[0x5D, 0xC5, 0xF8, 0x77, 0xC3]);
        }
        _ => {}
    }
}

fn number(allocation: Allocation) -> u8 {
    allocation.as_reg().expect("operands are in registers").hw_enc() as u8
}

fn move_between(asm: &mut Assembler, from: Allocation, to: Allocation) {
    if from == to {
        return;
    }
    let place = |held: Allocation| match held.kind() {
        AllocationKind::Stack => Err(held.as_stack().expect("it is a slot").index()),
        _ => Ok(number(held)),
    };
    let class = from.as_reg().or(to.as_reg()).expect("one of them is a register").class();
    emit::transfer(asm, class, place(from), place(to));
}

impl Function for Flat<'_> {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.ranges.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        self.ranges[block.index()]
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.next[block.index()]
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.previous[block.index()]
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.code.pieces[block.index()].parameters
    }

    fn is_ret(&self, inst: regalloc2::Inst) -> bool {
        matches!(self.insts[inst.index()], Inst::Return)
    }

    fn is_branch(&self, inst: regalloc2::Inst) -> bool {
        matches!(self.insts[inst.index()], Inst::Jump | Inst::Branch { .. })
    }

    fn branch_blockparams(&self, block: Block, _: regalloc2::Inst, way: usize) -> &[VReg] {
        &self.code.pieces[block.index()].next[way].1
    }

    fn inst_operands(&self, inst: regalloc2::Inst) -> &[Operand] {
        &self.operands[inst.index()]
    }

    fn inst_clobbers(&self, _: regalloc2::Inst) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.code.registers
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        if class == RegClass::Float { 8 } else { 1 }
    }
}
