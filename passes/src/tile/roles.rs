//! What each axis of a contraction does, and how its operands lie in memory.
//!
//! The axes of one factor are rows, those of the other are columns: the columns are those over which memory is contiguous. Axes of
//! both factors, and the batch of a convolution, are loops around them.

use std::cmp::Ordering;

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, Monoid};

use super::MACHINE;
use super::rewrite::{axes_of, stride};

/// So many times longer than the columns a sum makes copying A the greater part of the traffic.
const LONG_COLUMNS: usize = 8;
/// Rows of a sample that are worth a contraction of their own.
const MIN_ROWS: usize = 49;
/// Elements of a contiguous axis that fill registers.
const FULL_LANES: usize = 8;

/// The axes of a contraction by what they do.
pub(super) struct Roles {
    pub outer: Vec<AxisId>,
    pub rows: Vec<AxisId>,
    pub columns: Vec<AxisId>,
    pub summed: Vec<AxisId>,
    /// Which factor is A.
    pub a_factor: usize,
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

/// The roles of the axes, if a kernel is a contraction.
pub(super) fn roles(kernel: &Kernel, max_batch: usize) -> Option<Roles> {
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
pub(super) fn along_memory(kernel: &mut Kernel, roles: &mut Roles, max_batch: usize) {
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
pub(super) struct Strides {
    /// Between rows of A, or columns of B.
    pub side: i64,
    /// Between elements of the innermost summed axis.
    summed: i64,
}

impl Strides {
    /// Whether each step along the sum, or each row of a tile, is on another line of the same few sets of the first cache.
    pub fn are_far_apart(&self) -> bool {
        /// Elements of a page, whose lines at equal offsets share a set.
        const PAGE: i64 = 1024;
        let across = self.summed != 1 && self.summed.abs() >= PAGE / 4;
        across || self.side != 1 && self.side != 0 && self.side % PAGE == 0
    }
}

/// Whether a factor can be used where it is: a plain load in which the axes of one side are one stride, and the summed axes at most two.
pub(super) fn in_place(kernel: &Kernel, roles: &Roles, factor: usize, side: &[AxisId]) -> Option<Strides> {
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
