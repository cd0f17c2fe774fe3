//! The contraction micro-kernels: right against f64, equal bits on every instruction set, nothing touched outside the
//! matrices.

use kiln_runtime::brgemm::{BrgemmArgs, PANEL, ROW_PANEL, available, available_bf16};

/// A batch of products with room between and after the rows.
struct Problem {
    m: usize,
    n: usize,
    k: usize,
    count: usize,
    accumulate: bool,
    a: Vec<f32>,
    a_m_stride: usize,
    a_k_stride: usize,
    a_batch_stride: usize,
    b: Vec<f32>,
    b_k_stride: usize,
    b_batch_stride: usize,
    c: Vec<f32>,
    c_m_stride: usize,
}

/// Fills gaps; must survive in C and must not reach a sum from A and B.
const POISON: f32 = f32::NAN;

impl Problem {
    fn new(m: usize, n: usize, k: usize, count: usize, accumulate: bool) -> Problem {
        let mut state = (m * 1_000_003 + n * 10_007 + k * 101 + count) as u32 | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        // Odd sizes have A transposed.
        let (a_m_stride, a_k_stride) = if m.is_multiple_of(2) { (k + 3, 1) } else { (1, m + 2) };
        let a_batch_stride = (m + 2) * (k + 3) + 1;
        let (b_k_stride, c_m_stride) = (n + 5, n + 1);
        let b_batch_stride = k * b_k_stride + 7;
        let mut a = vec![POISON; a_batch_stride * count];
        let mut b = vec![POISON; b_batch_stride * count];
        let mut c = vec![POISON; m * c_m_stride];
        for i in 0..count {
            for kk in 0..k {
                (0..m).for_each(|row| a[i * a_batch_stride + row * a_m_stride + kk * a_k_stride] = random());
                (0..n).for_each(|column| b[i * b_batch_stride + kk * b_k_stride + column] = random());
            }
        }
        if accumulate {
            for row in 0..m {
                c[row * c_m_stride..][..n].fill_with(&mut random);
            }
        }
        Problem {
            m,
            n,
            k,
            count,
            accumulate,
            a,
            a_m_stride,
            a_k_stride,
            a_batch_stride,
            b,
            b_k_stride,
            b_batch_stride,
            c,
            c_m_stride,
        }
    }

    /// The arguments, with C at the given place.
    fn args(&self, c: &mut [f32]) -> BrgemmArgs {
        BrgemmArgs {
            m: self.m as u64,
            n: self.n as u64,
            k: self.k as u64,
            count: self.count as u64,
            a: self.a.as_ptr(),
            a_m_stride: self.a_m_stride as i64,
            a_k_stride: self.a_k_stride as i64,
            a_batch_stride: self.a_batch_stride as i64,
            b: self.b.as_ptr(),
            b_k_stride: self.b_k_stride as i64,
            b_batch_stride: self.b_batch_stride as i64,
            a_panel_stride: 0,
            b_panel_stride: 32,
            c: c.as_mut_ptr(),
            c_m_stride: self.c_m_stride as i64,
            accumulate: self.accumulate.into(),
        }
    }

    /// The chain of fused multiply-adds that every kernel promises, and the sum in f64 with its error bound.
    fn check(&self, name: &str, c: &[f32]) {
        let Problem { m, n, k, count, accumulate, .. } = *self;
        for row in 0..m {
            for column in 0..self.c_m_stride {
                let at = row * self.c_m_stride + column;
                if column >= n {
                    assert!(c[at].is_nan(), "{name} wrote past row {row} of {m}x{n}x{k}x{count}");
                    continue;
                }
                let start = if accumulate { self.c[at] } else { 0.0 };
                let (mut chain, mut exact, mut magnitude) = (start, f64::from(start), f64::from(start.abs()));
                for i in 0..count {
                    for kk in 0..k {
                        let a = self.a[i * self.a_batch_stride + row * self.a_m_stride + kk * self.a_k_stride];
                        let b = self.b[i * self.b_batch_stride + kk * self.b_k_stride + column];
                        chain = a.mul_add(b, chain);
                        exact += f64::from(a) * f64::from(b);
                        magnitude += (f64::from(a) * f64::from(b)).abs();
                    }
                }
                let bound = magnitude * f64::from(f32::EPSILON) * (1 + k * count) as f64;
                assert!(
                    (f64::from(c[at]) - exact).abs() <= bound,
                    "{name} {m}x{n}x{k}x{count}: {} is not {exact}",
                    c[at]
                );
                assert_eq!(c[at].to_bits(), chain.to_bits(), "{name} [{row}, {column}] of {m}x{n}x{k}x{count}");
            }
        }
    }

