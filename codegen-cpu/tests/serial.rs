//! Serial loops and gathers: against the interpreter, in every division of their items, and with indices that are out of range.

mod common;

use common::{check, inputs, jit_of, run_to_fault};
use kiln_ir::Kernel;
use kiln_ir::interpret::Value;
use kiln_ir::text::parse_kernel;
use kiln_ir::verify::{marked, verify_kernel};

fn kernel(text: &str) -> Kernel {
    let kernel = parse_kernel(text, "serial.kir").unwrap_or_else(|errors| panic!("{}", errors[0]));
    let findings = verify_kernel(&kernel);
    assert!(findings.is_empty(), "{}", marked(text, &findings));
    kernel
}

/// A scatter over the lines of `c`, whose body between `serial` and the schedule is given. Integer inputs are from 0 to 9.
fn scatter(steps: &str) -> Kernel {
    kernel(&format!(
        "kernel scatter(base: f32[B,10,3], at: i64[B,6,3], src: f32[B,6,3]) -> (y: f32[B,10,3])
  for n in B, c in 3
    for j in 10
      y[n, j, c] = base[n, j, c]
    serial t in 6
{steps}
  schedule thread(n c) grain(1)
"
    ))
}

#[test]
fn scatters_go_on_from_what_they_have_stored() {
    for value in
        ["y[n, [place], c] + src[n, t, c]", "y[n, [place], c] * src[n, t, c]", "max(y[n, [place], c], src[n, t, c])"]
    {
        check(&scatter(&format!("      place = check(at[n, t, c], 10)\n      y[n, [place], c] = {value}")), 5);
    }
    check(&scatter("      y[n, [check(at[n, t, c], 10)], c] = src[n, t, c]"), 5);
}

#[test]
fn rows_are_added_by_column() {
    let text = "kernel embedding_grad(token: i64[B], g: f32[B,7]) -> (y: f32[10,7])
  for c in 7
    for v in 10
      y[v, c] = 0.0
    serial n in B
      place = check(token[n], 10)
      y[[place], c] = y[[place], c] + g[n, c]
  schedule thread(c) grain(1)
";
    check(&kernel(text), 64);
}

#[test]
fn updates_in_place_add_to_what_is_there() {
    let text = "kernel histogram(at: i64[B]) -> (inout count: f32[10])
  serial n in B
    place = check(at[n], 10)
    count[[place]] = count[[place]] + 1.0
";
    check(&kernel(text), 33);
}

#[test]
fn recurrences_follow_the_element_before() {
    let text = "kernel scan(a: f32[B,50], b: f32[B,50]) -> (y: f32[B,50], z: f32[B,50])
  for n in B
    serial t in 50
      y[n, t] = a[n, t] * y[n, t - 1 | 0.5] + b[n, t]
    serial s in 50
      z[n, 49 - s] = a[n, 49 - s] * z[n, 50 - s | 1] + b[n, 49 - s]
  schedule thread(n) grain(1)
";
    check(&kernel(text), 7);
}

#[test]
fn steps_run_row_major() {
    let text = "kernel last(at: i64[4,5]) -> (y: i64[10])
  for j in 10
    y[j] = -1
  serial s in 4, t in 5
    y[[check(at[s, t], 10)]] = index(5*s + t)
";
    check(&kernel(text), 1);
}

/// The value at one position of the index tensor `at`, which is tensor `tensor` of the kernel.
fn with_index(kernel: &Kernel, batch: usize, tensor: usize, position: usize, index: f64) -> Vec<Value> {
    let mut values = inputs(kernel, batch);
    values[tensor].data[position] = index;
    values
}

/// Whatever an index is, nothing outside of the tensors is touched (they stand between pages that fault), and what is wrong is told: the
/// position of the index, the value as it was given, and the bound.
#[test]
fn indices_out_of_range_are_reported_and_not_followed() {
    const FAR: [f64; 6] =
        [-1.0, 10.0, -9_223_372_036_854_775_808.0, 9_223_372_036_854_775_807.0, 2_305_843_009_213_693_952.0, 1e12];
    let stored = scatter("      y[n, [check(at[n, t, c], 10)], c] = src[n, t, c]");
    let added =
        scatter("      place = check(at[n, t, c], 10)\n      y[n, [place], c] = y[n, [place], c] + src[n, t, c]");
    let gathered = |lanes: &str| {
        kernel(&format!(
            "kernel gather(x: f32[B,10,3], at: i64[B,6,3]) -> (y: f32[B,6,3])
  for n in B, t in 6, c in 3
    y[n, t, c] = x[n, [check(at[n, t, c], 10)], c]
  schedule thread(n) grain(1){lanes}
"
        ))
    };
    for kernel in [stored, added, gathered(""), gathered(" vector(c:4)")] {
        let compiled = jit_of(&kernel);
        for (number, index) in FAR.into_iter().enumerate() {
            for at_end in [false, true] {
                let position = 17 + number;
                let values = with_index(&kernel, 2, 1, position, index);
                let (_, cell) = run_to_fault(compiled.kernels()[0], &kernel, &values, 2, 1, at_end);
                let report = format!("{cell:?}");
                for part in
                    ["code: 1", &format!("position: {position}"), &format!("value: {}", index as i64), "bound: 10"]
                {
                    assert!(report.contains(part), "{report} has no {part}\n{kernel}");
                }
            }
        }
    }
}

#[test]
fn negative_indices_count_from_the_end() {
    let text = "kernel pick(x: f32[B,10], at: i64[B,2]) -> (y: f32[B,2])
  for n in B, t in 2
    i = at[n, t] - 5
    y[n, t] = x[n, [check(select(i < 0, i + extent(10), i), 10)]]
  schedule thread(n) grain(1)
";
    let kernel = kernel(text);
    check(&kernel, 9);
    for index in [-6.0, 15.0, -9_223_372_036_854_775_808.0 + 16384.0] {
        let values = with_index(&kernel, 3, 1, 3, index);
        let (_, cell) = run_to_fault(jit_of(&kernel).kernels()[0], &kernel, &values, 3, 1, true);
        let report = format!("{cell:?}");
        for part in ["code: 3", "position: 3", &format!("value: {}", index as i64 - 5), "bound: 10"] {
            assert!(report.contains(part), "{report} has no {part}");
        }
    }
}
