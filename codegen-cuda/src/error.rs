//! What can go wrong in this back end.

use kiln_ir::DType;

/// Why a kernel has no CUDA C, or its CUDA C no PTX.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Error {
    /// Stages hand each other more than a block's shared memory holds: programs for a GPU are compiled with `Request::stores_strips`.
    #[error("CUDA kernels have no scratch tensors: kernel `{kernel}` has `{tensor}`")]
    UnsupportedScratch {
        /// The kernel.
        kernel: String,
        /// Its scratch tensor.
        tensor: String,
    },
    /// A dtype without arithmetic in this back end.
    #[error(
        "kernel `{kernel}`: the CUDA back end has no arithmetic for {dtype} yet (it has bool, u8, i32, i64, f32 and f64)"
    )]
    UnsupportedDType {
        /// The kernel.
        kernel: String,
        /// The dtype.
        dtype: DType,
    },
    /// A function that a dtype does not have.
    #[error("kernel `{kernel}`: `{function}` is not defined for {dtype}")]
    UnsupportedFunction {
        /// The kernel.
        kernel: String,
        /// The function's name in IR text.
        function: &'static str,
        /// The dtype of its operands.
        dtype: DType,
    },
    /// The NVRTC library is not on this machine.
    #[error(
        "the NVRTC library was not found; install CUDA 13 or the PyPI wheel nvidia-cuda-nvrtc, and put the folder \
         that holds libnvrtc.so.13 on LD_LIBRARY_PATH"
    )]
    NoNvrtc,
    /// A source that C cannot hold: it has a zero byte.
    #[error("CUDA C source has a zero byte")]
    ZeroByte,
    /// The library refused the source.
    #[error("NVRTC could not compile for {arch}: {log}")]
    Compile {
        /// The architecture asked for, as in `sm_90`.
        arch: String,
        /// The beginning of the compiler's log.
        log: String,
    },
}
