//! Operands in panels: B as `[panel][k][32 columns]` and A as `[panel][k][14 rows]`, so that what the micro-kernel reads is one sequence.
//!
//! The innermost axis of columns (or rows) becomes `width·panel + column`.

use kiln_ir::kernel::Statement;
use kiln_ir::{AxisId, Dim, Expr, Index, TensorId};
use kiln_runtime::brgemm::{PANEL, ROW_PANEL};

use crate::contract::{Operand, Pack, TiledAxis, full_size};
use crate::tiling::{Tiles, position};

/// Elements from one k to the next in a panel of A: a line.
const ROW_STRIDE: usize = 16;

/// How columns or rows are cut.
pub(crate) struct Panels {
    pub(crate) cut: Cut,
    column: AxisId,
    /// Panels of a whole tile.
    pub(crate) count: usize,
    /// Elements from one k to the next.
    pub(crate) stride: usize,
}

/// An axis in panels.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    /// The axis.
    pub(crate) axis: AxisId,
    /// Its panels.
    pub(crate) panel: AxisId,
    /// Positions of one.
    pub(crate) width: usize,
}

impl Panels {
    /// Columns of B. `None` where those of one panel would lie on several axes.
    pub(crate) fn of_columns(tiles: &mut Tiles, n: &[TiledAxis]) -> Option<Panels> {
        Panels::new(tiles, n, PANEL, PANEL)
    }

    /// Rows of A.
    pub(crate) fn of_rows(tiles: &mut Tiles, m: &[TiledAxis]) -> Option<Panels> {
        Panels::new(tiles, m, ROW_PANEL, ROW_STRIDE)
    }

    fn new(tiles: &mut Tiles, n: &[TiledAxis], width: usize, stride: usize) -> Option<Panels> {
        let split = *n.iter().rfind(|axis| axis.size > 1)?;
        let (whole, even) = (split.size.is_multiple_of(width), !split.is_uneven());
        let alone = n.iter().filter(|axis| axis.size > 1).count() == 1;
        if !(alone && (whole || even) || whole && even) {
            return None;
        }
        let (count, name) = (split.size.div_ceil(width), tiles.kernel.axis(split.inner).name.clone());
        let panel = tiles.axis(format!("{name}.panel"), Dim::fixed(count));
        let column = tiles.axis(format!("{name}.inside"), Dim::fixed(width));
        // The last panel may be short, in every tile or in the last.
        let within = index(panel, column, width);
        tiles.kernel.axes[column.0 as usize].limit = match (split.start, whole, even) {
            (_, true, true) => None,
            (Some(start), true, false) => Some((Index::axis(start).plus(&within), split.extent)),
            _ => Some((within, Dim::fixed(split.size))),
        };
        let count = full_size(n) / split.size * count;
        Some(Panels { cut: Cut { axis: split.inner, panel, width }, column, count, stride })
    }

    /// The operand, packed; axes of `k` before `split` are the micro-kernel's batch.
    pub(crate) fn packed(
        &self,
        tensor: TensorId,
        n: &[TiledAxis],
        k: &[TiledAxis],
        split: usize,
        factor: &Expr,
    ) -> Operand {
        let depth = full_size(k) as i64;
        let outside: Vec<TiledAxis> = n.iter().copied().filter(|axis| axis.inner != self.cut.axis).collect();
        let panels = self.count / full_size(&outside).max(1);
        let panel = position(&outside).times(panels as i64).plus(&Index::axis(self.cut.panel));
        let place = vec![panel.times(depth).plus(&position(k)), Index::axis(self.column)];
        let value = factor.substitute_axes(&mut |axis| match axis == self.cut.axis {
            true => index(self.cut.panel, self.column, self.cut.width),
            false => Index::axis(axis),
        });
        let axes = k.iter().chain(&outside).map(|axis| axis.inner).chain([self.cut.panel, self.column]).collect();
        Operand {
            tensor,
            position: Index::default(),
            row_stride: 1,
            k_stride: self.stride as i64,
            batch_stride: (self.stride * full_size(&k[split..])) as i64,
            panel_stride: Some(self.stride as i64 * depth),
            pack: Some(Pack::Loops(Statement::For(axes, vec![Statement::Store { tensor, index: place, value }]))),
        }
    }
}

fn index(panel: AxisId, column: AxisId, width: usize) -> Index {
    Index::axis(panel).times(width as i64).plus(&Index::axis(column))
}
