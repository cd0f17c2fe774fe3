//! Shapes, with at most one symbolic extent: the leading batch axis.
//!
//! Every extent is known when a program is compiled except the batch size `B`, which is bounded. An extent is therefore
//! `k` or `k·B`, and only the first axis of a tensor may be symbolic: strides are always constants.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DType;

/// The extent of one axis: `factor`, or `factor · B` when `batch` is set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Dim {
    /// The constant part.
    pub factor: usize,
    /// Whether the batch size multiplies it.
    pub batch: bool,
}

impl Dim {
    /// The batch size itself.
    pub const BATCH: Dim = Dim { factor: 1, batch: true };
    /// The extent of an axis that is broadcast or reduced away.
    pub const ONE: Dim = Dim::fixed(1);

    /// A constant extent.
    pub const fn fixed(factor: usize) -> Dim {
        Dim { factor, batch: false }
    }

    /// The extent when the batch size is `batch`.
    pub const fn at(self, batch: usize) -> usize {
        if self.batch { self.factor * batch } else { self.factor }
    }

    /// The constant extent, if it is one.
    pub const fn as_fixed(self) -> Option<usize> {
        if self.batch { None } else { Some(self.factor) }
    }

    /// The product, unless both are symbolic or it is too great.
    pub fn product(self, other: Dim) -> Option<Dim> {
        if self.batch && other.batch {
            return None;
        }
        Some(Dim { factor: self.factor.checked_mul(other.factor)?, batch: self.batch || other.batch })
    }
}

impl From<usize> for Dim {
    fn from(factor: usize) -> Dim {
        Dim::fixed(factor)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.factor, self.batch) {
            (1, true) => write!(f, "B"),
            (factor, true) => write!(f, "{factor}*B"),
            (factor, false) => write!(f, "{factor}"),
        }
    }
}

/// The extents of a tensor's axes, outermost first. Rank 0 is a scalar.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// The shape of one value.
    pub const SCALAR: Shape = Shape(Vec::new());

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The extents.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// The number of elements.
    pub fn count(&self) -> Dim {
        self.0.iter().fold(Dim::ONE, |product, &dim| {
            product.product(dim).expect("the verifier allows one symbolic axis in a shape")
        })
    }

    /// Whether there is no element, whatever the batch.
    pub fn is_empty(&self) -> bool {
        self.0.iter().any(|dim| dim.factor == 0)
    }

    /// Row-major strides in elements. The first axis, the only one that may be symbolic, takes part in none of them.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis].factor;
        }
        strides
    }

    /// The extents when the batch size is `batch`.
    pub fn at(&self, batch: usize) -> Vec<usize> {
        self.0.iter().map(|dim| dim.at(batch)).collect()
    }

    /// Whether only the first axis, at most, is symbolic.
    pub fn is_batch_leading(&self) -> bool {
        self.0.iter().skip(1).all(|dim| !dim.batch)
    }
}

impl<D: Into<Dim> + Copy, const N: usize> From<[D; N]> for Shape {
    fn from(dims: [D; N]) -> Shape {
        Shape(dims.iter().map(|&dim| dim.into()).collect())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape(dims.iter().map(|&dim| Dim::fixed(dim)).collect())
    }
}

impl From<Vec<Dim>> for Shape {
    fn from(dims: Vec<Dim>) -> Shape {
        Shape(dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(","))
    }
}

/// The type of a value: dtype and shape.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Type {
    /// The type of the elements.
    pub dtype: DType,
    /// The extents of the axes.
    pub shape: Shape,
}

impl Type {
    /// A type of this dtype and shape.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// The type of one value.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: Shape::SCALAR }
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The extent of an axis.
    pub fn dim(&self, axis: usize) -> Dim {
        self.shape.0[axis]
    }

    /// The same shape with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, shape: self.shape.clone() }
    }

    /// The same dtype with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Type {
        Type { dtype: self.dtype, shape: shape.into() }
    }

    /// Bytes of the tensor when the batch size is `batch`.
    pub fn size_bytes(&self, batch: usize) -> usize {
        self.shape.count().at(batch) * self.dtype.size_bytes()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
