//! Rewriting a kernel for tiles: split axes, tensors in scratch memory, and how matrices lie in tensors.

use kiln_ir::kernel::{Access, Axis, Kernel, Statement, Tensor, Tile};
use kiln_ir::{Atom, AxisId, DType, Dim, Expr, Index, LocalId, TensorId, Type};

use crate::contract::{Operand, TiledAxis, full_size};

/// The rewriting: the kernel as it grows, and what became of each axis.
pub(crate) struct Tiles {
    pub(crate) kernel: Kernel,
    /// By axis of the original: its `start` and `inner` axes.
    pub(crate) replaced: Vec<Option<(AxisId, AxisId)>>,
}

impl Tiles {
    pub(crate) fn of(kernel: &Kernel) -> Tiles {
        Tiles { kernel: kernel.clone(), replaced: vec![None; kernel.axes.len()] }
    }

    pub(crate) fn split(&mut self, tile: Tile, is_item: bool) -> TiledAxis {
        let extent = self.kernel.axis(tile.axis).extent;
        let size = extent.as_fixed().map_or(tile.size, |extent| tile.size.min(extent)).max(1);
        if extent.as_fixed() == Some(size) && !is_item {
            return TiledAxis { inner: tile.axis, start: None, size, extent };
        }
        let name = self.kernel.axis(tile.axis).name.clone();
        let start = self.axis(format!("{name}.start"), extent);
        let inner = self.axis(format!("{name}.inner"), Dim::fixed(size));
        self.replaced[tile.axis.0 as usize] = Some((start, inner));
        for entry in &mut self.kernel.schedule.vector {
            if entry.axis == tile.axis {
                entry.axis = inner;
            }
        }
        self.kernel.schedule.unroll.retain(|axis| *axis != tile.axis);
        TiledAxis { inner, start: Some(start), size, extent }
    }

    pub(crate) fn axis(&mut self, name: String, extent: Dim) -> AxisId {
        self.kernel.axes.push(Axis { name, extent, limit: None });
        AxisId(self.kernel.axes.len() as u32 - 1)
    }

    pub(crate) fn scratch(&mut self, name: &str, rows: usize, columns: usize) -> TensorId {
        let ty = Type::new(DType::F32, [rows, columns]);
        self.kernel.tensors.push(Tensor { name: name.to_owned(), ty, access: Access::Update });
        TensorId(self.kernel.tensors.len() as u32 - 1)
    }

    fn replacement(&self, axis: AxisId) -> Index {
        match self.replaced.get(axis.0 as usize).copied().flatten() {
            Some((start, inner)) => Index::axis(start).plus(&Index::axis(inner)),
            None => Index::axis(axis),
        }
    }

    pub(crate) fn expr(&self, expr: &Expr) -> Expr {
        expr.substitute_axes(&mut |axis| self.replacement(axis))
    }

    fn index(&self, index: &Index) -> Index {
        index.substitute(&mut |axis| self.replacement(axis), &mut |value| self.expr(value))
    }

    fn statements(&self, statements: &[Statement]) -> Vec<Statement> {
        statements.iter().map(|statement| self.statement(statement)).collect()
    }

    pub(crate) fn statement(&self, statement: &Statement) -> Statement {
        match statement {
            Statement::Let(local, value) => Statement::Let(*local, self.expr(value)),
            Statement::For(axes, body) => Statement::For(axes.clone(), self.statements(body)),
            Statement::Serial(axes, body) => Statement::Serial(axes.clone(), self.statements(body)),
            Statement::Reduce { axes, lets, results } => {
                let lets = lets.iter().map(|(local, value)| (*local, self.expr(value))).collect();
                let mut results = results.clone();
                for result in &mut results {
                    result.value = self.expr(&result.value);
                }
                Statement::Reduce { axes: axes.clone(), lets, results }
            }
            Statement::Store { tensor, index, value } => {
                let index = index.iter().map(|index| self.index(index)).collect();
                Statement::Store { tensor: *tensor, index, value: self.expr(value) }
            }
        }
    }

    /// The tensor and row-major position of a factor that is no more than an element of a tensor.
    pub(crate) fn in_place(&self, factor: &Expr) -> Option<(TensorId, Index)> {
        match factor {
            Expr::Load(load) if load.fill.is_none() => Some((load.tensor, self.position(load.tensor, &load.index))),
            _ => None,
        }
    }

    /// The same of a factor that is an element of bf16 in f32.
    pub(crate) fn position_of_bf16(&self, factor: &Expr) -> Option<(TensorId, Index)> {
        let Expr::Cast(DType::F32, inner) = factor else { return None };
        self.in_place(inner).filter(|(tensor, _)| self.kernel.tensor(*tensor).ty.dtype == DType::BF16)
    }

    /// C in its place, where the epilogue only stores the sum.
    pub(crate) fn direct_output(
        &self,
        epilogue: &[Statement],
        sum: LocalId,
        m: &[TiledAxis],
        n: &[TiledAxis],
    ) -> Option<Operand> {
        let [Statement::Store { tensor, index, value: Expr::Local(value) }] = epilogue else { return None };
        let held = self.kernel.tensor(*tensor);
        if *value != sum || !matches!(held.access, Access::Write | Access::Scratch) || held.ty.dtype != DType::F32 {
            return None;
        }
        let index: Vec<Index> = index.iter().map(|index| self.index(index)).collect();
        let position = self.position(*tensor, &index);
        let row_stride = stride(m, &position)?;
        (stride(n, &position)? == 1 || full_size(n) == 1).then_some(Operand {
            tensor: *tensor,
            position,
            row_stride,
            k_stride: 0,
            batch_stride: 0,
            panel_stride: None,
            pack: None,
        })
    }

    /// The row-major position of an element.
    pub(crate) fn position(&self, tensor: TensorId, index: &[Index]) -> Index {
        let strides = self.kernel.tensor(tensor).ty.shape.strides();
        index.iter().zip(strides).fold(Index::default(), |sum, (index, stride)| sum.plus(&index.times(stride as i64)))
    }
}

/// The distance from one row to the next, if all are the same.
pub(crate) fn stride(side: &[TiledAxis], position: &Index) -> Option<i64> {
    let mut expected: Option<i64> = None;
    for axis in side.iter().rev() {
        let factor = factor(position, axis.inner)?;
        if axis.size == 1 {
            continue;
        }
        if expected.is_some_and(|expected| expected != factor) {
            return None;
        }
        expected = Some(factor * axis.size as i64);
    }
    let innermost = side.iter().rfind(|axis| axis.size > 1);
    Some(innermost.map_or(0, |axis| factor(position, axis.inner).unwrap_or(0)))
}

/// The factor of an axis; `None` where it is inside a division or a value.
pub(crate) fn factor(position: &Index, axis: AxisId) -> Option<i64> {
    let mut factor = 0;
    for (atom, held) in &position.terms {
        match atom {
            Atom::Axis(id) if *id == axis => factor = *held,
            Atom::Axis(_) => {}
            Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => {
                let mut occurs = false;
                inner.for_each_axis(&mut |id| occurs |= id == axis);
                if occurs {
                    return None;
                }
            }
            Atom::Value(_) => return None,
        }
    }
    Some(factor)
}

/// The row-major position in a tile's rows or columns.
pub(crate) fn position(side: &[TiledAxis]) -> Index {
    let (mut index, mut stride) = (Index::default(), 1);
    for axis in side.iter().rev() {
        index = index.plus(&Index::axis(axis.inner).times(stride));
        stride *= axis.size as i64;
    }
    index
}
