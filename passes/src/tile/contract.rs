//! Tiles of contractions for the micro-kernel.
//!
//! ```text
//! C[m, n] = Σ_k A[m, k] · B[k, n]      A is read by broadcast, with any strides; B and C are contiguous in n.
//! ```
//!
//! The axes of one factor are rows, those of the other are columns: the columns are those over which memory is contiguous. Axes of
//! both factors, and the batch of a convolution, are loops around it. A tile of B stays in the second-level cache while the rows go over it.

use std::cmp::Ordering;

use kiln_ir::kernel::{Contract, Kernel, Statement, Tile};
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, Monoid};

use super::MACHINE;
use super::rewrite::{self, axes_of, divisor, stride};

/// Below this many products the plain loops are as good.
const MIN_PRODUCTS: usize = 256;
/// Sums longer than this are cut into tiles.
const MAX_DEPTH: usize = 512;
/// An operand whose elements are each used so often is worth a copy that lies well in the caches.
const ENOUGH_USES: usize = 64;
/// Summed positions from which on their lines push each other out of the first cache.
const LONG_SUM: usize = 128;
/// So many times longer than the columns a sum makes copying A the greater part of the traffic.
const LONG_COLUMNS: usize = 8;
/// Rows for which an operand is packed anew by each thread.
const BLOCK_ROWS: usize = 196;
/// Rows of a sample that are worth a contraction of their own.
const MIN_ROWS: usize = 49;
/// Columns of a block at most.
const MAX_BLOCK: usize = 128;
/// Elements of a contiguous axis that fill registers.
const FULL_LANES: usize = 8;
/// With fewer items than this, threads are looked for inside a sample.
const MIN_ITEMS: usize = 16;

/// The axes of a contraction by what they do.
struct Roles {
    outer: Vec<AxisId>,
    rows: Vec<AxisId>,
    columns: Vec<AxisId>,
    summed: Vec<AxisId>,
    /// Which factor is A.
    a_factor: usize,
}

