//! Stand-in for the symbolic tensor: just enough for the module traits to compile.

use std::ops::Add;

/// A symbolic value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor;

/// The type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit integer.
    I64,
}

impl Tensor {
    /// `max(x, 0)`.
    #[must_use]
    pub fn relu(self) -> Tensor {
        self
    }
}

impl Add for Tensor {
    type Output = Tensor;

    fn add(self, _: Tensor) -> Tensor {
        self
    }
}
