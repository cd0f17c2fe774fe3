//! Parts of a tensor. The batch axis is taken whole: its extent is known only when the program runs (K0109).

use std::ops::{Deref, Index};

use kiln_ir::{Code, DType, Diagnostic, Dim, ops};

use crate::Tensor;
use crate::creation::positions;

/// The parts that a tensor is taken apart into, in order: a slice of tensors.
///
/// After a mistake, which may leave even their number open, every index gives a tensor without a value, so that the trace goes on and reports
/// what else is wrong.
#[derive(Clone, Debug)]
pub struct Parts {
    tensors: Vec<Tensor>,
    is_mistake: bool,
}

impl Parts {
    fn mistake() -> Parts {
        Parts { tensors: Vec::new(), is_mistake: true }
    }

    /// The parts as a vector; empty after a mistake.
    pub fn into_vec(self) -> Vec<Tensor> {
        self.tensors
    }
}

impl From<Vec<Tensor>> for Parts {
    fn from(tensors: Vec<Tensor>) -> Parts {
        Parts { tensors, is_mistake: false }
    }
}

impl Deref for Parts {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        &self.tensors
    }
}

impl Index<usize> for Parts {
    type Output = Tensor;

    #[track_caller]
    fn index(&self, part: usize) -> &Tensor {
        static POISON: Tensor = Tensor::poison();
        if self.is_mistake { &POISON } else { &self.tensors[part] }
    }
}

impl IntoIterator for Parts {
    type Item = Tensor;
    type IntoIter = std::vec::IntoIter<Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

impl Tensor {
    /// `length` positions of an axis from `start` on, which counts from the end when it is negative. Any dtype.
    ///
    /// An axis that does not exist is K0104, positions beyond the axis are K0105. Gradient: `g` with zeros around it.
    #[track_caller]
    pub fn narrow(self, axis: i64, start: i64, length: usize) -> Tensor {
        let Some((axis, extent)) = self.fixed_axis("narrow", axis) else { return Tensor::poison() };
        let from = if start < 0 { start + extent as i64 } else { start };
        match usize::try_from(from) {
            Ok(start) if start.saturating_add(length) <= extent => self.slice("narrow", axis, start, length),
            _ => {
                let message = format!("narrow needs positions inside 0..{extent}: found {length} from {start} on");
                Tensor::mistake(Diagnostic::new(Code::BadArgument, message))
            }
        }
    }

    /// [`Tensor::narrow`] from a position that is known only when the program runs: a whole number, which counts from the end when it is negative.
    /// Positions beyond the axis stop the step. Any dtype.
    ///
    /// An axis that does not exist is K0104, a `start` with axes K0102, one that is no whole number K0103, more positions than there are K0105.
    /// Gradient: `g` with zeros around it.
    #[track_caller]
    pub fn narrow_at(self, axis: i64, start: Tensor, length: usize) -> Tensor {
        let Some((axis, extent)) = self.fixed_axis("narrow_at", axis) else { return Tensor::poison() };
        if start.value().is_none() {
            return start;
        }
        let ty = start.ty();
        let fault = if ty.rank() > 0 {
            Some((Code::RankMismatch, format!("a start without axes: found {ty}")))
        } else if ty.dtype.is_float() || ty.dtype == DType::Bool {
            Some((Code::DTypeMismatch, format!("a whole number as its start: found {ty}")))
        } else if length > extent {
            Some((Code::BadArgument, format!("positions inside 0..{extent}: found {length}")))
        } else {
            None
        };
        if let Some((code, requirement)) = fault {
            return Tensor::mistake(Diagnostic::new(code, format!("narrow_at needs {requirement}")));
        }
        let start = start.to(DType::I64);
        let from = (start + extent as i64).where_self(start.lt(0), start);
        self.index_select(axis as i64, from + positions(&[Dim::fixed(length)], 0))
    }

    /// One position of an axis, without the axis; a negative one counts from the end. Any dtype.
    ///
    /// An axis that does not exist is K0104, a position beyond it K0105. Gradient: `g` with zeros around it.
    #[track_caller]
    pub fn select(self, axis: i64, position: i64) -> Tensor {
        let Some((axis, extent)) = self.fixed_axis("select", axis) else { return Tensor::poison() };
        let at = if position < 0 { position + extent as i64 } else { position };
        match usize::try_from(at) {
            Ok(at) if at < extent => self.one("select", axis, at),
            _ => {
                let message = format!("select needs a position in -{extent}..{extent}: found {position}");
                Tensor::mistake(Diagnostic::new(Code::BadArgument, message))
            }
        }
    }

