//! Names for loops: what people call the axes of a tensor of this rank, or of this op. They decide nothing.

use kiln_ir::{Graph, Op, ValueId};

use crate::fuse::facts;

/// A name for each axis of a value's result.
pub fn of_result(graph: &Graph, value: ValueId) -> Vec<String> {
    let rank = graph.ty(value).rank();
    match known(graph, value) {
        Some((result, _)) if result.len() == rank => result,
        _ => by_rank(rank),
    }
}

/// A name for each axis of a value's reduction.
pub fn of_reduction(graph: &Graph, value: ValueId) -> Vec<String> {
    let body = facts::body(graph, value);
    let count = body.inner().len();
    if let Some((_, reduction)) = known(graph, value).filter(|(_, reduction)| reduction.len() == count) {
        return reduction;
    }
    // A reduction of whole axes has the names of its operand's.
    let (result_rank, operand) = (graph.ty(value).rank() as u32, graph.operands(value)[0]);
    let names = by_rank(graph.ty(operand).rank());
    let mut found = vec!["k".to_owned(); count];
    body.value.for_each(&mut |x| {
        if let kiln_ir::Expr::Load(load) = x {
            for (component, name) in load.index.iter().zip(&names) {
                if let Some(axis) = component.as_axis().filter(|axis| axis.0 >= result_rank) {
                    found[(axis.0 - result_rank) as usize] = name.clone();
                }
            }
        }
    });
    found
}

/// The usual letters of contractions and windows: the result's, and the reduction's.
fn known(graph: &Graph, value: ValueId) -> Option<(Vec<String>, Vec<String>)> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let (result, reduction): (&[&str], &[&str]) = match (&graph.node(value).op, graph.ty(value).rank()) {
        (Op::Einsum(einsum), _) => {
            let (operands, result) = einsum.equation.split_once("->")?;
            let summed = operands.split(',').next()?.chars().filter(|label| !result.contains(*label));
            return Some((result.chars().map(String::from).collect(), summed.map(String::from).collect()));
        }
        (Op::Conv(_), 4) => (&["n", "oc", "oh", "ow"], &["c", "kh", "kw"]),
        (Op::ConvInputGrad(_), 4) => (&["n", "c", "h", "w"], &["oc", "kh", "kw"]),
        (Op::ConvWeightGrad(_), 4) => (&["oc", "c", "kh", "kw"], &["n", "oh", "ow"]),
        (Op::MaxPool(_) | Op::MaxPoolIndex(_) | Op::SumPool(_) | Op::MaxPoolPick(_), 4) => {
            (&["n", "c", "oh", "ow"], &["kh", "kw"])
        }
        (Op::ToWinograd(_), 5) => (&["n", "p", "u", "v", "c"], &[]),
        (Op::ToWinograd(_), 3) => (&["p", "oc", "c"], &[]),
        (Op::FromWinograd(_), 4) => (&["n", "c", "h", "w"], &["u", "v"]),
        (Op::MaxPoolGrad(_) | Op::SumPoolGrad(_), 4) => (&["n", "c", "h", "w"], &["kh", "kw"]),
        _ => return None,
    };
    Some((owned(result), owned(reduction)))
}

fn by_rank(rank: usize) -> Vec<String> {
    let usual: &[&str] = match rank {
        0 => &[],
        1 => &["i"],
        2 => &["n", "i"],
        3 => &["n", "t", "c"],
        4 => &["n", "c", "h", "w"],
        5 => &["n", "c", "d", "h", "w"],
        _ => return (0..rank).map(|axis| format!("i{axis}")).collect(),
    };
    usual.iter().map(|name| (*name).to_owned()).collect()
}
