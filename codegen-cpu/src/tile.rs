//! The loops around the micro-kernel: tiles, packing, the call, the epilogue.
//!
//! ```text
//!   for items
//!     for outer axes, tiles of n, tiles of m
//!       for tiles of k
//!         micro-kernel: C tile (+)= A tile · B tile
//!       epilogue over the C tile
//! ```
//!
//! Each operand that is packed is packed in the innermost of these loops that it depends on: weights before all items, B outside
//! the tiles of m where there is one tile of k.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use kiln_ir::kernel::{Access, Statement};
use kiln_ir::{AxisId, Expr, Index};
use kiln_runtime::abi::{BrgemmArgs, KernelContext};
use kiln_runtime::brgemm::PANEL;

use crate::contract::{Contraction, Operand, Pack, TiledAxis, leading};
use crate::emit::{Emitter, Position};
use crate::pairs::paired;
use crate::work::Work;

/// One loop around the micro-kernel.
#[derive(Clone, Copy)]
enum Level {
    Axis(AxisId),
    Tile(TiledAxis),
}

/// Everything that the loops need at each depth.
pub(crate) struct Nest<'c> {
    contraction: &'c Contraction,
    levels: Vec<Level>,
    /// Loops before this one are around the stage, and stand.
    pub(crate) around: usize,
    /// Loops before this one are not over k.
    first_k: usize,
    /// What is packed, and inside how many loops: 0 is before the items, 1 inside them, `2 + i` inside level i.
    packs: Vec<(usize, &'c Pack)>,
    /// The arguments of the micro-kernel.
    arguments: Value,
    begin: Value,
    end: Value,
}

/// Lanes of packing loops.
const PACK_LANES: usize = 4;
/// How often a packing loop is written out at most.
const MOST_COPIES: i64 = 8;