    /// Parts of `size` positions of an axis, the last one of what is left. Any dtype.
    ///
    /// An axis that does not exist is K0104, a size of 0 K0105. Gradient: each part's `g` with zeros around it.
    #[track_caller]
    pub fn split(self, size: usize, axis: i64) -> Parts {
        let Some((axis, extent)) = self.fixed_axis("split", axis) else { return Parts::mistake() };
        if size == 0 && extent > 0 {
            let message = format!("split needs parts of at least 1 position: found 0 for {extent}");
            Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
            return Parts::mistake();
        }
        self.parts("split", axis, &sizes(extent, size))
    }

    /// Parts of these sizes along an axis. Any dtype.
    ///
    /// An axis that does not exist is K0104, sizes that are not the whole axis are K0101. Gradient: each part's `g` with zeros around it.
    #[track_caller]
    pub fn split_with_sizes(self, sizes: &[usize], axis: i64) -> Parts {
        let Some((axis, extent)) = self.fixed_axis("split_with_sizes", axis) else { return Parts::mistake() };
        if sizes.iter().sum::<usize>() != extent {
            let message = format!("split_with_sizes needs sizes that add up to its axis: {sizes:?} and {extent}");
            Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
            return Parts::mistake();
        }
        self.parts("split_with_sizes", axis, sizes)
    }

    /// At most `chunks` parts of an axis, of equal size but for the last: the size is the extent divided by `chunks`, rounded up. Any dtype.
    ///
    /// An axis that does not exist is K0104, no chunks are K0105. Gradient: each part's `g` with zeros around it.
    #[track_caller]
    pub fn chunk(self, chunks: usize, axis: i64) -> Parts {
        let Some((axis, extent)) = self.fixed_axis("chunk", axis) else { return Parts::mistake() };
        if chunks == 0 {
            Tensor::mistake(Diagnostic::new(Code::BadArgument, "chunk needs at least 1 chunk: found 0"));
            return Parts::mistake();
        }
        let sizes = if extent == 0 { vec![0; chunks] } else { sizes(extent, extent.div_ceil(chunks)) };
        self.parts("chunk", axis, &sizes)
    }

    /// Every position of an axis, without the axis: what Python's `list(x)` is for the first. Any dtype.
    ///
    /// An axis that does not exist is K0104. Gradient: each part's `g` with zeros around it.
    #[track_caller]
    pub fn unbind(self, axis: i64) -> Parts {
        let Some((axis, extent)) = self.fixed_axis("unbind", axis) else { return Parts::mistake() };
        let mut parts = Vec::with_capacity(extent);
        for position in 0..extent {
            parts.push(self.one("unbind", axis, position));
        }
        parts.into()
    }

    /// Windows of `size` positions along an axis at distance `step`: the windows stand where the axis was, their positions on a new last axis.
    /// Any dtype. PyTorch's `Tensor.unfold`.
    ///
    /// An axis that does not exist is K0104, a window larger than the axis and a step of 0 are K0105. Gradient: at each position the sum
    /// of `g` over the windows that it is in.
    #[track_caller]
    pub fn unfold(self, axis: i64, size: usize, step: usize) -> Tensor {
        let Some(axis) = self.axis_or_scalar("unfold", axis) else { return Tensor::poison() };
        let x = self.flatten_scalar();
        let windows = ops::Windows { axes: vec![axis], size: vec![size], step: vec![step], dilation: vec![1] };
        let unfolded = Tensor::apply_as("unfold", windows, &[x]);
        // A tensor without axes has one window, and no axis that it could stand on.
        if self.rank() == 0 { unfolded.flatten(0, -1) } else { unfolded }
    }

    /// Consecutive parts along an axis.
    #[track_caller]
    fn parts(self, method: &str, axis: usize, sizes: &[usize]) -> Parts {
        let (mut parts, mut start) = (Vec::with_capacity(sizes.len()), 0);
        for &size in sizes {
            parts.push(self.slice(method, axis, start, size));
            start += size;
        }
        parts.into()
    }

    /// One position of an axis, without the axis.
    #[track_caller]
    fn one(self, method: &str, axis: usize, position: usize) -> Tensor {
        let mut dims = self.shape().0;
        dims.remove(axis);
        self.slice(method, axis, position, 1).in_shape(dims)
    }

    /// Positions of an axis that are known to exist.
    #[track_caller]
    pub(crate) fn slice(self, method: &str, axis: usize, start: usize, length: usize) -> Tensor {
        if self.shape().0[axis].as_fixed() == Some(length) {
            return self;
        }
        Tensor::apply_as(method, ops::Slice { axis, start, length, step: 1 }, &[self])
    }
}

/// The sizes of the parts of `extent` positions, `size` each; one empty part of nothing.
fn sizes(extent: usize, size: usize) -> Vec<usize> {
    match extent {
        0 => vec![0],
        _ => (0..extent).step_by(size).map(|start| size.min(extent - start)).collect(),
    }
}