    fn check_all_kernels(&self) {
        for (name, kernel) in available() {
            let mut c = self.c.clone();
            // SAFETY: the strides describe the three vectors.
            unsafe { kernel(&self.args(&mut c)) };
            self.check(name, &c);
        }
    }
}

#[test]
fn every_row_count_meets_every_edge_of_columns() {
    let columns = [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100];
    for m in (1..=17).chain([28, 29, 33]) {
        for n in columns {
            Problem::new(m, n, 5, 2, (m + n) % 2 == 0).check_all_kernels();
        }
    }
}

#[test]
fn reductions_of_any_length() {
    for k in [0, 1, 2, 3, 25, 150] {
        for count in [0, 1, 3] {
            for accumulate in [false, true] {
                Problem::new(7, 35, k, count, accumulate).check_all_kernels();
            }
        }
    }
}

#[test]
fn empty_results_touch_nothing() {
    for (m, n) in [(0, 5), (5, 0), (0, 0)] {
        Problem::new(m, n, 3, 1, false).check_all_kernels();
    }
}

#[test]
fn a_split_reduction_has_the_same_bits() {
    let whole = Problem::new(9, 40, 30, 2, false);
    for (name, kernel) in available() {
        let mut c = whole.c.clone();
        // Ascending (i, k) for each element: all of product 0, then all of product 1.
        for i in 0..2usize {
            for (first, k) in [(0usize, 11u64), (11, 19)] {
                let mut args = whole.args(&mut c);
                args.count = 1;
                args.k = k;
                args.accumulate = u64::from(i + first > 0);
                // SAFETY: the pointers stay within the vectors.
                unsafe {
                    args.a = args.a.add(i * whole.a_batch_stride + first * whole.a_k_stride);
                    args.b = args.b.add(i * whole.b_batch_stride + first * whole.b_k_stride);
                    kernel(&args);
                }
            }
        }
        whole.check(name, &c);
    }
}

#[test]
fn strides_may_be_negative() {
    let problem = Problem::new(6, 20, 9, 1, false);
    for (name, kernel) in available() {
        let mut c = problem.c.clone();
        let mut args = problem.args(&mut c);
        // Rows from the last to the first, in A and in C: the same result.
        // SAFETY: the pointers are to the last rows.
        unsafe {
            args.a = args.a.add((problem.m - 1) * problem.a_m_stride);
            args.c = args.c.add((problem.m - 1) * problem.c_m_stride);
            args.a_m_stride = -args.a_m_stride;
            args.c_m_stride = -args.c_m_stride;
            kernel(&args);
        }
        problem.check(name, &c);
    }
}

/// Memory whose end is followed by a page that cannot be touched.
#[cfg(target_os = "linux")]
mod guarded {
    pub struct Guarded {
        end: *mut f32,
    }

    const PAGE_BYTES: usize = 4096;
    const PAGES: usize = 16;

