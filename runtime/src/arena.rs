//! The one allocation that holds all tensors of a session.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::Error;
use crate::abi::Element;

/// Cache lines and the widest vectors.
const LINE_BYTES: usize = 64;

/// Large pages spare most of the address translations of a big arena.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Zeroed memory of fixed size, aligned to 64 bytes, or to 2 MiB from that size on.
///
/// Kernels write it through raw pointers, so views are made on demand and never kept across a run: the session that
/// owns the arena hands them out under its own borrow.
#[derive(Debug)]
pub struct Arena {
    allocation: NonNull<u8>,
    layout: Layout,
    base: NonNull<u8>,
    size_bytes: usize,
}

// SAFETY: the arena owns its memory; shared access only reads, and writing needs `&mut` or the raw base pointer, whose
// users state their own exclusion.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Allocates `size_bytes` for `purpose`, which names the memory in the error. Pages are first touched when used.
    pub fn new(size_bytes: u64, purpose: &'static str) -> Result<Arena, Error> {
        let out_of_memory = || Error::OutOfMemory { purpose, size_bytes };
        let size = usize::try_from(size_bytes).map_err(|_| out_of_memory())?;
        let align = if size >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { LINE_BYTES };
        // Alignment is made by hand inside a longer allocation: the system allocator clears over-aligned memory by
        // writing to it, while plain zeroed memory comes as untouched pages.
        let padded = size.checked_add(align).ok_or_else(out_of_memory)?;
        let layout = Layout::from_size_align(padded, 16).map_err(|_| out_of_memory())?;
        // SAFETY: the layout is not empty: `padded >= align`.
        let allocation = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(out_of_memory)?;
        let padding = allocation.align_offset(align);
        // SAFETY: `padding < align`, so `padding + size` stays within the allocation.
        let base = unsafe { allocation.add(padding) };
        advise_huge_pages(base, size);
        Ok(Arena { allocation, layout, base, size_bytes: size })
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes as u64
    }

    /// The first byte. Writing through it must exclude all views.
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// `len` elements at a byte offset; `None` if they leave the arena or are not aligned.
    pub fn view<T: Element>(&self, offset: u64, len: u64) -> Option<&[T]> {
        let (first, len) = self.locate::<T>(offset, len)?;
        // SAFETY: `locate` checked bounds and alignment; the memory is initialised, and any bits are a valid `Element`.
        // `&self` excludes writers.
        Some(unsafe { std::slice::from_raw_parts(first, len) })
    }

    /// As [`Arena::view`], for writing.
    pub fn view_mut<T: Element>(&mut self, offset: u64, len: u64) -> Option<&mut [T]> {
        let (first, len) = self.locate::<T>(offset, len)?;
        // SAFETY: as in `view`; `&mut self` excludes readers and writers.
        Some(unsafe { std::slice::from_raw_parts_mut(first, len) })
    }

    fn locate<T: Element>(&self, offset: u64, len: u64) -> Option<(*mut T, usize)> {
        let offset = usize::try_from(offset).ok()?;
        let len = usize::try_from(len).ok()?;
        let end = len.checked_mul(size_of::<T>())?.checked_add(offset)?;
        if end > self.size_bytes || !offset.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: `offset <= end <= size_bytes`.
        Some((unsafe { self.base().add(offset) }.cast(), len))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { dealloc(self.allocation.as_ptr(), self.layout) }
    }
}

/// Asks for huge pages for the whole huge pages inside `[base, base + size)`; without them all still works.
#[cfg(all(target_os = "linux", not(miri)))]
fn advise_huge_pages(base: NonNull<u8>, size: usize) {
    const MADV_HUGEPAGE: i32 = 14;
    // SAFETY: the signature of Linux's C library.
    unsafe extern "C" {
        fn madvise(address: *mut u8, length: usize, advice: i32) -> i32;
    }
    let whole_pages = size / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    if whole_pages > 0 {
        // SAFETY: the range lies within an allocation of ours, and the advice changes no contents. A refusal is harmless.
        unsafe { madvise(base.as_ptr(), whole_pages, MADV_HUGEPAGE) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise_huge_pages(_base: NonNull<u8>, _size: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_are_aligned_and_zeroed() {
        for (size, align) in [(0, 64), (1, 64), (1 << 20, 64), (2 << 20, 2 << 20), ((5 << 20) + 3, 2 << 20)] {
            let arena = Arena::new(size, "test").unwrap();
            assert_eq!(arena.base() as usize % align, 0, "{size}");
            assert!(arena.view::<u8>(0, size).unwrap().iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn views_are_checked() {
        let mut arena = Arena::new(64, "test").unwrap();
        arena.view_mut::<f32>(8, 2).unwrap().copy_from_slice(&[1.0, 2.0]);
        assert_eq!(arena.view::<f32>(4, 3).unwrap(), [0.0, 1.0, 2.0]);
        assert!(arena.view::<f32>(6, 1).is_none(), "unaligned");
        assert!(arena.view::<f32>(60, 2).is_none(), "past the end");
        assert!(arena.view::<f32>(64, 0).is_some());
        assert!(arena.view::<f64>(u64::MAX - 7, 2).is_none(), "overflow");
        assert!(arena.view::<f64>(0, u64::MAX).is_none(), "overflow");
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let error = Arena::new(u64::MAX - 10, "arena").unwrap_err();
        assert_eq!(error.to_string(), "cannot allocate 18446744073709551605 bytes for the arena");
    }
}
