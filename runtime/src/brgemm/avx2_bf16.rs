//! AVX2 with FMA over pairs: a bf16 is the upper half of an f32, so each step is two products after shifts and masks.

use std::arch::x86_64::*;

use super::avx2::{LANES, Vector, load, load_first, mask, splat, store, store_first, zero};
use super::tile::{AHEAD, Tiles, define_brgemm, for_each_tile, for_rows, opaque, prefetch};
use super::{BrgemmArgs, PANEL};

define_brgemm! {
    #[target_feature(enable = "avx2,fma")]
    one: [1 2 3 4 5 6 7 8 9 10 11 12],
    two: [1 2 3 4 5 6],
    four: [1 2]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    let second = |x: Vector| _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(!0xFFFF)));
    let first = |x: Vector| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(x)));
    _mm256_fmadd_ps(first(a), first(b), _mm256_fmadd_ps(second(a), second(b), sum))
}
