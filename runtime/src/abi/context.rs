//! What a kernel is called with. Generated code reads the context at the `OFFSET_` constants.

use std::mem::offset_of;

use super::{BrgemmFn, FaultCell, PairBf16Fn, ReportFaultFn, TransposeF32Fn};
use crate::math;

/// Computes items `[begin, end)` of the kernel's outer parallel space.
///
/// Safety: `cx` points to the calling thread's context, `buffers` to the step's buffer pointers in order, and the range
/// is one chunk of the step. Calls for different chunks of a step may run at the same time.
pub type KernelFn = unsafe extern "C" fn(cx: *const KernelContext, buffers: *const *mut u8, begin: u64, end: u64);

/// A scalar function of one number.
pub type UnaryF64Fn = extern "C" fn(f64) -> f64;

/// A scalar function of two numbers.
pub type BinaryF64Fn = extern "C" fn(f64, f64) -> f64;

/// A scalar function of two numbers.
pub type BinaryF32Fn = extern "C" fn(f32, f32) -> f32;

/// A function of two integers.
pub type BinaryI64Fn = extern "C" fn(i64, i64) -> i64;

/// One thread's view of the run, and the functions that kernels call.
#[derive(Debug)]
#[repr(C)]
pub struct KernelContext {
    /// The batch B of the run.
    pub batch: u64,
    /// This thread's scratch memory: 64-byte aligned, at least `Step::scratch_bytes` long, contents unspecified.
    pub scratch: *mut u8,
    /// Where failed checks are reported.
    pub fault: *const FaultCell,
    /// Reports a failed check into `fault`.
    pub report_fault: ReportFaultFn,
    /// The contraction micro-kernel for this processor.
    pub brgemm_f32: BrgemmFn,
    /// The same for pairs of bf16.
    pub brgemm_bf16: BrgemmFn,
    /// Packs an operand with its axes exchanged.
    pub transpose_f32: TransposeF32Fn,
    /// Packs an operand of bf16 in pairs.
    pub pair_bf16: PairBf16Fn,
    /// e^x.
    pub exp_f64: UnaryF64Fn,
    /// Natural logarithm.
    pub log_f64: UnaryF64Fn,
    /// Hyperbolic tangent.
    pub tanh_f64: UnaryF64Fn,
    /// Error function.
    pub erf_f64: UnaryF64Fn,
    /// Sine.
    pub sin_f64: UnaryF64Fn,
    /// Cosine.
    pub cos_f64: UnaryF64Fn,
    /// Inverse tangent.
    pub atan_f64: UnaryF64Fn,
    /// The remainder of truncated division.
    pub rem_f64: BinaryF64Fn,
    /// x^y.
    pub pow_f64: BinaryF64Fn,
    /// x^y.
    pub pow_f32: BinaryF32Fn,
    /// x^y, wrapping.
    pub pow_i64: BinaryI64Fn,
}

macro_rules! offsets {
    ($($constant:ident = $field:ident),* $(,)?) => {
        impl KernelContext {
            $(
                #[doc = concat!("Byte offset of `", stringify!($field), "`.")]
                pub const $constant: i32 = offset_of!(KernelContext, $field) as i32;
            )*
        }
    };
}

offsets! {
    OFFSET_BATCH = batch,
    OFFSET_SCRATCH = scratch,
    OFFSET_FAULT = fault,
    OFFSET_REPORT_FAULT = report_fault,
    OFFSET_BRGEMM_F32 = brgemm_f32,
    OFFSET_BRGEMM_BF16 = brgemm_bf16,
    OFFSET_TRANSPOSE_F32 = transpose_f32,
    OFFSET_PAIR_BF16 = pair_bf16,
    OFFSET_EXP_F64 = exp_f64,
    OFFSET_LOG_F64 = log_f64,
    OFFSET_TANH_F64 = tanh_f64,
    OFFSET_ERF_F64 = erf_f64,
    OFFSET_SIN_F64 = sin_f64,
    OFFSET_COS_F64 = cos_f64,
    OFFSET_ATAN_F64 = atan_f64,
    OFFSET_REM_F64 = rem_f64,
    OFFSET_POW_F64 = pow_f64,
    OFFSET_POW_F32 = pow_f32,
    OFFSET_POW_I64 = pow_i64,
}

impl KernelContext {
    /// A context with the functions of this processor, for a thread with the given scratch memory.
    ///
    /// The pointers are stored, not followed; they must be live and, for `scratch`, unshared whenever a kernel is called
    /// with this context.
    pub fn new(batch: u64, scratch: *mut u8, fault: *const FaultCell) -> KernelContext {
        KernelContext {
            batch,
            scratch,
            fault,
            report_fault: super::report_fault,
            brgemm_f32: crate::brgemm::brgemm_f32(),
            brgemm_bf16: crate::brgemm::brgemm_bf16(),
            transpose_f32: crate::transpose::transpose_f32,
            pair_bf16: crate::pairs::pair_bf16,
            exp_f64: math::exp,
            log_f64: math::log,
            tanh_f64: math::tanh,
            erf_f64: math::erf,
            sin_f64: math::sin,
            cos_f64: math::cos,
            atan_f64: math::atan,
            rem_f64: math::rem,
            pow_f64: math::pow,
            pow_f32: math::pow_f32,
            pow_i64: math::pow_i64,
        }
    }
}
