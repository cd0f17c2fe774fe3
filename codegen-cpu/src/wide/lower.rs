//! From Cranelift's instructions to ours: the whole region once, but the loops over lanes twice, for full steps and for the last one under
//! a mask.
//!
//! A number is held in all lanes of a register, so that nothing need be done to spread it. A truth value in lanes is a mask register.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::{Block, Function, InstructionData, Value, types};
use regalloc2::{RegClass, VReg};

use super::code::{Code, EXIT};
use super::encode::Assembler;
use super::inst::Inst;
use super::region::{self, Region};

/// Lanes of a register.
pub(super) const LANES: i64 = 16;
/// Those of a register of Cranelift's.
pub(super) const NARROW_LANES: i64 = 4;

/// What is not known here; the loop stays as it is.
pub(super) struct Unknown;

pub(super) type Known<T> = Result<T, Unknown>;

/// How a value is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    Integer(VReg),
    Vector(VReg),
    Mask(VReg),
}

/// A region on its way.
pub(super) struct Lowering<'f> {
    pub(super) func: &'f Function,
    pub(super) region: &'f Region,
    pub(super) code: Code,
    pub(super) pool: Assembler,
    /// What runs once, before everything.
    entry: Vec<Inst>,
    /// What the caller puts into the frame, in order.
    pub(super) given: Vec<Value>,
    pub(super) argument: VReg,
    /// The piece that grows; nothing: the entry.
    pub(super) at: Option<usize>,
    pub(super) held: HashMap<Value, Held>,
    /// What holds everywhere.
    pub(super) always: HashMap<Value, Held>,
    pub(super) pieces: HashMap<Block, usize>,
    /// Values that are part of addresses alone.
    pub(super) folded: HashSet<Value>,
    pub(super) masked: bool,
}

/// A region in our instructions, and what its frame holds.
pub(super) struct Written {
    code: Code,
    pool: Assembler,
    pub(super) given: Vec<Value>,
}

/// A region as machine code, and what its frame holds.
pub(super) struct Lowered {
    pub(super) bytes: Vec<u8>,
    pub(super) given: Vec<Value>,
}

impl Written {
    /// `None` if there are too few registers.
    pub(super) fn assemble(self) -> Option<Lowered> {
        Some(Lowered { bytes: self.code.assemble(self.pool)?, given: self.given })
    }
}

/// Writes a region.
pub(super) fn lower(func: &Function, region: &Region) -> Known<Written> {
    let mut code = Code::default();
    let (entry, exit) = (code.piece(), code.piece());
    debug_assert_eq!(exit, EXIT);
    let argument = code.register(RegClass::Int);
    code.pieces[exit].insts.push(Inst::Return);
    let mut lowering = Lowering {
        func,
        region,
        code,
        pool: Assembler::default(),
        entry: vec![Inst::Argument { dst: argument }],
        given: Vec::new(),
        argument,
        at: None,
        held: HashMap::new(),
        always: HashMap::new(),
        pieces: HashMap::from([(region.exit, exit)]),
        folded: region::folded(func, region),
        masked: false,
    };
    let first = lowering.open(region.entry);
    let sums = region.sums(func).unwrap_or_default();
    let mut arguments = Vec::new();
    for (at, &value) in func.dfg.block_params(region.entry).iter().enumerate() {
        // Sums come from memory: the caller has four lanes of them in a register.
        arguments.push(match at.checked_sub(1).and_then(|at| sums.get(at)) {
            Some(&(address, offset)) => lowering.sums(address, offset)?,
            None => lowering.given(value)?,
        });
    }
    lowering.blocks(&region.blocks.clone())?;
    let Lowering { mut code, pool, entry: mut insts, given, .. } = lowering;
    insts.push(Inst::Jump);
    code.pieces[entry].insts = insts;
    code.pieces[entry].next = vec![(first, arguments)];
    Ok(Written { code, pool, given })
}

