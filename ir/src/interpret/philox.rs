//! Philox4x32-10: random words as a pure function of key, stream and position.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11. The runtime has the same generator for the
//! values that it draws itself; `tests/tests/random.rs` compares the two.

const ROUNDS: usize = 10;
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One word of a stream, as [`crate::Expr::Random`] defines it.
pub fn word(seed: i64, stream: i64, position: i64) -> u32 {
    let ([block_low, block_high], [stream_low, stream_high]) = (halves(position as u64 >> 2), halves(stream as u64));
    block(halves(seed as u64), [block_low, block_high, stream_low, stream_high])[position as usize & 3]
}

fn block(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [low0, high0] = halves(MULTIPLIERS[0] * u64::from(counter[0]));
        let [low1, high1] = halves(MULTIPLIERS[1] * u64::from(counter[2]));
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(KEY_INCREMENTS[0]), key[1].wrapping_add(KEY_INCREMENTS[1])];
    }
    counter
}

fn halves(wide: u64) -> [u32; 2] {
    [wide as u32, (wide >> 32) as u32]
}
