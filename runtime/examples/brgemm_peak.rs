//! Prints what the contraction micro-kernels, on f32 and on pairs of bf16, reach on one core, beside the fused multiply-add peak measured in the same
//! run: `cargo run --release -p kiln-runtime --example brgemm_peak`.

use std::hint::black_box;
use std::time::Instant;

use kiln_runtime::brgemm::{self, BrgemmArgs, BrgemmFn};

/// How A lies in memory.
#[derive(Clone, Copy)]
enum Rows {
    /// m is contiguous: packed panels of `m` rows.
    Packed,
    /// k is contiguous: as activations lie.
    RowMajor,
}

const SHAPES: &[(&str, u64, u64, u64, Rows)] = &[
    ("full tile, packed", 14, 32, 128, Rows::Packed),
    ("full tile", 14, 32, 128, Rows::RowMajor),
    ("full AVX2 tile", 6, 16, 128, Rows::RowMajor),
    ("one vector", 16, 16, 128, Rows::RowMajor),
    ("four vectors", 6, 64, 128, Rows::RowMajor),
    ("linear, packed panel", 64, 32, 784, Rows::RowMajor),
    ("linear, panel block", 64, 32, 128, Rows::RowMajor),
    ("linear 784 -> 512", 64, 512, 784, Rows::RowMajor),
    ("linear, weights", 784, 512, 64, Rows::Packed),
    ("classifier", 64, 10, 84, Rows::RowMajor),
    ("LeNet conv1 row", 6, 28, 25, Rows::RowMajor),
    ("LeNet conv1 image", 6, 784, 25, Rows::RowMajor),
    ("LeNet conv2 image", 16, 100, 150, Rows::RowMajor),
    ("one sample", 1, 120, 400, Rows::RowMajor),
];

fn main() {
    let kernels = [brgemm::available(), brgemm::available_bf16()].concat();
    print!("{:<22} {:>14}", "GFLOP/s", "m x n x k");
    for (name, _) in &kernels {
        print!(" {name:>13}");
    }
    println!();
    print!("{:<22} {:>14}", "fma peak", "");
    for (name, _) in &kernels {
        match peak(name) {
            Some(gflops) => print!(" {gflops:>13.1}"),
            None => print!(" {:>13}", "-"),
        }
    }
    println!();
    for &(label, m, n, k, rows) in SHAPES {
        print!("{label:<22} {:>14}", format!("{m} x {n} x {k}"));
        for &(name, kernel) in &kernels {
            // Of pairs, half as many.
            let k = if name.ends_with("bf16") { k.div_ceil(2) } else { k };
            let products = if name.ends_with("bf16") { 2.0 } else { 1.0 };
            print!(" {:>13.1}", products * contraction(kernel, m, n, k, rows));
        }
        println!();
    }
}

/// GFLOP/s of one product, the operands hot in cache.
fn contraction(kernel: BrgemmFn, m: u64, n: u64, k: u64, rows: Rows) -> f64 {
    let a = vec![0.5f32; (m * k) as usize];
    let b = vec![0.25f32; (k * n) as usize];
    let mut c = vec![0f32; (m * n) as usize];
    let (a_m_stride, a_k_stride) = match rows {
        Rows::Packed => (1, m as i64),
        Rows::RowMajor => (k as i64, 1),
    };
    let args = BrgemmArgs {
        m,
        n,
        k,
        count: 1,
        a: a.as_ptr(),
        a_m_stride,
        a_k_stride,
        a_batch_stride: 0,
        b: b.as_ptr(),
        b_k_stride: n as i64,
        b_batch_stride: 0,
        a_panel_stride: 0,
        b_panel_stride: 32,
        c: c.as_mut_ptr(),
        c_m_stride: n as i64,
        accumulate: 0,
    };
    best_rate((2 * m * n * k) as f64, || {
        // SAFETY: the strides describe the three vectors, and the kernel is one of those available.
        unsafe { kernel(black_box(&args)) }
    })
}

/// The highest rate over windows of about half a millisecond, in 10^9 operations a second. Short windows slip between
/// the interruptions of a shared machine.
fn best_rate(operations: f64, mut call: impl FnMut()) -> f64 {
    let mut rate = |calls: u32| {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        operations * f64::from(calls) / start.elapsed().as_nanos() as f64
    };
    let calls = (rate(10) * 0.5e6 / operations).ceil() as u32;
    let start = Instant::now();
    let mut best = 0f64;
    while start.elapsed().as_millis() < 300 {
        best = best.max(rate(calls));
    }
    best
}

#[cfg(target_arch = "x86_64")]
fn peak(kernel: &str) -> Option<f64> {
    use std::arch::x86_64::*;

    const CHAINS: usize = 12;
    const ROUNDS: usize = 1000;

    #[target_feature(enable = "avx512f")]
    fn avx512() {
        let factor = _mm512_set1_ps(black_box(0.5));
        let mut sums = [factor; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    fn avx2() {
        let factor = _mm256_set1_ps(black_box(0.5));
        let mut sums = [factor; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }

    let flops = |lanes: usize| (2 * lanes * CHAINS * ROUNDS) as f64;
    match kernel {
        // SAFETY: the kernel's name is listed only if the processor has its instructions.
        "avx512" => Some(best_rate(flops(16), || unsafe { avx512() })),
        // SAFETY: as above.
        "avx2" => Some(best_rate(flops(8), || unsafe { avx2() })),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn peak(_kernel: &str) -> Option<f64> {
    None
}
