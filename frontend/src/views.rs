//! Methods that change a tensor's shape, and those that join tensors.

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim, Number, Shape};

use crate::Tensor;
use crate::tensor::Size;

impl Tensor {
    /// The same elements in another shape; one size may be `-1`. The batch axis may only stay in front.
    #[track_caller]
    pub fn reshape<S: Into<Size> + Copy>(self, sizes: impl AsRef<[S]>) -> Tensor {
        let sizes: Vec<Size> = sizes.as_ref().iter().map(|&size| size.into()).collect();
        if self.value().is_none() {
            return self;
        }
        match resolve(&self.shape(), &sizes) {
            Ok(shape) if shape == self.shape() => self,
            Ok(shape) => Tensor::apply(ops::Reshape { shape: shape.0 }, &[self]),
            Err(diagnostic) => Tensor::mistake(diagnostic),
        }
    }

    /// PyTorch's name for [`Tensor::reshape`]; every tensor here is contiguous.
    #[track_caller]
    pub fn view<S: Into<Size> + Copy>(self, sizes: impl AsRef<[S]>) -> Tensor {
        self.reshape(sizes)
    }

    /// Makes the axes from `start` to `end`, both included, one.
    #[track_caller]
    pub fn flatten(self, start: i64, end: i64) -> Tensor {
        let (Some(start), Some(end)) = (self.axis("flatten", start), self.axis("flatten", end)) else {
            return Tensor::poison();
        };
        let dims = self.shape().0;
        if start > end {
            let message = format!("flatten needs its first axis before its last: {start} and {end}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let joined = Shape(dims[start..=end].to_vec()).count();
        let shape = [&dims[..start], &[joined], &dims[end + 1..]].concat();
        if shape == dims { self } else { Tensor::apply(ops::Reshape { shape }, &[self]) }
    }

    /// The axes in another order.
    #[track_caller]
    pub fn permute(self, axes: &[i64]) -> Tensor {
        let mut dims = Vec::with_capacity(axes.len());
        for &axis in axes {
            let Some(axis) = self.axis("permute", axis) else { return Tensor::poison() };
            dims.push(axis);
        }
        Tensor::apply(ops::Permute { dims }, &[self])
    }

    /// Two axes exchanged.
    #[track_caller]
    pub fn transpose(self, a: i64, b: i64) -> Tensor {
        let (Some(a), Some(b)) = (self.axis("transpose", a), self.axis("transpose", b)) else {
            return Tensor::poison();
        };
        let mut dims: Vec<usize> = (0..self.rank()).collect();
        dims.swap(a, b);
        Tensor::apply_as("transpose", ops::Permute { dims }, &[self])
    }

    /// A new axis of extent 1 in front of `axis`.
    #[track_caller]
    pub fn unsqueeze(self, axis: i64) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        let rank = self.rank() as i64;
        if !(-rank - 1..=rank).contains(&axis) {
            let message = format!("unsqueeze needs an axis in {}..={rank}: found {axis}", -rank - 1);
            return Tensor::mistake(Diagnostic::new(Code::AxisOutOfRange, message));
        }
        let mut shape = self.shape().0;
        shape.insert(axis.rem_euclid(rank + 1) as usize, Dim::ONE);
        Tensor::apply(ops::Reshape { shape }, &[self])
    }

    /// Without an axis of extent 1; as it is when the extent is another (PyTorch).
    #[track_caller]
    pub fn squeeze(self, axis: i64) -> Tensor {
        let Some(axis) = self.axis("squeeze", axis) else { return Tensor::poison() };
        let mut shape = self.shape().0;
        if shape[axis] != Dim::ONE {
            return self;
        }
        shape.remove(axis);
        Tensor::apply(ops::Reshape { shape }, &[self])
    }

    /// Repeated along axes of extent 1 and new leading axes; `-1` keeps an extent.
    #[track_caller]
    pub fn expand<S: Into<Size> + Copy>(self, sizes: impl AsRef<[S]>) -> Tensor {
        let from = self.shape();
        let sizes: Vec<Size> = sizes.as_ref().iter().map(|&size| size.into()).collect();
        let new = sizes.len().saturating_sub(from.rank());
        let dim = |(axis, size): (usize, &Size)| match size {
            Size::Dim(dim) => Some(*dim),
            Size::Rest if axis >= new => from.0.get(axis - new).copied(),
            _ => None,
        };
        match sizes.iter().enumerate().map(dim).collect::<Option<Vec<Dim>>>() {
            Some(shape) => self.broadcast(&Shape(shape)),
            None => {
                let asked = asked(&sizes);
                let message = format!("expand needs extents, with -1 only for axes that exist: {from} to {asked}");
                Tensor::mistake(Diagnostic::new(Code::BadArgument, message))
            }
        }
    }

    /// `length` positions of an axis from `start` on.
    #[track_caller]
    pub fn narrow(self, axis: i64, start: usize, length: usize) -> Tensor {
        let Some(axis) = self.axis("narrow", axis) else { return Tensor::poison() };
        Tensor::apply_as("narrow", ops::Slice { axis, start, length, step: 1 }, &[self])
    }

    /// Zeros, or another value, around the last axes: `[low, high]` for the last, then for the one before, as `F.pad`.
    #[track_caller]
    pub fn pad(self, widths: &[[usize; 2]], value: f64) -> Tensor {
        let mut result = self;
        for (n, &[low, high]) in widths.iter().enumerate().filter(|(_, widths)| **widths != [0, 0]) {
            let Some(axis) = result.axis("pad", -1 - n as i64) else { return Tensor::poison() };
            let pad = ops::Pad { axis, low, high, interior: 0, value: Number::new(value) };
            result = Tensor::apply(pad, &[result]);
        }
        result
    }
}

/// The tensors one after another along an axis; PyTorch's `cat`.
#[track_caller]
pub fn cat(tensors: &[Tensor], axis: i64) -> Tensor {
    let Some(first) = tensors.first() else {
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, "cat needs at least one tensor"));
    };
    match first.axis("cat", axis) {
        Some(axis) => Tensor::apply_as("cat", ops::Concat { axis }, tensors),
        None => Tensor::poison(),
    }
}

