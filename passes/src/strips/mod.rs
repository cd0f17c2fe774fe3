//! Joins kernels that hand each other large tensors, so that each item's part of these stays in a thread's caches and is never stored.
//!
//! A contraction whose result is larger than its operands, row-wise work on it, and the contractions that read that: attention, forward and
//! backward. What they share are the axes that both factors of the first contraction have, its batch. One *item*, a position of these, becomes
//! one iteration of the new kernel, the kernels its stages, and what only they read scratch memory.
//!
//! **Before:** a kernel a group of values. **After:** fewer kernels, some with stages ([`Access::Scratch`]); the sums are those of before, in
//! their order.
//!
//! ```text
//! s[b, i, j] = sum d of q[b, i, d] * k[b, j, d]           for b in B
//! p[b, i, j] = exp(s[b, i, j]) / sum j of ..                 s[i, j] = sum d of q[b, i, d] * k[b, j, d]
//! o[b, i, d] = sum j of p[b, i, j] * v[b, j, d]       →      p[i, j] = exp(s[i, j]) / sum j of ..
//!                                                            o[b, i, d] = sum j of p[i, j] * v[b, j, d]
//! ```
//!
//! **Order:** after lower, whose kernels it joins as they are, and before tile, which gives each stage its tiles.
//! **Source:** Rabe and Staats, "Self-attention Does Not Need O(n²) Memory" (2021); Dao et al., "FlashAttention" (2022).
//!
//! [`Access::Scratch`]: kiln_ir::kernel::Access::Scratch

mod grow;
mod join;

use std::collections::BTreeSet;

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::{AxisId, Binary, DType, Expr, Monoid};

use crate::steps::Steps;
use crate::tile::axes_of;

/// Bytes of a strip that stays in the second-level cache beside another one.
pub(crate) const MAX_STRIP_BYTES: usize = 512 << 10;
/// Fewer items than this leave threads without work,
pub(crate) const MIN_ITEMS: usize = 16;
/// unless there are so few products that it does not matter.
pub(crate) const FEW_PRODUCTS: usize = 1 << 20;

/// Joins what can be joined.
pub fn run(steps: &mut Steps) {
    let mut seen = BTreeSet::new();
    loop {
        let is_new = |at: &usize| !seen.contains(&steps.steps[*at].kernel.name);
        let root = (0..steps.steps.len()).filter(is_new).find(|&at| is_root(&steps.steps[at].kernel, steps.max_batch));
        let Some(root) = root else { return };
        seen.insert(steps.steps[root].kernel.name.clone());
        if let Some(group) = grow::group(steps, root) {
            join::run(steps, &group);
        }
    }
}

/// The axes of a contraction that is its kernel's only sum.
pub(crate) struct Product {
    /// Of both factors.
    batch: Vec<AxisId>,
    rows: Vec<AxisId>,
    columns: Vec<AxisId>,
    summed: Vec<AxisId>,
}

impl Product {
    pub(crate) fn of(kernel: &Kernel) -> Option<Product> {
        let [Statement::For(axes, inner)] = kernel.body.as_slice() else { return None };
        let (Statement::Reduce { axes: summed, lets, results }, rest) = inner.split_first()? else { return None };
        let [result] = results.as_slice() else { return None };
        let Expr::Binary(Binary::Mul, a, b) = &result.value else { return None };
        let flat = rest.iter().all(|statement| matches!(statement, Statement::Let(..) | Statement::Store { .. }));
        if !lets.is_empty() || !flat || result.monoid != Monoid::Sum || kernel.dtype(&result.value) != DType::F32 {
            return None;
        }
        let (a, b) = (axes_of(a), axes_of(b));
        let of = |in_a: bool, in_b: bool| -> Vec<AxisId> {
            axes.iter().copied().filter(|axis| a.contains(axis) == in_a && b.contains(axis) == in_b).collect()
        };
        Some(Product { batch: of(true, true), rows: of(true, false), columns: of(false, true), summed: summed.clone() })
    }
}

/// Whether a kernel is a contraction for each of several items, whose result is at least as large as both operands.
fn is_root(kernel: &Kernel, max_batch: usize) -> bool {
    let Some(product) = Product::of(kernel).filter(|product| !product.batch.is_empty()) else { return false };
    let count = |axes: &[AxisId]| axes.iter().map(|&axis| kernel.axis(axis).extent.at(max_batch)).product::<usize>();
    let [items, rows, columns, depth] =
        [&product.batch, &product.rows, &product.columns, &product.summed].map(|axes| count(axes));
    is_strip(items, rows, columns, depth)
}

/// The same of a contraction with these extents.
pub(crate) fn is_strip(items: usize, rows: usize, columns: usize, depth: usize) -> bool {
    let strip = rows * columns;
    let is_large = rows > 1 && columns > 1 && strip >= (rows + columns) * depth;
    let fits = strip * DType::F32.size_bytes() <= MAX_STRIP_BYTES;
    is_large && fits && (items >= MIN_ITEMS || items * strip * depth <= FEW_PRODUCTS)
}
