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

pub(crate) extern "C" fn pow(x: f64, y: f64) -> f64 {
    x.powf(y)
}

pub(crate) extern "C" fn pow_f32(x: f32, y: f32) -> f32 {
    x.powf(y)
}

#[cfg(test)]
mod tests {
    #[test]
    fn erf_matches_its_tables() {
        assert_eq!(super::erf(0.0), 0.0);
        assert!((super::erf(0.5) - 0.520_499_877_813_046_5).abs() < 1e-15);
        assert!((super::erf(-2.0) + 0.995_322_265_018_952_7).abs() < 1e-15);
    }
}
