//! Casts to a half type where that is fast and safe.
//!
//! Matrix products and convolutions, those of the gradients too, take operands of the half type and keep their sums in f32; their results are rounded to the
//! half type, as PyTorch's are. Everything else stays in f32: what PyTorch lists as f32 or as the widest type because it must, and pointwise ops
//! because in a fused kernel their dtype costs nothing. Weights are f32, and so are their updates: the copy in the half type lives for a step.
//!
//! **Before:** an optimised graph with gradients and updates. **After:** contractions of f32 are contractions of the half type between casts.
//!
//! ```text
//!                                               %x_1 = cast %x : bf16[B,64]
//!                                               %w_1 = cast %w : bf16[10,64]
//! %y = einsum %x, %w : f32[B,10]           →    %y_1 = einsum %x_1, %w_1 : bf16[B,10]
//!                                               %y = cast %y_1 : f32[B,10]
//! ```
//!
//! **Order:** before select_algorithm, which leaves half types to the direct way: Winograd's transforms need more bits than they have.
//! **Source:** PyTorch, "Automatic Mixed Precision", the lists of ops for CPU; Micikevicius et al., "Mixed Precision Training" (2018).

use std::collections::BTreeMap;

use kiln_ir::ops::{Cast, Op};
use kiln_ir::{Builder, DType, Graph, Kind, ValueId};

use crate::fuse::facts;
use crate::rewrite::replace;

/// Casts the contractions of f32 in a graph.
pub fn run(graph: &mut Graph, half: DType) {
    let mut casts: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for value in graph.order() {
        let operands = graph.operands(value);
        let contracts = !facts::is_leaf(graph, value)
            && graph.ty(value).dtype == DType::F32
            && facts::body(graph, value).kind == Kind::Contract
            && operands.iter().all(|&operand| graph.ty(operand).dtype == DType::F32);
        if !contracts {
            continue;
        }
        let halves: Vec<ValueId> = operands
            .into_iter()
            .map(|operand| *casts.entry(operand).or_insert_with(|| cast(graph, operand, half)))
            .collect();
        let node = graph.node(value).clone();
        let result = Builder::new(graph, node.place).emit(node.op, &halves);
        let wide = cast(graph, result, DType::F32);
        replace(graph, value, wide);
        // Whoever has asked for the half of this value meets it again.
        casts.insert(wide, result);
    }
}

fn cast(graph: &mut Graph, value: ValueId, dtype: DType) -> ValueId {
    let place = graph.node(value).place.clone();
    Builder::new(graph, place).emit(Op::from(Cast { dtype }), &[value])
}
