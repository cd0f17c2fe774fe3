//! Philox4x32-10: random numbers as a pure function of (seed, stream, position).
//!
//! A counter-based generator has no hidden state to carry along: number `i` of a stream is one encryption of the
//! counter `i / 4`, so a run can be saved as three integers, resumed anywhere, and split over threads without
//! changing a bit. The key is the seed and the upper half of the counter is the stream, as in cuRAND:
//!
//! ```text
//! key     = [seed low, seed high]
//! counter = [block low, block high, stream low, stream high]      block = position / 4
//! ```
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11; the tests hold the known
//! answers that the authors publish with Random123.

use std::f64::consts::TAU;

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Weyl sequence of the key: the golden ratio and √3 − 1, each as a 32-bit fraction.
const KEY_INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const WORDS_PER_BLOCK: u64 = 4;
const TWO_POW_MINUS_24: f32 = 1.0 / (1 << 24) as f32;

/// Everything that determines the numbers still to come; store it in a checkpoint to resume a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhiloxState {
    /// The user's seed.
    pub seed: u64,
    /// Which of the seed's 2⁶⁴ independent streams.
    pub stream: u64,
    /// How many 32-bit words have been drawn.
    pub position: u64,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Philox4x32 {
    state: PhiloxState,
    /// Block `position / 4`; valid whenever `position` is inside a block, that is, not a multiple of 4.
    words: [u32; 4],
}

impl Philox4x32 {
    /// Starts `stream` of `seed` at its first number.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self::from_state(PhiloxState { seed, stream, position: 0 })
    }

    /// Continues where [`Philox4x32::state`] was taken.
    pub fn from_state(state: PhiloxState) -> Self {
        let mut generator = Self { state, words: [0; 4] };
        generator.skip(0);
        generator
    }

    /// The seed, the stream and how far it has been read.
    pub fn state(&self) -> PhiloxState {
        self.state
    }

    /// Moves on by `n` 32-bit words in constant time, as if [`Philox4x32::next_u32`] had been called `n` times.
    pub fn skip(&mut self, n: u64) {
        self.state.position = self.state.position.wrapping_add(n);
        if !self.state.position.is_multiple_of(WORDS_PER_BLOCK) {
            self.words = self.current_block();
        }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let word = self.state.position % WORDS_PER_BLOCK;
        if word == 0 {
            self.words = self.current_block();
        }
        self.state.position = self.state.position.wrapping_add(1);
        self.words[word as usize]
    }

    /// The next 64 random bits: two words, the low one first.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        let high = u64::from(self.next_u32());
        high << 32 | low
    }

    /// Uniform in `[0, 1)`: the upper 24 bits of one word times 2⁻²⁴, so every value is exact.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * TWO_POW_MINUS_24
    }

    /// Standard normal by Box–Muller, from two words `a`, `b`:
    ///
    /// ```text
    /// u = ((a >> 8) + 1) · 2⁻²⁴        in (0, 1], so that ln u is finite
    /// v =  (b >> 8)      · 2⁻²⁴        in [0, 1)
    /// z = √(−2 ln u) · cos(2π v)       |z| ≤ 5.77
    /// ```
    ///
    /// The sine twin is dropped, so that the state stays one position. The formula is evaluated in f64 and rounded
    /// once: the last bit of a platform's `ln` and `cos` then practically never reaches the f32 result.
    pub fn normal_f32(&mut self) -> f32 {
        let scale = f64::from(TWO_POW_MINUS_24);
        let u = f64::from((self.next_u32() >> 8) + 1) * scale;
        let v = f64::from(self.next_u32() >> 8) * scale;
        ((-2.0 * u.ln()).sqrt() * (TAU * v).cos()) as f32
    }

    /// Uniform in `0..n` without bias (Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    ///
    /// If `n` is 0: an empty range has no member to return.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0): an empty range has no member");
        // 2⁶⁴ mod n: that many low products would give some results one chance too many.
        let rejected_below = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= rejected_below {
                return (product >> 64) as u64;
            }
        }
    }

    /// Puts `items` in a uniformly random order (Fisher–Yates from the last place down).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.below(last as u64 + 1) as usize;
            items.swap(last, chosen);
        }
    }

    fn current_block(&self) -> [u32; 4] {
        let PhiloxState { seed, stream, position } = self.state;
        let block_index = position / WORDS_PER_BLOCK;
        let [seed_low, seed_high] = halves(seed);
        let [block_low, block_high] = halves(block_index);
        let [stream_low, stream_high] = halves(stream);
        block([seed_low, seed_high], [block_low, block_high, stream_low, stream_high])
    }
}

