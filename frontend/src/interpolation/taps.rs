//! Which elements an element of the result is made of, and with which weights.

use super::{Interpolation, InterpolationMode};

/// A kernel by pieces: the neighbours of `⌊x⌋` that it reaches, and the weight of each as a polynomial of `x - ⌊x⌋`, constant first.
pub(crate) struct Kernel {
    pub(crate) offsets: &'static [i64],
    pub(crate) weights: &'static [[f64; 4]],
}

/// The element itself.
pub(crate) const NEAREST: Kernel = Kernel { offsets: &[0], weights: &[[1.0, 0.0, 0.0, 0.0]] };

/// A line between two.
pub(crate) const LINEAR: Kernel = Kernel { offsets: &[0, 1], weights: &[[1.0, -1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]] };

/// Keys' cubic convolution with a = -0.75.
pub(crate) const CUBIC: Kernel = Kernel {
    offsets: &[-1, 0, 1, 2],
    weights: &[[0.0, -0.75, 1.5, -0.75], [1.0, 0.0, -2.25, 1.25], [0.0, 0.75, 1.5, -1.25], [0.0, 0.0, -0.75, 0.75]],
};

impl Kernel {
    /// The weight of the n-th neighbour.
    fn weight(&self, n: usize, fraction: f64) -> f64 {
        self.weights[n].iter().rev().fold(0.0, |sum, coefficient| sum * fraction + coefficient)
    }
}

/// The elements that each element of the result is made of, `count` for each.
pub(super) struct Taps {
    pub(super) count: usize,
    pub(super) index: Vec<usize>,
    pub(super) weight: Vec<f64>,
}

impl Taps {
    pub(super) fn new(options: &Interpolation, input: usize, output: usize, factor: Option<f64>) -> Taps {
        let align_corners = options.align_corners == Some(true);
        let scale = match factor {
            _ if align_corners && output == 1 => 0.0,
            _ if align_corners => (input - 1) as f64 / (output - 1) as f64,
            Some(factor) => 1.0 / factor,
            None => input as f64 / output as f64,
        };
        if options.antialias {
            return Taps::antialiased(options.mode, input, output, scale);
        }
        // PyTorch rounds the position of a nearest element to f32, which keeps products such as 3·(1/0.6) whole.
        let whole = |position: f64| f64::from((position as f32).floor());
        let kernel = match options.mode {
            InterpolationMode::Nearest | InterpolationMode::NearestExact => &NEAREST,
            InterpolationMode::Bicubic => &CUBIC,
            _ => &LINEAR,
        };
        let position = |at: usize| match options.mode {
            InterpolationMode::Nearest => whole(at as f64 * scale),
            InterpolationMode::NearestExact => whole((at as f64 + 0.5) * scale),
            _ if align_corners => at as f64 * scale,
            InterpolationMode::Bicubic => (at as f64 + 0.5) * scale - 0.5,
            _ => ((at as f64 + 0.5) * scale - 0.5).max(0.0),
        };
        let mut taps = Taps { count: kernel.offsets.len(), index: Vec::new(), weight: Vec::new() };
        for at in 0..output {
            let position = position(at);
            for (n, &offset) in kernel.offsets.iter().enumerate() {
                taps.index.push((position.floor() as i64 + offset).clamp(0, input as i64 - 1) as usize);
                taps.weight.push(kernel.weight(n, position - position.floor()));
            }
        }
        taps
    }

    /// The kernel as wide as an element of the result covers, with weights that add up to 1 inside the input (as Pillow has it; the cubic
    /// one with a = -0.5).
    fn antialiased(mode: InterpolationMode, input: usize, output: usize, scale: f64) -> Taps {
        let (radius, filter): (f64, fn(f64) -> f64) = match mode {
            InterpolationMode::Bicubic => (2.0, |x| match x.abs() {
                x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
                _ => 0.0,
            }),
            _ => (1.0, |x| (1.0 - x.abs()).max(0.0)),
        };
        let stretch = scale.max(1.0);
        let window = |at: usize| {
            let centre = scale * (at as f64 + 0.5);
            let first = (centre - radius * stretch + 0.5).max(0.0) as usize;
            let end = ((centre + radius * stretch + 0.5) as usize).min(input);
            let weights: Vec<f64> = (first..end).map(|j| filter((j as f64 - centre + 0.5) / stretch)).collect();
            (first, weights)
        };
        let windows: Vec<(usize, Vec<f64>)> = (0..output).map(window).collect();
        let count = windows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1).max(1);
        let mut taps = Taps { count, index: Vec::new(), weight: Vec::new() };
        for (first, weights) in windows {
            let total: f64 = weights.iter().sum();
            for n in 0..count {
                taps.index.push((first + n.min(weights.len().saturating_sub(1))).min(input - 1));
                taps.weight.push(weights.get(n).map_or(0.0, |weight| weight / total));
            }
        }
        taps
    }
}
