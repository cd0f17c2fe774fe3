//! Host tensors: the element types, shapes and arrays that samples and batches are made of.

use std::fmt;

/// The element types that data come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostDtype {
    /// 32-bit float: inputs and regression targets.
    F32,
    /// 64-bit integer: class labels and token ids.
    I64,
    /// Byte: raw images and masks.
    U8,
}

/// One named part of a sample, such as the image `x` or the label `y`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name that the compiled program's input has.
    pub name: String,
    /// Element type.
    pub dtype: HostDtype,
    /// Shape of one sample, without the batch axis; empty for a scalar such as a label.
    pub shape: Vec<usize>,
}

/// A contiguous row-major array on the host.
#[derive(Clone, Debug, PartialEq)]
pub enum HostTensor {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Bytes.
    U8(Vec<u8>),
}

impl Field {
    /// A field of 32-bit floats.
    pub fn f32(name: &str, shape: &[usize]) -> Self {
        Self { name: name.to_owned(), dtype: HostDtype::F32, shape: shape.to_vec() }
    }

    /// A field of 64-bit integers.
    pub fn i64(name: &str, shape: &[usize]) -> Self {
        Self { name: name.to_owned(), dtype: HostDtype::I64, shape: shape.to_vec() }
    }

    /// A field of bytes.
    pub fn u8(name: &str, shape: &[usize]) -> Self {
        Self { name: name.to_owned(), dtype: HostDtype::U8, shape: shape.to_vec() }
    }

    /// Elements of one sample.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl HostTensor {
    /// The element type.
    pub fn dtype(&self) -> HostDtype {
        match self {
            Self::F32(_) => HostDtype::F32,
            Self::I64(_) => HostDtype::I64,
            Self::U8(_) => HostDtype::U8,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn empty(dtype: HostDtype) -> Self {
        match dtype {
            HostDtype::F32 => Self::F32(Vec::new()),
            HostDtype::I64 => Self::I64(Vec::new()),
            HostDtype::U8 => Self::U8(Vec::new()),
        }
    }

    /// Makes it `elements` zeros, within the allocation it has if that is large enough.
    pub(super) fn reset(&mut self, elements: usize) {
        fn zeros<T: Clone + Default>(values: &mut Vec<T>, elements: usize) {
            values.clear();
            values.reserve_exact(elements);
            values.resize(elements, T::default());
        }
        match self {
            Self::F32(values) => zeros(values, elements),
            Self::I64(values) => zeros(values, elements),
            Self::U8(values) => zeros(values, elements),
        }
    }
}

impl fmt::Display for HostDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
            Self::U8 => "u8",
        })
    }
}
