//! Loops over lanes: full steps, then one step under a mask for the positions that are left.
//!
//! ```text
//!   dispatch(i)   if i <= end - 16 goto full(i) else check(i)
//!   full(i)       the loop's blocks; i + 16 <= end - 16 ? full(i + 16) : check(i + 16)
//!   check(i)      if i >= end leave, else tail(i)
//!   tail(i)       the loop's blocks again, where lanes from end on are neither read nor written; leave
//! ```
//!
//! A loop of full steps alone is its blocks once, and values may go round in it.

use cranelift_codegen::ir::Block;
use cranelift_codegen::ir::condcodes::IntCC;
use regalloc2::VReg;

use super::conditions::branch_condition;
use super::inst::{self, Address, Inst, Number};
use super::lower::{Held, Known, LANES, Lowering, Unknown};
use super::region::LaneBlocks;

impl Lowering<'_> {
    /// A loop over lanes.
    pub(super) fn lane_loop(&mut self, header: Block) -> Known<()> {
        let lane_loop = self.region.lane_loop(self.func, header).ok_or(Unknown)?;
        let dispatch = self.pieces[&header];
        let Some(Held::Integer(start)) = self.held.get(&lane_loop.position).copied() else { return Err(Unknown) };
        if lane_loop.is_whole {
            self.at = Some(dispatch);
            let end = self.number(lane_loop.end)?;
            return self.body(&lane_loop, dispatch, |e, next, accumulators| {
                let leave = e.pieces.get(&lane_loop.exit).copied().ok_or(Unknown)?;
                let arguments = [vec![next], accumulators].concat();
                e.finish(
                    Inst::Branch { condition: branch_condition(IntCC::SignedLessThan), left: next, right: end },
                    vec![(dispatch, arguments), (leave, Vec::new())],
                );
                Ok(())
            });
        }
        // A mask is for one register. One parameter, and nothing that is used after the loop: then it can be written twice.
        if lane_loop.step != LANES || self.func.dfg.block_params(header).len() != 1 {
            return Err(Unknown);
        }
        let (full, check, tail) = (self.code.piece(), self.code.piece(), self.code.piece());
        let leave = self.pieces.get(&lane_loop.exit).copied().ok_or(Unknown)?;
        self.at = Some(dispatch);
        let end = self.number(lane_loop.end)?;
        let limit = match end {
            Number::Literal(end) => Number::Literal(end - LANES as i32),
            Number::Register(end) => {
                let dst = self.integer_register();
                self.push(Inst::Sum { dst, at: Address { base: end, index: None, offset: -LANES as i32 } });
                Number::Register(dst)
            }
        };
        let next = vec![(full, vec![start]), (check, vec![start])];
        self.finish(
            Inst::Branch { condition: branch_condition(IntCC::SignedLessThanOrEqual), left: start, right: limit },
            next,
        );

        let outside = self.held.clone();
        self.parameters(header, full);
        self.pieces.insert(header, full);
        self.body(&lane_loop, full, |e, next, _| {
            let ways = vec![(full, vec![next]), (check, vec![next])];
            e.finish(
                Inst::Branch { condition: branch_condition(IntCC::SignedLessThanOrEqual), left: next, right: limit },
                ways,
            );
            Ok(())
        })?;

        self.held.clone_from(&outside);
        let position = self.integer_register();
        self.code.pieces[check].parameters.push(position);
        self.at = Some(check);
        let ways = vec![(leave, Vec::new()), (tail, vec![position])];
        self.finish(
            Inst::Branch { condition: branch_condition(IntCC::SignedGreaterThanOrEqual), left: position, right: end },
            ways,
        );
        self.parameters(header, tail);
        let Some(Held::Integer(position)) = self.held.get(&lane_loop.position).copied() else { return Err(Unknown) };
        self.at = Some(tail);
        let (all, count) = (self.integer_register(), self.integer_register());
        match end {
            Number::Literal(end) => self.push(Inst::Literal { dst: all, value: i64::from(end) }),
            Number::Register(end) => {
                self.push(Inst::Sum { dst: all, at: Address { base: end, index: None, offset: 0 } })
            }
        }
        self.push(Inst::Integer { op: inst::Integer::Sub, dst: count, left: all, right: Number::Register(position) });
        let (ones, lost) = (self.integer_register(), self.integer_register());
        self.push(Inst::Literal { dst: ones, value: 0xFFFF });
        self.push(Inst::Tail { count, ones, lost });
        self.masked = true;
        self.pieces.insert(header, tail);
        self.body(&lane_loop, tail, |e, _, _| {
            e.finish(Inst::Jump, vec![(leave, Vec::new())]);
            Ok(())
        })?;
        self.masked = false;
        self.held = outside;
        self.pieces.insert(header, dispatch);
        Ok(())
    }

    /// The blocks of a loop over lanes, the first into `piece`; `latch` ends them, given the next position and the values that go round.
    fn body(
        &mut self,
        lane_loop: &LaneBlocks,
        piece: usize,
        latch: impl Fn(&mut Self, VReg, Vec<VReg>) -> Known<()>,
    ) -> Known<()> {
        for &block in &lane_loop.blocks[1..] {
            self.open(block);
        }
        for &block in &lane_loop.blocks {
            self.at = Some(if block == lane_loop.blocks[0] { piece } else { self.pieces[&block] });
            self.straight(block, Some(lane_loop.next))?;
            if block != lane_loop.latch {
                self.end(block)?;
                continue;
            }
            let Some(Held::Integer(position)) = self.held.get(&lane_loop.position).copied() else {
                return Err(Unknown);
            };
            let next = self.integer_register();
            self.push(Inst::Sum {
                dst: next,
                at: Address { base: position, index: None, offset: lane_loop.step as i32 },
            });
            let mut round = Vec::new();
            for &value in &lane_loop.round {
                round.push(self.vector(value)?);
            }
            latch(self, next, round)?;
        }
        Ok(())
    }
}
