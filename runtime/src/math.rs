//! Scalar functions that kernels call through their context: those for which generated code has no polynomial.

pub(crate) extern "C" fn exp(x: f64) -> f64 {
    x.exp()
}

pub(crate) extern "C" fn log(x: f64) -> f64 {
    x.ln()
}

pub(crate) extern "C" fn tanh(x: f64) -> f64 {
    x.tanh()
}

/// The standard library has no stable `erf`, but always links the C mathematics library that has it.
pub(crate) extern "C" fn erf(x: f64) -> f64 {
    mod c {
        // SAFETY: the C standard's signature; the function has no side effect that Rust could see.
        unsafe extern "C" {
            pub safe fn erf(x: f64) -> f64;
        }
    }
    c::erf(x)
}

pub(crate) extern "C" fn sin(x: f64) -> f64 {
    x.sin()
}

pub(crate) extern "C" fn cos(x: f64) -> f64 {
    x.cos()
}

pub(crate) extern "C" fn atan(x: f64) -> f64 {
    x.atan()
}

/// The remainder of truncated division: C's `fmod`, which is exact, so that it serves `f32` as well.
pub(crate) extern "C" fn rem(x: f64, y: f64) -> f64 {
    x % y
}

pub(crate) extern "C" fn pow(x: f64, y: f64) -> f64 {
    x.powf(y)
}

pub(crate) extern "C" fn pow_f32(x: f32, y: f32) -> f32 {
    x.powf(y)
}

/// Wraps. With a negative exponent the power is rounded towards zero, and 0 for a base of 0 (PyTorch).
pub(crate) extern "C" fn pow_i64(mut base: i64, mut exponent: i64) -> i64 {
    if exponent < 0 {
        return match (base, exponent % 2) {
            (1, _) | (-1, 0) => 1,
            (-1, _) => -1,
            _ => 0,
        };
    }
    let mut power: i64 = 1;
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent /= 2;
    }
    power
}

#[cfg(test)]
mod tests {
    #[test]
    fn integer_powers_wrap_and_round_towards_zero() {
        let powers = [(3, 4), (-2, 63), (2, 64), (0, 0), (1, -5), (-1, -5), (-1, -4), (2, -1), (0, -1)];
        let expected = [81, i64::MIN, 0, 1, 1, -1, 1, 0, 0];
        assert_eq!(powers.map(|(base, exponent)| super::pow_i64(base, exponent)), expected);
        assert_eq!(super::pow_i64(3, 40), 3i64.pow(39).wrapping_mul(3));
    }

    #[test]
    fn erf_matches_its_tables() {
        assert_eq!(super::erf(0.0), 0.0);
        assert!((super::erf(0.5) - 0.520_499_877_813_046_5).abs() < 1e-15);
        assert!((super::erf(-2.0) + 0.995_322_265_018_952_7).abs() < 1e-15);
    }
}
