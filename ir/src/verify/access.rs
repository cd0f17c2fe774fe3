//! The loads and stores of a kernel, and which of them one buffer can serve.

use crate::kernel::{Kernel, Statement};
use crate::text::lines_before_body;
use crate::{AxisId, Dim, Expr, Index, Load, TensorId};

/// An element that is read.
pub(super) struct Loaded {
    pub line: u32,
    pub load: Load,
    /// The axes of the loops around it.
    pub axes: Vec<AxisId>,
}

/// An element that is written.
pub(super) struct Stored<'k> {
    pub line: u32,
    pub tensor: TensorId,
    pub index: &'k [Index],
    /// The axes of the loops around it.
    pub axes: Vec<AxisId>,
    /// How many of them, the last, are those of a serial loop.
    pub serial: usize,
}

/// Every load and store, with its line.
pub(super) struct Accesses<'k> {
    pub loads: Vec<Loaded>,
    pub stores: Vec<Stored<'k>>,
}

/// The loops around a statement.
#[derive(Clone, Default)]
pub(super) struct Around {
    /// Their axes.
    axes: Vec<AxisId>,
    /// How many of them, the last, are those of a serial loop, which holds no loops.
    serial: usize,
}

/// Calls `visit` with every statement, outer ones first, and the loops around it.
pub(super) fn for_each_statement<'k>(statements: &'k [Statement], visit: &mut dyn FnMut(&'k Statement, &Around)) {
    fn walk<'k>(block: &'k [Statement], around: &Around, visit: &mut dyn FnMut(&'k Statement, &Around)) {
        for statement in block {
            visit(statement, around);
            let (serial, held, body) = match statement {
                Statement::For(held, body) => (0, held, body),
                Statement::Serial(held, body) => (held.len(), held, body),
                _ => continue,
            };
            walk(body, &Around { axes: [around.axes.as_slice(), held].concat(), serial }, visit);
        }
    }
    walk(statements, &Around::default(), visit);
}

/// Whether one buffer can hold both a tensor that is read and one that is written: no iteration reads what another writes, and each
/// reads before it writes. This is what the planner may reuse in place, and what the verifier of programs lets pass.
pub fn can_share(kernel: &Kernel, read: TensorId, written: TensorId) -> bool {
    let accesses = Accesses::of(kernel);
    let stores: Vec<&Stored<'_>> = accesses.stores.iter().filter(|store| store.tensor == written).collect();
    // A serial loop may read what an earlier iteration of it has overwritten.
    let [store] = stores.as_slice() else { return false };
    if store.serial > 0 {
        return false;
    }
    let mut loads = accesses.loads.iter().filter(|loaded| loaded.load.tensor == read);
    kernel.tensor(read).ty == kernel.tensor(written).ty
        && kernel.private_axes(read) == kernel.private_axes(written)
        && loads.all(|loaded| loaded.line <= store.line && loaded.is_own(kernel, store))
}

impl Loaded {
    /// Whether the element is one that only the same iteration of the shared loops stores. Either it is the very element, or it
    /// lies in the same slice: each axis of a shared loop is named by an index that the load and the store have in common.
    pub fn is_own(&self, kernel: &Kernel, store: &Stored<'_>) -> bool {
        if self.load.index == store.index {
            return true;
        }
        let count = self.axes.iter().zip(&store.axes).take_while(|(a, b)| a == b).count();
        let shared = &self.axes[kernel.private_axes(store.tensor).len().min(count)..count];
        let in_common = self.load.index.iter().zip(store.index).filter(|(a, b)| a == b && names_only(a, shared));
        let common: Vec<&Index> = in_common.map(|(index, _)| index).collect();
        shared.iter().all(|axis| {
            kernel.axis(*axis).extent == Dim::ONE
                || common.iter().any(|index| !names_only(index, &without(shared, *axis)))
        })
    }
}

impl Stored<'_> {
    /// The axes of the `For`s around it.
    pub fn fors(&self) -> &[AxisId] {
        &self.axes[..self.axes.len() - self.serial]
    }

    /// Whether its place is a value.
    pub fn is_computed(&self) -> bool {
        let mut found = false;
        self.index.iter().for_each(|index| index.for_each_value(&mut |_| found = true));
        found
    }

    /// Whether the place depends on an axis.
    pub fn names(&self, axis: AxisId) -> bool {
        let mut found = false;
        self.index.iter().for_each(|index| index.for_each_axis(&mut |held| found |= held == axis));
        found
    }
}

impl<'k> Accesses<'k> {
    pub fn of(kernel: &'k Kernel) -> Accesses<'k> {
        let mut accesses = Accesses { loads: Vec::new(), stores: Vec::new() };
        let mut line = lines_before_body(kernel);
        for_each_statement(&kernel.body, &mut |statement, around| {
            let Around { axes, serial } = around;
            line += 1;
            match statement {
                Statement::Let(_, value) => accesses.load(line, value, axes),
                Statement::For(held, _) | Statement::Serial(held, _) => {
                    for (index, _) in held.iter().filter_map(|&axis| kernel.axis(axis).limit.as_ref()) {
                        accesses.load(line, &Expr::Index(index.clone()), axes);
                    }
                }
                Statement::Reduce { lets, results, .. } => {
                    results.iter().for_each(|result| accesses.load(line, &result.value, axes));
                    for (_, value) in lets {
                        line += 1;
                        accesses.load(line, value, axes);
                    }
                }
                Statement::Store { tensor, index, value } => {
                    index.iter().for_each(|index| accesses.load(line, &Expr::Index(index.clone()), axes));
                    accesses.load(line, value, axes);
                    accesses.stores.push(Stored { line, tensor: *tensor, index, axes: axes.clone(), serial: *serial });
                }
            }
        });
        accesses
    }

    fn load(&mut self, line: u32, value: &Expr, axes: &[AxisId]) {
        value.for_each(&mut |x| {
            if let Expr::Load(load) = x {
                self.loads.push(Loaded { line, load: load.clone(), axes: axes.to_vec() });
            }
        });
    }
}

fn names_only(index: &Index, axes: &[AxisId]) -> bool {
    let mut holds = true;
    index.for_each_axis(&mut |axis| holds &= axes.contains(&axis));
    index.for_each_value(&mut |_| holds = false);
    holds
}

fn without(axes: &[AxisId], axis: AxisId) -> Vec<AxisId> {
    axes.iter().copied().filter(|held| *held != axis).collect()
}
