//! The counter-based random numbers that initial weights are drawn from.

/// One stream of random numbers, fixed by its seed and its stream number.
#[derive(Debug, Clone)]
pub struct Philox4x32 {
    state: u64,
}

impl Philox4x32 {
    /// The beginning of stream number `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Philox4x32 {
        Philox4x32 { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream }
    }

    /// The next number, uniform in [0, 1).
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// The next number of the standard normal distribution (Box-Muller).
    pub fn normal_f32(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform_f32()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.uniform_f32()).cos()
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
