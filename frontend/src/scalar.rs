//! Numbers as PyTorch sees them beside tensors: a kind and a value, and a dtype only once they meet a tensor.

use kiln_ir::DType;

use crate::Tensor;

/// A Rust number beside a tensor. Its kind matters, as in PyTorch: `x + 2` keeps an integer `x`, `x + 2.0` makes it `f32`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating number.
    Float(f64),
}

impl Scalar {
    /// The number.
    pub fn value(self) -> f64 {
        match self {
            Scalar::Bool(value) => f64::from(u8::from(value)),
            Scalar::Int(value) => value as f64,
            Scalar::Float(value) => value,
        }
    }

    /// The dtype of a result of this number and a tensor of `dtype`: the tensor's, unless the number is of a higher kind (`bool`, integer,
    /// floating), which then brings its default, `i64` or `f32`.
    pub fn beside(self, dtype: DType) -> DType {
        match self {
            Scalar::Float(_) if !dtype.is_float() => DType::F32,
            Scalar::Int(_) if dtype == DType::Bool => DType::I64,
            _ => dtype,
        }
    }
}

macro_rules! from {
    ($($ty:ty => $variant:ident;)*) => {$(
        impl From<$ty> for Scalar {
            fn from(value: $ty) -> Scalar {
                Scalar::$variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Bool;
    i32 => Int;
    i64 => Int;
    f32 => Float;
    f64 => Float;
}

/// What may stand beside a tensor in an elementwise op: a tensor or a number.
pub trait Operand {
    /// The tensor; a number becomes a tensor of rank 0 in the dtype that its result with `other` has ([`Scalar::beside`]).
    #[track_caller]
    fn like(self, other: Tensor) -> Tensor;
}

impl Operand for Tensor {
    fn like(self, _: Tensor) -> Tensor {
        self
    }
}

impl Operand for Scalar {
    #[track_caller]
    fn like(self, other: Tensor) -> Tensor {
        Tensor::full(self.value(), self.beside(other.dtype()))
    }
}

macro_rules! numbers {
    ($($ty:ty)*) => {$(
        impl Operand for $ty {
            #[track_caller]
            fn like(self, other: Tensor) -> Tensor {
                Scalar::from(self).like(other)
            }
        }
    )*};
}

numbers!(bool i32 i64 f32 f64);
