//! Any processor: 4 lanes, which compilers map to NEON and the like; the full tile is 8 x 8.
//!
//! Where the target has no fused multiply-add, `f32::mul_add` is a function call. It is slow, but the bits stay equal.

use super::tile::{AHEAD, Tiles, define_brgemm, define_multiply_adds, for_each_tile, for_rows, opaque, prefetch};
use super::{BrgemmArgs, PANEL};

pub(super) const LANES: usize = 4;

pub(super) type Vector = [f32; LANES];
/// Number of live lanes.
pub(super) type Mask = usize;

define_brgemm! {
    one: [1 2 3 4 5 6 7 8],
    two: [1 2 3 4 5 6 7 8],
    four: [1 2 3 4]
}

define_multiply_adds! {}

#[inline(always)]
pub(super) fn mask(lanes: usize) -> Mask {
    lanes
}

#[inline(always)]
pub(super) fn zero() -> Vector {
    [0.0; LANES]
}

/// Safety: `from` is readable.
#[inline(always)]
pub(super) unsafe fn splat(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    [unsafe { *from }; LANES]
}

/// Safety: 4 elements are readable.
#[inline(always)]
pub(super) unsafe fn load(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    unsafe { from.cast::<Vector>().read_unaligned() }
}

/// Safety: the first `mask` elements are readable.
#[inline(always)]
pub(super) unsafe fn load_first(from: *const f32, mask: Mask) -> Vector {
    // SAFETY: only live lanes are read.
    std::array::from_fn(|lane| if lane < mask { unsafe { *from.add(lane) } } else { 0.0 })
}

/// Safety: 4 elements are writable.
#[inline(always)]
pub(super) unsafe fn store(to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<Vector>().write_unaligned(vector) }
}

/// Safety: the first `mask` elements are writable.
#[inline(always)]
pub(super) unsafe fn store_first(to: *mut f32, mask: Mask, vector: Vector) {
    for (lane, &value) in vector.iter().enumerate().take(mask) {
        // SAFETY: only live lanes are written.
        unsafe { *to.add(lane) = value };
    }
}

#[inline(always)]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    std::array::from_fn(|lane| a[lane].mul_add(b[lane], sum[lane]))
}
