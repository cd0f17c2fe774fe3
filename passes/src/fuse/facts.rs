//! What fusion and lowering need to know of a value: its axes, its cost, and what it reads through everything that is computed in place.

use std::collections::BTreeMap;

use kiln_ir::{AxisId, Binary, Body, Dim, Expr, Graph, Index, Kind, Op, Unary, ValueId};

use crate::bounds::{self, Range};

/// Scalar operations of one random number; four neighbours share the work of a block.
pub const RANDOM_COST: usize = 30;

/// A read of a value that has its own place: an input, a constant, or a value of some kernel.
#[derive(Clone, Debug)]
pub struct Read {
    /// The value.
    pub value: ValueId,
    /// Its index, over the axes of the reader: those of its result, then those of its reduction.
    pub index: Vec<Index>,
    /// Whether some index on the way may be out of range.
    pub guarded: bool,
}

/// A value that some kernel computes.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How it is computed.
    pub kind: Kind,
    /// The axes of the result.
    pub result: Vec<Dim>,
    /// The axes of the reduction, or the steps of a sweep; empty for what has neither.
    pub reduction: Vec<Dim>,
    /// What it reads.
    pub reads: Vec<Read>,
    /// Whether an index value is checked on the way.
    pub checks: bool,
    /// The axes that the formula fills whole, which are therefore no loops around it.
    pub filled: Vec<usize>,
    /// Roughly the scalar operations for one position of all axes.
    pub cost: usize,
}

impl Facts {
    /// Whether it has a loop of its own inside the loops over its result.
    pub fn reduces(&self) -> bool {
        !self.reduction.is_empty()
    }

    /// Positions of all its loops at the greatest batch.
    pub fn positions(&self, max_batch: usize) -> usize {
        self.result.iter().chain(&self.reduction).map(|dim| dim.at(max_batch)).product()
    }
}

/// Whether a value is given: an input or a constant.
pub fn is_leaf(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.node(value).op, Op::Input(_) | Op::Constant(_))
}

/// The formula of a value that is not a leaf.
pub fn body(graph: &Graph, value: ValueId) -> Body {
    let node = graph.node(value);
    node.op.body(&graph.operand_types(value), &node.ty).expect("only inputs and constants have no formula")
}

/// The facts of a value; `in_place` says which of the values below it are computed where they are used.
pub fn facts(graph: &Graph, value: ValueId, in_place: &dyn Fn(ValueId) -> bool) -> Facts {
    let body = body(graph, value);
    let result = graph.ty(value).shape.0.clone();
    let axes: Vec<Dim> = result.iter().chain(body.inner()).copied().collect();
    let max_batch = graph.max_batch.unwrap_or(1);
    let mut walk = Walk {
        graph,
        in_place,
        ranges: &|id| bounds::of_extent(axes[id.0 as usize], max_batch),
        reads: Vec::new(),
        checks: false,
        cost: 0,
    };
    body.for_each_expr(&mut |expr| {
        let expr = expr.substitute_axes(&mut |id| unit_axis(id, axes[id.0 as usize]));
        walk.expr(&expr, &graph.operands(value), false);
    });
    let Walk { reads, checks, cost, .. } = walk;
    let elements = body.block.as_ref().map_or(1, |block| block.elements.len());
    let (filled, cost) = (body.filled(), cost.div_ceil(elements));
    Facts { kind: body.kind, result, reduction: body.inner().to_vec(), reads, checks, filled, cost }
}

/// The axis, or 0 where there is only one position.
pub fn unit_axis(id: AxisId, extent: Dim) -> Index {
    if extent == Dim::ONE { Index::constant(0) } else { Index::axis(id) }
}

/// Scalar operations of an expression, in units of one addition.
pub fn cost(expr: &Expr) -> usize {
    let mut total = 0;
    expr.for_each(&mut |x| {
        total += match x {
            Expr::Unary(op, _) if op.is_transcendental() => 20,
            Expr::Binary(Binary::Pow | Binary::Rem, ..) => 20,
            Expr::Random { .. } => RANDOM_COST,
            Expr::Unary(Unary::Sqrt, _) | Expr::Binary(Binary::Div, ..) => 4,
            Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) => 1,
            _ => 0,
        }
    });
    total
}

