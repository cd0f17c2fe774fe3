//! How a kernel's positions map to threads and blocks: the one place where the launch is chosen.
//!
//! The choice depends on the kernel and the greatest batch size alone, so that a kernel's text is the same on every machine:
//!
//! 1. a contraction whose schedule names rows and columns runs in tiles, one block a tile, unless it has few tiles and a long sum
//!    (a weight gradient), which a tile would walk alone;
//! 2. where the longest loop inside a position is short, or a loop inside is serial, each position is one thread;
//! 3. where there are few positions, or the inner loops walk along rows of memory, each position is one block whose threads share
//!    the inner loops; a short row takes one warp;
//! 4. otherwise each position is one thread.

use kiln_ir::kernel::{Contract, Statement};
use kiln_ir::{AxisId, Binary, DType, Expr, Kernel, Load, Monoid};

use crate::scope::count;

/// Threads of a block where each position is a thread.
pub(crate) const THREADS: u32 = 256;
/// Tiles are computed by a square of threads with this side.
pub(crate) const SIDE: usize = 16;
/// Inner loops shorter than a warp are not shared.
const SHORT_LOOP: usize = 32;
/// With this many positions, one thread each keeps a large GPU busy (132 multiprocessors of 128 lanes).
const MANY_POSITIONS: usize = 16_384;
/// With fewer tiles than this, most of a large GPU has none.
const FEW_TILES: usize = 32;
/// A sum that is worth sharing out when there are few tiles.
const LONG_SUM: usize = 2_048;

/// What one thread or block computes.
#[derive(Clone, PartialEq, Debug)]
pub enum Mapping {
    /// One thread for each position of the outermost loop's axes.
    Threads,
    /// One block for each position of the outermost loop's axes; its threads share the loops inside. A kernel that is not one
    /// outermost loop is one block.
    Block {
        /// Threads of a block, a multiple of a warp's 32.
        threads: u32,
    },
    /// One block for each tile of a contraction's result.
    Tiles(Tiling),
}

/// A contraction as a matrix product `C[row, column] = Σ_depth A[row, depth]·B[depth, column]`, once for each outer position.
#[derive(Clone, PartialEq, Debug)]
pub struct Tiling {
    /// Axes that both factors or none depend on.
    pub outer: Vec<AxisId>,
    /// Axes of A and the result.
    pub rows: Vec<AxisId>,
    /// Axes of B and the result.
    pub columns: Vec<AxisId>,
    /// Axes of the sum.
    pub depth: Vec<AxisId>,
    /// Which factor of the product is A: 0 or 1.
    pub a_factor: usize,
    /// Rows of a tile, a multiple of 16.
    pub tile_rows: usize,
    /// Columns of a tile, a multiple of 16.
    pub tile_columns: usize,
    /// Summed positions that are in shared memory at a time.
    pub tile_depth: usize,
}

/// The outermost loop with directly nested ones joined, and what is in it.
pub(crate) struct Nest<'k> {
    pub(crate) axes: Vec<AxisId>,
    pub(crate) body: &'k [Statement],
}

/// Chooses the mapping of a kernel whose batch size is at most `max_batch`.
pub fn choose_mapping(kernel: &Kernel, max_batch: usize) -> Mapping {
    if let Some(tiling) = tiling(kernel, max_batch) {
        return Mapping::Tiles(tiling);
    }
    let Some(nest) = nest(kernel) else { return Mapping::Block { threads: THREADS } };
    let positions = count(kernel, &nest.axes).at(max_batch);
    let longest = nest.body.iter().map(|statement| trips(kernel, statement).at(max_batch)).max().unwrap_or(1);
    let is_serial = nest.body.iter().any(|statement| matches!(statement, Statement::Serial(..)));
    if is_serial || longest < SHORT_LOOP || (positions >= MANY_POSITIONS && !walks_rows(&nest)) {
        return Mapping::Threads;
    }
    let threads = match longest {
        ..256 => 32,
        256..1024 => 128,
        _ => 256,
    };
    Mapping::Block { threads }
}

/// The outermost loop; `None` if the kernel is not exactly one loop.
pub(crate) fn nest(kernel: &Kernel) -> Option<Nest<'_>> {
    let [Statement::For(axes, body)] = kernel.body.as_slice() else { return None };
    let (mut axes, mut body) = (axes.clone(), body.as_slice());
    while let [Statement::For(inner, inner_body)] = body {
        axes.extend(inner);
        body = inner_body;
    }
    Some(Nest { axes, body })
}