impl Lowering<'_> {
    pub(super) fn push(&mut self, inst: Inst) {
        match self.at {
            Some(piece) => self.code.pieces[piece].insts.push(inst),
            None => self.entry.push(inst),
        }
    }

    pub(super) fn integer_register(&mut self) -> VReg {
        self.code.register(RegClass::Int)
    }

    pub(super) fn vector_register(&mut self) -> VReg {
        self.code.register(RegClass::Float)
    }

    pub(super) fn mask_register(&mut self) -> VReg {
        self.code.register(RegClass::Vector)
    }

    pub(super) fn is_folded(&self, value: Value) -> bool {
        self.folded.contains(&value)
    }

    pub(super) fn hold(&mut self, value: Value, held: Held) {
        let known = if self.at.is_none() { &mut self.always } else { &mut self.held };
        known.insert(value, held);
    }

    /// Runs `write` where everything begins.
    pub(super) fn first<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let at = self.at.take();
        let masked = std::mem::replace(&mut self.masked, false);
        let result = write(self);
        (self.at, self.masked) = (at, masked);
        result
    }

    /// The piece of a block, with registers for its parameters.
    pub(super) fn open(&mut self, block: Block) -> usize {
        let piece = self.code.piece();
        self.parameters(block, piece);
        self.pieces.insert(block, piece);
        piece
    }

    pub(super) fn parameters(&mut self, block: Block, piece: usize) {
        self.at = Some(piece);
        for &value in self.func.dfg.block_params(block) {
            let held = match self.func.dfg.value_type(value) {
                types::I64 => Held::Integer(self.integer_register()),
                _ => Held::Vector(self.vector_register()),
            };
            let (Held::Integer(register) | Held::Vector(register) | Held::Mask(register)) = held;
            self.code.pieces[piece].parameters.push(register);
            self.hold(value, held);
        }
    }

    /// Blocks in an order in which values come before their uses.
    fn blocks(&mut self, blocks: &[Block]) -> Known<()> {
        for &block in blocks {
            if self.region.lane_loop_of(block).is_none_or(|header| header == block) && !self.pieces.contains_key(&block)
            {
                self.open(block);
            }
        }
        for &block in blocks {
            match self.region.lane_loop_of(block) {
                None => {
                    self.at = self.pieces.get(&block).copied();
                    self.straight(block, None)?;
                    self.end(block)?;
                }
                Some(header) if header == block => self.lane_loop(header)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The instructions of a block up to the one that ends it, but for that of `left_out`.
    pub(super) fn straight(&mut self, block: Block, left_out: Option<Value>) -> Known<()> {
        for inst in self.func.layout.block_insts(block) {
            let opcode = self.func.dfg.insts[inst].opcode();
            let result = self.func.dfg.inst_results(inst).first().copied();
            let skipped = result.is_some_and(|value| {
                self.folded.contains(&value) || self.is_constant(value) || left_out == Some(value)
            });
            if !opcode.is_terminator() && !skipped {
                self.inst(inst)?;
            }
        }
        Ok(())
    }

    /// Ends the piece in hand.
    pub(super) fn finish(&mut self, inst: Inst, next: Vec<(usize, Vec<VReg>)>) {
        let piece = self.at.expect("only pieces end");
        self.push(inst);
        self.code.pieces[piece].next = next;
    }

    /// The end of a block outside of loops over lanes, or inside of one but not back to its header.
    pub(super) fn end(&mut self, block: Block) -> Known<()> {
        let inst = self.func.layout.last_inst(block).ok_or(Unknown)?;
        match self.func.dfg.insts[inst] {
            InstructionData::Jump { destination, .. } => {
                let next = self.way(destination)?;
                self.finish(Inst::Jump, vec![next]);
            }
            InstructionData::Brif { arg, blocks, .. } => {
                let (condition, left, right) = self.comparison(arg)?;
                let next = vec![self.way(blocks[0])?, self.way(blocks[1])?];
                self.finish(Inst::Branch { condition, left, right }, next);
            }
            _ => return Err(Unknown),
        }
        Ok(())
    }

    /// Where a jump goes, with what.
    fn way(&mut self, call: cranelift_codegen::ir::BlockCall) -> Known<(usize, Vec<VReg>)> {
        let pool = &self.func.dfg.value_lists;
        let block = call.block(pool);
        let arguments: Vec<Value> = call.args(pool).filter_map(|argument| argument.as_value()).collect();
        let piece = self.pieces.get(&block).copied().ok_or(Unknown)?;
        if piece == EXIT && !arguments.is_empty() {
            return Err(Unknown);
        }
        let mut registers = Vec::new();
        for value in arguments {
            registers.push(match self.func.dfg.value_type(value) {
                types::I64 => self.integer(value)?,
                _ => self.vector(value)?,
            });
        }
        Ok((piece, registers))
    }
}
