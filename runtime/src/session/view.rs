//! Slots of a session as the host sees them.

use std::borrow::Cow;

use crate::Error;
use crate::abi::{Element, ElementType, Slot, SlotKind};

/// A slot's tensor.
#[derive(Debug, Clone, Copy)]
pub struct SlotView<'a> {
    pub(super) slot: &'a Slot,
    pub(super) batch: u64,
    pub(super) bytes: &'a [u8],
}

/// A slot's tensor, for writing.
#[derive(Debug)]
pub struct SlotViewMut<'a> {
    pub(super) slot: &'a Slot,
    pub(super) batch: u64,
    pub(super) bytes: &'a mut [u8],
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTime {
    /// The step's name.
    pub name: Cow<'static, str>,
    /// Wall-clock time.
    pub time_ns: u64,
}

impl<'a> SlotView<'a> {
    /// The slot's name.
    pub fn name(&self) -> &'a str {
        &self.slot.name
    }

    /// What the tensor is for.
    pub fn kind(&self) -> SlotKind {
        self.slot.kind
    }

    /// The element type.
    pub fn element(&self) -> ElementType {
        self.slot.element
    }

    /// The row-major shape; a batch axis has the extent of the last run.
    pub fn shape(&self) -> Vec<u64> {
        self.slot.shape.iter().map(|extent| extent.at(self.batch)).collect()
    }

    /// The elements as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements.
    ///
    /// # Errors
    ///
    /// [`Error::ElementType`] if the slot holds another type.
    pub fn elements<T: Element>(&self) -> Result<&'a [T], Error> {
        check_type::<T>(self.slot)?;
        // SAFETY: any bits are a valid `Element`.
        let (before, elements, after) = unsafe { self.bytes.align_to() };
        debug_assert!(before.is_empty() && after.is_empty(), "check() requires slots to be aligned");
        Ok(elements)
    }

    /// The first element as a number; `None` if the tensor is empty.
    pub fn first_f64(&self) -> Option<f64> {
        self.slot.element.read_f64(self.bytes)
    }
}

impl SlotViewMut<'_> {
    /// The view, for reading.
    pub fn as_view(&self) -> SlotView<'_> {
        SlotView { slot: self.slot, batch: self.batch, bytes: self.bytes }
    }

    /// The elements as they lie in memory.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// The elements.
    ///
    /// # Errors
    ///
    /// [`Error::ElementType`] if the slot holds another type.
    pub fn elements_mut<T: Element>(&mut self) -> Result<&mut [T], Error> {
        check_type::<T>(self.slot)?;
        // SAFETY: any bits are a valid `Element`, before and after.
        let (before, elements, after) = unsafe { self.bytes.align_to_mut() };
        debug_assert!(before.is_empty() && after.is_empty(), "check() requires slots to be aligned");
        Ok(elements)
    }

    /// Sets every element to `value`, rounded to the slot's type.
    pub fn fill(&mut self, value: f64) {
        let element = self.slot.element;
        for bytes in self.bytes.chunks_exact_mut(element.size_bytes() as usize) {
            element.write_f64(value, bytes);
        }
    }
}

/// Whether the slot can be seen as elements of type `T`.
pub(super) fn check_type<T: Element>(slot: &Slot) -> Result<(), Error> {
    if T::VIEWS.contains(&slot.element) {
        return Ok(());
    }
    Err(Error::ElementType { slot: slot.name.to_string(), expected: slot.element, found: T::VIEWS[0] })
}
