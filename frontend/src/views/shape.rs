//! The same elements in another shape. Nothing here moves an element: a tensor is a value and not a piece of memory, so that every tensor
//! counts as contiguous and `view` never fails where `reshape` would not.

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim, Shape};

use crate::Tensor;
use crate::tensor::{Size, Sizes};

impl Tensor {
    /// The same elements, row-major, in another shape; one size may be `-1`, which is whatever is left. Any dtype.
    ///
    /// Another element count is K0101, a second `-1` or another negative size K0105, and a batch axis that is not in front K0109.
    /// Gradient: `g` in the old shape.
    #[track_caller]
    pub fn reshape(self, sizes: impl Sizes) -> Tensor {
        let sizes = sizes.sizes();
        if self.value().is_none() {
            return self;
        }
        match resolve("reshape", &self.shape(), &sizes) {
            Ok(shape) => self.in_shape(shape),
            Err(diagnostic) => Tensor::mistake(diagnostic),
        }
    }

    /// PyTorch's name for [`Tensor::reshape`] where no copy is made: here that is always.
    #[track_caller]
    pub fn view(self, sizes: impl Sizes) -> Tensor {
        self.reshape(sizes)
    }

    /// The tensor itself: PyTorch's `contiguous`, of which every tensor here is one.
    pub fn contiguous(self) -> Tensor {
        self
    }

