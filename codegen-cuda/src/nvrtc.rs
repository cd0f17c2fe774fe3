//! CUDA C to PTX with NVRTC, which needs neither a GPU nor a driver.
//!
//! The library is found at run time, under the names that the system's loader knows: a program that carries this crate starts on a
//! machine without CUDA. `cudarc` panics when a library is missing, so it is looked for first.

use std::fmt;

use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

use crate::Error;

/// Characters of a compiler's log that an error keeps: a wrong architecture alone gives hundreds of lines.
const LOG_LIMIT: usize = 4000;

/// Compiled PTX text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ptx {
    text: String,
}

impl Ptx {
    /// The text, as the driver takes it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Ptx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Compiles a translation unit for an architecture: `sm_90` is checked down to its machine code, `compute_90` is not.
///
/// # Errors
///
/// [`Error::NoNvrtc`] when the library is missing, [`Error::Compile`] with the log's beginning when it refuses the source.
pub fn compile_to_ptx(source: &str, arch: &str) -> Result<Ptx, Error> {
    if source.contains('\0') || arch.contains('\0') {
        return Err(Error::ZeroByte);
    }
    if !is_present() {
        return Err(Error::NoNvrtc);
    }
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture={arch}"), "--std=c++17".to_owned()],
        ..CompileOptions::default()
    };
    match compile_ptx_with_opts(source, options) {
        Ok(ptx) => Ok(Ptx { text: ptx.to_src() }),
        Err(error) => Err(Error::Compile { arch: arch.to_owned(), log: log_of(&error) }),
    }
}

/// Whether the library can be loaded.
#[allow(unsafe_code)]
fn is_present() -> bool {
    // SAFETY: this loads the NVRTC library and lets go of it; its initialisers are NVIDIA's and run at any use of NVRTC.
    unsafe { cudarc::nvrtc::sys::is_culib_present() }
}

fn log_of(error: &CompileError) -> String {
    match error {
        CompileError::CompileError { nvrtc, log, .. } => {
            format!("{nvrtc:?}\n{}", log.to_string_lossy()).chars().take(LOG_LIMIT).collect()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the library a bad source is refused, without it the error says so: neither may panic.
    #[test]
    fn a_missing_library_and_a_bad_source_are_errors() {
        match compile_to_ptx("extern \"C\" __global__ void broken( {}", "sm_90") {
            Err(Error::NoNvrtc | Error::Compile { .. }) => {}
            other => panic!("expected an error, found {other:?}"),
        }
        assert_eq!(compile_to_ptx("a\0b", "sm_90"), Err(Error::ZeroByte));
    }
}
