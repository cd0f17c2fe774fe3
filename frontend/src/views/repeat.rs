//! Elements several times: views until something needs them side by side.

use kiln_ir::{Code, Diagnostic, Dim, Shape};

use super::join::cat;
use super::shape::asked;
use crate::Tensor;
use crate::tensor::{Size, Sizes};
use crate::words::words;

impl Tensor {
    /// Repeated along axes of extent 1 and along new leading axes; `-1` keeps an extent. Any dtype.
    ///
    /// Extents that do not broadcast are K0101, a `-1` for a new axis K0105. Gradient: `g` summed over what was repeated.
    #[track_caller]
    pub fn expand(self, sizes: impl Sizes) -> Tensor {
        let from = self.shape();
        let sizes = sizes.sizes();
        let new = sizes.len().saturating_sub(from.rank());
        let dim = |(axis, size): (usize, &Size)| match size {
            Size::Dim(dim) => Some(*dim),
            Size::Rest if axis >= new => from.0.get(axis - new).copied(),
            _ => None,
        };
        match sizes.iter().enumerate().map(dim).collect::<Option<Vec<Dim>>>() {
            Some(shape) => self.broadcast(&Shape(shape)),
            None => {
                let asked = asked(&sizes);
                let message = format!("expand needs extents, with -1 only for axes that exist: {from} to {asked}");
                Tensor::mistake(Diagnostic::new(Code::BadArgument, message))
            }
        }
    }

    /// [`Tensor::expand`] under the name that NumPy gives it.
    #[track_caller]
    pub fn broadcast_to(self, sizes: impl Sizes) -> Tensor {
        self.expand(sizes)
    }

    /// [`Tensor::expand`] to the shape of another tensor, whose elements do not matter.
    #[track_caller]
    pub fn expand_as(self, other: Tensor) -> Tensor {
        match other.value() {
            Some(_) => self.broadcast(&other.shape()),
            None => Tensor::poison(),
        }
    }

    /// The whole tensor several times along each axis; more counts than axes put new axes in front. Any dtype.
    ///
    /// Fewer counts than axes are K0105, copies of the batch axis K0109. Gradient: the sum of `g` over the copies.
    #[track_caller]
    pub fn repeat(self, counts: &[usize]) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        let dims = self.shape().0;
        let Some(new) = counts.len().checked_sub(dims.len()) else {
            let message = format!("repeat needs a count for each axis: {counts:?} for {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        };
        // An axis is its copies one after another: `[1, extent]`, then `[count, extent]`, then one axis again. An axis that is not repeated
        // needs none of this, so that a batch axis stays in front.
        let (mut once, mut copied, mut joined) = (Vec::new(), Vec::new(), Vec::new());
        for (&count, extent) in counts.iter().zip(std::iter::repeat_n(Dim::ONE, new).chain(dims)) {
            if count != 1 {
                once.push(Dim::ONE);
                copied.push(Dim::fixed(count));
            }
            once.push(extent);
            copied.push(extent);
            joined.push(Dim { factor: count.saturating_mul(extent.factor), batch: extent.batch });
        }
        self.in_shape(once).broadcast_as("repeat", &copied.into()).in_shape(joined)
    }

    /// [`Tensor::repeat`], where counts that are missing in front are 1.
    #[track_caller]
    pub fn tile(self, counts: &[usize]) -> Tensor {
        let missing = self.rank().saturating_sub(counts.len());
        let counts: Vec<usize> = std::iter::repeat_n(1, missing).chain(counts.iter().copied()).collect();
        self.repeat(&counts)
    }

    /// Each position of an axis `count` times in a row; without an axis, each element of the flattened tensor. Any dtype.
    ///
    /// An axis that does not exist is K0104. Gradient: the sum of `g` over the copies.
    #[track_caller]
    pub fn repeat_interleave(self, count: usize, axis: impl Into<Option<i64>>) -> Tensor {
        let Some((x, axis)) = self.along("repeat_interleave", axis.into()) else { return Tensor::poison() };
        let mut dims = x.shape().0;
        dims.insert(axis + 1, Dim::ONE);
        let once = x.in_shape(dims.clone());
        dims[axis + 1] = Dim::fixed(count);
        let copied = once.broadcast_as("repeat_interleave", &dims.clone().into());
        let copies = dims.remove(axis + 1).factor;
        dims[axis].factor = dims[axis].factor.saturating_mul(copies);
        copied.in_shape(dims)
    }

    /// [`Tensor::repeat_interleave`] with a count for each position. Another number of counts than positions is K0101.
    #[track_caller]
    pub fn repeat_interleave_each(self, counts: &[usize], axis: impl Into<Option<i64>>) -> Tensor {
        let Some((x, axis)) = self.along("repeat_interleave", axis.into()) else { return Tensor::poison() };
        let extent = x.shape().0[axis];
        if extent != Dim::fixed(counts.len()) {
            let message = format!("repeat_interleave needs a count for each position: {} and {extent}", counts.len());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let at = axis as i64;
        let mut parts = Vec::with_capacity(counts.len());
        for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mut dims = x.shape().0;
            dims[axis] = Dim::fixed(count);
            parts.push(x.narrow(at, position as i64, 1).broadcast_as("repeat_interleave", &dims.into()));
        }
        if parts.is_empty() { x.narrow(at, 0, 0) } else { cat(&parts, at) }
    }

    /// The tensor and its axis, or the flattened tensor and its only one.
    #[track_caller]
    fn along(self, op: &str, axis: Option<i64>) -> Option<(Tensor, usize)> {
        self.value()?;
        match axis {
            None => Some((self.flatten(0, -1), 0)),
            Some(axis) => {
                let axis = self.axis_or_scalar(op, axis)?;
                Some((self.flatten_scalar(), axis))
            }
        }
    }
}

words! {
    /// Which axis of the results belongs to the first tensor of [`meshgrid`].
    pub enum Indexing: "indexing of meshgrid" {
        /// The first, as in a matrix.
        Matrix = "ij",
        /// The second, as in a plot.
        Cartesian = "xy",
    }
}

/// The coordinates of a grid: tensor `n` of the result varies as vector `n` along its axis and is constant along the others.
///
/// Shapes: vectors, or single numbers that count as vectors of one. More axes are K0102, different dtypes K0103. Gradients: `g` summed over the
/// other axes.
#[track_caller]
pub fn meshgrid(vectors: &[Tensor], indexing: Indexing) -> Vec<Tensor> {
    let poison = vec![Tensor::poison(); vectors.len()];
    for (position, vector) in vectors.iter().enumerate() {
        if vector.value().is_none() {
            return poison;
        }
        let (first, ty) = (vectors[0].dtype(), vector.ty());
        if ty.rank() > 1 {
            let message = format!("meshgrid needs vectors: tensor {position} is {ty}");
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
            return poison;
        }
        if ty.dtype != first {
            let message = format!("meshgrid needs vectors of one dtype: {first} and {}", ty.dtype);
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message));
            return poison;
        }
    }
    let rank = vectors.len();
    let axis = |n: usize| if indexing == Indexing::Cartesian && rank > 1 && n < 2 { 1 - n } else { n };
    let mut shape = vec![Dim::ONE; rank];
    for (n, vector) in vectors.iter().enumerate() {
        shape[axis(n)] = vector.shape().count();
    }
    let mut grids = Vec::with_capacity(rank);
    for (n, vector) in vectors.iter().enumerate() {
        let mut dims = vec![Dim::ONE; rank];
        dims[axis(n)] = vector.shape().count();
        grids.push(vector.in_shape(dims).broadcast_as("meshgrid", &shape.clone().into()));
    }
    grids
}