/// The two factors of a contraction, A's first, and its one sum.
pub(crate) fn factors<'k>(nest: &Nest<'k>, a_factor: usize) -> Option<(&'k [AxisId], [&'k Expr; 2])> {
    let [Statement::Reduce { axes, lets, results }, ..] = nest.body else { return None };
    let [result] = results.as_slice() else { return None };
    let Expr::Binary(Binary::Mul, first, second) = &result.value else { return None };
    let factors = if a_factor == 0 { [&**first, &**second] } else { [&**second, &**first] };
    (result.monoid == Monoid::Sum && lets.is_empty()).then_some((axes, factors))
}

/// Whether neighbours on this axis are neighbours in the memory that an expression loads.
pub(crate) fn is_contiguous(expr: &Expr, axis: AxisId) -> bool {
    loads(expr).iter().any(|load| {
        let mut along = false;
        if let Some(last) = load.index.last() {
            last.for_each_axis(&mut |held| along |= held == axis);
        }
        along
    })
}

/// A contraction's matrices, if its schedule names them, its epilogue has no loops, and tiles of it keep a GPU busy.
fn tiling(kernel: &Kernel, max_batch: usize) -> Option<Tiling> {
    let Contract { m, n, a_factor, .. } = kernel.schedule.contracts.first()?;
    let nest = nest(kernel)?;
    let (depth, [a, b]) = factors(&nest, *a_factor)?;
    let is_plain =
        nest.body[1..].iter().all(|statement| matches!(statement, Statement::Let(..) | Statement::Store { .. }));
    if !is_plain || !matches!(kernel.dtype(a), DType::F32 | DType::F64) {
        return None;
    }
    let (a_axes, b_axes) = (axes_of(a), axes_of(b));
    let (mut outer, mut rows, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for &axis in &nest.axes {
        let is_row = m.iter().any(|tile| tile.axis == axis) || a_axes.contains(&axis);
        let is_column = n.iter().any(|tile| tile.axis == axis) || b_axes.contains(&axis);
        match (is_row, is_column) {
            (true, false) => rows.push(axis),
            (false, true) => columns.push(axis),
            _ => outer.push(axis),
        }
    }
    let at_most = |axes: &[AxisId]| count(kernel, axes).at(max_batch);
    let (tile_rows, tile_columns) = (tile_side(at_most(&rows)), tile_side(at_most(&columns)));
    let tiles = at_most(&outer) * at_most(&rows).div_ceil(tile_rows) * at_most(&columns).div_ceil(tile_columns);
    if rows.is_empty() || columns.is_empty() || (tiles < FEW_TILES && at_most(depth) >= LONG_SUM) {
        return None;
    }
    let depth = depth.to_vec();
    Some(Tiling { outer, rows, columns, depth, a_factor: *a_factor, tile_rows, tile_columns, tile_depth: SIDE })
}

/// Each thread computes 1, 2 or 4 rows and columns.
fn tile_side(extent: usize) -> usize {
    match extent {
        ..=16 => SIDE,
        17..=32 => 2 * SIDE,
        _ => 4 * SIDE,
    }
}

/// Iterations of one statement that a block's threads could share.
fn trips(kernel: &Kernel, statement: &Statement) -> kiln_ir::Dim {
    match statement {
        Statement::For(axes, _) | Statement::Reduce { axes, .. } => count(kernel, axes),
        Statement::Let(..) | Statement::Serial(..) | Statement::Store { .. } => kiln_ir::Dim::ONE,
    }
}

/// Whether every reduction directly inside the loop reads along its own axes, so that a block's threads read neighbours.
fn walks_rows(nest: &Nest<'_>) -> bool {
    nest.body.iter().all(|statement| match statement {
        Statement::Reduce { axes, lets, results } => {
            let mut values = lets.iter().map(|(_, value)| value).chain(results.iter().map(|result| &result.value));
            values.all(|value| {
                loads(value).iter().all(|load| {
                    let Some(index) = load.index.last() else { return true };
                    let mut alone = true;
                    index.for_each_axis(&mut |axis| alone &= axes.contains(&axis));
                    alone
                })
            })
        }
        _ => true,
    })
}

fn loads(expr: &Expr) -> Vec<Load> {
    let mut loads = Vec::new();
    expr.for_each(&mut |expr| {
        if let Expr::Load(load) = expr {
            loads.push(load.clone());
        }
    });
    loads
}

/// The axes that an expression depends on.
fn axes_of(expr: &Expr) -> Vec<AxisId> {
    let mut axes = Vec::new();
    expr.for_each(&mut |expr| {
        let indices = match expr {
            Expr::Index(index) => std::slice::from_ref(index),
            Expr::Load(load) => load.index.as_slice(),
            _ => &[],
        };
        indices.iter().for_each(|index| index.for_each_axis(&mut |axis| axes.push(axis)));
    });
    axes
}
