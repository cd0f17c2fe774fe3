//! More positions, or fewer, at the ends of the last axes: `torch.nn.functional.pad`.

use kiln_ir::{Code, Diagnostic, Dim, Number, ops};

use super::join::cat;
use crate::Tensor;
use crate::words::words;

words! {
    /// What [`Tensor::pad_with`] puts around a tensor.
    pub enum PadMode: "padding mode" {
        /// Zeros; for another value there is [`Tensor::pad`].
        Constant = "constant",
        /// The tensor mirrored at its first and last positions, which are not repeated.
        Reflect = "reflect",
        /// The first and the last position again and again.
        Replicate = "replicate",
        /// The other end of the tensor.
        Circular = "circular",
    }
}

impl Tensor {
    /// A value around the last axes. Widths are those in front and at the end of the last axis, then of the one before, and so on; a negative
    /// one takes positions away. Any dtype.
    ///
    /// An odd number of widths, widths for more axes than there are and axes that would have a negative extent are K0105, the batch axis is
    /// K0109. Gradient: `g` without the padding, and zeros where positions were taken away.
    #[track_caller]
    pub fn pad(self, widths: &[i64], value: f64) -> Tensor {
        self.pad_last(widths, PadMode::Constant, value)
    }

    /// [`Tensor::pad`] with what the mode says. Like PyTorch, the modes but `Constant` pad the last one to three axes of tensors with one or two
    /// more (K0102).
    ///
    /// K0105 also for widths that the tensor cannot fill: `Reflect` has a position less on each side than the axis, `Circular` all of them,
    /// `Replicate` needs one. Gradient: at each position the sum of `g` over its copies.
    #[track_caller]
    pub fn pad_with(self, widths: &[i64], mode: PadMode) -> Tensor {
        let (axes, rank) = (widths.len() / 2, self.rank());
        let fits = (1..=3).contains(&axes) && (axes + 1..=axes + 2).contains(&rank);
        if self.value().is_some() && mode != PadMode::Constant && !fits {
            let word = mode.word();
            let message =
                format!("pad needs one to three axes to {word}, and one or two before: {axes} of {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        self.pad_last(widths, mode, 0.0)
    }

    #[track_caller]
    fn pad_last(self, widths: &[i64], mode: PadMode, value: f64) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        if !widths.len().is_multiple_of(2) || widths.len() / 2 > self.rank() {
            let message = format!("pad needs two widths for each of the last axes of {}: found {widths:?}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let mut result = self;
        for (n, pair) in widths.as_chunks().0.iter().copied().enumerate().filter(|(_, pair)| *pair != [0_i64; 2]) {
            let axis = -1 - n as i64;
            let Some((_, extent)) = result.fixed_axis("pad", axis) else { return Tensor::poison() };
            let (taken, added) = (pair.map(|width| width.min(0)), pair.map(|width| width.max(0) as usize));
            if extent as i64 + pair[0] + pair[1] < 0 {
                let message = format!("pad needs no more positions to take away than there are: {pair:?} and {extent}");
                return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
            }
            // The copies of `Reflect` and `Replicate` are of positions of the whole axis, those of `Circular` of what is kept.
            result = match mode {
                PadMode::Reflect | PadMode::Replicate => result.pad_axis(axis, added, mode, value).without(axis, taken),
                PadMode::Constant | PadMode::Circular => result.without(axis, taken).pad_axis(axis, added, mode, value),
            };
        }
        result
    }

    /// An axis without the positions that negative widths take away.
    #[track_caller]
    fn without(self, axis: i64, [low, high]: [i64; 2]) -> Tensor {
        let Some((_, extent)) = self.fixed_axis("pad", axis) else { return Tensor::poison() };
        let left = (extent as i64 + low + high).max(0) as usize;
        if left == extent { self } else { self.narrow(axis, -low, left) }
    }

    /// Padding of one axis, by a mode or a value.
    #[track_caller]
    fn pad_axis(self, at: i64, [low, high]: [usize; 2], mode: PadMode, value: f64) -> Tensor {
        let Some((axis, extent)) = self.fixed_axis("pad", at) else { return Tensor::poison() };
        let available = match mode {
            PadMode::Constant => {
                let pad = ops::Pad { axis, low, high, interior: 0, value: Number::new(value) };
                return if low + high == 0 { self } else { Tensor::apply(pad, &[self]) };
            }
            PadMode::Reflect => extent.saturating_sub(1),
            PadMode::Circular => extent,
            PadMode::Replicate if extent == 0 => 0,
            PadMode::Replicate => usize::MAX,
        };
        if low.max(high) > available {
            let word = mode.word();
            let message =
                format!("pad needs at most {available} positions to {word}: found {low} and {high} for {extent}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let mut parts = Vec::with_capacity(3);
        if low > 0 {
            parts.push(match mode {
                PadMode::Reflect => self.slice("pad", axis, 1, low).flip(&[at]),
                PadMode::Circular => self.slice("pad", axis, extent - low, low),
                _ => self.repeated(axis, 0, low),
            });
        }
        parts.push(self);
        if high > 0 {
            parts.push(match mode {
                PadMode::Reflect => self.slice("pad", axis, extent - 1 - high, high).flip(&[at]),
                PadMode::Circular => self.slice("pad", axis, 0, high),
                _ => self.repeated(axis, extent - 1, high),
            });
        }
        cat(&parts, at)
    }

    /// One position of an axis, `count` times.
    #[track_caller]
    fn repeated(self, axis: usize, position: usize, count: usize) -> Tensor {
        let mut dims = self.shape().0;
        dims[axis] = Dim::fixed(count);
        self.slice("pad", axis, position, 1).broadcast_as("pad", &dims.into())
    }
}
