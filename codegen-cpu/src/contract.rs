//! How a contraction is laid out around the micro-kernel: which operands are packed, which lie ready, and where C goes.
//!
//! The kernel is rewritten so that the rest of the back end needs to know nothing new. A tiled axis `x` becomes `x.start + x.inner`;
//! the tiles of A, B and C become three more tensors, in scratch memory; packing an operand is a loop nest with a store, and
//! the epilogue reads its sum from C's tile. Only the call of the micro-kernel is special (see `tile.rs`).
//!
//! Tiles are row-major over the full tile sizes. A short last tile must be the first of its side's axes that has more than one
//! position in a tile: then rows (or columns) stay evenly spaced. Where another axis is short, packed rows are computed past
//! its end and not read; an operand that lies in memory as it is, or C written in place, could not afford that and is packed.

use kiln_ir::kernel::{Contract, Kernel, Statement, Tile};
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, Index, Load, Monoid, TensorId};

use crate::pairs::{self, Pairs};
use crate::panels::{Cut, Panels};
use crate::stages;
use crate::tiling::{self, Tiles, position, stride};

/// A kernel ready for emission.
pub(crate) struct Plan {
    pub(crate) kernel: Kernel,
    pub(crate) form: Form,
    /// Bytes from the start of scratch memory to each tensor that is no argument: those of stages, and tiles.
    pub(crate) scratch_offsets: Vec<usize>,
    /// Scratch memory of a thread.
    pub(crate) scratch_bytes: usize,
}

/// How the body is written.
pub(crate) enum Form {
    /// Plain loops.
    Loops,
    /// One contraction.
    Contraction(Box<Contraction>),
    /// Stages inside shared loops.
    Stages(Stages),
}

/// The stages of a kernel with scratch tensors.
pub(crate) struct Stages {
    /// Axes that items stand for.
    pub(crate) threads: Vec<AxisId>,
    /// The other loops around the stages.
    pub(crate) outer: Vec<AxisId>,
    pub(crate) stages: Vec<Stage>,
}

/// One stage.
pub(crate) enum Stage {
    Loops(Statement),
    Contraction(Box<Contraction>),
}

/// A contraction and its tiles.
pub(crate) struct Contraction {
    /// Axes that items stand for, outside of all tiles.
    pub(crate) threads: Vec<AxisId>,
    /// The `start` axis that items divide instead, if one of the rows' axes is the thread axis.
    pub(crate) item_start: Option<AxisId>,
    /// Loops around all tiles.
    pub(crate) outer: Vec<AxisId>,
    pub(crate) m: Vec<TiledAxis>,
    pub(crate) n: Vec<TiledAxis>,
    pub(crate) k: Vec<TiledAxis>,
    /// Axes of `k` before this one are the micro-kernel's batch.
    pub(crate) k_split: usize,
    /// The axis of k along which elements of A and B are pairs of bf16.
    pub(crate) pair: Option<TiledAxis>,
    /// Axes of rows and columns that are packed in panels.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) a: Operand,
    pub(crate) b: Operand,
    pub(crate) c: Operand,
    /// The loops over C's tile; `None` where the micro-kernel writes the output.
    pub(crate) epilogue: Option<Statement>,
}

/// An axis in tiles: its position is `start + inner`.
#[derive(Clone, Copy)]
pub(crate) struct TiledAxis {
    pub(crate) inner: AxisId,
    /// `None`: one tile.
    pub(crate) start: Option<AxisId>,
    pub(crate) size: usize,
    pub(crate) extent: Dim,
}

/// A matrix in memory.
pub(crate) struct Operand {
    pub(crate) tensor: TensorId,
    /// The position of an element; at inner positions 0, that of the tile.
    pub(crate) position: Index,
    pub(crate) row_stride: i64,
    pub(crate) k_stride: i64,
    pub(crate) batch_stride: i64,
    /// From a panel to the next, if it lies in panels.
    pub(crate) panel_stride: Option<i64>,
    /// How it is packed.
    pub(crate) pack: Option<Pack>,
}

/// What fills an operand's tile.
pub(crate) enum Pack {
    /// Loops over it.
    Loops(Statement),
    /// Calls of the runtime, for pairs of bf16.
    Pairs(Pairs),
}

/// Row strides of tiles are multiples of a cache line.
const LINE_ELEMENTS: usize = 16;

