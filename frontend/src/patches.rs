//! Images laid out anew.

use kiln_ir::{Code, Diagnostic, Dim, ops};

use crate::Tensor;

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
