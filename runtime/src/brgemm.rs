//! The contraction micro-kernel: a batch-reduce matrix product on register tiles.
//!
//! One interface serves linear layers, attention and all three directions of a convolution; the generated loops around
//! it do blocking, packing and epilogues. Each instruction set is one short file of vector operations, over which
//! `tile.rs` spells the register tile.
//!
//! Every element of C is one chain of fused multiply-adds over (i, k) in ascending order, started from 0 or from C
//! itself. So the bits are equal on every instruction set (NaN payloads excepted), and also when a caller splits `k` or
//! `count` over several accumulating calls.
//!
//! The same tiles serve bf16, in pairs: an element of A and B is then 32 bits with two neighbours along k, the first in the lower half, and each step adds
//! the second's product and then the first's, with sums in f32. Products of two bf16 are exact in f32, so these bits are equal everywhere as well, but where a
//! value is less than the least normal number: `vdpbf16ps` takes that for 0. The tiles of AMX add up in an order of their own (see `amx_bf16.rs`).
//!
//! Source: Georganas et al., "Harnessing Deep Learning via a Single Building Block", IPDPS 2020.

mod tile;

#[cfg(target_arch = "x86_64")]
mod amx_bf16;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_bf16;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod portable;
mod portable_bf16;

use std::mem::offset_of;

/// C[m, n] (+)= Σ over i < count of A_i[m, k] · B_i[k, n], on f32 or on pairs of bf16. Strides are in elements and may be negative.
///
/// n is contiguous in C, and in B in panels of 32 columns. A is read element by element, at any strides, and may lie in panels of 14 rows.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct BrgemmArgs {
    /// Rows of A and C.
    pub m: u64,
    /// Columns of B and C.
    pub n: u64,
    /// Columns of A, rows of B.
    pub k: u64,
    /// Number of products summed.
    pub count: u64,
    /// A_0[0, 0].
    pub a: *const f32,
    /// From A_i[m, k] to A_i[m + 1, k].
    pub a_m_stride: i64,
    /// From A_i[m, k] to A_i[m, k + 1].
    pub a_k_stride: i64,
    /// From A_i to A_(i + 1).
    pub a_batch_stride: i64,
    /// From A[m, k] to A[m + 14, k], if that is not 14 rows; else 0.
    pub a_panel_stride: i64,
    /// B_0[0, 0].
    pub b: *const f32,
    /// From B_i[k, n] to B_i[k + 1, n].
    pub b_k_stride: i64,
    /// From B_i to B_(i + 1).
    pub b_batch_stride: i64,
    /// From B[k, n] to B[k, n + 32]; between them n is contiguous.
    pub b_panel_stride: i64,
    /// C[0, 0].
    pub c: *mut f32,
    /// From C[m, n] to C[m + 1, n].
    pub c_m_stride: i64,
    /// 0: C is written; 1: C is added to.
    pub accumulate: u64,
}

/// Columns of a panel of B: two lines of memory for each k.
pub const PANEL: usize = 32;

/// Rows of a panel of A.
pub const ROW_PANEL: usize = 14;

/// A micro-kernel. Safety: all elements that the arguments describe are readable (A, B) or writable (C, also readable if
/// `accumulate` is 1), C overlaps neither A nor B, and the processor has the instructions the kernel was compiled for.
pub type BrgemmFn = unsafe extern "C" fn(args: *const BrgemmArgs);

/// The fastest micro-kernel on f32 for this processor.
pub fn brgemm_f32() -> BrgemmFn {
    available()[0].1
}

/// The fastest micro-kernel on pairs of bf16 for this processor.
pub fn brgemm_bf16() -> BrgemmFn {
    available_bf16()[0].1
}

/// All micro-kernels on f32 that this processor can run, named, the fastest first.
pub fn available() -> Vec<(&'static str, BrgemmFn)> {
    supported().into_iter().map(|(name, brgemm, _)| (name, brgemm)).collect()
}

/// All micro-kernels on pairs of bf16 that this processor can run, named, the fastest first.
pub fn available_bf16() -> Vec<(&'static str, BrgemmFn)> {
    let mut kernels: Vec<(&'static str, BrgemmFn)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if amx_bf16::is_available() {
            kernels.push(("amx_bf16", amx_bf16::brgemm));
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16") {
            kernels.push(("avx512_bf16", avx512_bf16::brgemm));
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            kernels.push(("avx2_bf16", avx2_bf16::brgemm));
        }
    }
    kernels.push(("portable_bf16", portable_bf16::brgemm));
    kernels
}

/// The instruction sets that this processor has, the widest first.
fn supported() -> Vec<(&'static str, BrgemmFn, MultiplyAddsFn)> {
    let mut kernels: Vec<(&'static str, BrgemmFn, MultiplyAddsFn)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            kernels.push(("avx512", avx512::brgemm, avx512::multiply_adds));
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            kernels.push(("avx2", avx2::brgemm, avx2::multiply_adds));
        }
    }
    kernels.push(("portable", portable::brgemm, portable::multiply_adds));
    kernels
}

/// Multiplies and adds in registers alone, for so many rounds, and returns how many floating-point operations that were. Safety: the processor has the
/// instructions the function was compiled for.
type MultiplyAddsFn = unsafe fn(rounds: u64) -> u64;

/// As [`MultiplyAddsFn`], with the widest instructions of this processor: what no micro-kernel can be faster than.
pub(crate) fn multiply_adds(rounds: u64) -> u64 {
    let (_, _, widest) = supported()[0];
    // SAFETY: `supported` lists what the processor can run.
    unsafe { widest(rounds) }
}

macro_rules! offsets {
    ($($constant:ident = $field:ident),* $(,)?) => {
        impl BrgemmArgs {
            $(
                #[doc = concat!("Byte offset of `", stringify!($field), "`.")]
                pub const $constant: i32 = offset_of!(BrgemmArgs, $field) as i32;
            )*
        }
    };
}

offsets! {
    OFFSET_M = m,
    OFFSET_N = n,
    OFFSET_K = k,
    OFFSET_COUNT = count,
    OFFSET_A = a,
    OFFSET_A_M_STRIDE = a_m_stride,
    OFFSET_A_K_STRIDE = a_k_stride,
    OFFSET_A_BATCH_STRIDE = a_batch_stride,
    OFFSET_A_PANEL_STRIDE = a_panel_stride,
    OFFSET_B = b,
    OFFSET_B_K_STRIDE = b_k_stride,
    OFFSET_B_BATCH_STRIDE = b_batch_stride,
    OFFSET_B_PANEL_STRIDE = b_panel_stride,
    OFFSET_C = c,
    OFFSET_C_M_STRIDE = c_m_stride,
    OFFSET_ACCUMULATE = accumulate,
}
