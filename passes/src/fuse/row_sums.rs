//! Reductions of what a row kernel computes, over its rows and along them: first along, then over.
//!
//! The mean of a batch of losses is such a reduction once it is one op over all axes: its terms follow from statistics of the row that
//! they are in (the maximum, the sum of exponentials), which the kernel of the rows has at hand. That kernel then stores one number a
//! row, and neither the terms nor the statistics.
//!
//! ```text
//! %terms = sub %x, %log                        %terms = sub %x, %log                  by sum_exp_log
//! %loss = sum %terms {axes = [0, 1]}     →     %terms_1 = sum %terms {axes = [1]}     by sum_exp_log
//!                                              %loss = sum %terms_1 {axes = [0, 1]}   by sum
//! ```

use std::collections::BTreeSet;

use kiln_ir::{Dim, Graph, Kind, Op, ValueId, ops};

use super::Fusion;

/// Splits the reductions whose part along the rows then joins the kernel of these rows.
pub fn run(graph: &mut Graph) {
    let mut found = splits(&Fusion::new(graph));
    if found.is_empty() {
        return;
    }
    let (trial, parts) = applied(graph, &found);
    let fusion = Fusion::fused(&trial, &[]);
    let joins: Vec<bool> = found
        .iter()
        .zip(&parts)
        .map(|(split, part)| fusion.group_of[part] == fusion.group_of[&split.statistic])
        .collect();
    let mut joins = joins.into_iter();
    found.retain(|_| joins.next().unwrap_or(false));
    *graph = applied(graph, &found).0;
}

/// A reduction that may be split.
struct Split {
    reduction: ValueId,
    /// The same along a row, keeping the axes.
    along: Op,
    /// What the terms need to know of their row.
    statistic: ValueId,
}

fn splits(fusion: &Fusion<'_>) -> Vec<Split> {
    let split = |&reduction: &ValueId| {
        let op = &fusion.graph.node(reduction).op;
        let (axes, along): (_, fn(Vec<usize>) -> Op) = match op {
            Op::Sum(sum) => (&sum.axes, |axes| ops::Sum { axes, keep: true }.into()),
            Op::Amax(amax) => (&amax.axes, |axes| ops::Amax { axes, keep: true }.into()),
            Op::Amin(amin) => (&amin.axes, |axes| ops::Amin { axes, keep: true }.into()),
            _ => return None,
        };
        let terms = fusion.graph.operands(reduction)[0];
        let axes: Vec<usize> =
            axes.iter().copied().filter(|&axis| fusion.graph.ty(terms).dim(axis) != Dim::ONE).collect();
        let (statistic, rows) = statistic(fusion, terms, &axes)?;
        let axes = axes.into_iter().filter(|axis| !rows.contains(axis)).collect();
        Some(Split { reduction, along: along(axes), statistic })
    };
    fusion.order.iter().filter_map(split).collect()
}

/// A reduction that a value follows from, and the value's axes that number its rows: some, but not all, of `axes` are among them.
fn statistic(fusion: &Fusion<'_>, value: ValueId, axes: &[usize]) -> Option<(ValueId, BTreeSet<usize>)> {
    let mut seen = BTreeSet::new();
    let mut pending = vec![(value, (0..fusion.graph.ty(value).rank()).map(Some).collect::<Vec<Option<usize>>>())];
    while let Some((value, places)) = pending.pop() {
        let Some(facts) = fusion.facts.get(&value).filter(|_| seen.insert(value)) else { continue };
        if facts.reduces() {
            let rows: BTreeSet<usize> = places.into_iter().flatten().collect();
            let over = axes.iter().filter(|axis| rows.contains(axis)).count();
            if facts.kind == Kind::Reduce && over > 0 && over < axes.len() {
                return Some((value, rows));
            }
            continue;
        }
        for read in facts.reads.iter().filter(|read| !read.guarded) {
            let inner = read.index.iter().map(|index| index.as_axis().and_then(|axis| places[axis.0 as usize]));
            pending.push((read.value, inner.collect()));
        }
    }
    None
}

/// The graph with the splits, and the new values.
fn applied(graph: &Graph, splits: &[Split]) -> (Graph, Vec<ValueId>) {
    let mut graph = graph.clone();
    let mut parts = Vec::new();
    for Split { reduction, along, .. } in splits {
        let (terms, place) = (graph.operands(*reduction)[0], graph.node(*reduction).place.clone());
        let name = graph.name_of(terms).to_owned();
        let part = graph.add(along.clone(), &[terms], &name, &place).expect("the axes are axes of the operand");
        // The axes that the part has kept have one position now: reducing them again changes nothing.
        graph.set_operand(*reduction, 0, part);
        parts.push(part);
    }
    (graph, parts)
}