/// The values that are computed inside each of their users: views, fills, positions, and what costs nothing over inputs.
pub fn in_place(graph: &Graph) -> BTreeMap<ValueId, bool> {
    let mut found: BTreeMap<ValueId, bool> = BTreeMap::new();
    let outputs: Vec<ValueId> = graph.outputs().iter().map(|output| output.value).collect();
    for value in graph.order() {
        let here = !is_leaf(graph, value) && !outputs.contains(&value) && is_free(graph, value, &found);
        found.insert(value, here);
    }
    found
}

fn is_free(graph: &Graph, value: ValueId, found: &BTreeMap<ValueId, bool>) -> bool {
    let body = body(graph, value);
    // Rounding to a half type is work, and the result is half the size.
    let rounds = matches!(&graph.node(value).op, Op::Cast(cast) if cast.dtype.is_half());
    if rounds && graph.ty(value).shape.count() != Dim::ONE {
        return false;
    }
    if !body.reduction.is_empty() || matches!(body.kind, Kind::Gather | Kind::Sweep | Kind::Block) {
        return false;
    }
    let operands = graph.operands(value);
    if body.kind == Kind::View {
        // A view of several values (`concat`) is a choice at each element: worth repeating only inside one pointwise user.
        let kind = |user: &ValueId| crate::fuse::facts::body(graph, *user).kind;
        let pointwise = |user: &ValueId| kind(user) == Kind::Pointwise;
        // The many loads of a block would each look where the image ends.
        let fills = matches!(&body.value, Expr::Load(load) if load.fill.is_some());
        if fills && graph.users(value).iter().any(|user| kind(user) == Kind::Block) {
            return false;
        }
        return operands.len() == 1 || matches!(graph.users(value).as_slice(), [user] if pointwise(user));
    }
    let scalar = graph.ty(value).shape.count() == Dim::ONE;
    let facts = facts(graph, value, &|v| found.get(&v).copied().unwrap_or(false));
    let given = facts.reads.iter().all(|read| is_leaf(graph, read.value));
    let large = facts.reads.iter().filter(|read| graph.ty(read.value).shape.count() != Dim::ONE).count();
    given && if scalar { facts.cost < 16 } else { facts.cost == 0 && large <= 1 }
}

struct Walk<'a> {
    graph: &'a Graph,
    in_place: &'a dyn Fn(ValueId) -> bool,
    ranges: &'a dyn Fn(AxisId) -> Range,
    reads: Vec<Read>,
    checks: bool,
    cost: usize,
}

impl Walk<'_> {
    fn expr(&mut self, expr: &Expr, operands: &[ValueId], guarded: bool) {
        self.cost += cost(expr);
        let mut loads = Vec::new();
        expr.for_each(&mut |x| match x {
            Expr::Load(load) => loads.push(load.clone()),
            Expr::Check(..) => self.checks = true,
            _ => {}
        });
        for load in loads {
            // A sweep reads its own result.
            let Some(&value) = operands.get(load.tensor.0 as usize) else { continue };
            let ty = self.graph.ty(value);
            let index: Vec<Index> = load.index.iter().map(|index| bounds::simplify(index, self.ranges)).collect();
            let inside = index.iter().zip(&ty.shape.0).all(|(index, &dim)| bounds::is_inside(index, dim, self.ranges));
            let guarded = guarded || (load.fill.is_some() && !inside);
            if (self.in_place)(value) {
                // What the values in the index read is in `loads`, and means other operands than those of the value inside.
                let opaque = |i: &Index| i.substitute(&mut Index::axis, &mut |_| Expr::Extent(Dim::ONE));
                let at: Vec<Index> = index.iter().map(opaque).collect();
                let inner = body(self.graph, value).value.substitute_axes(&mut |id| at[id.0 as usize].clone());
                self.expr(&inner, &self.graph.operands(value), guarded);
            } else {
                self.reads.push(Read { value, index, guarded });
            }
        }
    }
}
