//! Kernels with serial loops.

use kiln_ir::Kernel;
use kiln_ir::text::parse_kernel;

/// One thread a line.
const SCATTER_ADD: &str = r#"kernel scatter_add(base: f32[B,100,3], at: i64[B,50,3], src: f32[B,50,3]) -> (y: f32[B,100,3])   @lenet.rs:45:17
  for n in B, c in 3
    for j in 100
      y[n, j, c] = base[n, j, c]
    serial t in 50
      place = check(at[n, t, c], 100, "scatter at lenet.rs:45:17")
      y[n, [place], c] = y[n, [place], c] + src[n, t, c]
"#;

/// A first element that is padding.
const RUNNING_SUM: &str = "kernel running_sum(x: f32[B,50]) -> (y: f32[B,50])   @lenet.rs:46:17
  for n in B
    serial t in 50
      y[n, 49 - t] = y[n, 50 - t | 0] + x[n, 49 - t]
";

/// No loops around: one block, of which one thread takes the steps.
const HISTOGRAM: &str = "kernel histogram(at: i64[B]) -> (count: f32[1000])   @lenet.rs:47:17
  for j in 1000
    count[j] = 0.0
  serial n in B
    place = check(at[n], 1000)
    count[[place]] = count[[place]] + 1.0
";

pub fn all() -> impl Iterator<Item = Kernel> {
    [SCATTER_ADD, RUNNING_SUM, HISTOGRAM]
        .into_iter()
        .map(|text| parse_kernel(text, "serial.kir").expect("it is written as it prints"))
}
