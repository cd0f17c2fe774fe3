//! Triangles and diagonals of matrices.

use kiln_ir::{Code, Diagnostic, Dim, Number, ops};

use crate::Tensor;
use crate::creation::positions;

impl Tensor {
    /// The lower triangle of the last two axes, zeros above: elements where `column - row <= diagonal`. Any dtype.
    ///
    /// Fewer than two axes are K0102. Gradient: the lower triangle of `g`.
    #[track_caller]
    pub fn tril(self, diagonal: i64) -> Tensor {
        match self.matrix_positions("tril") {
            Some((row, column)) => self.where_self(column.le(row + diagonal), false),
            None => Tensor::poison(),
        }
    }

    /// The upper triangle of the last two axes, zeros below: elements where `column - row >= diagonal`. Any dtype.
    ///
    /// Fewer than two axes are K0102. Gradient: the upper triangle of `g`.
    #[track_caller]
    pub fn triu(self, diagonal: i64) -> Tensor {
        match self.matrix_positions("triu") {
            Some((row, column)) => self.where_self(column.ge(row + diagonal), false),
            None => Tensor::poison(),
        }
    }

    /// The elements whose position on the second of two axes is that on the first plus `offset`, on a new last axis instead of the two.
    /// Any dtype.
    ///
    /// An axis that does not exist is K0104, one axis twice K0105, the batch axis K0109. Gradient: `g` on that diagonal, zeros elsewhere.
    #[track_caller]
    pub fn diagonal(self, offset: i64, axes: [i64; 2]) -> Tensor {
        let Some((row, rows)) = self.fixed_axis("diagonal", axes[0]) else { return Tensor::poison() };
        let Some((column, columns)) = self.fixed_axis("diagonal", axes[1]) else { return Tensor::poison() };
        if row == column {
            return one_axis_twice("diagonal", axes);
        }
        let (below, beside) = (offset.min(0).unsigned_abs() as usize, offset.max(0) as usize);
        let length = rows.saturating_sub(below).min(columns.saturating_sub(beside));
        let start = if length == 0 { 0 } else { below * columns + beside };
        // In row-major order a step along the diagonal is a row and an element.
        let matrix = self.movedim(&[row as i64, column as i64], &[-2, -1]);
        let flat = matrix.flatten(-2, -1);
        let slice = ops::Slice { axis: flat.rank() - 1, start, length, step: columns + 1 };
        Tensor::apply_as("diagonal", slice, &[flat])
    }

    /// Square matrices with the last axis on a diagonal and zeros elsewhere; their rows and columns are the axes of the result that are asked
    /// for. The inverse of [`Tensor::diagonal`]. Any dtype.
    ///
    /// A place that an axis cannot have is K0104, one axis twice K0105, a tensor without axes K0102, the batch axis K0109. Gradient: that
    /// diagonal of `g`.
    #[track_caller]
    pub fn diag_embed(self, offset: i64, axes: [i64; 2]) -> Tensor {
        let (Some(row), Some(column)) = (self.new_axis("diag_embed", axes[0]), self.new_axis("diag_embed", axes[1]))
        else {
            return Tensor::poison();
        };
        if self.rank() == 0 {
            let message = format!("diag_embed needs an axis for the diagonal: found {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        if row == column {
            return one_axis_twice("diag_embed", axes);
        }
        let Some((axis, length)) = self.fixed_axis("diag_embed", -1) else { return Tensor::poison() };
        let size = length + offset.unsigned_abs() as usize;
        let low = offset.min(0).unsigned_abs() as usize * size + offset.max(0) as usize;
        let spread = length + size * length.saturating_sub(1);
        let (interior, high, value) = (size, size * size - low - spread, Number::new(0.0));
        let flat = Tensor::apply_as("diag_embed", ops::Pad { axis, low, high, interior, value }, &[self]);
        let flat = flat.unflatten(-1, [size, size]);
        flat.movedim(&[-2, -1], &[row as i64, column as i64])
    }

    /// The row and the column of each element of the last two axes, which broadcast against the tensor.
    #[track_caller]
    fn matrix_positions(self, op: &str) -> Option<(Tensor, Tensor)> {
        self.value()?;
        let ty = self.ty();
        let Some(from) = ty.rank().checked_sub(2) else {
            let message = format!("{op} needs at least 2 axes: found {ty}");
            Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
            return None;
        };
        Some((positions(&[ty.dim(from), Dim::ONE], 0), positions(&[ty.dim(from + 1)], 0)))
    }
}

#[track_caller]
fn one_axis_twice(op: &str, axes: [i64; 2]) -> Tensor {
    Tensor::mistake(Diagnostic::new(Code::BadArgument, format!("{op} needs two axes: found {axes:?}")))
}
