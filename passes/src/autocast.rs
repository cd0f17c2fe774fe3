//! Casts to a half type where that is fast and safe.
//!
//! Matrix products and convolutions, those of the gradients too, take operands of the half type and keep their sums in f32; their results are rounded to the
//! half type, as PyTorch's are. Everything else stays in f32: what PyTorch lists as f32 or as the widest type because it must, and pointwise ops
//! because in a fused kernel their dtype costs nothing. Weights are f32, and so are their updates: the copy in the half type lives for a step.
//!
//! A convolution for which Winograd's algorithm is to be chosen stays in f32: it needs fewer products than halves save, and its transforms more bits than halves have.
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
//! **Order:** before select_algorithm, which then sees what is left in f32.
//! **Source:** PyTorch, "Automatic Mixed Precision", the lists of ops for CPU; Micikevicius et al., "Mixed Precision Training" (2018).

use std::collections::BTreeMap;

use kiln_ir::ops::{Cast, Op};
use kiln_ir::{Builder, DType, Graph, Kind, ValueId};

use crate::fuse::facts;
use crate::rewrite::replace;
use crate::select_algorithm::{self, Selection};

/// Casts the contractions of f32 in a graph.
pub fn run(graph: &mut Graph, half: DType, selection: &Selection) {
    let mut casts: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for value in graph.order() {
        let operands = graph.operands(value);
        let contracts = !facts::is_leaf(graph, value)
            && graph.ty(value).dtype == DType::F32
            && facts::body(graph, value).kind == Kind::Contract
            && operands.iter().all(|&operand| graph.ty(operand).dtype == DType::F32)
            && select_algorithm::is_direct(graph, value, selection);
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
