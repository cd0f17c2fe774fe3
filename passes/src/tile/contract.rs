//! Tiles of contractions for the micro-kernel.
//!
//! ```text
//! C[m, n] = Σ_k A[m, k] · B[k, n]      A is read by broadcast, with any strides; B and C are contiguous in n.
//! ```
//!
//! Which axes are rows, columns and sum is said by `roles.rs`. A tile of B stays in the second-level cache while the rows go over it.

use kiln_ir::kernel::{Contract, Kernel, Statement, Tile};
use kiln_ir::{AxisId, DType};

use super::MACHINE;
use super::rewrite::{self, divisor};
use super::roles::{Roles, along_memory, in_place, roles};

/// Below this many products the plain loops are as good.
const MIN_PRODUCTS: usize = 256;
/// Sums longer than this are cut into tiles.
const MAX_DEPTH: usize = 256;
/// A whose elements are each used so often is worth a copy that lies well in the caches.
const ENOUGH_USES: usize = 64;
/// So is B, whose copy is of whole lines.
const ENOUGH_ROWS: usize = 24;
/// Summed positions from which on their lines push each other out of the first cache.
const LONG_SUM: usize = 128;
/// Bytes of B that stay in the caches while all rows go over them.
const CACHED_BYTES: usize = 1 << 20;
/// Rows that go over a larger B at once.
const ENOUGH_TILES: usize = 4;
/// Rows for which an operand is packed anew by each thread.
const BLOCK_ROWS: usize = 196;
/// Fewer blocks would leave threads waiting for the last one.
const ENOUGH_BLOCKS: usize = 4;
/// Columns of a block at most.
const MAX_BLOCK: usize = 128;
/// With fewer items than this, threads are looked for inside a sample.
const MIN_ITEMS: usize = 16;

/// Gives a kernel a contraction schedule, if it is one.
pub fn run(kernel: &mut Kernel, max_batch: usize) -> bool {
    schedule(kernel, max_batch, true)
}

/// The same of a stage, whose threads divide the loops around it.
pub fn stage(kernel: &mut Kernel, max_batch: usize) -> bool {
    schedule(kernel, max_batch, false)
}

fn schedule(kernel: &mut Kernel, max_batch: usize, divides: bool) -> bool {
    let Some(mut roles) = roles(kernel, max_batch) else { return false };
    along_memory(kernel, &mut roles, max_batch);
    let count = |kernel: &Kernel, axes: &[AxisId]| -> usize {
        axes.iter().map(|&axis| kernel.axis(axis).extent.at(max_batch)).product()
    };
    let (rows, columns, depth) =
        (count(kernel, &roles.rows), count(kernel, &roles.columns), count(kernel, &roles.summed));
    if rows * columns * depth < MIN_PRODUCTS || columns < 4 || rows < 2 {
        return false;
    }
    let is_deep = depth >= LONG_SUM;
    let pack_a = match in_place(kernel, &roles, roles.a_factor, &roles.rows) {
        Some(strides) => strides.are_far_apart() && is_deep && columns >= ENOUGH_USES,
        None => true,
    };
    let pack_b = match in_place(kernel, &roles, 1 - roles.a_factor, &roles.columns) {
        Some(strides) => strides.side != 1 || strides.are_far_apart() && is_deep && rows >= ENOUGH_ROWS,
        None => true,
    };

    let mut thread = if divides { roles.outer.clone() } else { Vec::new() };
    if divides && count(kernel, &thread) < MIN_ITEMS {
        thread = divide(kernel, &mut roles, thread, pack_b, rows > columns);
    }
    let row_thread = thread.len() == 1 && roles.rows.contains(&thread[0]);
    // Where both operands are copied, tiles are as near to square as the cache allows: each copy is used often.
    let (deepest, tile_bytes) =
        if pack_a && pack_b { (MAX_DEPTH / 2, 2 * MACHINE.pack_bytes) } else { (MAX_DEPTH, MACHINE.pack_bytes) };
    let elements = tile_bytes / DType::F32.size_bytes();
    let k = depth_tiles(kernel, &roles.summed, deepest, max_batch);
    let depth_tile: usize = k.iter().map(|tile| tile.size).product();
    let width = (elements / depth_tile.max(1)).clamp(MACHINE.columns, 512);
    let n = tiles(kernel, &roles.columns, width, MACHINE.columns, max_batch);
    let columns_tile: usize = n.iter().map(|tile| tile.size).product();
    // C is written once a tile and is not packed: it may take twice what the operands take.
    let height = (2 * elements / columns_tile.max(1)).clamp(MACHINE.rows, 1024) / MACHINE.rows * MACHINE.rows;
    let m = tiles(kernel, &roles.rows, height, MACHINE.rows, max_batch);

    let item_ns = count(kernel, &roles.rows) as f64 * count(kernel, &roles.columns) as f64 * depth as f64
        / MACHINE.products_per_ns;
    kernel.schedule.grain = if row_thread {
        let row_ns = item_ns / count(kernel, &roles.rows) as f64;
        let is_cached = columns * depth * DType::F32.size_bytes() <= CACHED_BYTES;
        let least = match (pack_b, is_cached) {
            (true, _) => BLOCK_ROWS.min(rows / ENOUGH_BLOCKS).max(ENOUGH_TILES * MACHINE.rows),
            (false, true) => 1,
            (false, false) => ENOUGH_TILES * MACHINE.rows,
        };
        let wanted = ((MACHINE.chunk_ns / row_ns) as usize).clamp(least, 1 << 16);
        let positions = count(kernel, &thread);
        let rows_each = rows / positions.max(1);
        equal_parts(positions, (wanted / rows_each.max(1)).max(1), if rows_each == 1 { MACHINE.rows } else { 1 })
    } else {
        ((MACHINE.chunk_ns / item_ns) as usize).max(1)
    };
    let order = [roles.outer.clone(), roles.rows.clone(), roles.columns.clone()].concat();
    let order: Vec<AxisId> =
        thread.iter().copied().chain(order.into_iter().filter(|axis| !thread.contains(axis))).collect();
    if let [Statement::For(axes, _)] = kernel.body.as_mut_slice() {
        *axes = order;
    }
    kernel.schedule.thread = thread;
    kernel.schedule.contracts = vec![Contract { m, n, k, pack_a, pack_b, a_factor: roles.a_factor }];
    true
}

