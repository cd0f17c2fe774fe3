//! Where gradients flow: `torch.no_grad` and its kin, as scopes; and `requires_grad` of symbolic tensors.

use crate::{Tensor, trace};

/// Runs `body`; through what it computes no gradient flows: `torch.no_grad`. Nothing else changes, since what no gradient needs is not kept anyway.
///
/// ```
/// # use kiln_frontend::prelude::*;
/// # fn forward(x: Tensor, weight: Tensor) -> Tensor {
/// let scale = no_grad(|| weight.abs().max_all());
/// # x / scale
/// # }
/// ```
pub fn no_grad<R>(body: impl FnOnce() -> R) -> R {
    set_grad_enabled(false, body)
}

/// Runs `body`; through what it computes gradients flow, also inside of a [`no_grad`]: `torch.enable_grad`.
pub fn enable_grad<R>(body: impl FnOnce() -> R) -> R {
    set_grad_enabled(true, body)
}

/// [`enable_grad`] or [`no_grad`]: `torch.set_grad_enabled`, as a scope. It belongs to the trace, and so to its thread.
pub fn set_grad_enabled<R>(enabled: bool, body: impl FnOnce() -> R) -> R {
    let _restored = Restore(set(enabled));
    body()
}

/// Whether gradients flow through what is computed here: `torch.is_grad_enabled`.
pub fn is_grad_enabled() -> bool {
    trace::with(|trace| trace.grad_enabled).unwrap_or(true)
}

impl Tensor {
    /// Whether gradients flow from this value to a trained parameter, or to a tensor of which [`Tensor::requires_grad_`] asked for them. It is
    /// false for what was made under [`no_grad`] or from detached tensors, and for integers.
    pub fn requires_grad(self) -> bool {
        let Some(value) = self.value() else { return false };
        trace::with(|trace| trace.requires_grad(value)).unwrap_or(false)
    }

    /// The tensor with its flag set: what is computed from it requires a gradient; or, for `false`, [`Tensor::detach`]. [`grad`](crate::grad) takes
    /// any tensor; the flag is what [`Tensor::requires_grad`] answers.
    #[must_use = "without the flag, the result is another tensor"]
    #[track_caller]
    pub fn requires_grad_(self, flag: bool) -> Tensor {
        if !flag {
            return self.detach();
        }
        if let Some(value) = self.value() {
            trace::with(|trace| trace.mark(value));
        }
        self
    }
}

fn set(enabled: bool) -> bool {
    trace::with(|trace| std::mem::replace(&mut trace.grad_enabled, enabled)).unwrap_or(true)
}

/// Sets the mode back when the scope ends.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        set(self.0);
    }
}
