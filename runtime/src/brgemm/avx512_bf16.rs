//! AVX-512 with BF16: the tile of `avx512.rs` over pairs, each step two products a lane.

use std::arch::x86_64::*;

use super::avx512::{LANES, Vector, load, load_first, mask, splat, store, store_first, zero};
use super::tile::{AHEAD, Tiles, define_brgemm, for_each_tile, for_rows, opaque, prefetch};
use super::{BrgemmArgs, PANEL};

define_brgemm! {
    #[target_feature(enable = "avx512f,avx512bf16")]
    one: [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16],
    two: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    four: [1 2 3 4 5 6]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    // SAFETY: both types are 512 bits; a lane of 32 bits is a pair.
    unsafe {
        _mm512_dpbf16_ps(sum, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b))
    }
}
