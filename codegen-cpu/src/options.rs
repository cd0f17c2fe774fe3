//! What to compile for, and how carefully.

use std::sync::Arc;

use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::{self, Configurable};

use crate::Error;

/// How kernels are compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which instructions may be used.
    pub cpu: Cpu,
    /// Whether Cranelift's verifier checks every function.
    pub verify: bool,
    /// Whether the runtime looks at the result of every launch; the program is one whose values have kernels of their own.
    pub detect_anomaly: bool,
}

/// The processor to compile for; always the host's architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cpu {
    /// Everything the machine that compiles has.
    Host,
    /// What every machine of the last ten years has: x86-64-v2 (SSE4.2) on x86-64, plain NEON on AArch64.
    Baseline,
}

impl Default for Options {
    /// The host's instructions; the verifier in debug builds.
    fn default() -> Options {
        Options { cpu: Cpu::Host, verify: cfg!(debug_assertions), detect_anomaly: false }
    }
}

/// Features that the lowering of 128-bit vectors relies on: without them Cranelift would call library functions, and an object
/// file would have undefined symbols.
const X86_64_V2: [&str; 5] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];

/// The instruction set with these options.
pub(crate) fn isa(options: Options) -> Result<Arc<dyn TargetIsa>, Error> {
    let target = |error: &dyn std::fmt::Display| Error::Target(error.to_string());
    let mut flags = settings::builder();
    let verify = if options.verify { "true" } else { "false" };
    for (name, value) in [("opt_level", "speed"), ("enable_verifier", verify), ("enable_probestack", "false")] {
        flags.set(name, value).map_err(|error| target(&error))?;
    }
    let mut builder =
        cranelift_native::builder_with_options(options.cpu == Cpu::Host).map_err(|error| target(&error))?;
    if cfg!(target_arch = "x86_64") {
        for feature in X86_64_V2 {
            builder.enable(feature).map_err(|error| target(&error))?;
        }
    }
    builder.finish(settings::Flags::new(flags)).map_err(|error| target(&error))
}

/// Names of the instruction set extensions that code compiled with `isa` may use, in a fixed order.
pub(crate) fn required_features(isa: &dyn TargetIsa) -> Vec<String> {
    isa.isa_flags()
        .iter()
        .filter(|flag| flag.as_bool() == Some(true))
        .filter_map(|flag| flag.name.strip_prefix("has_").map(str::to_owned))
        .collect()
}
