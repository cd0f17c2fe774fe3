//! Axes in another order, and positions in another order along them.

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic};

use crate::Tensor;

impl Tensor {
    /// The axes in another order: axis `n` of the result is axis `axes[n]` of the tensor. Any dtype.
    ///
    /// An axis that does not exist is K0104, one that is missing or named twice K0105. Gradient: `g` in the old order.
    #[track_caller]
    pub fn permute(self, axes: &[i64]) -> Tensor {
        let mut dims = Vec::with_capacity(axes.len());
        for &axis in axes {
            let Some(axis) = self.axis("permute", axis) else { return Tensor::poison() };
            dims.push(axis);
        }
        Tensor::apply(ops::Permute { dims }, &[self])
    }

    /// Two axes exchanged. Any dtype; an axis that does not exist is K0104. Gradient: the same exchange.
    #[track_caller]
    pub fn transpose(self, a: i64, b: i64) -> Tensor {
        let (Some(a), Some(b)) = (self.axis_or_scalar("transpose", a), self.axis_or_scalar("transpose", b)) else {
            return Tensor::poison();
        };
        if a == b {
            return self;
        }
        let mut dims: Vec<usize> = (0..self.rank()).collect();
        dims.swap(a, b);
        Tensor::apply_as("transpose", ops::Permute { dims }, &[self])
    }

    /// A matrix transposed; a vector or a single number as it is. Any dtype; more than two axes are K0102.
    #[track_caller]
    pub fn t(self) -> Tensor {
        match self.rank() {
            0 | 1 => self,
            2 => self.transpose(0, 1),
            rank => {
                let message = format!("t needs at most 2 axes: {} has {rank}", self.ty());
                Tensor::mistake(Diagnostic::new(Code::RankMismatch, message).help("use `transpose(a, b)` or `permute`"))
            }
        }
    }

    /// The axes `source` at the places `destination`; the others keep their order. Any dtype.
    ///
    /// An axis that does not exist is K0104; lists of different lengths and axes that are named twice are K0105. Gradient: `g` in the
    /// old order.
    #[track_caller]
    pub fn movedim(self, source: &[i64], destination: &[i64]) -> Tensor {
        if source.len() != destination.len() {
            let message = format!("movedim needs as many sources as destinations: {source:?} and {destination:?}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let rank = self.rank();
        let mut dims: Vec<Option<usize>> = vec![None; rank];
        let mut moved = vec![false; rank];
        for (&from, &to) in source.iter().zip(destination) {
            let (Some(from), Some(to)) = (self.axis("movedim", from), self.axis("movedim", to)) else {
                return Tensor::poison();
            };
            if moved[from] || dims[to].is_some() {
                let message = format!("movedim needs distinct axes: {source:?} to {destination:?}");
                return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
            }
            moved[from] = true;
            dims[to] = Some(from);
        }
        let mut rest = (0..rank).filter(|&axis| !moved[axis]);
        let dims: Vec<usize> = dims.into_iter().filter_map(|axis| axis.or_else(|| rest.next())).collect();
        Tensor::apply_as("movedim", ops::Permute { dims }, &[self])
    }

    /// The axes from their end to their beginning; no axes: the tensor itself. Any dtype.
    ///
    /// An axis that does not exist is K0104, one that is named twice K0105, the batch axis K0109. Gradient: `g` flipped.
    #[track_caller]
    pub fn flip(self, axes: &[i64]) -> Tensor {
        if axes.is_empty() {
            return self;
        }
        match self.axes("flip", axes) {
            Some(axes) if axes.is_empty() => self,
            Some(axes) => Tensor::apply(ops::Flip { axes }, &[self]),
            None => Tensor::poison(),
        }
    }

    /// Each axis moved on by its shift, what leaves it at one end coming back at the other. No axes: the elements in row-major order,
    /// moved on by one shift. Any dtype.
    ///
    /// An axis that does not exist is K0104, a different number of shifts than axes K0105, the batch axis K0109. Gradient: `g` rolled back.
    #[track_caller]
    pub fn roll(self, shifts: &[i64], axes: &[i64]) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        if axes.is_empty() && shifts.len() == 1 {
            return self.reshape([-1]).roll(shifts, &[0]).in_shape(self.shape());
        }
        if shifts.is_empty() || shifts.len() != axes.len() {
            let message = format!("roll needs a shift for each axis: shifts {shifts:?}, axes {axes:?}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let mut result = self;
        for (&shift, &axis) in shifts.iter().zip(axes) {
            let Some(axis) = self.axis("roll", axis) else { return Tensor::poison() };
            let extent = self.shape().0[axis].factor.max(1) as i64;
            let shift = shift.rem_euclid(extent) as usize;
            if shift > 0 {
                result = Tensor::apply(ops::Roll { axis, shift }, &[result]);
            }
        }
        result
    }
}
