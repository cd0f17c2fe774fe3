//! Any processor, over pairs.

use super::portable::{LANES, Vector, load, load_first, mask, splat, store, store_first, zero};
use super::tile::{AHEAD, Tiles, define_brgemm, for_each_tile, for_rows, opaque, prefetch};
use super::{BrgemmArgs, PANEL};

define_brgemm! {
    one: [1 2 3 4 5 6 7 8],
    two: [1 2 3 4 5 6 7 8],
    four: [1 2 3 4]
}

#[inline(always)]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    let second = |x: f32| f32::from_bits(x.to_bits() & !0xFFFF);
    let first = |x: f32| f32::from_bits(x.to_bits() << 16);
    std::array::from_fn(|lane| {
        let sum = second(a[lane]).mul_add(second(b[lane]), sum[lane]);
        first(a[lane]).mul_add(first(b[lane]), sum)
    })
}
