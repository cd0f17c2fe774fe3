//! Contractions of bf16: operands in pairs along k, for the micro-kernels that multiply two of them in a step.
//!
//! A lies ready where its pairs do: k contiguous and even, everything else an even distance apart. Otherwise an operand is packed as `[pairs of k][rows or columns]` of 32-bit
//! words, by one call of the runtime for each position of the axes that take no part.

use std::mem::offset_of;

use kiln_ir::{Atom, AxisId, Expr, Index, TensorId};
use kiln_runtime::abi::{KernelContext, PairArgs};

use crate::contract::{Operand, Pack, TiledAxis, full_size};
use crate::emit::Emitter;
use crate::tiling::{Tiles, factor, position};

/// An operand's tile in pairs.
pub(crate) struct Pairs {
    to: (TensorId, Index),
    to_stride: i64,
    from: (TensorId, Index),
    /// The axis of k whose positions are paired, and its distance in the source.
    k: AxisId,
    k_stride: i64,
    /// The axis of rows or columns, and its distance in the source.
    column: AxisId,
    column_stride: i64,
    /// Loops around.
    outside: Vec<AxisId>,
}

/// The axis whose positions are paired, if the factors are bf16 in f32: the last one of k.
pub(crate) fn pair_axis(tiles: &Tiles, sides: [(&Expr, &[TiledAxis]); 2], k: &[TiledAxis]) -> Option<TiledAxis> {
    let pair = *k.iter().rfind(|axis| axis.size > 1)?;
    let moves = |(value, side): (&Expr, &[TiledAxis])| {
        let from = tiles.position_of_bf16(value)?.1;
        factor(&from, pair.inner).zip(factor(&from, last(side).inner))
    };
    sides.into_iter().all(|side| moves(side).is_some()).then_some(pair)
}

/// The axes of k with pairs in the place of positions. An odd last position is one, with 0.
pub(crate) fn paired(k: &[TiledAxis], pair: TiledAxis) -> Vec<TiledAxis> {
    let half = |axis: &TiledAxis| if axis.inner == pair.inner { axis.size.div_ceil(2) } else { axis.size };
    k.iter().map(|axis| TiledAxis { size: half(axis), ..*axis }).collect()
}

/// The axis of rows or columns that is contiguous in a tile.
fn last(side: &[TiledAxis]) -> TiledAxis {
    *side.iter().rfind(|axis| axis.size > 1).or(side.last()).expect("a contraction has rows and columns")
}

/// An operand where it lies, in words, if its pairs are words.
pub(crate) fn in_words(operand: Operand, pair: TiledAxis) -> Option<Operand> {
    let even = [operand.row_stride, operand.batch_stride, pair.size as i64, pair.extent.factor as i64];
    let even = even.iter().all(|stride| stride % 2 == 0);
    let ready = factor(&operand.position, pair.inner) == Some(1) && operand.k_stride == 1 && even;
    ready.then_some(Operand { row_stride: operand.row_stride / 2, batch_stride: operand.batch_stride / 2, ..operand })
}

/// An operand packed in pairs; `row` words are in a row of its tile, and axes of `k` before `split` are the micro-kernel's batch.
pub(crate) fn packed(
    tiles: &Tiles,
    value: &Expr,
    tile: TensorId,
    (side, k, split): (&[TiledAxis], &[TiledAxis], usize),
    pair: TiledAxis,
    row: usize,
) -> Operand {
    let column = last(side);
    let from = tiles.position_of_bf16(value).expect("pair_axis has looked");
    let stride = |axis: TiledAxis| factor(&from.1, axis.inner).expect("pair_axis has looked");
    let (k_stride, column_stride) = (stride(pair), stride(column));
    let k_pairs = paired(k, pair);
    // The call goes over the pairs of one line.
    let terms = position(&k_pairs).terms.into_iter().filter(|(atom, _)| *atom != Atom::Axis(pair.inner));
    let pairs = Index { terms: terms.collect(), offset: 0 };
    let outside =
        side.iter().chain(k).map(|axis| axis.inner).filter(|&axis| axis != pair.inner && axis != column.inner);
    let pack = Pairs {
        to: (tile, pairs.times(row as i64).plus(&position(side))),
        to_stride: row as i64,
        from,
        k: pair.inner,
        k_stride,
        column: column.inner,
        column_stride,
        outside: outside.collect(),
    };
    Operand {
        tensor: tile,
        position: Index::default(),
        row_stride: 1,
        k_stride: row as i64,
        batch_stride: (row * full_size(&k_pairs[split..])) as i64,
        panel_stride: None,
        pack: Some(Pack::Pairs(pack)),
    }
}

impl Pairs {
    /// Calls `visit` with every axis that the tile depends on.
    pub(crate) fn for_each_axis(&self, visit: &mut dyn FnMut(AxisId)) {
        self.from.1.for_each_axis(visit);
        self.to.1.for_each_axis(visit);
        visit(self.k);
        visit(self.column);
    }
}

impl Emitter<'_> {
    /// Packs a tile in pairs.
    pub(crate) fn pair(&mut self, pairs: &Pairs, outside: &[AxisId]) {
        if let Some((&axis, rest)) = outside.split_first() {
            let (start, end, fixed) = (self.int(0), self.trip(axis), self.fixed_trip(axis));
            return self.counted_loop(start, end, 1, fixed.is_some_and(|trip| trip > 0), &mut |e, position| {
                e.at(axis, position, &mut |e| e.pair(pairs, rest));
            });
        }
        let axes = [pairs.k, pairs.column];
        let fields = [
            (offset_of!(PairArgs, k), self.trip(pairs.k)),
            (offset_of!(PairArgs, columns), self.trip(pairs.column)),
            (offset_of!(PairArgs, to), self.first_element(&axes, pairs.to.0, &pairs.to.1)),
            (offset_of!(PairArgs, to_stride), self.int(pairs.to_stride)),
            (offset_of!(PairArgs, from), self.first_element(&axes, pairs.from.0, &pairs.from.1)),
            (offset_of!(PairArgs, k_stride), self.int(pairs.k_stride)),
            (offset_of!(PairArgs, column_stride), self.int(pairs.column_stride)),
        ];
        let arguments = self.stack_struct::<PairArgs>();
        self.call_with(KernelContext::OFFSET_PAIR_BF16, arguments, &fields);
    }

    /// All loops around the calls.
    pub(crate) fn pairs(&mut self, pairs: &Pairs) {
        self.pair(pairs, &pairs.outside);
    }
}