    // SAFETY: the C library's signatures on 64-bit Linux.
    unsafe extern "C" {
        fn mmap(address: *mut u8, length: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
        fn mprotect(address: *mut u8, length: usize, protection: i32) -> i32;
    }

    impl Guarded {
        /// Never freed: it lives as long as the test.
        pub fn new() -> Guarded {
            // SAFETY: a fresh anonymous private mapping (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS).
            let start = unsafe { mmap(std::ptr::null_mut(), (PAGES + 1) * PAGE_BYTES, 3, 0x22, -1, 0) };
            assert_ne!(start as isize, -1, "mmap failed");
            // SAFETY: the last page of the mapping.
            let end = unsafe { start.add(PAGES * PAGE_BYTES) };
            // SAFETY: as above.
            assert_eq!(unsafe { mprotect(end, PAGE_BYTES, 0) }, 0, "mprotect failed");
            Guarded { end: end.cast() }
        }

        /// The last `len` elements before the guard, set to 1.
        pub fn last(&mut self, len: usize) -> &mut [f32] {
            assert!(len * 4 <= PAGES * PAGE_BYTES);
            // SAFETY: within the mapping, initialised by the system, borrowed with `self`.
            let elements = unsafe { std::slice::from_raw_parts_mut(self.end.sub(len), len) };
            elements.fill(1.0);
            elements
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_past_the_end_is_touched() {
    let (mut a, mut b, mut c) = (guarded::Guarded::new(), guarded::Guarded::new(), guarded::Guarded::new());
    for (name, kernel) in available() {
        for m in [1, 5, 6, 13, 14, 15] {
            for n in (1..=40).chain([63, 64, 65]) {
                let k = 3;
                let c = c.last(m * n);
                let args = BrgemmArgs {
                    m: m as u64,
                    n: n as u64,
                    k: k as u64,
                    count: 1,
                    a: a.last(m * k).as_ptr(),
                    a_m_stride: k as i64,
                    a_k_stride: 1,
                    a_batch_stride: 0,
                    b: b.last(k * n).as_ptr(),
                    b_k_stride: n as i64,
                    b_batch_stride: 0,
                    a_panel_stride: 0,
                    b_panel_stride: 32,
                    c: c.as_mut_ptr(),
                    c_m_stride: n as i64,
                    accumulate: 1,
                };
                // SAFETY: the strides describe the three slices.
                unsafe { kernel(&args) };
                assert!(c.iter().all(|&sum| sum == 4.0), "{name} {m}x{n}x{k}");
            }
        }
    }
}

/// The same numbers in panels, with nothing readable in the rest of a line, give the same bits.
#[test]
fn operands_may_lie_in_panels() {
    for (m, n) in [(1, 1), (13, 31), (14, 32), (15, 33), (28, 64), (29, 65), (45, 100), (6, 128)] {
        let problem = Problem::new(m, n, 9, 1, (m + n) % 2 == 0);
        let k = problem.k;
        let (mut a, mut b) =
            (vec![POISON; m.div_ceil(ROW_PANEL) * k * 16], vec![POISON; n.div_ceil(PANEL) * k * PANEL]);
        for kk in 0..k {
            for row in 0..m {
                let held = problem.a[row * problem.a_m_stride + kk * problem.a_k_stride];
                a[(row / ROW_PANEL * k + kk) * 16 + row % ROW_PANEL] = held;
            }
            for column in 0..n {
                b[(column / PANEL * k + kk) * PANEL + column % PANEL] = problem.b[kk * problem.b_k_stride + column];
            }
        }
        for (name, kernel) in available() {
            let (mut plain, mut panels) = (problem.c.clone(), problem.c.clone());
            let in_panels = BrgemmArgs {
                a: a.as_ptr(),
                a_m_stride: 1,
                a_k_stride: 16,
                a_panel_stride: (k * 16) as i64,
                b: b.as_ptr(),
                b_k_stride: PANEL as i64,
                b_panel_stride: (k * PANEL) as i64,
                ..problem.args(&mut panels)
            };
            // SAFETY: the strides describe the vectors.
            unsafe {
                kernel(&problem.args(&mut plain));
                kernel(&in_panels);
            }
            let bits = |c: &[f32]| c.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&plain), bits(&panels), "{name} {m}x{n}");
        }
    }
}

/// Pairs of bf16, as words: the same problems, whose elements are then two numbers.
#[test]
fn pairs_have_the_same_bits_on_every_instruction_set() {
    let columns = [1, 3, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100];
    for m in (1..=17).chain([28, 33]) {
        for n in columns {
            let problem = Problem::new(m, n, 6, 2, (m + n) % 2 == 0);
            let pair = |x: f32| if x.is_nan() { x } else { f32::from_bits(x.to_bits() ^ x.to_bits() << 16) };
            // Halves of normal size: the lower one gets the upper one's exponent.
            let words = |values: &[f32]| -> Vec<f32> {
                values.iter().map(|&x| f32::from_bits(pair(x).to_bits() & 0xBFFF_3FFF | 0x3000_3000)).collect()
            };
            let problem = Problem { a: words(&problem.a), b: words(&problem.b), ..problem };
            for (name, kernel) in available_bf16() {
                let mut c = problem.c.clone();
                // SAFETY: the strides describe the three vectors.
                unsafe { kernel(&problem.args(&mut c)) };
                problem.check_pairs(name, &c);
            }
        }
    }
}

impl Problem {
    fn check_pairs(&self, name: &str, c: &[f32]) {
        let halves = |word: f32| [word.to_bits() & !0xFFFF, word.to_bits() << 16].map(f32::from_bits);
        for row in 0..self.m {
            for column in 0..self.n {
                let at = row * self.c_m_stride + column;
                let mut chain = if self.accumulate { self.c[at] } else { 0.0 };
                for (i, kk) in (0..self.count).flat_map(|i| (0..self.k).map(move |kk| (i, kk))) {
                    let a = self.a[i * self.a_batch_stride + row * self.a_m_stride + kk * self.a_k_stride];
                    let b = self.b[i * self.b_batch_stride + kk * self.b_k_stride + column];
                    for (a, b) in halves(a).into_iter().zip(halves(b)) {
                        chain = a.mul_add(b, chain);
                    }
                }
                // The tiles of AMX add up in another order.
                let error = (c[at] - chain).abs() / (1.0 + chain.abs());
                let equal = c[at].to_bits() == chain.to_bits() || name == "amx_bf16" && error < 2e-6;
                assert!(equal, "{name} [{row}, {column}] of {}x{}: {} {chain}", self.m, self.n, c[at]);
            }
        }
    }
}