impl Plan {
    /// Lays out a kernel.
    pub(crate) fn new(kernel: &Kernel) -> Plan {
        let plain =
            || Plan { kernel: kernel.clone(), form: Form::Loops, scratch_offsets: Vec::new(), scratch_bytes: 0 };
        stages::plan(kernel).or_else(|| whole(kernel)).unwrap_or_else(plain)
    }
}

/// The plan of a kernel that is one contraction.
fn whole(original: &Kernel) -> Option<Plan> {
    let [contract] = original.schedule.contracts.as_slice() else { return None };
    let [Statement::For(axes, body)] = original.body.as_slice() else { return None };
    let mut tiles = Tiles::of(original);
    let threads = &original.schedule.thread;
    let Laid { contraction, elements } = contraction(&mut tiles, contract, (axes, body), threads)?;
    let (mut scratch_offsets, mut scratch_bytes) = (Vec::new(), 0);
    for elements in elements {
        scratch_offsets.push(scratch_bytes);
        scratch_bytes += (elements * 4).next_multiple_of(64);
    }
    Some(Plan { kernel: tiles.kernel, form: Form::Contraction(Box::new(contraction)), scratch_offsets, scratch_bytes })
}

/// A contraction, and how many elements its tiles of A, B and C have: those that are not used take no memory.
pub(crate) struct Laid {
    pub(crate) contraction: Contraction,
    pub(crate) elements: [usize; 3],
}

impl TiledAxis {
    /// Whether the last tile may be short.
    pub(crate) fn is_uneven(&self) -> bool {
        self.start.is_some() && self.extent.as_fixed().is_none_or(|extent| !extent.is_multiple_of(self.size))
    }
}

/// The number of rows or columns of a full tile.
pub(crate) fn full_size(side: &[TiledAxis]) -> usize {
    side.iter().map(|axis| axis.size).product()
}

/// The first axis with more than one position in a tile.
pub(crate) fn leading(side: &[TiledAxis]) -> usize {
    side.iter().position(|axis| axis.size > 1).unwrap_or(0)
}

