//! Loads as strided blocks: what a contraction's micro-kernel can read where it lies.

use crate::kernel::{Kernel, Tile};
use crate::{Atom, AxisId, Load};

/// The distance in elements between neighbours on each axis that a load names, if it is a plain block: no fill, and indices that are
/// sums of axes with constant factors. Axes are sorted; one that is missing has stride 0.
pub fn affine_strides(kernel: &Kernel, load: &Load) -> Option<Vec<(AxisId, i64)>> {
    if load.fill.is_some() {
        return None;
    }
    let mut strides: Vec<(AxisId, i64)> = Vec::new();
    for (index, stride) in load.index.iter().zip(kernel.tensor(load.tensor).ty.shape.strides()) {
        for (atom, factor) in &index.terms {
            let Atom::Axis(axis) = atom else { return None };
            let step = factor.checked_mul(i64::try_from(stride).ok()?)?;
            match strides.binary_search_by_key(axis, |(held, _)| *held) {
                Ok(at) => strides[at].1 = strides[at].1.checked_add(step)?,
                Err(at) => strides.insert(at, (*axis, step)),
            }
        }
    }
    Some(strides)
}

/// Where a tile, row-major over its axes, is not one run of equal steps: the positions in `tiles` that begin a new run. Tiles of size 1
/// take no step. A tile that can be cut short by its axis's end must be the first of its run.
pub fn collapse(kernel: &Kernel, tiles: &[Tile], strides: &[(AxisId, i64)]) -> Vec<usize> {
    let stride = |axis: AxisId| strides.iter().find(|(held, _)| *held == axis).map_or(0, |(_, stride)| *stride);
    let is_whole = |tile: &Tile| {
        let axis = kernel.axis(tile.axis);
        axis.limit.is_none() && axis.extent.as_fixed().is_some_and(|extent| extent.is_multiple_of(tile.size))
    };
    let wide: Vec<usize> = (0..tiles.len()).filter(|&at| tiles[at].size > 1).collect();
    let joins = |outer: &Tile, inner: &Tile| {
        let run = i64::try_from(inner.size).ok().and_then(|size| stride(inner.axis).checked_mul(size));
        is_whole(inner) && run == Some(stride(outer.axis))
    };
    wide.windows(2).filter(|pair| !joins(&tiles[pair[0]], &tiles[pair[1]])).map(|pair| pair[1]).collect()
}
