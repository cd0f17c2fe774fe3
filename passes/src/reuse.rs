//! Lets a kernel write its result over an operand that nothing reads afterwards.
//!
//! **Before:** ordered steps. **After:** where a kernel reads a temporary for the last time, and only at the element that it writes, the
//! result of the same type has the operand's memory; the kernel updates it in place.
//!
//! ```text
//! kernel exp(y: f32[B,6], g: f32[B,6]) -> (d: f32[B,6])      kernel exp(y: f32[B,6]) -> (inout g: f32[B,6])
//!   for n in B, i in 6                                   →     for n in B, i in 6
//!     d[n, i] = exp(y[n, i]) * g[n, i]                           g[n, i] = exp(y[n, i]) * g[n, i]
//! ```
//!
//! **Order:** after order_steps, which says what is read last, and before plan_memory, for which both are one buffer.
//! **Source:** buffer reuse of dead operands, as in XLA's buffer assignment.

use kiln_ir::TensorId;
use kiln_ir::kernel::Access;

use crate::in_place;
use crate::steps::Steps;

/// Merges what can share memory.
pub fn run(steps: &mut Steps) {
    for at in 0..steps.steps.len() {
        while let Some((operand, result)) = merge(steps, at) {
            // From here on the result is known under its operand's slot.
            for step in &mut steps.steps[at..] {
                step.slots.iter_mut().filter(|slot| **slot == result).for_each(|slot| *slot = operand);
            }
        }
    }
}

/// Merges one operand of a step with one result, and says which slots these are.
fn merge(steps: &mut Steps, at: usize) -> Option<(usize, usize)> {
    let step = &steps.steps[at];
    let tensors =
        || step.kernel.tensors.iter().enumerate().zip(&step.slots).map(|((n, tensor), &slot)| (n, tensor, slot));
    for (written, _, result) in tensors().filter(|(_, tensor, _)| tensor.access == Access::Write) {
        for (read, _, operand) in tensors().filter(|(_, tensor, _)| tensor.access == Access::Read) {
            let temporary = !steps.slots[operand].is_persistent() && !steps.slots[result].is_persistent();
            let once = step.slots.iter().filter(|&&slot| slot == operand).count() == 1;
            let last = !steps.steps[at + 1..].iter().any(|later| later.slots.contains(&operand));
            let alike = steps.slots[operand].ty.dtype == steps.slots[result].ty.dtype
                && steps.slots[operand].ty.shape.count() == steps.slots[result].ty.shape.count();
            if !(temporary && once && last && alike) {
                continue;
            }
            if let Some(kernel) = in_place::run(&step.kernel, TensorId(read as u32), TensorId(written as u32)) {
                let step = &mut steps.steps[at];
                step.kernel = kernel;
                step.slots.remove(read);
                return Some((operand, result));
            }
        }
    }
    None
}