/// `None` where the contraction must run as plain loops: not `f32`, nothing to sum, or tiles that do not fit together.
pub(crate) fn contraction(
    tiles: &mut Tiles,
    contract: &Contract,
    (axes, body): (&[AxisId], &[Statement]),
    threads: &[AxisId],
) -> Option<Laid> {
    let (Statement::Reduce { axes: summed, lets, results }, rest) = body.split_first()? else { return None };
    let [result] = results.as_slice() else { return None };
    let Expr::Binary(Binary::Mul, left, right) = &result.value else { return None };
    let tiled =
        |axis: &AxisId| [&contract.m, &contract.n, &contract.k].iter().any(|s| s.iter().any(|t| t.axis == *axis));
    let fits = result.monoid == Monoid::Sum
        && lets.is_empty()
        && tiles.kernel.dtype(&result.value) == DType::F32
        && summed.len() == contract.k.len()
        && summed.iter().all(|axis| contract.k.iter().any(|tile| tile.axis == *axis))
        && !contract.m.is_empty()
        && !contract.n.is_empty()
        && axes
            .iter()
            .chain(summed)
            .map(|axis| tiles.kernel.axis(*axis))
            .all(|axis| axis.limit.is_none() && axis.extent.factor > 0);
    if !fits {
        return None;
    }
    let row_thread = threads.iter().copied().find(tiled);
    if row_thread.is_some_and(|axis| threads.len() > 1 || !contract.m.iter().any(|tile| tile.axis == axis)) {
        return None;
    }

    let m: Vec<TiledAxis> = contract.m.iter().map(|tile| tiles.split(*tile, row_thread == Some(tile.axis))).collect();
    let n: Vec<TiledAxis> = contract.n.iter().map(|tile| tiles.split(*tile, false)).collect();
    let k = summed_tiles(tiles, contract)?;
    let item_start = row_thread.and_then(|axis| tiles.replaced[axis.0 as usize].map(|(start, _)| start));

    let (factor_a, factor_b) = if contract.a_factor == 0 { (left, right) } else { (right, left) };
    let (factor_a, factor_b) = (tiles.expr(factor_a), tiles.expr(factor_b));
    let columns = full_size(&n).next_multiple_of(LINE_ELEMENTS);
    let depth = full_size(&k).next_multiple_of(LINE_ELEMENTS);
    // A lies in the order in which copying it is contiguous.
    let a_k_first = contiguous(tiles, &factor_a, &m) > contiguous(tiles, &factor_a, &k);
    let height = full_size(&m).next_multiple_of(LINE_ELEMENTS);
    let pair = pairs::pair_axis(tiles, [(&factor_a, &m), (&factor_b, &n)], &k);
    let a_panels = if pair.is_none() && a_k_first { Panels::of_rows(tiles, &m) } else { None };
    let (a_rows, a_row) = if let Some(pair) = pair {
        (full_size(&pairs::paired(&k, pair)), height)
    } else if let Some(panels) = &a_panels {
        (panels.count * full_size(&k), panels.stride)
    } else if a_k_first {
        (full_size(&k), height)
    } else {
        (full_size(&m), depth)
    };
    let a_tile = tiles.scratch("a_tile", a_rows, a_row);
    let b_panels = if pair.is_some() { None } else { Panels::of_columns(tiles, &n) };
    let (b_rows, b_row) = match &b_panels {
        Some(panels) => (panels.count * full_size(&k), panels.stride),
        None => (full_size(&k), columns),
    };
    let b_tile = tiles.scratch("b_tile", b_rows, b_row);
    let c_tile = tiles.scratch("c_tile", full_size(&m), columns);

    let place_of = |factor: &Expr| if pair.is_some() { tiles.position_of_bf16(factor) } else { tiles.in_place(factor) };
    let in_place_a = if contract.pack_a || is_ragged(&m, item_start) { None } else { place_of(&factor_a) };
    let in_place_b = if contract.pack_b || is_ragged(&n, None) { None } else { place_of(&factor_b) };
    let (k_split, a, b) = match pair {
        Some(pair) => {
            let (split, a, _) = operands(&m, &n, &k, in_place_a, None);
            // Pairs are within the micro-kernel's k.
            let at = k.iter().position(|axis| axis.inner == pair.inner).unwrap_or(0);
            let a = a.ok().filter(|_| split <= at).and_then(|a| pairs::in_words(a, pair));
            let split = split.min(at);
            let a = a.unwrap_or_else(|| pairs::packed(tiles, &factor_a, a_tile, (&m, &k, split), pair, a_row));
            (split, a, pairs::packed(tiles, &factor_b, b_tile, (&n, &k, split), pair, columns))
        }
        None => {
            let (split, a, b) = operands(&m, &n, &k, in_place_a, in_place_b);
            let a = a.unwrap_or_else(|split| match &a_panels {
                Some(panels) => panels.packed(a_tile, &m, &k, split, &factor_a),
                None => packed(a_tile, &m, &k, split, a_row, a_k_first, factor_a),
            });
            let b = b.unwrap_or_else(|split| match &b_panels {
                Some(panels) => panels.packed(b_tile, &n, &k, split, &factor_b),
                None => packed(b_tile, &n, &k, split, columns, true, factor_b),
            });
            (split, a, b)
        }
    };

    let c_position = position(&m).times(columns as i64).plus(&position(&n));
    let direct = if is_ragged(&m, item_start) || is_ragged(&n, None) {
        None
    } else {
        tiles.direct_output(rest, result.local, &m, &n)
    };
    let (c, epilogue) = match direct {
        Some(output) => (output, None),
        None => {
            let sum = Load { tensor: c_tile, index: vec![position(&m), position(&n)], fill: None };
            let mut body = vec![Statement::Let(result.local, Expr::Load(sum))];
            body.extend(rest.iter().map(|statement| tiles.statement(statement)));
            let axes = m.iter().chain(&n).map(|axis| axis.inner).collect();
            let tile = Operand {
                tensor: c_tile,
                position: c_position,
                row_stride: columns as i64,
                k_stride: 0,
                batch_stride: 0,
                panel_stride: None,
                pack: None,
            };
            (tile, Some(Statement::For(axes, body)))
        }
    };

    let used = [
        (a.pack.is_some(), a_rows * a_row),
        (b.pack.is_some(), b_rows * b_row),
        (epilogue.is_some(), full_size(&m) * columns),
    ];
    let elements = used.map(|(is_used, elements)| if is_used { elements } else { 0 });
    let outer = axes.iter().copied().filter(|axis| !threads.contains(axis) && !tiled(axis)).collect();
    let threads = if item_start.is_some() { Vec::new() } else { threads.to_vec() };
    let cuts = [a_panels.filter(|_| a.pack.is_some()), b_panels.filter(|_| b.pack.is_some())];
    let cuts = cuts.into_iter().flatten().map(|panels| panels.cut).collect();
    let contraction = Contraction { threads, item_start, outer, m, n, k, k_split, pair, cuts, a, b, c, epilogue };
    Some(Laid { contraction, elements })
}

