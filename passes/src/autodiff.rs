//! Adds the gradients of one scalar: [`kiln_ir::differentiate`], which walks the graph backwards by the rules of its ops, at its place in
//! the pipeline.
//!
//! **Before:** a verified graph. **After:** the same values, and for each of `wrt` a value of its type, zero where the scalar does not
//! depend on it. It is named `d_<name>`, unless it is another value's cotangent too, as both operands of a sum have the sum's.
//!
//! ```text
//! %y = mul %x, %x : f32[]        →  %d_x_part = mul %d_y, %x : f32[]
//!                                   %mul = mul %d_y, %x : f32[]
//!                                   %d_x = add %d_x_part, %mul : f32[]
//! ```
//!
//! **Order:** after the forward graph is canonical, so that its tidy form is differentiated, and before anything is fused.
//! **Source:** Griewank and Walther, "Evaluating Derivatives", chapter 3; the form of the rules is JAX's `vjp`.

use kiln_ir::{Diagnostic, Graph, ValueId, differentiate};

/// Adds the gradients of `scalar` for each of `wrt`, in their order.
pub fn run(graph: &mut Graph, scalar: ValueId, wrt: &[ValueId]) -> Result<Vec<ValueId>, Diagnostic> {
    differentiate(graph, scalar, wrt)
}