/// The bare function: ten Philox rounds of `counter` under `key`.
pub fn block(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [low0, high0] = halves(u64::from(MULTIPLIERS[0]) * u64::from(counter[0]));
        let [low1, high1] = halves(u64::from(MULTIPLIERS[1]) * u64::from(counter[2]));
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(KEY_INCREMENTS[0]), key[1].wrapping_add(KEY_INCREMENTS[1])];
    }
    counter
}

fn halves(wide: u64) -> [u32; 2] {
    [wide as u32, (wide >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123 1.14, `tests/kat_vectors`, lines `philox4x32 10`: counter, key, answer.
    #[test]
    fn agrees_with_the_published_known_answers() {
        let ones = u32::MAX;
        let cases = [
            ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
            ([ones; 4], [ones; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
            (
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                [0xa4093822, 0x299f31d0],
                [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(block(key, counter), answer);
        }
    }

    #[test]
    fn lays_seed_stream_and_position_out_as_documented() {
        let mut generator = Philox4x32::new(0x299f31d0_a4093822, 0x03707344_13198a2e);
        generator.skip(4 * 0x243f6a88);
        assert_eq!(generator.next_u32(), block([0xa4093822, 0x299f31d0], [0x243f6a88, 0, 0x13198a2e, 0x03707344])[0]);
    }

    #[test]
    fn skip_and_restore_land_on_the_same_words() {
        let all: Vec<u32> = std::iter::repeat_with({
            let mut generator = Philox4x32::new(7, 3);
            move || generator.next_u32()
        })
        .take(40)
        .collect();
        for start in 0..30 {
            let mut skipped = Philox4x32::new(7, 3);
            skipped.skip(start as u64 / 2);
            skipped.skip(start as u64 - start as u64 / 2);
            let mut restored = Philox4x32::from_state(skipped.state());
            for &word in &all[start..start + 9] {
                assert_eq!(skipped.next_u32(), word);
                assert_eq!(restored.next_u32(), word);
            }
        }
    }

    #[test]
    fn streams_and_seeds_differ() {
        let first = |seed, stream| Philox4x32::new(seed, stream).next_u64();
        assert_ne!(first(1, 0), first(0, 1));
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }

    #[test]
    fn uniform_has_the_right_range_and_moments() {
        let mut generator = Philox4x32::new(11, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| f64::from(generator.uniform_f32())).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let (mean, variance) = moments(&draws);
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.002, "{variance}");
    }

    #[test]
    fn normal_has_the_right_moments_and_tails() {
        let mut generator = Philox4x32::new(12, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| f64::from(generator.normal_f32())).collect();
        let (mean, variance) = moments(&draws);
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
        let beyond_two = draws.iter().filter(|draw| draw.abs() > 2.0).count() as f64 / draws.len() as f64;
        assert!((beyond_two - 0.0455).abs() < 0.003, "{beyond_two}");
        assert!(draws.iter().all(|draw| draw.abs() < 5.78));
    }

    #[test]
    fn below_reaches_every_value_about_equally() {
        let mut generator = Philox4x32::new(13, 0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[generator.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert_eq!(generator.below(1), 0);
        assert!(generator.below(u64::MAX) < u64::MAX);
    }

    /// The order was computed by an independent program from the formulas above.
    #[test]
    fn shuffle_permutes_and_its_order_is_pinned() {
        let mut items: Vec<u32> = (0..10).collect();
        Philox4x32::new(7, 0).shuffle(&mut items);
        assert_eq!(items, [2, 3, 5, 1, 4, 8, 9, 6, 0, 7]);
        items.sort_unstable();
        assert_eq!(items, (0..10).collect::<Vec<u32>>());
        Philox4x32::new(7, 0).shuffle::<u32>(&mut []);
    }

    fn moments(draws: &[f64]) -> (f64, f64) {
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        (mean, variance)
    }
}
