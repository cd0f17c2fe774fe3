//! The formulas of values inside a kernel: what is loaded, what is bound to a name, and what is written out where it is used.

use kiln_ir::kernel::{Access, Statement};
use kiln_ir::{AxisId, Dim, Expr, Index, LocalId, Number, Op, Type, ValueId};

use super::emit::Emitter;
use crate::bounds::{self, Range};
use crate::fuse::facts;

/// A formula at a place: what its tensors and axes are.
#[derive(Clone, Copy)]
pub(super) struct Formula<'f> {
    /// The value that it is of.
    pub value: ValueId,
    pub operands: &'f [ValueId],
    /// By axis of the formula.
    pub index: &'f [Index],
}

impl<'a> Emitter<'a> {
    /// The element of a value at an index over the kernel's axes.
    pub(super) fn value(&mut self, value: ValueId, index: Vec<Index>) -> Expr {
        if let Some(number) = self.constant(value) {
            return number;
        }
        if let Some(result) = self.results.get(&value) {
            return result.clone();
        }
        let key = (value, index);
        if self.speculative == 0
            && let Some(known) = self.row_values.get(&key).or_else(|| self.inner_values.get(&key))
        {
            return known.clone();
        }
        let (value, index) = (key.0, &key.1);
        let formula = match self.is_member(value) {
            false if self.cx.is_materialised(value) => {
                self.load_tensor(value, self.cx.graph.ty(value).clone(), index, None)
            }
            _ => match self.reshaped(value) {
                Some(root) => self.load_tensor(root, self.cx.graph.ty(value).clone(), index, None),
                None => self.formula(value, index),
            },
        };
        self.bind(key, formula)
    }

    /// The formula of a value that is computed here, at an index.
    pub(super) fn formula(&mut self, value: ValueId, index: &[Index]) -> Expr {
        let body = facts::body(self.cx.graph, value);
        let operands = self.cx.graph.operands(value);
        self.substitute(&body.value, Formula { value, operands: &operands, index })
    }

    pub(super) fn substitute(&mut self, expr: &Expr, formula: Formula<'_>) -> Expr {
        match expr {
            Expr::Load(load) => {
                let at = load.index.iter().map(|component| self.index(component, formula)).collect();
                self.load(formula.operands[load.tensor.0 as usize], at, load.fill)
            }
            Expr::Index(component) => Expr::Index(self.index(component, formula)),
            Expr::Check(x, bound, _) => {
                let site = self.cx.graph.node(formula.value).site();
                Expr::Check(Box::new(self.substitute(x, formula)), *bound, site)
            }
            _ => expr.map_operands(&mut |x| self.substitute(x, formula)),
        }
    }

    pub(super) fn index(&mut self, component: &Index, formula: Formula<'_>) -> Index {
        let replaced =
            component.substitute(&mut |id| formula.index[id.0 as usize].clone(), &mut |x| self.substitute(x, formula));
        bounds::simplify(&replaced, &self.ranges())
    }

    /// A load of one of the kernel's tensors; while values are thrown away, one that cannot fail.
    pub(super) fn load_tensor(&mut self, value: ValueId, ty: Type, index: &[Index], fill: Option<Number>) -> Expr {
        let inside = index.iter().zip(&ty.shape.0).all(|(index, &dim)| {
            // Where a choice throws values away, a computed position can leave even the batch axis.
            let exact = self.speculative == 0 || !dim.batch || index.as_axis().is_some();
            exact && bounds::is_inside(index, dim, &self.ranges())
        });
        let fill = match fill {
            _ if inside => None,
            None if self.speculative > 0 => Some(Number::new(0.0)),
            fill => fill,
        };
        let index = self.cx.in_memory(value, index);
        Expr::Load(kiln_ir::Load { tensor: self.tensor(value, ty, Access::Read), index, fill })
    }

    /// Keeps an expression under a name, in the outermost loops where it means the same.
    fn bind(&mut self, key: (ValueId, Vec<Index>), expr: Expr) -> Expr {
        if self.pure || self.speculative > 0 {
            return expr;
        }
        let is_outer = |id: AxisId| self.shared.contains(&id);
        let is_inner_local = |id: LocalId| self.inner.iter().any(|(local, _)| *local == id);
        let mut outer = true;
        for component in &key.1 {
            Expr::Index(component.clone()).for_each(&mut |x| match x {
                Expr::Index(index) => index.for_each_axis(&mut |axis| outer &= is_outer(axis)),
                Expr::Load(load) => {
                    load.index.iter().for_each(|i| i.for_each_axis(&mut |axis| outer &= is_outer(axis)));
                }
                Expr::Local(id) => outer &= !is_inner_local(*id),
                _ => {}
            });
        }
        let held = match expr {
            Expr::Number(..) | Expr::Local(_) | Expr::Index(_) | Expr::Extent(_) => expr,
            expr => {
                let (name, dtype) = (self.cx.graph.name_of(key.0), self.cx.graph.ty(key.0).dtype);
                let local = self.local(name, dtype);
                match outer {
                    true => self.rows.push(Statement::Let(local, expr)),
                    false => self.inner.push((local, expr)),
                }
                Expr::Local(local)
            }
        };
        let values = if outer { &mut self.row_values } else { &mut self.inner_values };
        values.insert(key, held.clone());
        held
    }

    /// The tensor that a value is a reshape of, where it is better seen in the value's own shape than computed by division.
    pub(super) fn reshaped(&self, value: ValueId) -> Option<ValueId> {
        let graph = self.cx.graph;
        let mut root = value;
        while !self.is_member(root) && !self.cx.is_materialised(root) {
            let [operand] = graph.operands(root)[..] else { return None };
            let (from, to) = (graph.ty(operand), graph.ty(root));
            if from.shape.count() != to.shape.count()
                || facts::body(graph, root) != kiln_ir::Body::view(kiln_ir::reshape_index(from, to), None)
            {
                return None;
            }
            root = operand;
        }
        let loops = |ty: &Type| ty.shape.0.iter().copied().filter(|dim| *dim != Dim::ONE).collect::<Vec<Dim>>();
        let own = self.is_member(root) || root == value || loops(graph.ty(root)) == loops(graph.ty(value));
        let plain = graph.node(root).layout.is_none();
        (!own && plain && self.constant(root).is_none()).then_some(root)
    }

    pub(super) fn is_member(&self, value: ValueId) -> bool {
        self.members.contains(&value)
    }

    /// A constant of one element is written where it is used.
    fn constant(&self, value: ValueId) -> Option<Expr> {
        match &self.cx.graph.node(value).op {
            Op::Constant(constant) if constant.data.len() == 1 => Some(Expr::Number(constant.data[0], constant.dtype)),
            _ => None,
        }
    }

    pub(super) fn ranges(&self) -> impl Fn(AxisId) -> Range + use<'a> {
        let extents: Vec<Dim> = self.axes.iter().map(|axis| axis.extent).collect();
        let max_batch = self.cx.max_batch;
        move |id: AxisId| bounds::of_extent(extents[id.0 as usize], max_batch)
    }
}
