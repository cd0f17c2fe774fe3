//! AVX2 with FMA: 8 lanes, 16 registers; the full tile is 6 x 16.

use std::arch::x86_64::*;

use super::tile::{AHEAD, Tiles, define_brgemm, define_multiply_adds, for_each_tile, for_rows, opaque, prefetch};
use super::{BrgemmArgs, PANEL};

pub(super) const LANES: usize = 8;

pub(super) type Vector = __m256;
pub(super) type Mask = __m256i;

define_brgemm! {
    #[target_feature(enable = "avx2,fma")]
    one: [1 2 3 4 5 6 7 8 9 10 11 12],
    two: [1 2 3 4 5 6],
    four: [1 2]
}

define_multiply_adds! {
    #[target_feature(enable = "avx2,fma")]
}

/// The instructions take the sign bit of each lane.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn mask(lanes: usize) -> Mask {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn zero() -> Vector {
    _mm256_setzero_ps()
}

/// Safety: `from` is readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn splat(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    _mm256_set1_ps(unsafe { *from })
}

/// Safety: 8 elements are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn load(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_ps(from) }
}

/// Safety: the elements in the mask are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn load_first(from: *const f32, mask: Mask) -> Vector {
    // SAFETY: the caller's promise; the instruction does not touch lanes outside the mask.
    unsafe { _mm256_maskload_ps(from, mask) }
}

/// Safety: 8 elements are writable.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store(to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_ps(to, vector) }
}

/// Safety: the elements in the mask are writable.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store_first(to: *mut f32, mask: Mask, vector: Vector) {
    // SAFETY: the caller's promise; the instruction does not touch lanes outside the mask.
    unsafe { _mm256_maskstore_ps(to, mask, vector) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    _mm256_fmadd_ps(a, b, sum)
}
