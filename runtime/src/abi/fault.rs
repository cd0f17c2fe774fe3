//! Checks made by kernels while they run, for example that a label is a class: a kernel cannot return an error from
//! the middle of a parallel loop, so the first failing check writes itself into a cell that the host reads after the
//! step.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Code of the check that an index `value` lies in `0..bound`.
pub const FAULT_INDEX: u64 = 1;

/// Code of the check that a number is finite.
pub const FAULT_NOT_FINITE: u64 = 2;

/// Code of the check that an index `value`, which counts from the end where it is negative, lies in `-bound..bound`.
pub const FAULT_WRAPPED_INDEX: u64 = 3;

/// What a kernel reports: the check, and in the higher bits the number of its row in [`Step::checks`](super::Step).
pub const fn fault_code(check: u64, site: usize) -> u64 {
    check | (site as u64) << SITE_SHIFT
}

const SITE_SHIFT: u32 = 8;

/// Reports a failed check. Safety: `cell` points to a live cell.
pub type ReportFaultFn = unsafe extern "C" fn(cell: *const FaultCell, code: u64, position: u64, value: i64, bound: i64);

/// Holds the first failed check of a run. Free while `code` is 0.
#[derive(Debug, Default)]
#[repr(C)]
pub struct FaultCell {
    code: AtomicU64,
    position: AtomicU64,
    value: AtomicI64,
    bound: AtomicI64,
}

/// A failed check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which check: one of the `FAULT_` constants.
    pub code: u64,
    /// The row of [`Step::checks`](super::Step) that says whose check it is.
    pub site: usize,
    /// Row-major position of the offending element in the tensor that was checked.
    pub position: u64,
    /// The value found.
    pub value: i64,
    /// The bound that it broke.
    pub bound: i64,
}

/// The [`ReportFaultFn`] that every [`KernelContext`](super::KernelContext) holds: the first caller wins.
///
/// # Safety
///
/// `cell` points to a live cell. A `code` of 0 is ignored.
pub unsafe extern "C" fn report_fault(cell: *const FaultCell, code: u64, position: u64, value: i64, bound: i64) {
    // SAFETY: the caller promises a live cell; its fields are atomics, so sharing it is sound.
    let cell = unsafe { &*cell };
    if cell.code.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        // Only the winner writes, and the host reads after the join of the step, which orders these stores.
        cell.position.store(position, Ordering::Relaxed);
        cell.value.store(value, Ordering::Relaxed);
        cell.bound.store(bound, Ordering::Relaxed);
    }
}

impl FaultCell {
    /// Takes the fault out and frees the cell. Called between steps, when no kernel runs.
    pub(crate) fn take(&mut self) -> Option<Fault> {
        let code = *self.code.get_mut();
        if code == 0 {
            return None;
        }
        let fault = Fault {
            code: code & ((1 << SITE_SHIFT) - 1),
            site: (code >> SITE_SHIFT) as usize,
            position: *self.position.get_mut(),
            value: *self.value.get_mut(),
            bound: *self.bound.get_mut(),
        };
        *self = FaultCell::default();
        Some(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { code, position, value, bound, .. } = self;
        match *code {
            FAULT_INDEX => write!(f, "index {value} at position {position} is outside 0..{bound}"),
            FAULT_WRAPPED_INDEX => write!(f, "index {value} at position {position} is outside -{bound}..{bound}"),
            FAULT_NOT_FINITE => write!(f, "the value at position {position} is not finite"),
            _ => write!(f, "check {code} failed at position {position}: value {value}, bound {bound}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_wins_and_is_taken_once() {
        let mut cell = FaultCell::default();
        // SAFETY: the cell is live.
        unsafe {
            report_fault(&cell, FAULT_INDEX, 3, 12, 10);
            report_fault(&cell, FAULT_NOT_FINITE, 0, 0, 0);
        }
        let fault = cell.take().expect("a fault was reported");
        assert_eq!(fault.to_string(), "index 12 at position 3 is outside 0..10");
        assert_eq!(cell.take(), None);
    }

    #[test]
    fn a_code_has_the_check_and_its_site() {
        let mut cell = FaultCell::default();
        // SAFETY: the cell is live.
        unsafe { report_fault(&cell, fault_code(FAULT_WRAPPED_INDEX, 300), 1, -5, 4) };
        let fault = cell.take().expect("a fault was reported");
        assert_eq!((fault.code, fault.site), (FAULT_WRAPPED_INDEX, 300));
        assert_eq!(fault.to_string(), "index -5 at position 1 is outside -4..4");
    }
}