/// The tensors along a new axis.
#[track_caller]
pub fn stack(tensors: &[Tensor], axis: i64) -> Tensor {
    let mut parts = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        parts.push(tensor.unsqueeze(axis));
    }
    cat(&parts, axis)
}

/// The shape that is asked for, with `-1` worked out.
fn resolve(from: &Shape, sizes: &[Size]) -> Result<Shape, Diagnostic> {
    let fault = |code, requirement: &str| {
        Err(Diagnostic::new(code, format!("reshape needs {requirement}: {from} to {}", asked(sizes))))
    };
    if sizes.iter().skip(1).any(|size| matches!(size, Size::Dim(dim) if dim.batch)) {
        return fault(Code::BatchAxis, "the batch axis in front and nowhere else");
    }
    let mut known = Dim::ONE;
    let mut rest = 0;
    for size in sizes {
        match size {
            Size::Dim(dim) => known = known.product(*dim).expect("only the first size can be the batch axis"),
            Size::Rest => rest += 1,
            Size::Negative(_) => return fault(Code::BadArgument, "sizes that are -1 or not negative"),
        }
    }
    let total = from.count();
    let divides = known.factor != 0 && total.factor.is_multiple_of(known.factor) && (!known.batch || total.batch);
    match rest {
        0 if known == total => {}
        1 if divides => {}
        0 | 1 => return fault(Code::ShapeMismatch, &format!("the element count {total}")),
        _ => return fault(Code::BadArgument, "at most one -1"),
    }
    let left = Dim { factor: total.factor / known.factor.max(1), batch: total.batch && !known.batch };
    let dims = sizes.iter().map(|size| if let Size::Dim(dim) = size { *dim } else { left });
    Ok(Shape(dims.collect()))
}

/// Sizes as the user wrote them.
fn asked(sizes: &[Size]) -> String {
    let text = |size: &Size| match size {
        Size::Dim(dim) => dim.to_string(),
        Size::Rest => "-1".to_owned(),
        Size::Negative(size) => size.to_string(),
    };
    format!("[{}]", sizes.iter().map(text).collect::<Vec<_>>().join(","))
}
