//! What can stop the back end: a kernel that it cannot write, or a host that it cannot write for.

use kiln_ir::Code;

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel uses something that has no machine code here.
    #[error("kernel `{kernel}` cannot run on the CPU: {reason}")]
    Unsupported {
        /// The kernel.
        kernel: String,
        /// What it uses.
        reason: Unsupported,
    },
    /// Cranelift has no back end for this processor.
    #[error("no code generator for this processor: {0}")]
    Target(String),
    /// Cranelift refused a function, which is a mistake in this crate.
    #[error("bug in the CPU back end: kernel `{kernel}`: {message}")]
    Codegen {
        /// The kernel.
        kernel: String,
        /// Cranelift's words.
        message: String,
    },
    /// The object file or the executable memory could not be made.
    #[error("compiled kernels could not be placed: {0}")]
    Emission(String),
}

/// What a kernel may not use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsupported {
    /// A half type.
    #[error("{0} tensors are not supported by this back end; cast to f32")]
    DType(kiln_ir::DType),
}

impl Error {
    /// The code that users see.
    pub fn code(&self) -> Code {
        match self {
            Error::Unsupported { .. } => Code::Unsupported,
            Error::Target(_) | Error::Codegen { .. } | Error::Emission(_) => Code::Emission,
        }
    }
}
