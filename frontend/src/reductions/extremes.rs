//! Greatest and least elements, and where they are.

use kiln_ir::{Code, DType, Diagnostic, Dim};

use crate::Tensor;
use crate::creation::positions;

impl Tensor {
    /// The greatest element over axes; NaN if any is. Any dtype.
    ///
    /// An axis without elements is K0101, one that does not exist K0104, one that is named twice K0105. Gradient: `g` in equal parts to
    /// the greatest elements.
    #[track_caller]
    pub fn amax(self, axes: &[i64], keep: bool) -> Tensor {
        match self.axes("amax", axes) {
            Some(axes) if self.has_elements("amax", &axes) => self.ordered().max_over(&axes, keep).to(self.dtype()),
            _ => Tensor::poison(),
        }
    }

    /// The least element over axes; NaN if any is. Any dtype. Errors and gradient as [`Tensor::amax`]'s.
    #[track_caller]
    pub fn amin(self, axes: &[i64], keep: bool) -> Tensor {
        match self.axes("amin", axes) {
            Some(axes) if self.has_elements("amin", &axes) => self.ordered().min_over(&axes, keep).to(self.dtype()),
            _ => Tensor::poison(),
        }
    }

    /// The greatest of all elements: `torch.max` of one tensor. [`Tensor::amax`] over all axes.
    #[track_caller]
    pub fn max_all(self) -> Tensor {
        self.amax(&[], false)
    }

    /// The least of all elements: `torch.min` of one tensor. [`Tensor::amin`] over all axes.
    #[track_caller]
    pub fn min_all(self) -> Tensor {
        self.amin(&[], false)
    }

    /// The greatest elements along an axis, and their positions there as `i64`: `torch.max` with `dim`. Of equal elements it is the first;
    /// NaN counts as greatest. Any dtype.
    ///
    /// An axis without elements is K0101, one that does not exist K0104. Gradient: `g` to the element at the position.
    #[track_caller]
    pub fn max_dim(self, axis: i64, keep: bool) -> (Tensor, Tensor) {
        self.extreme("max_dim", axis, keep, false)
    }

    /// The least elements along an axis, and their positions there as `i64`: `torch.min` with `dim`. Of equal elements it is the first; NaN counts
    /// as least. Dtypes, errors and gradient as [`Tensor::max_dim`]'s.
    #[track_caller]
    pub fn min_dim(self, axis: i64, keep: bool) -> (Tensor, Tensor) {
        self.extreme("min_dim", axis, keep, true)
    }

    /// The position of the greatest element on an axis as `i64`; without an axis, the row-major position among all elements. Of equal elements it is
    /// the first; NaN counts as greatest. Any dtype but `bool` (K0103).
    ///
    /// An axis without elements is K0101, one that does not exist K0104. No gradient.
    #[track_caller]
    pub fn argmax(self, axis: impl Into<Option<i64>>, keep: bool) -> Tensor {
        self.position("argmax", axis.into(), keep, false)
    }

    /// The position of the least element; NaN counts as least. Otherwise as [`Tensor::argmax`].
    #[track_caller]
    pub fn argmin(self, axis: impl Into<Option<i64>>, keep: bool) -> Tensor {
        self.position("argmin", axis.into(), keep, true)
    }

    #[track_caller]
    fn position(self, op: &str, axis: Option<i64>, keep: bool, least: bool) -> Tensor {
        let Some(axes) = self.axes(op, axis.as_slice()) else { return Tensor::poison() };
        if self.dtype() == DType::Bool {
            let message = format!("{op} needs numbers, found {}", self.ty());
            return Tensor::mistake(
                Diagnostic::new(Code::DTypeMismatch, message).help("convert it with `.to(DType::U8)`"),
            );
        }
        if !self.has_elements(op, &axes) {
            return Tensor::poison();
        }
        if axes.is_empty() {
            return Tensor::full(0.0, DType::I64);
        }
        let x = if least { self.reversed() } else { self };
        x.argmax_over(&axes, keep)
    }

    #[track_caller]
    fn extreme(self, op: &str, axis: i64, keep: bool, least: bool) -> (Tensor, Tensor) {
        let x = self.ordered();
        let indices = x.position(op, Some(axis), true, least);
        let ty = self.ty();
        if indices.value().is_none() || ty.rank() == 0 {
            return (if ty.rank() == 0 { self } else { indices }, indices);
        }
        let axis = axis.rem_euclid(ty.rank() as i64) as usize;
        let column = [vec![ty.dim(axis)], vec![Dim::ONE; ty.rank() - axis - 1]].concat();
        // The sum of one element and zeros. It is computed where the position is found, and its gradient needs no scatter.
        let chosen = x.where_self(positions(&column, 0).eq(indices), false);
        let values = chosen.sum_over(&[axis], keep).to(self.dtype());
        (values, indices.in_shape(values.shape()))
    }

    /// Truth values as numbers, whose order they have.
    #[track_caller]
    fn ordered(self) -> Tensor {
        if self.dtype() == DType::Bool { self.to(DType::U8) } else { self }
    }

    /// The same elements in the opposite order: `-x`, of integers `-1 - x`, which cannot overflow.
    #[track_caller]
    fn reversed(self) -> Tensor {
        match self.dtype() {
            DType::U8 => Tensor::full(255.0, DType::U8) - self,
            dtype if dtype.is_integer() => Tensor::full(-1.0, dtype) - self,
            _ => -self,
        }
    }

    /// Whether there is something to choose from on each of the axes; a mistake is noted.
    #[track_caller]
    pub(super) fn has_elements(self, op: &str, axes: &[usize]) -> bool {
        let ty = self.ty();
        let Some(axis) = axes.iter().find(|&&axis| ty.dim(axis).factor == 0) else { return true };
        let message = format!("{op} needs elements to choose from: axis {axis} of {ty} has none");
        Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        false
    }
}