/// The summed axes. No position may be computed twice or past the end, so only the leading one may have a short tile.
fn summed_tiles(tiles: &mut Tiles, contract: &Contract) -> Option<Vec<TiledAxis>> {
    let mut k: Vec<TiledAxis> = Vec::new();
    for tile in &contract.k {
        let extent = tiles.kernel.axis(tile.axis).extent;
        let follows = k.iter().any(|axis| axis.size > 1);
        let whole = match extent.as_fixed() {
            Some(extent) if follows && !extent.is_multiple_of(tile.size.max(1)) => extent,
            None if follows => return None,
            _ => tile.size,
        };
        k.push(tiles.split(Tile { axis: tile.axis, size: whole }, false));
    }
    Some(k)
}

/// Whether rows or columns of a tile may be unevenly spaced.
fn is_ragged(side: &[TiledAxis], item_start: Option<AxisId>) -> bool {
    let ragged = |axis: &TiledAxis| axis.is_uneven() || (axis.start.is_some() && axis.start == item_start);
    side.iter().skip(leading(side) + 1).any(ragged)
}

type InPlace = Option<(TensorId, Index)>;
/// An operand in place, or where the summed axes are split if it must be packed.
type Choice = Result<Operand, usize>;

/// Splits the summed axes into batch and k so that both operands can stay in place, or as many as can.
fn operands(m: &[TiledAxis], n: &[TiledAxis], k: &[TiledAxis], a: InPlace, b: InPlace) -> (usize, Choice, Choice) {
    let at = |operand: &InPlace, side: &[TiledAxis], split: usize, contiguous: bool| {
        let (tensor, position) = operand.as_ref()?;
        let row_stride = stride(side, position)?;
        if contiguous && row_stride != 1 && full_size(side) > 1 {
            return None;
        }
        let (batch_stride, k_stride) = (stride(&k[..split], position)?, stride(&k[split..], position)?);
        let (tensor, position) = (*tensor, position.clone());
        Some(Operand { tensor, position, row_stride, k_stride, batch_stride, panel_stride: None, pack: None })
    };
    let splits = 0..k.len().max(1);
    let candidates = splits.map(|split| (split, at(&a, m, split, false), at(&b, n, split, true)));
    // The first split that keeps the most operands in place.
    let mut best: Option<(usize, Option<Operand>, Option<Operand>)> = None;
    let kept = |a: &Option<Operand>, b: &Option<Operand>| usize::from(a.is_some()) + usize::from(b.is_some());
    for candidate in candidates {
        if best.as_ref().is_none_or(|(_, a, b)| kept(&candidate.1, &candidate.2) > kept(a, b)) {
            best = Some(candidate);
        }
    }
    let (split, a, b) = best.expect("there is a split before the first axis");
    (split, a.ok_or(split), b.ok_or(split))
}

/// How many neighbours on one of these axes are neighbours in memory.
fn contiguous(tiles: &Tiles, factor: &Expr, axes: &[TiledAxis]) -> usize {
    let Expr::Load(load) = factor else { return 1 };
    let position = tiles.position(load.tensor, &load.index);
    let moves = |axis: &&TiledAxis| tiling::factor(&position, axis.inner) == Some(1);
    axes.iter().filter(moves).map(|axis| axis.size).max().unwrap_or(1)
}

/// A packed operand: as `[k][rows or columns]` if `k_first`, as B always is, else as `[m][k]`.
fn packed(
    tensor: TensorId,
    side: &[TiledAxis],
    k: &[TiledAxis],
    split: usize,
    row: usize,
    k_first: bool,
    factor: Expr,
) -> Operand {
    let (rows, columns) = if k_first { (k, side) } else { (side, k) };
    let axes = rows.iter().chain(columns).map(|axis| axis.inner).collect();
    let store = Statement::Store { tensor, index: vec![position(rows), position(columns)], value: factor };
    let k_stride = if k_first { row as i64 } else { 1 };
    Operand {
        tensor,
        position: Index::default(),
        row_stride: if k_first { 1 } else { row as i64 },
        k_stride,
        batch_stride: k_stride * full_size(&k[split..]) as i64,
        panel_stride: None,
        pack: Some(Pack::Loops(Statement::For(axes, vec![store]))),
    }
}
