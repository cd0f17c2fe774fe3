//! What schedules promise to the back ends.

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::{AxisId, Program};

/// Fails where a schedule breaks its contract with the back ends.
pub fn require_legal(program: &Program) {
    for kernel in &program.kernels {
        let broken = |what: &str| panic!("{what} in\n{kernel}");
        let schedule = &kernel.schedule;
        for statement in &kernel.body {
            match statement {
                Statement::For(axes, _) if axes.starts_with(&schedule.thread) => {}
                _ if schedule.thread.is_empty() => {}
                _ => broken("threads are not the outermost loops"),
            }
        }
        if schedule.grain == 0 {
            broken("a chunk of nothing");
        }
        let mut loops = Vec::new();
        collect(&kernel.body, &mut loops);
        let written_out = |axis: &AxisId| schedule.unroll.contains(axis);
        for vector in &schedule.vector {
            let innermost =
                |axes: &Vec<AxisId>| axes.iter().rev().find(|axis| !written_out(axis)) == Some(&vector.axis);
            if !loops.iter().any(innermost) {
                broken("lanes over an axis that is not innermost");
            }
        }
        if schedule.unroll.iter().any(|&axis| kernel.axis(axis).extent.batch) {
            broken("an axis without end is written out");
        }
        contract(kernel);
        let mut all: Vec<AxisId> = loops.concat();
        all.sort();
        if all != (0..kernel.axes.len() as u32).map(AxisId).collect::<Vec<AxisId>>() {
            broken("an axis without a loop, or with two");
        }
    }
}

fn contract(kernel: &Kernel) {
    let Some(contract) = kernel.schedule.contracts.first() else { return };
    let [Statement::For(axes, inner)] = kernel.body.as_slice() else { panic!("not one loop:\n{kernel}") };
    let Some(Statement::Reduce { axes: summed, lets, results }) = inner.first() else { panic!("no sum:\n{kernel}") };
    assert!(lets.is_empty() && results.len() == 1, "{kernel}");
    let named = |tiles: &[kiln_ir::kernel::Tile]| tiles.iter().map(|tile| tile.axis).collect::<Vec<AxisId>>();
    let (m, n, k) = (named(&contract.m), named(&contract.n), named(&contract.k));
    assert_eq!(&k, summed, "{kernel}");
    assert!(!m.is_empty() && !n.is_empty(), "{kernel}");
    assert!(m.iter().chain(&n).all(|axis| axes.contains(axis)) && !m.iter().any(|axis| n.contains(axis)), "{kernel}");
    let thread = &kernel.schedule.thread;
    let alone = thread.len() == 1 && m.contains(&thread[0]);
    assert!(alone || !thread.iter().any(|axis| m.contains(axis) || n.contains(axis)), "{kernel}");
}

fn collect(statements: &[Statement], loops: &mut Vec<Vec<AxisId>>) {
    for statement in statements {
        match statement {
            Statement::For(axes, inner) | Statement::Serial(axes, inner) => {
                loops.push(axes.clone());
                collect(inner, loops);
            }
            Statement::Reduce { axes, .. } => loops.push(axes.clone()),
            _ => {}
        }
    }
}