/// Finds something for threads to divide when there are few samples: rows, or equal blocks of columns or rows.
fn divide(kernel: &mut Kernel, roles: &mut Roles, outer: Vec<AxisId>, pack_b: bool, is_tall: bool) -> Vec<AxisId> {
    // Each chunk of rows packs B anew; that is only worth it where B is used in place, or where there are many rows.
    let is_batch = kernel.axis(roles.rows[0]).extent.batch;
    if outer.is_empty() && (!pack_b || is_tall) && (roles.rows.len() == 1 || is_batch) {
        return vec![roles.rows[0]];
    }
    let cut = match outer.is_empty() && is_tall {
        true => block(kernel, &mut roles.rows, BLOCK_ROWS),
        false => None,
    };
    // Wide blocks use each copy of the rows more often, as long as there are blocks enough.
    let columns: usize = roles.columns.iter().map(|&axis| kernel.axis(axis).extent.factor).product();
    let wide = (columns / MIN_ITEMS / MACHINE.columns * MACHINE.columns).clamp(MACHINE.columns, MAX_BLOCK);
    if let Some(block) = cut.or_else(|| block(kernel, &mut roles.columns, wide)) {
        roles.outer.push(block);
        return [outer, vec![block]].concat();
    }
    if outer.is_empty() && roles.rows.len() == 1 { roles.rows.clone() } else { outer }
}

/// Cuts the first axis of rows or columns into equal blocks of about `wanted` positions; the blocks are the axis that is returned.
fn block(kernel: &mut Kernel, axes: &mut [AxisId], wanted: usize) -> Option<AxisId> {
    let inner: usize = axes[1..].iter().map(|&axis| kernel.axis(axis).extent.factor).product();
    let wanted = wanted.div_ceil(inner);
    let extent = kernel.axis(axes[0]).extent.as_fixed()?;
    let size = divisor(extent, wanted.div_ceil(2), wanted, wanted * 2).filter(|&size| size < extent)?;
    let (block, rest) = rewrite::split(kernel, axes[0], size, ("_block", ""));
    axes[0] = rest;
    Some(block)
}

/// Tiles of the summed axes: whole, unless the sum is long; then its outermost axis is cut.
fn depth_tiles(kernel: &Kernel, axes: &[AxisId], wanted: usize, max_batch: usize) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    let mut held = 1;
    for &axis in axes.iter().rev() {
        let extent = kernel.axis(axis).extent.at(max_batch);
        let size = equal_parts(extent, wanted / held, 1);
        held *= size;
        tiles.push(Tile { axis, size });
    }
    tiles.reverse();
    tiles
}

/// Tiles of rows or columns with about `wanted` positions: the innermost axes whole, the next in equal parts, one position of the rest.
fn tiles(kernel: &Kernel, axes: &[AxisId], wanted: usize, multiple: usize, max_batch: usize) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    let mut held = 1;
    for &axis in axes.iter().rev() {
        let extent = kernel.axis(axis).extent.at(max_batch).max(1);
        let size = equal_parts(extent, wanted / held, if held == 1 { multiple } else { 1 });
        held *= size;
        tiles.push(Tile { axis, size });
    }
    tiles.reverse();
    tiles
}

/// The size of equal parts of at most `most`; if there are several, a multiple.
fn equal_parts(extent: usize, most: usize, multiple: usize) -> usize {
    let parts = extent.div_ceil(most.clamp(1, extent));
    if parts == 1 { extent } else { extent.div_ceil(parts).next_multiple_of(multiple).min(extent) }
}
