//! What functions over spatial axes share: a number for each axis, and inputs without a batch axis.

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim, Number};

use crate::Tensor;

/// Numbers for `N` axes: one for all of them, or one for each.
pub trait PerAxis<const N: usize> {
    /// The numbers.
    fn per_axis(self) -> [usize; N];
}

impl<const N: usize> PerAxis<N> for usize {
    fn per_axis(self) -> [usize; N] {
        [self; N]
    }
}

impl<const N: usize> PerAxis<N> for [usize; N] {
    fn per_axis(self) -> [usize; N] {
        self
    }
}

impl Tensor {
    /// The tensor with a batch axis in front of `sample` axes, and whether it had none. Other ranks stay as they are, for the op to refuse.
    #[track_caller]
    pub(crate) fn as_batch(self, sample: usize) -> (Tensor, bool) {
        let is_sample = self.value().is_some() && self.rank() == sample && !self.shape().0[0].batch;
        if is_sample { (self.unsqueeze(0), true) } else { (self, false) }
    }

    /// The result for a tensor from [`Tensor::as_batch`]: without the batch axis, if that was added.
    #[track_caller]
    pub(crate) fn without_batch(self, added: bool) -> Tensor {
        if added { self.squeeze(0) } else { self }
    }

    /// Whether a layer's input has as many axes as it needs, the batch axis among them; otherwise a mistake is noted. Layers take batches
    /// only, as a sample whose first axis is taken for the batch would train on nonsense.
    #[track_caller]
    pub(crate) fn is_batch_of(self, layer: &str, rank: usize) -> bool {
        if self.value().is_none() || self.rank() == rank {
            return true;
        }
        let message = format!("{layer} needs `input` with {rank} axes, found {} with {}", self.ty(), self.rank());
        let diagnostic = Diagnostic::new(Code::RankMismatch, message);
        let has_batch = self.shape().0.first().is_some_and(|dim| dim.batch);
        Tensor::mistake(match (self.rank() + 1 == rank, has_batch) {
            (true, false) => diagnostic.help("add the batch axis: `unsqueeze(0)` makes a batch of one sample"),
            (true, true) => diagnostic.help("add the axis that is missing: `unsqueeze(1)` makes one channel"),
            (false, _) => diagnostic,
        });
        false
    }

    /// A tensor of numbers that are known when it is traced.
    #[track_caller]
    pub(crate) fn table(data: impl IntoIterator<Item = f64>, shape: &[usize], dtype: DType) -> Tensor {
        let data = data.into_iter().map(Number::new).collect();
        Tensor::apply(ops::Constant { dtype, shape: shape.iter().copied().map(Dim::fixed).collect(), data }, &[])
    }

    /// The constant extents of the axes from `from` on; a symbolic one is a mistake.
    #[track_caller]
    pub(crate) fn fixed_extents(self, method: &str, from: usize) -> Option<Vec<usize>> {
        self.value()?;
        let dims = self.shape().0;
        let extents: Option<Vec<usize>> = dims.get(from..)?.iter().map(|dim| dim.as_fixed()).collect();
        if extents.is_none() {
            let message = format!("{method} needs the batch axis in front of its spatial axes: found {}", self.ty());
            Tensor::mistake(Diagnostic::new(Code::BatchAxis, message));
        }
        extents
    }
}