impl Emitter<'_> {
    /// The whole kernel, for items `[begin, end)`.
    pub(crate) fn contraction(&mut self, contraction: &Contraction, begin: Value, end: Value) {
        let nest = self.contraction_nest(contraction, &[], begin, end);
        self.pack(&nest, 0);
        if contraction.threads.is_empty() {
            self.pack(&nest, 1);
            return self.level(&nest, 0);
        }
        self.rows(&contraction.threads, begin, end, &mut |e, axis, span| {
            e.counted_loop(span.start, span.end, 1, false, &mut |e, position| {
                e.at(axis, position, &mut |e| {
                    e.pack(&nest, 1);
                    e.level(&nest, 0);
                });
            });
        });
    }

    /// The loops of a contraction, `around` which are others.
    pub(crate) fn contraction_nest<'c>(
        &mut self,
        contraction: &'c Contraction,
        around: &[AxisId],
        begin: Value,
        end: Value,
    ) -> Nest<'c> {
        let Contraction { m, n, k, .. } = contraction;
        let tiles = |side: &[TiledAxis]| -> Vec<Level> {
            side.iter().filter(|axis| axis.start.is_some()).map(|axis| Level::Tile(*axis)).collect()
        };
        let mut levels: Vec<Level> = around.iter().chain(&contraction.outer).map(|axis| Level::Axis(*axis)).collect();
        levels.extend(tiles(n));
        levels.extend(tiles(m));
        let first_k = levels.len();
        levels.extend(tiles(k));
        for axis in m.iter().chain(n).chain(k) {
            if let (Some(start), Some(extent)) = (axis.start, axis.extent.as_fixed()) {
                let step = if contraction.item_start == axis.start { 1 } else { axis.size };
                self.greatest[start.0 as usize] = Some(((extent - 1) / step * step) as i64);
            }
        }
        let packs = [&contraction.a, &contraction.b]
            .into_iter()
            .filter_map(|operand| operand.pack.as_ref())
            .map(|pack| {
                let depth = pack_depth(pack, contraction, &levels);
                // What stages have left is there when the stage begins, and not before.
                let inside = if self.reads_scratch(pack) { around.len() + 1 } else { 0 };
                (depth.max(inside), pack)
            })
            .collect();
        let arguments = self.stack_struct::<BrgemmArgs>();
        Nest { contraction, levels, around: around.len(), first_k, packs, arguments, begin, end }
    }

    /// The contraction of a stage, whose loops around it stand.
    pub(crate) fn contraction_stage(&mut self, nest: &Nest<'_>) {
        self.level(nest, nest.around);
    }

    fn level(&mut self, nest: &Nest<'_>, at: usize) {
        if at < nest.first_k {
            return self.enter(nest, at, &mut |e| {
                e.pack(nest, at + 2);
                e.level(nest, at + 1);
            });
        }
        self.products(nest, at);
        if let Some(Statement::For(axes, body)) = &nest.contraction.epilogue {
            self.nest(axes, Work::Statements(body));
        }
    }

    fn products(&mut self, nest: &Nest<'_>, at: usize) {
        if at < nest.levels.len() {
            return self.enter(nest, at, &mut |e| {
                e.pack(nest, at + 2);
                e.products(nest, at + 1);
            });
        }
        self.call_brgemm(nest);
    }

    /// Runs one loop.
    fn enter(&mut self, nest: &Nest<'_>, at: usize, body: &mut dyn FnMut(&mut Self)) {
        match nest.levels[at] {
            Level::Axis(axis) => {
                let (start, end, fixed) = (self.int(0), self.trip(axis), self.fixed_trip(axis));
                self.counted_loop(start, end, 1, fixed.is_some(), &mut |e, position| e.at(axis, position, body));
            }
            Level::Tile(tile) => {
                let start_axis = tile.start.expect("only split axes have a level");
                let is_item = nest.contraction.item_start == tile.start;
                let cut = nest.contraction.cuts.iter().copied().find(|cut| cut.axis == tile.inner);
                let (start, end) =
                    if is_item { (nest.begin, nest.end) } else { (self.int(0), self.extent(tile.extent)) };
                let nonempty = !is_item && !tile.extent.batch;
                self.counted_loop(start, end, tile.size as i64, nonempty, &mut |e, position| {
                    if is_item || tile.is_uneven() {
                        let (left, size) = (e.b.ins().isub(end, position), e.int(tile.size as i64));
                        let trip = e.b.ins().smin(left, size);
                        e.trips[tile.inner.0 as usize] = Some(trip);
                        if let Some(cut) = cut {
                            let up = e.b.ins().iadd_imm_s(trip, cut.width as i64 - 1);
                            e.trips[cut.panel.0 as usize] = Some(e.b.ins().udiv_imm_u(up, cut.width as i64));
                        }
                    }
                    e.at(start_axis, position, body);
                    e.trips[tile.inner.0 as usize] = None;
                    if let Some(cut) = cut {
                        e.trips[cut.panel.0 as usize] = None;
                    }
                });
            }
        }
    }

    /// Packs what is packed inside so many loops.
    pub(crate) fn pack(&mut self, nest: &Nest<'_>, depth: usize) {
        for (at, pack) in &nest.packs {
            if *at != depth {
                continue;
            }
            let (axes, body) = match pack {
                Pack::Pairs(pairs) => {
                    self.pairs(pairs);
                    continue;
                }
                Pack::Loops(Statement::For(axes, body)) => (axes, body),
                Pack::Loops(_) => continue,
            };
            if let Some((outside, matrix)) = self.transposition(axes, body) {
                self.transpose(&outside, &matrix);
                continue;
            }
            let scheduled = (self.vector.clone(), self.unroll.clone());
            if let Some(last) = axes.iter().rfind(|axis| !self.is_written_out(**axis)) {
                self.vector[last.0 as usize] = PACK_LANES;
                for axis in self.moving_guards(axes, *last, body) {
                    self.unroll[axis.0 as usize] = true;
                }
            }
            self.nest(axes, Work::Statements(body));
            (self.vector, self.unroll) = scheduled;
        }
    }

    /// Whether an operand is packed of scratch memory.
    fn reads_scratch(&self, pack: &Pack) -> bool {
        let Pack::Loops(Statement::For(_, body)) = pack else { return self.kernel.stages().is_some() };
        let mut found = false;
        for statement in body {
            if let Statement::Store { value, .. } = statement {
                value.for_each(&mut |expr| {
                    if let Expr::Load(load) = expr {
                        found |= self.kernel.tensor(load.tensor).access == Access::Scratch;
                    }
                });
            }
        }
        found
    }

    /// Short axes that move the guards of the innermost loop, the columns of a filter for example. Written out, each of their
    /// positions has known bounds, and so rows of known length.
    fn moving_guards(&self, axes: &[AxisId], last: AxisId, body: &[Statement]) -> Vec<AxisId> {
        let mut moving = Vec::new();
        let mut note = |index: &Index| {
            let mut members = Vec::new();
            index.for_each_axis(&mut |axis| members.push(axis));
            if members.contains(&last) {
                moving.extend(members.into_iter().filter(|axis| *axis != last && axes.contains(axis)));
            }
        };
        for statement in body {
            if let Statement::Store { value, .. } = statement {
                value.for_each(&mut |expr| match expr {
                    Expr::Load(load) if load.fill.is_some() => load.index.iter().for_each(&mut note),
                    _ => {}
                });
            }
        }
        moving.sort();
        moving.dedup();
        let copies: Option<i64> = moving.iter().map(|axis| self.fixed_trip(*axis)).product();
        if copies.is_some_and(|copies| copies <= MOST_COPIES) { moving } else { Vec::new() }
    }

    fn call_brgemm(&mut self, nest: &Nest<'_>) {
        let Contraction { m, n, k, k_split, pair, a, b, c, .. } = nest.contraction;
        let int = |e: &mut Self, value: i64| e.int(value);
        let (batch, inner) = k.split_at(*k_split);
        let fields = [
            (offset_of!(BrgemmArgs, m), self.tile_size(m)),
            (offset_of!(BrgemmArgs, n), self.tile_size(n)),
            (offset_of!(BrgemmArgs, k), self.depth(inner, *pair)),
            (offset_of!(BrgemmArgs, count), self.tile_size(batch)),
            (offset_of!(BrgemmArgs, a), self.corner(nest, a)),
            (offset_of!(BrgemmArgs, a_m_stride), int(self, a.row_stride)),
            (offset_of!(BrgemmArgs, a_k_stride), int(self, a.k_stride)),
            (offset_of!(BrgemmArgs, a_batch_stride), int(self, a.batch_stride)),
            (offset_of!(BrgemmArgs, a_panel_stride), int(self, a.panel_stride.unwrap_or(0))),
            (offset_of!(BrgemmArgs, b), self.corner(nest, b)),
            (offset_of!(BrgemmArgs, b_k_stride), int(self, b.k_stride)),
            (offset_of!(BrgemmArgs, b_batch_stride), int(self, b.batch_stride)),
            (offset_of!(BrgemmArgs, b_panel_stride), int(self, b.panel_stride.unwrap_or(PANEL as i64))),
            (offset_of!(BrgemmArgs, c), self.corner(nest, c)),
            (offset_of!(BrgemmArgs, c_m_stride), int(self, c.row_stride)),
            (offset_of!(BrgemmArgs, accumulate), self.is_later_tile(nest)),
        ];
        let kernel = if pair.is_some() { KernelContext::OFFSET_BRGEMM_BF16 } else { KernelContext::OFFSET_BRGEMM_F32 };
        self.call_with(kernel, nest.arguments, &fields);
    }

    /// Elements of A along k in the tile in hand.
    fn depth(&mut self, inner: &[TiledAxis], pair: Option<TiledAxis>) -> Value {
        let Some(pair) = pair else { return self.tile_size(inner) };
        let halves = paired(inner, pair);
        match inner.get(leading(inner)) {
            // Its last tile may be short.
            Some(axis) if axis.inner == pair.inner => {
                let count = self.trip(axis.inner);
                let count = self.b.ins().iadd_imm_s(count, 1);
                self.b.ins().ushr_imm_u(count, 1)
            }
            _ => self.tile_size(&halves),
        }
    }

    /// Rows of the tile in hand: the leading axis may be short, the others count in full.
    fn tile_size(&mut self, side: &[TiledAxis]) -> Value {
        let leading = leading(side);
        let rest: usize = side.iter().skip(leading + 1).map(|axis| axis.size).product();
        match side.get(leading) {
            None => self.int(1),
            Some(axis) => {
                let count = self.trip(axis.inner);
                self.scaled(count, rest as i64)
            }
        }
    }

    /// The first element of an operand's tile.
    fn corner(&mut self, nest: &Nest<'_>, operand: &Operand) -> Value {
        let Contraction { m, n, k, .. } = nest.contraction;
        let axes: Vec<AxisId> = m.iter().chain(n).chain(k).map(|axis| axis.inner).collect();
        self.first_element(&axes, operand.tensor, &operand.position)
    }

    /// 1 unless this is the first tile of k.
    fn is_later_tile(&mut self, nest: &Nest<'_>) -> Value {
        let starts: Vec<AxisId> = nest.contraction.k.iter().filter_map(|axis| axis.start).collect();
        let mut any = self.int(0);
        for start in starts {
            if let Position::Scalar { value, .. } = self.positions[start.0 as usize] {
                any = self.b.ins().bor(any, value);
            }
        }
        let later = self.b.ins().icmp_imm_s(IntCC::NotEqual, any, 0);
        self.b.ins().uextend(types::I64, later)
    }
}

/// Inside how many loops an operand must be packed, because its values or its tile change there.
fn pack_depth(pack: &Pack, contraction: &Contraction, levels: &[Level]) -> usize {
    let mut depth = 0;
    let mut note = |axis: AxisId| {
        if contraction.threads.contains(&axis) {
            depth = depth.max(1);
        }
        let level = levels.iter().position(|level| match level {
            Level::Axis(held) => *held == axis,
            Level::Tile(tile) => tile.start == Some(axis) || tile.inner == axis,
        });
        depth = depth.max(level.map_or(0, |level| level + 2));
    };
    if let Pack::Pairs(pairs) = pack {
        pairs.for_each_axis(&mut note);
    }
    if let Pack::Loops(Statement::For(axes, body)) = pack {
        axes.iter().copied().for_each(&mut note);
        for statement in body {
            if let Statement::Store { value, .. } = statement {
                value.for_each(&mut |expr| match expr {
                    Expr::Load(load) => load.index.iter().for_each(|index| index.for_each_axis(&mut note)),
                    Expr::Index(index) => index.for_each_axis(&mut note),
                    _ => {}
                });
            }
        }
    }
    depth
}
