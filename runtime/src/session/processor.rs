//! Whether this processor has the instructions that a program was compiled for.

use crate::Error;
use crate::abi::Program;

/// # Errors
///
/// [`Error::Processor`] with every instruction set that is missing: an unknown instruction would end the process without a word.
pub(super) fn check(program: &Program) -> Result<(), Error> {
    let missing: Vec<&str> = program.required_features.iter().map(|name| &**name).filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Processor { program: program.name.to_string(), missing: missing.join(", ") })
}

/// Detection by Cranelift's names. One that is not listed counts as missing.
#[cfg(target_arch = "x86_64")]
fn has(feature: &str) -> bool {
    macro_rules! detect {
        ($($name:literal => $feature:tt,)*) => {
            match feature {
                $($name => is_x86_feature_detected!($feature),)*
                _ => false,
            }
        };
    }
    detect! {
        "cmpxchg16b" => "cmpxchg16b",
        "sse3" => "sse3",
        "ssse3" => "ssse3",
        "sse41" => "sse4.1",
        "sse42" => "sse4.2",
        "popcnt" => "popcnt",
        "lzcnt" => "lzcnt",
        "bmi1" => "bmi1",
        "bmi2" => "bmi2",
        "avx" => "avx",
        "avx2" => "avx2",
        "fma" => "fma",
        "avx_vnni" => "avxvnni",
        "avx512vnni" => "avx512vnni",
        "avx512bitalg" => "avx512bitalg",
        "avx512dq" => "avx512dq",
        "avx512f" => "avx512f",
        "avx512vbmi" => "avx512vbmi",
        "avx512vl" => "avx512vl",
    }
}

/// Programs for other processors use what every one of the architecture has.
#[cfg(not(target_arch = "x86_64"))]
fn has(_: &str) -> bool {
    true
}
