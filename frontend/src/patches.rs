//! Images laid out anew: patches as columns and back, channels in space and back. `nn.functional.unfold` and `fold` have the names that
//! PyTorch has for them inside, `im2col` and `col2im`, as [`Tensor::unfold`] is another function.

use kiln_ir::{Code, Diagnostic, Dim, Number, ops};

use crate::Tensor;
use crate::spatial::PerAxis;

/// The patches of an image; `Patches::new(kernel)` has PyTorch's defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patches {
    /// Height and width of a patch.
    pub kernel: [usize; 2],
    /// Distance between the taps of a patch.
    pub dilation: [usize; 2],
    /// Zeros around the image.
    pub padding: [usize; 2],
    /// Distance between patches.
    pub stride: [usize; 2],
}

impl Patches {
    /// Patches of this size at every position.
    pub fn new(kernel: impl PerAxis<2>) -> Patches {
        Patches { kernel: kernel.per_axis(), dilation: [1; 2], padding: [0; 2], stride: [1; 2] }
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn windows(&self) -> ops::Windows {
        let Patches { kernel, dilation, stride, .. } = *self;
        ops::Windows { axes: vec![2, 3], size: kernel.to_vec(), step: stride.to_vec(), dilation: dilation.to_vec() }
    }

    /// How many patches an image has along each axis, or what is wrong.
    fn counts(&self, method: &str, image: [usize; 2]) -> Result<[usize; 2], Diagnostic> {
        let mut counts = [0; 2];
        let fault = |requirement: String| Diagnostic::new(Code::BadArgument, format!("{method} needs {requirement}"));
        if self.kernel.contains(&0) || self.dilation.contains(&0) || self.stride.contains(&0) {
            return Err(fault(format!("kernel, dilation and stride of at least 1: found {self:?}")));
        }
        for axis in 0..2 {
            let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let padded = image[axis] + 2 * self.padding[axis];
            let room = padded.checked_sub(span).ok_or_else(|| {
                fault(format!("patches no larger than the padded image: they span {span} of {padded} positions"))
            })?;
            counts[axis] = room / self.stride[axis] + 1;
        }
        Ok(counts)
    }
}

impl Tensor {
    /// `y[n, c·taps + k, l]` is channel `c` at tap `k` of patch `l`, both counted row-major; x: `[batch, channels, h, w]` or one sample.
    /// PyTorch's `nn.functional.unfold`. Gradient: [`Tensor::col2im`].
    ///
    /// K0102 for other ranks; K0105 for patches that do not fit.
    #[track_caller]
    pub fn im2col(self, patches: Patches) -> Tensor {
        let (x, added) = self.as_batch(3);
        let Some(&[h, w]) = x.extents_of("unfold", 4).as_deref() else { return Tensor::poison() };
        if x.shape().0[1..].contains(&Dim::fixed(0)) {
            let message = format!("unfold needs channels and positions in its input: found {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let counts = match patches.counts("unfold", [h, w]) {
            Ok(counts) => counts,
            Err(diagnostic) => return Tensor::mistake(diagnostic),
        };
        let mut padded = x;
        for (axis, &width) in patches.padding.iter().enumerate().filter(|(_, width)| **width > 0) {
            let pad = ops::Pad { axis: axis + 2, low: width, high: width, interior: 0, value: Number::new(0.0) };
            padded = Tensor::apply_as("unfold", pad, &[padded]);
        }
        let windows = Tensor::apply_as("unfold", patches.windows(), &[padded]);
        let (batch, channels) = (x.shape().0[0], x.shape().0[1].factor);
        let shape = vec![batch, Dim::fixed(channels * patches.taps()), Dim::fixed(counts[0] * counts[1])];
        windows.permute(&[0, 1, 4, 5, 2, 3]).reshape(shape).without_batch(added)
    }

    /// The sum of all patches at each position of an image of this size: the transpose of [`Tensor::im2col`]; x:
    /// `[batch, channels·taps, patches]` or one sample. PyTorch's `nn.functional.fold`. Gradient: [`Tensor::im2col`].
    ///
    /// K0102 for other ranks; K0105 for patches that do not fit; K0101 for rows that the taps do not divide, and another number of patches.
    #[track_caller]
    pub fn col2im(self, image: [usize; 2], patches: Patches) -> Tensor {
        let (x, added) = self.as_batch(2);
        let Some(&[count]) = x.extents_of("fold", 3).as_deref() else { return Tensor::poison() };
        let counts = match patches.counts("fold", image) {
            Ok(counts) => counts,
            Err(diagnostic) => return Tensor::mistake(diagnostic),
        };
        let (batch, rows, taps) = (x.shape().0[0], x.shape().0[1].factor, patches.taps());
        if !rows.is_multiple_of(taps) || counts[0] * counts[1] != count {
            let [down, across] = counts;
            let message = format!(
                "fold needs rows that {taps} taps divide and {down}·{across} patches for an image {image:?}: found {}",
                x.shape()
            );
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let split = [rows / taps, patches.kernel[0], patches.kernel[1], counts[0], counts[1]].map(Dim::fixed);
        let windows = x.reshape([&[batch], split.as_slice()].concat()).permute(&[0, 1, 4, 5, 2, 3]);
        let ops::Windows { axes, size, step, dilation } = patches.windows();
        let extent = (0..2).map(|axis| image[axis] + 2 * patches.padding[axis]).collect();
        let fold = ops::FoldWindows { axes, size, step, dilation, extent };
        let mut folded = Tensor::apply_as("fold", fold, &[windows]);
        for (axis, &start) in patches.padding.iter().enumerate().filter(|(_, start)| **start > 0) {
            let slice = ops::Slice { axis: axis + 2, start, length: image[axis], step: 1 };
            folded = Tensor::apply_as("fold", slice, &[folded]);
        }
        folded.without_batch(added)
    }

    /// The constant extents after batch and channels of a tensor with so many axes.
    #[track_caller]
    fn extents_of(self, method: &str, rank: usize) -> Option<Vec<usize>> {
        self.value()?;
        if self.rank() != rank {
            let message = format!("{method} needs `input` with {rank} axes, found {} with {}", self.ty(), self.rank());
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
            return None;
        }
        self.fixed_extents(method, 1).map(|extents| extents[1..].to_vec())
    }
}

impl Tensor {
    /// Channels laid out in space: `y[.., c, h·r + i, w·r + j] = x[.., c·r² + i·r + j, h, w]` (Shi et al., 2016).
    ///
    /// K0102 for fewer than three axes; K0105 for a factor of 0 or one whose square does not divide the channels.
    #[track_caller]
    pub fn pixel_shuffle(self, factor: usize) -> Tensor {
        let Some((leading, [c, h, w])) = self.image("pixel_shuffle") else { return Tensor::poison() };
        if factor == 0 || !c.is_multiple_of(factor * factor) {
            let message =
                format!("pixel_shuffle needs channels that the square of its factor divides: {c} and {factor}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let split = [c / (factor * factor), factor, factor, h, w];
        self.rearranged(&leading, split, [0, 3, 1, 4, 2], [c / (factor * factor), h * factor, w * factor])
    }

    /// The inverse of [`Tensor::pixel_shuffle`]: `y[.., c·r² + i·r + j, h, w] = x[.., c, h·r + i, w·r + j]`.
    ///
    /// K0102 for fewer than three axes; K0105 for a factor of 0 or one that does not divide height and width.
    #[track_caller]
    pub fn pixel_unshuffle(self, factor: usize) -> Tensor {
        let Some((leading, [c, h, w])) = self.image("pixel_unshuffle") else { return Tensor::poison() };
        if factor == 0 || !h.is_multiple_of(factor) || !w.is_multiple_of(factor) {
            let message =
                format!("pixel_unshuffle needs a height and width that its factor divides: {h}, {w} and {factor}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let split = [c, h / factor, factor, w / factor, factor];
        self.rearranged(&leading, split, [0, 2, 4, 1, 3], [c * factor * factor, h / factor, w / factor])
    }

    /// The leading extents, and channels, height and width.
    #[track_caller]
    fn image(self, method: &str) -> Option<(Vec<Dim>, [usize; 3])> {
        self.value()?;
        let dims = self.shape().0;
        let Some(leading) = dims.len().checked_sub(3) else {
            let message = format!("{method} needs [.., channels, height, width]: found {}", self.ty());
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
            return None;
        };
        let extents = self.fixed_extents(method, leading)?;
        Some((dims[..leading].to_vec(), [extents[0], extents[1], extents[2]]))
    }

    /// The last three axes split into five, in another order, and joined to three again.
    #[track_caller]
    fn rearranged(self, leading: &[Dim], split: [usize; 5], order: [usize; 5], joined: [usize; 3]) -> Tensor {
        let shape =
            |extents: &[usize]| [leading, &extents.iter().copied().map(Dim::fixed).collect::<Vec<_>>()].concat();
        let dims = (0..leading.len()).chain(order.map(|axis| leading.len() + axis)).collect();
        let parts = Tensor::apply(ops::Reshape { shape: shape(&split) }, &[self]);
        let moved = Tensor::apply(ops::Permute { dims }, &[parts]);
        Tensor::apply(ops::Reshape { shape: shape(&joined) }, &[moved])
    }
}
