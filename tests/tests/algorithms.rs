//! The algorithms of convolutions, against each other and against sums in `f64`: what each may lose is written here.

use kiln::functional::{Padding, Window};
use kiln::{Algorithm, Compiler, DType, Function, Selection};

/// Channels, extents, padding and stride of a convolution by 3 x 3 taps.
struct Case {
    channels: [usize; 2],
    extents: [usize; 2],
    padding: usize,
    stride: usize,
}

const SAMPLES: usize = 2;

/// Tiles that fit, tiles that stand over the edge, no padding, much padding, one row, strides, and many channels.
const CASES: [Case; 6] = [
    Case { channels: [5, 7], extents: [8, 12], padding: 1, stride: 1 },
    Case { channels: [3, 33], extents: [7, 9], padding: 0, stride: 1 },
    Case { channels: [32, 16], extents: [5, 6], padding: 2, stride: 1 },
    Case { channels: [64, 64], extents: [1, 14], padding: 1, stride: 1 },
    Case { channels: [33, 32], extents: [13, 10], padding: 1, stride: 2 },
    Case { channels: [256, 64], extents: [14, 14], padding: 1, stride: 1 },
];

/// The error of each algorithm, relative to the greatest element of a result. The worst of these cases are 1.2e-6, 0.9e-6 and 3.7e-6: tiles of two outputs
/// lose nothing to speak of, tiles of four, whose matrices are not exact, two bits.
const BOUNDS: [(Algorithm, f64); 3] =
    [(Algorithm::Direct, 2e-6), (Algorithm::Winograd(2), 2e-6), (Algorithm::Winograd(4), 1.5e-5)];

#[test]
fn every_algorithm_stays_within_its_bound() {
    for case in &CASES {
        let (x, w) = (ramp(case.input(), 0.37), ramp(case.weight(), 0.11));
        let g = ramp(case.output(), 0.23);
        let expected = case.in_f64(&x, &w, &g);
        for (algorithm, bound) in BOUNDS {
            let found = case.compiled(Selection::Forced(algorithm), &x, &w, &g);
            for (what, (found, expected)) in ["y", "d_x", "d_w"].iter().zip(found.iter().zip(&expected)) {
                let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
                let errors = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs() / scale);
                let worst = errors.fold(0.0_f64, f64::max);
                assert!(worst <= bound, "{what} of {:?} by {algorithm:?}: {worst:e}", case.extents);
            }
        }
    }
}

#[test]
fn exact_is_direct() {
    let case = &CASES[5];
    let (x, w) = (ramp(case.input(), 0.37), ramp(case.weight(), 0.11));
    let g = ramp(case.output(), 0.23);
    let [exact, direct, chosen] = [Selection::Exact, Selection::Forced(Algorithm::Direct), Selection::Heuristic]
        .map(|selection| case.compiled(selection, &x, &w, &g));
    assert_eq!(exact, direct);
    assert_ne!(exact, chosen, "with this many channels another algorithm is cheaper");
}

impl Case {
    fn input(&self) -> [usize; 4] {
        [SAMPLES, self.channels[0], self.extents[0], self.extents[1]]
    }

    fn weight(&self) -> [usize; 4] {
        [self.channels[1], self.channels[0], 3, 3]
    }

    fn output(&self) -> [usize; 4] {
        let [height, width] = self.extents.map(|extent| (extent + 2 * self.padding - 3) / self.stride + 1);
        [SAMPLES, self.channels[1], height, width]
    }

    /// The result and the gradients of its product with `g`.
    fn compiled(&self, selection: Selection, x: &[f32], w: &[f32], g: &[f32]) -> [Vec<f32>; 3] {
        let function = Function::new("convolution")
            .input("x", DType::F32, self.input())
            .input("w", DType::F32, self.weight())
            .gradient_of("x")
            .gradient_of("w");
        let padding = Padding::Zeros([self.padding; 2]);
        let window = || Window { stride: [self.stride; 2], padding, ..Window::default() };
        let traced = function.trace(|given| vec![given["x"].conv2d(given["w"], None, window())]).expect("it fits");
        let compiler = Compiler::new().algorithms(selection);
        let compiled = compiler.compile_traced(traced).and_then(|compiled| compiled.jit(&compiler));
        let mut trainer = compiled.unwrap_or_else(|error| panic!("{}", error.render()));
        for (name, elements) in [("x", x), ("w", w)] {
            let mut slot = trainer.slot_mut(name).expect("what is differentiated is state");
            slot.elements_mut::<f32>().expect("it is f32").copy_from_slice(elements);
        }
        trainer.run("train_step", &[g.into()]).expect("it runs");
        ["prediction", "d_x", "d_w"].map(|name| {
            let slot = trainer.slot(name).expect("it is an output");
            slot.elements::<f32>().expect("it is f32").to_vec()
        })
    }

    /// The same as plain sums.
    fn in_f64(&self, x: &[f32], w: &[f32], g: &[f32]) -> [Vec<f64>; 3] {
        let [input, weight, output] = [self.input(), self.weight(), self.output()];
        let (mut y, mut d_x, mut d_w) = (vec![0.0; g.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        for n in 0..SAMPLES {
            for (o, h, v) in positions([output[1], output[2], output[3]]) {
                for (c, i, j) in positions([input[1], 3, 3]) {
                    let row = (h * self.stride + i).checked_sub(self.padding).filter(|&row| row < input[2]);
                    let column = (v * self.stride + j).checked_sub(self.padding).filter(|&column| column < input[3]);
                    let Some((row, column)) = row.zip(column) else { continue };
                    let at_y = flat(output, [n, o, h, v]);
                    let (at_x, at_w) = (flat(input, [n, c, row, column]), flat(weight, [o, c, i, j]));
                    let (x, w, g) = (f64::from(x[at_x]), f64::from(w[at_w]), f64::from(g[at_y]));
                    y[at_y] += x * w;
                    d_x[at_x] += g * w;
                    d_w[at_w] += g * x;
                }
            }
        }
        [y, d_x, d_w]
    }
}

fn positions([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

fn flat(shape: [usize; 4], index: [usize; 4]) -> usize {
    shape.iter().zip(index).fold(0, |at, (extent, position)| at * extent + position)
}

/// Numbers of both signs without a pattern.
fn ramp(shape: [usize; 4], step: f64) -> Vec<f32> {
    (0..shape.iter().product()).map(|at: usize| ((at as f64 * step).sin() * 43.0).fract() as f32).collect()
}