    /// The axes from `start` to `end`, both included, as one; a tensor without axes becomes `[1]`. Any dtype.
    ///
    /// Axes that do not exist are K0104, a `start` behind `end` K0105. Gradient: `g` in the old shape.
    #[track_caller]
    pub fn flatten(self, start: i64, end: i64) -> Tensor {
        let (Some(first), Some(last)) = (self.axis_or_scalar("flatten", start), self.axis_or_scalar("flatten", end))
        else {
            return Tensor::poison();
        };
        if first > last {
            let message = format!("flatten needs its first axis before its last: {start} and {end}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let dims = self.shape().0;
        if dims.is_empty() {
            return self.in_shape([Dim::ONE]);
        }
        let joined = Shape(dims[first..=last].to_vec()).count();
        self.in_shape([&dims[..first], &[joined], &dims[last + 1..]].concat())
    }

    /// One axis as several, whose product it is; one of the sizes may be `-1`. Any dtype.
    ///
    /// Errors are those of [`Tensor::reshape`], and K0105 for no sizes at all. Gradient: `g` in the old shape.
    #[track_caller]
    pub fn unflatten(self, axis: i64, sizes: impl Sizes) -> Tensor {
        let Some(axis) = self.axis("unflatten", axis) else { return Tensor::poison() };
        let sizes = sizes.sizes();
        let dims = self.shape().0;
        if sizes.is_empty() {
            return Tensor::mistake(Diagnostic::new(
                Code::BadArgument,
                "unflatten needs at least one size: found none",
            ));
        }
        match resolve("unflatten", &Shape(vec![dims[axis]]), &sizes) {
            Ok(Shape(parts)) => self.in_shape([&dims[..axis], &parts, &dims[axis + 1..]].concat()),
            Err(diagnostic) => Tensor::mistake(diagnostic),
        }
    }

    /// A new axis of extent 1 in front of `axis`, which may be one past the last. Any dtype.
    ///
    /// Another axis is K0104. Gradient: `g` without the axis.
    #[track_caller]
    pub fn unsqueeze(self, axis: i64) -> Tensor {
        let Some(axis) = self.new_axis("unsqueeze", axis) else { return Tensor::poison() };
        let mut dims = self.shape().0;
        dims.insert(axis, Dim::ONE);
        self.in_shape(dims)
    }

    /// Without an axis of extent 1; as it is where the extent is another (PyTorch). Any dtype.
    ///
    /// An axis that does not exist is K0104. Gradient: `g` with the axis.
    #[track_caller]
    pub fn squeeze(self, axis: i64) -> Tensor {
        match self.axis_or_scalar("squeeze", axis) {
            Some(axis) => self.without_ones(|at| at == axis),
            None => Tensor::poison(),
        }
    }

    /// Without those of these axes that have extent 1: `squeeze` with a tuple. Any dtype.
    ///
    /// An axis that does not exist is K0104, one that is named twice K0105. Gradient: `g` with the axes.
    #[track_caller]
    pub fn squeeze_axes(self, axes: &[i64]) -> Tensor {
        if axes.is_empty() {
            return self;
        }
        match self.axes("squeeze_axes", axes) {
            Some(axes) => self.without_ones(|at| axes.contains(&at)),
            None => Tensor::poison(),
        }
    }

    /// Without any axis of extent 1: `squeeze()`. The batch axis stays, also in a batch of one. Gradient: `g` with the axes.
    #[track_caller]
    pub fn squeeze_all(self) -> Tensor {
        self.without_ones(|_| true)
    }

    #[track_caller]
    fn without_ones(self, chosen: impl Fn(usize) -> bool) -> Tensor {
        let dims = self.shape().0.into_iter().enumerate();
        let kept: Vec<Dim> = dims.filter(|(at, dim)| *dim != Dim::ONE || !chosen(*at)).map(|(_, dim)| dim).collect();
        self.in_shape(kept)
    }

    /// A tensor without axes as `[1]`, any other as it is: with [`Tensor::axis_or_scalar`], how PyTorch takes single numbers along an axis.
    #[track_caller]
    pub(crate) fn flatten_scalar(self) -> Tensor {
        if self.rank() == 0 && self.value().is_some() { self.in_shape([Dim::ONE]) } else { self }
    }

    /// The same elements in a shape of the same count.
    #[track_caller]
    pub(crate) fn in_shape(self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if self.shape() == shape { self } else { Tensor::apply(ops::Reshape { shape: shape.0 }, &[self]) }
    }

    /// The place of an axis that is yet to be made, from either end; a mistake is noted.
    #[track_caller]
    pub(crate) fn new_axis(self, op: &str, axis: i64) -> Option<usize> {
        self.value()?;
        let rank = self.rank() as i64;
        if (-rank - 1..=rank).contains(&axis) {
            return Some(axis.rem_euclid(rank + 1) as usize);
        }
        let message = format!("{op} needs an axis in {}..={rank}: found {axis}", -rank - 1);
        Tensor::mistake(Diagnostic::new(Code::AxisOutOfRange, message));
        None
    }
}

/// The shape that is asked for, with `-1` worked out.
fn resolve(op: &str, from: &Shape, sizes: &[Size]) -> Result<Shape, Diagnostic> {
    let fault = |code, requirement: &str| {
        Err(Diagnostic::new(code, format!("{op} needs {requirement}: {from} to {}", asked(sizes))))
    };
    if sizes.iter().skip(1).any(|size| matches!(size, Size::Dim(dim) if dim.batch)) {
        return fault(Code::BatchAxis, "the batch axis in front and nowhere else");
    }
    let mut known = Some(Dim::ONE);
    let mut rest = 0;
    for size in sizes {
        match size {
            Size::Dim(dim) => known = known.and_then(|known| known.product(*dim)),
            Size::Rest => rest += 1,
            Size::Negative(_) => return fault(Code::BadArgument, "sizes that are -1 or not negative"),
        }
    }
    let total = from.count();
    let Some(known) = known else { return fault(Code::ShapeMismatch, &format!("the element count {total}")) };
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
pub(super) fn asked(sizes: &[Size]) -> String {
    let text = |size: &Size| match size {
        Size::Dim(dim) => dim.to_string(),
        Size::Rest => "-1".to_owned(),
        Size::Negative(size) => size.to_string(),
    };
    format!("[{}]", sizes.iter().map(text).collect::<Vec<_>>().join(","))
}
