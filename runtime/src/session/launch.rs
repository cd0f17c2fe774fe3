//! One step as the threads of the pool see it.

use crate::abi::{KernelContext, KernelFn};

/// What each thread needs to compute chunks of a step.
pub(super) struct Launch {
    pub kernel: KernelFn,
    pub contexts: *const KernelContext,
    pub buffers: *const *mut u8,
    pub items: u64,
    pub grain: u64,
}

// SAFETY: `call` is unsafe; its callers keep the threads apart.
unsafe impl Sync for Launch {}

impl Launch {
    /// Computes one chunk. Safety: no other thread uses context number `worker`, and the pointers are live.
    pub unsafe fn call(&self, worker: usize, chunk: u64) {
        let begin = chunk * self.grain;
        let end = self.items.min(begin + self.grain);
        // SAFETY: the caller's promise, and the compiler's that chunks of a step may run at the same time.
        unsafe { (self.kernel)(self.contexts.add(worker), self.buffers, begin, end) }
    }
}
