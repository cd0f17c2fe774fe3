//! Sliding windows as axes of their own, and their transpose: PyTorch's `unfold` and `fold`, whatever the axes. The two are each other's
//! derivatives.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{AxisId, Body, DType, Diagnostic, Dim, Index, Kind, Monoid, Type, ValueId, Vjp, axes, load};

macro_rules! windowed {
    ($name:ident) => {
        impl $name {
            /// The number of windows along the n-th axis, of which there are `extent` positions.
            fn count(&self, n: usize, extent: usize) -> Result<usize, Diagnostic> {
                let span =
                    self.dilation[n].saturating_mul(self.size[n].saturating_sub(1)).saturating_add(1.min(self.size[n]));
                let room = extent.checked_sub(span).ok_or_else(|| {
                    checks::argument($name::TEXT, &format!("windows that fit: they span {span} of {extent} positions"))
                })?;
                Ok(room / self.step[n] + 1)
            }

            /// What holds whatever the operand is.
            fn check(&self, ty: &Type, rank: usize) -> Result<(), Diagnostic> {
                let windowed = self.axes.len();
                if [self.size.len(), self.step.len(), self.dilation.len()] != [windowed; 3] {
                    let requirement = format!("a size, a step and a dilation for each of {windowed} axes");
                    return Err(checks::argument($name::TEXT, &requirement));
                }
                if [&self.step[..], &self.dilation[..]].concat().contains(&0) {
                    return Err(checks::argument($name::TEXT, "steps and dilations of at least 1"));
                }
                if rank < windowed {
                    return Err(checks::argument(
                        $name::TEXT,
                        &format!("an axis for each position in a window, found {ty}"),
                    ));
                }
                checks::axes($name::TEXT, &ty.with_shape(ty.shape.0[..rank].to_vec()), &self.axes)
            }
        }
    };
}

windowed!(Windows);
windowed!(FoldWindows);

op! {
    /// `result[.., i, .., k] = x[.., i·step + k·dilation, ..]`: the windows of each axis stand where the axis was, the positions inside them on new
    /// last axes, in the order of `axes`. Gradient: `fold_windows`.
    Windows(x) {
        /// The axes; not the batch axis.
        axes: Vec<usize>,
        /// The number of positions in a window.
        size: Vec<usize>,
        /// The distance between windows.
        step: Vec<usize>,
        /// The distance between the positions of a window.
        dilation: Vec<usize>,
    }
}

impl Windows {
    const TEXT: &str = "windows";
}

impl Operator for Windows {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let x = &operands[0];
        self.check(x, x.rank())?;
        let mut shape = x.shape.0.clone();
        for (n, &axis) in self.axes.iter().enumerate() {
            shape[axis] = Dim::fixed(self.count(n, checks::fixed(Windows::TEXT, x, axis)?)?);
        }
        shape.extend(self.size.iter().map(|&size| Dim::fixed(size)));
        Ok(x.with_shape(shape))
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        let rank = operands[0].rank();
        let mut index = axes(0, rank);
        for (n, &axis) in self.axes.iter().enumerate() {
            let inside = Index::axis(AxisId((rank + n) as u32)).times(self.dilation[n] as i64);
            index[axis] = index[axis].times(self.step[n] as i64).plus(&inside);
        }
        Body::view(index, None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (g, shape) = (cx.cotangent(), cx.operand_shape(0));
        let Windows { axes, size, step, dilation } = self.clone();
        let extent = axes.iter().map(|&axis| shape.0[axis].factor).collect();
        vec![Some(cx.emit(FoldWindows { axes, size, step, dilation, extent }, &[g]))]
    }

    fn examples() -> Vec<Example> {
        examples().into_iter().map(|(windows, x)| Example::new(windows, [x])).collect()
    }
}

op! {
    /// Adds up what the windows have at each position: the transpose of `windows`. Gradient: `windows`.
    FoldWindows(x) {
        /// The axes along which the windows lie.
        axes: Vec<usize>,
        /// The number of positions in a window: the extents of the last axes.
        size: Vec<usize>,
        /// The distance between windows.
        step: Vec<usize>,
        /// The distance between the positions of a window.
        dilation: Vec<usize>,
        /// The extents of the axes in the result.
        extent: Vec<usize>,
    }
}

impl FoldWindows {
    const TEXT: &str = "fold_windows";
}

impl Operator for FoldWindows {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let x = &operands[0];
        let rank = x.rank().saturating_sub(self.axes.len());
        self.check(x, rank)?;
        checks::number(FoldWindows::TEXT, x)?;
        if self.extent.len() != self.axes.len() {
            return Err(checks::argument(FoldWindows::TEXT, "the extent of each axis"));
        }
        let mut shape = x.shape.0[..rank].to_vec();
        for (n, &axis) in self.axes.iter().enumerate() {
            let count = Dim::fixed(self.count(n, self.extent[n])?);
            checks::extent(FoldWindows::TEXT, "as many windows as fit", x.dim(axis), count)?;
            checks::extent(FoldWindows::TEXT, "windows of its size", x.dim(rank + n), Dim::fixed(self.size[n]))?;
            shape[axis] = Dim::fixed(self.extent[n]);
        }
        Ok(x.with_shape(shape))
    }

    fn body(&self, _: &[Type], result: &Type) -> Body {
        let mut index = axes(0, result.rank() + self.axes.len());
        for (n, &axis) in self.axes.iter().enumerate() {
            let inside = index[result.rank() + n].times(-(self.dilation[n] as i64));
            index[axis] = index[axis].plus(&inside).exact_div(self.step[n] as i64);
        }
        let inside = self.size.iter().map(|&size| Dim::fixed(size)).collect();
        Body::reduce(Kind::Window, Monoid::Sum, inside, load(0, index, Some(0.0)))
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let FoldWindows { axes, size, step, dilation, .. } = self.clone();
        let g = cx.cotangent();
        vec![Some(cx.emit(Windows { axes, size, step, dilation }, &[g]))]
    }

    fn examples() -> Vec<Example> {
        let fold = |(windows, x): (Windows, Type)| {
            let unfolded = windows.infer(std::slice::from_ref(&x)).expect("the examples fit");
            let Windows { axes, size, step, dilation } = windows;
            let extent = axes.iter().map(|&axis| x.dim(axis).factor).collect();
            Example::new(FoldWindows { axes, size, step, dilation, extent }, [unfolded])
        };
        examples().into_iter().map(fold).collect()
    }
}

/// Overlapping windows with a rest at the end, windows with gaps inside, and windows over two axes.
fn examples() -> Vec<(Windows, Type)> {
    let along =
        |size, step, dilation| Windows { axes: vec![1], size: vec![size], step: vec![step], dilation: vec![dilation] };
    let row = Type::new(DType::F32, [Dim::BATCH, 8.into(), 2.into()]);
    let image = Type::new(DType::F32, [Dim::BATCH, 4.into(), 5.into()]);
    let both = Windows { axes: vec![1, 2], size: vec![2, 3], step: vec![2, 1], dilation: vec![1, 2] };
    vec![(along(3, 2, 1), row.clone()), (along(2, 3, 3), row), (both, image)]
}
