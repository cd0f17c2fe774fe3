//! AVX-512: 16 lanes, 32 registers; the full tile is 14 x 32.

use std::arch::x86_64::*;

use super::tile::{AHEAD, Tiles, define_brgemm, define_multiply_adds, for_each_tile, for_rows, opaque, prefetch};
use super::{BrgemmArgs, PANEL};

pub(super) const LANES: usize = 16;

pub(super) type Vector = __m512;
pub(super) type Mask = __mmask16;

define_brgemm! {
    #[target_feature(enable = "avx512f")]
    one: [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16],
    two: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    four: [1 2 3 4 5 6]
}

define_multiply_adds! {
    #[target_feature(enable = "avx512f")]
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn mask(lanes: usize) -> Mask {
    ((1u32 << lanes) - 1) as Mask
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn zero() -> Vector {
    _mm512_setzero_ps()
}

/// Safety: `from` is readable.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn splat(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    _mm512_set1_ps(unsafe { *from })
}

/// Safety: 16 elements are readable.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn load(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_ps(from) }
}

/// Safety: the elements in the mask are readable.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn load_first(from: *const f32, mask: Mask) -> Vector {
    // SAFETY: the caller's promise; the instruction does not touch lanes outside the mask.
    unsafe { _mm512_maskz_loadu_ps(mask, from) }
}

/// Safety: 16 elements are writable.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn store(to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise.
    unsafe { _mm512_storeu_ps(to, vector) }
}

/// Safety: the elements in the mask are writable.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn store_first(to: *mut f32, mask: Mask, vector: Vector) {
    // SAFETY: the caller's promise; the instruction does not touch lanes outside the mask.
    unsafe { _mm512_mask_storeu_ps(to, mask, vector) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    _mm512_fmadd_ps(a, b, sum)
}
