//! Tensors that the host hands to a run.

use crate::Error;
use crate::abi::{ElementType, Slot};

/// Elements of an input in row-major order, borrowed from the caller.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// f64 elements.
    F64(&'a [f64]),
    /// f32 elements.
    F32(&'a [f32]),
    /// Bits of f16 elements.
    F16(&'a [u16]),
    /// Bits of bf16 elements.
    BF16(&'a [u16]),
    /// i64 elements.
    I64(&'a [i64]),
    /// i32 elements.
    I32(&'a [i32]),
    /// u8 elements.
    U8(&'a [u8]),
    /// bool elements.
    Bool(&'a [bool]),
}

impl<'a> Input<'a> {
    /// The element type.
    pub fn element(&self) -> ElementType {
        match self {
            Input::F64(_) => ElementType::F64,
            Input::F32(_) => ElementType::F32,
            Input::F16(_) => ElementType::F16,
            Input::BF16(_) => ElementType::BF16,
            Input::I64(_) => ElementType::I64,
            Input::I32(_) => ElementType::I32,
            Input::U8(_) => ElementType::U8,
            Input::Bool(_) => ElementType::Bool,
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.bytes().len() as u64 / self.element().size_bytes()
    }

    /// The elements as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Input::F64(elements) => bytes(elements),
            Input::F32(elements) => bytes(elements),
            Input::F16(elements) | Input::BF16(elements) => bytes(elements),
            Input::I64(elements) => bytes(elements),
            Input::I32(elements) => bytes(elements),
            Input::U8(elements) => elements,
            Input::Bool(elements) => bytes(elements),
        }
    }

    /// Checks type and length against the slot.
    pub(super) fn check(&self, slot: &Slot, batch: u64) -> Result<(), Error> {
        if self.element() != slot.element {
            let (expected, found) = (slot.element, self.element());
            return Err(Error::ElementType { slot: slot.name.to_string(), expected, found });
        }
        let (expected, found) = (slot.elements(batch), self.elements());
        if expected != found {
            return Err(Error::InputLength { slot: slot.name.to_string(), batch, expected, found });
        }
        Ok(())
    }
}

macro_rules! from_slices {
    ($($variant:ident($element:ty)),*) => {$(
        impl<'a> From<&'a [$element]> for Input<'a> {
            fn from(elements: &'a [$element]) -> Input<'a> {
                Input::$variant(elements)
            }
        }

        impl<'a> From<&'a Vec<$element>> for Input<'a> {
            fn from(elements: &'a Vec<$element>) -> Input<'a> {
                Input::$variant(elements)
            }
        }

        impl<'a, const N: usize> From<&'a [$element; N]> for Input<'a> {
            fn from(elements: &'a [$element; N]) -> Input<'a> {
                Input::$variant(elements)
            }
        }
    )*};
}

from_slices!(F64(f64), F32(f32), I64(i64), I32(i32), U8(u8), Bool(bool));

/// The bytes of numbers or booleans, which have no padding.
fn bytes<T: Copy>(elements: &[T]) -> &[u8] {
    // SAFETY: same memory and lifetime; only types without padding come here, and any byte is a `u8`.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}
