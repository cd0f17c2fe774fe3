//! What the simplifying passes share: reading values that are known, and putting one value in the place of another without losing the
//! user's name for it.

use kiln_ir::{Graph, Op, ValueId};

/// Makes every use of `from` a use of `to`, and removes `from`. The survivor keeps the better of the two names: a user's above a
/// derivative's (`d_h`) above the op's own (`add_3`). Inputs keep theirs, which is the graph's signature.
pub(crate) fn replace(graph: &mut Graph, from: ValueId, to: ValueId) {
    let better = name_rank(graph, from) > name_rank(graph, to);
    let name = graph.name_of(from).to_owned();
    graph.replace_all_uses(from, to);
    graph.remove(from);
    if better {
        graph.rename(to, &name);
    }
}

/// The number that every element is, of a `full`.
pub(crate) fn fill_of(graph: &Graph, value: ValueId) -> Option<f64> {
    match &graph.node(value).op {
        Op::Full(full) => Some(full.value.value()),
        _ => None,
    }
}

/// Whether the elements are known when the program is compiled.
pub(crate) fn is_known(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.node(value).op, Op::Full(_) | Op::Constant(_))
}

/// Whether `a op b = b op a` in every bit. The greater and the smaller of two are not here: of `0` and `-0` either may be the result.
pub(crate) fn is_commutative(op: &Op) -> bool {
    matches!(op, Op::Add(_) | Op::Mul(_) | Op::Eq(_) | Op::Ne(_) | Op::And(_) | Op::Or(_))
}

/// Whether a value leaves the graph.
pub(crate) fn is_output(graph: &Graph, value: ValueId) -> bool {
    graph.outputs().iter().any(|output| output.value == value)
}

/// Whether a value's name says more than its op, as `add`, `add_3` and `add_3_1` do not.
pub(crate) fn has_own_name(graph: &Graph, value: ValueId) -> bool {
    let node = graph.node(value);
    let Some(mut numbers) = node.name.strip_prefix(node.op.name()) else { return true };
    while let Some(number) = numbers.strip_prefix('_') {
        let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == number.len() {
            return true;
        }
        numbers = rest;
    }
    !numbers.is_empty()
}

fn name_rank(graph: &Graph, value: ValueId) -> u8 {
    let node = graph.node(value);
    match node.op {
        Op::Input(_) => 3,
        _ if !has_own_name(graph, value) => 0,
        _ if node.name.starts_with("d_") => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use kiln_ir::ops::Add;
    use kiln_ir::text::parse_graph;
    use kiln_ir::{Builder, Place};

    use super::*;

    #[test]
    fn names_of_ops_are_nobodys_own() {
        let text = "graph g\n  %x = input {role = data} : f32[]\n  output y = %x\n";
        let mut graph = parse_graph(text, "test").expect("the text is well formed");
        let x = graph.find("x").expect("x is there");
        for (name, own) in [
            ("add", false),
            ("add_2", false),
            ("add_2_1", false),
            ("add_", true),
            ("add_x", true),
            ("added", true),
            ("h_1", true),
        ] {
            let mut cx = Builder::new(&mut graph, Place::NONE);
            cx.hint = name.to_owned();
            let value = cx.emit(Add {}, &[x, x]);
            assert_eq!((graph.name_of(value), has_own_name(&graph, value)), (name, own));
        }
    }
}