/// Gives a kernel a contraction schedule, if it is one.
pub fn run(kernel: &mut Kernel, max_batch: usize) -> bool {
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
        Some(strides) => strides.side != 1 || strides.are_far_apart() && is_deep && rows >= ENOUGH_USES,
        None => true,
    };

    let mut thread = roles.outer.clone();
    if count(kernel, &thread) < MIN_ITEMS {
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
    let height = (elements / columns_tile.max(1)).clamp(MACHINE.rows, 1024) / MACHINE.rows * MACHINE.rows;
    let m = tiles(kernel, &roles.rows, height, MACHINE.rows, max_batch);

    let item_ns = count(kernel, &roles.rows) as f64 * count(kernel, &roles.columns) as f64 * depth as f64
        / MACHINE.products_per_ns;
    kernel.schedule.grain = if row_thread {
        let row_ns = item_ns / count(kernel, &roles.rows) as f64;
        let least = if pack_b { BLOCK_ROWS } else { 1 };
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
    kernel.schedule.contract = Some(Contract { m, n, k, pack_a, pack_b, a_factor: roles.a_factor });
    true
}

/// The product of two factors that a kernel sums.
fn factors(kernel: &Kernel) -> Option<(&[AxisId], &[AxisId], [&Expr; 2])> {
    let [Statement::For(axes, inner)] = kernel.body.as_slice() else { return None };
    let Some((Statement::Reduce { axes: summed, lets, results }, rest)) = inner.split_first() else { return None };
    let [result] = results.as_slice() else { return None };
    let Expr::Binary(Binary::Mul, a, b) = &result.value else { return None };
    let flat = rest.iter().all(|statement| matches!(statement, Statement::Let(..) | Statement::Store { .. }));
    let plain = lets.is_empty() && flat && result.monoid == Monoid::Sum && kernel.dtype(&result.value) == DType::F32;
    plain.then_some((axes.as_slice(), summed.as_slice(), [a.as_ref(), b.as_ref()]))
}

fn roles(kernel: &Kernel, max_batch: usize) -> Option<Roles> {
    let (axes, summed, factors) = factors(kernel)?;
    let named = factors.map(axes_of);
    if named.iter().any(|named| !summed.iter().all(|axis| named.contains(axis))) {
        return None;
    }
    let only = |factor: usize| -> Vec<AxisId> {
        axes.iter().copied().filter(|axis| named[factor].contains(axis) && !named[1 - factor].contains(axis)).collect()
    };
    let sides = [only(0), only(1)];
    // Columns move both the factor and the result by one element.
    let contiguous = |factor: usize| {
        let unit = |axis: &AxisId| {
            let mut best = 0;
            factors[factor].for_each(&mut |x| {
                if let Expr::Load(load) = x {
                    best += i32::from(stride(kernel, load.tensor, &load.index, *axis) == Some(1));
                }
            });
            best
        };
        let stores = |axis: &AxisId| stored_strides(kernel, *axis).contains(&Some(1));
        // The taps of a filter fill no register.
        let is_long = |axis: &&AxisId| kernel.axis(**axis).extent.as_fixed().is_none_or(|extent| extent >= FULL_LANES);
        let long = || sides[factor].iter().filter(is_long);
        2 * long().map(unit).max().unwrap_or(0) + i32::from(long().any(stores))
    };
    if sides.iter().any(Vec::is_empty) {
        return None;
    }
    let size = |factor: usize| sides[factor].iter().map(|&axis| kernel.axis(axis).extent.at(max_batch)).product();
    let sizes: [usize; 2] = [size(0), size(1)];
    let b_factor = match contiguous(0).cmp(&contiguous(1)) {
        Ordering::Greater => 0,
        Ordering::Less => 1,
        // Where neither is contiguous B is packed across: the smaller one, which more rows use, if it fills the registers.
        Ordering::Equal => {
            let smaller = usize::from(sizes[1] <= sizes[0]);
            if sizes[smaller] >= MACHINE.columns { smaller } else { 1 - smaller }
        }
    };
    let [rows, mut columns] = [sides[1 - b_factor].clone(), sides[b_factor].clone()];
    // The batch of a convolution is beside its columns: each sample is a contraction of its own.
    let batch = |axis: &AxisId| kernel.axis(*axis).extent.batch;
    let mut outer: Vec<AxisId> =
        axes.iter().copied().filter(|axis| !rows.contains(axis) && !columns.contains(axis)).collect();
    if columns.iter().any(|axis| !batch(axis)) {
        outer.extend(columns.iter().copied().filter(batch));
        columns.retain(|axis| !batch(axis));
    }
    outer.sort_by_key(|axis| axes.iter().position(|held| held == axis));
    let mut roles = Roles { outer, rows, columns, summed: summed.to_vec(), a_factor: 1 - b_factor };
    // So is that of rows that are many in a sample and lie evenly there, but not from sample to sample.
    let rest: Vec<AxisId> = roles.rows.iter().copied().filter(|axis| !batch(axis)).collect();
    let many = rest.iter().map(|&axis| kernel.axis(axis).extent.factor).product::<usize>() >= MIN_ROWS;
    let lies_even = |rows: &[AxisId]| in_place(kernel, &roles, roles.a_factor, rows).is_some();
    if many && rest.len() < roles.rows.len() && lies_even(&rest) && !lies_even(&roles.rows) {
        roles.outer.extend(roles.rows.iter().copied().filter(batch));
        roles.rows = rest;
    }
    Some(roles)
}

/// Puts the axes of the sum in the order in which A lies in memory, or B where A has no strides, and those of rows in that of A: then most of each are
/// one run, and copies are of runs.
fn along_memory(kernel: &mut Kernel, roles: &mut Roles, max_batch: usize) {
    let Some((.., factors)) = factors(kernel) else { return };
    let sorted = |axes: &[AxisId], factor: usize| -> Option<Vec<AxisId>> {
        let load = kernel.element(factors[factor])?;
        let strides: Option<Vec<i64>> =
            axes.iter().map(|&axis| stride(kernel, load.tensor, &load.index, axis)).collect();
        let mut axes: Vec<(i64, AxisId)> = strides?.into_iter().zip(axes.iter().copied()).collect();
        axes.sort_by_key(|(stride, _)| std::cmp::Reverse(stride.abs()));
        Some(axes.into_iter().map(|(_, axis)| axis).collect())
    };
    let summed = sorted(&roles.summed, roles.a_factor).or_else(|| sorted(&roles.summed, 1 - roles.a_factor));
    // Rows are also how results are stored, which matters more where there are many of them for each element of A.
    let count =
        |axes: &[AxisId]| -> usize { axes.iter().map(|&axis| kernel.axis(axis).extent.at(max_batch)).product() };
    if count(&roles.summed) >= LONG_COLUMNS * count(&roles.columns) {
        roles.rows = sorted(&roles.rows, roles.a_factor).unwrap_or_else(|| std::mem::take(&mut roles.rows));
    }
    let Some(summed) = summed else { return };
    roles.summed = summed;
    if let [Statement::For(_, inner)] = kernel.body.as_mut_slice()
        && let Some(Statement::Reduce { axes, .. }) = inner.first_mut()
    {
        axes.clone_from(&roles.summed);
    }
}

fn stored_strides(kernel: &Kernel, axis: AxisId) -> Vec<Option<i64>> {
    let [Statement::For(_, inner)] = kernel.body.as_slice() else { return Vec::new() };
    let strides = inner.iter().filter_map(|statement| match statement {
        Statement::Store { tensor, index, .. } => Some(stride(kernel, *tensor, index, axis)),
        _ => None,
    });
    strides.collect()
}

/// How an operand lies in memory.
struct Strides {
    /// Between rows of A, or columns of B.
    side: i64,
    /// Between elements of the innermost summed axis.
    summed: i64,
}

impl Strides {
    /// Whether each step along the sum, or each row of a tile, is on another line of the same few sets of the first cache.
    fn are_far_apart(&self) -> bool {
        /// Elements of a page, whose lines at equal offsets share a set.
        const PAGE: i64 = 1024;
        let across = self.summed != 1 && self.summed.abs() >= PAGE / 4;
        across || self.side != 1 && self.side != 0 && self.side % PAGE == 0
    }
}

/// Whether a factor can be used where it is: a plain load in which the axes of one side are one stride, and the summed axes at most two.
fn in_place(kernel: &Kernel, roles: &Roles, factor: usize, side: &[AxisId]) -> Option<Strides> {
    let (_, _, factors) = factors(kernel)?;
    let load = kernel.element(factors[factor])?;
    let strides = |axes: &[AxisId]| -> Option<Vec<(Dim, i64)>> {
        axes.iter()
            .map(|&axis| Some((kernel.axis(axis).extent, stride(kernel, load.tensor, &load.index, axis)?)))
            .collect()
    };
    let (side, summed) = (strides(side)?, strides(&roles.summed)?);
    let breaks = |axes: &[(Dim, i64)]| {
        axes.windows(2).filter(|pair| pair[0].1 != pair[1].1 * pair[1].0.factor as i64 || pair[1].0.batch).count()
    };
    let last = |axes: &[(Dim, i64)]| axes.last().map_or(0, |&(_, stride)| stride);
    let fits = load.fill.is_none() && breaks(&side) == 0 && breaks(&summed) <= 1;
    fits.then(|| Strides { side: last(&side), summed: last(&summed) })
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
