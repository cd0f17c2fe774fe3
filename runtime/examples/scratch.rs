use kiln_runtime::brgemm::{self, BrgemmArgs};
use std::time::Instant;
fn main() {
    let kernel = brgemm::available()[0].1;
    let a = vec![0.5f32; 64 << 20];
    let b = vec![0.25f32; 16 << 20];
    let mut c = vec![0f32; 16 << 20];
    let al = |p: *const f32| -> *const f32 {
        let x = p as usize;
        ((x + 4095) & !4095) as *const f32
    };
    let (a, b, c) = (al(a.as_ptr()), al(b.as_ptr()), al(c.as_mut_ptr()) as *mut f32);
    // (name, m, n, k, a_m, a_k, b_k, b_panel, c_m, rows total (cycles over), k tiles)
    for (name, m, n, k, a_m, a_k, bp, c_m) in [
        ("64x32x784", 64u64, 32u64, 784u64, 784i64, 1i64, true, 32i64),
        ("64x32x384 s784", 64, 32, 384, 784, 1, true, 32),
        ("64x32x384 s384", 64, 32, 384, 384, 1, true, 32),
        ("70x32x384 s384", 70, 32, 384, 384, 1, true, 32),
        ("256x32x384", 256, 32, 384, 384, 1, true, 32),
        ("252x32x384", 252, 32, 384, 384, 1, true, 32),
        ("252x32x384 s400", 252, 32, 384, 400, 1, true, 32),
        ("252x64x384 s400", 252, 64, 384, 400, 1, true, 64),
        ("252x32x256 s400", 252, 32, 256, 400, 1, true, 32),
        ("252x32x192 s400", 252, 32, 192, 400, 1, true, 32),
        ("126x64x256 s272", 126, 64, 256, 272, 1, true, 64),
        ("14x32x384 k16", 14, 32, 384, 1, 16, true, 32),
    ] {
        // A walks over 8 blocks so that it comes from L2/L3, as in a step.
        for walk in [1usize, 32] {
            let run = |reps: usize| {
                for r in 0..reps {
                    let block = (r % walk) * (m as usize * a_m.max(1).max(k as i64) as usize);
                    let args = BrgemmArgs {
                        m,
                        n,
                        k,
                        count: 1,
                        a: unsafe { a.add(block % (40 << 20)) },
                        a_m_stride: a_m,
                        a_k_stride: a_k,
                        a_batch_stride: 0,
                        b,
                        b_k_stride: if bp { 32 } else { 1536 },
                        b_batch_stride: 0,
                        a_panel_stride: 0,
                        b_panel_stride: if bp { 32 * k as i64 } else { 32 },
                        c,
                        c_m_stride: c_m,
                        accumulate: 0,
                    };
                    unsafe { kernel(&args) };
                }
            };
            run(4);
            let reps = (2e9 / (2 * m * n * k) as f64) as usize + 1;
            let mut best = f64::MAX;
            for _ in 0..5 {
                let t = Instant::now();
                run(reps);
                best = best.min(t.elapsed().as_secs_f64());
            }
            print!("{name:24} walk {walk:2}: {:6.1}   ", (2 * m * n * k) as f64 * reps as f64 / best / 1e9);
        }
        println!();
    }
}
