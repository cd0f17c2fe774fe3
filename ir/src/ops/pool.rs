//! Pooling over windows of any number of spatial axes.
//!
//! The maximum is two values with one window loop each, which fusion makes one: the maximum, and the position in the window where it was
//! found. The gradient puts each cotangent there; `max_pool_grad` and `max_pool_pick` are each other's transposes, and so are
//! `sum_pool` and `sum_pool_grad`.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Body, Comparison, DType, Diagnostic, Dim, Expr, Index, Kind, Monoid, Type, ValueId, Vjp, axes, load};

/// The window of a pool; one number for each spatial axis.
struct Window<'a> {
    name: &'static str,
    kernel: &'a [usize],
    stride: &'a [usize],
    padding: &'a [usize],
    dilation: &'a [usize],
    ceil: bool,
}

impl Window<'_> {
    fn check(&self, ty: &Type) -> Result<(), Diagnostic> {
        let spatial = self.kernel.len();
        checks::float(self.name, ty)?;
        checks::rank(self.name, "input", ty, spatial + 2)?;
        let lengths = [self.stride.len(), self.padding.len(), self.dilation.len()];
        if lengths != [spatial; 3] || [self.kernel, self.stride, self.dilation].concat().contains(&0) {
            let requirement = format!("kernel, stride and dilation of at least 1 for each of {spatial} axes");
            return Err(checks::argument(self.name, &requirement));
        }
        if let Some(axis) = (0..spatial).find(|&axis| self.padding[axis] > self.span(axis) / 2) {
            let (padding, span) = (self.padding[axis], self.span(axis));
            let requirement = format!("padding of at most half the kernel: {padding} and {span}");
            return Err(checks::argument(self.name, &requirement));
        }
        Ok(())
    }

    /// How many positions the window reaches over; what no input could hold stays that large.
    fn span(&self, axis: usize) -> usize {
        self.dilation[axis].saturating_mul(self.kernel[axis] - 1).saturating_add(1)
    }

    /// The extents of the output: PyTorch's formula; with `ceil` the last window must still begin inside the input or its left padding.
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, Diagnostic> {
        let extent = |axis: usize| {
            let (size, padding, stride) = (input[axis], self.padding[axis], self.stride[axis]);
            let room = (size + 2 * padding).checked_sub(self.span(axis))?;
            let extent = if self.ceil { room.div_ceil(stride) + 1 } else { room / stride + 1 };
            Some(if self.ceil && (extent - 1) * stride >= size + padding { extent - 1 } else { extent })
        };
        let fits = || {
            let requirement = format!("a window no larger than its padded input: {:?} and {input:?}", self.kernel);
            checks::argument(self.name, &requirement)
        };
        (0..input.len()).map(|axis| extent(axis).ok_or_else(fits)).collect()
    }

    /// The type of the output for an input.
    fn output_type(&self, input: &Type) -> Result<Type, Diagnostic> {
        self.check(input)?;
        let size: Vec<usize> =
            (2..input.rank()).map(|a| checks::fixed(self.name, input, a)).collect::<Result<_, _>>()?;
        let out = self.output(&size)?.into_iter().map(Dim::fixed);
        Ok(input.with_shape([input.dim(0), input.dim(1)].into_iter().chain(out).collect::<Vec<Dim>>()))
    }

    /// The type of the input for an output, checked against it.
    fn input_type(&self, output: &Type, input: &[usize]) -> Result<Type, Diagnostic> {
        self.check(output)?;
        let spatial = input.iter().map(|&extent| Dim::fixed(extent));
        let ty = output.with_shape([output.dim(0), output.dim(1)].into_iter().chain(spatial).collect::<Vec<Dim>>());
        checks::same(self.name, &self.output_type(&ty)?, output)?;
        Ok(ty)
    }

    fn reduction(&self) -> Vec<Dim> {
        self.kernel.iter().map(|&extent| Dim::fixed(extent)).collect()
    }

    fn taps(&self) -> Vec<Index> {
        axes(self.kernel.len() + 2, self.kernel.len())
    }

    /// The row-major number of a tap in the window.
    fn tap_number(&self) -> Expr {
        let number =
            self.taps().iter().zip(self.kernel).fold(Index::default(), |n, (tap, &k)| n.times(k as i64).plus(tap));
        Expr::Index(number)
    }

    /// From an output position and a tap to the input.
    fn input_index(&self) -> Vec<Index> {
        let mut index = axes(0, self.kernel.len() + 2);
        for (i, tap) in self.taps().iter().enumerate() {
            let origin = index[i + 2].times(self.stride[i] as i64);
            index[i + 2] = origin.plus(&tap.times(self.dilation[i] as i64)).shifted(-(self.padding[i] as i64));
        }
        index
    }

    /// From an input position and a tap to the output, where there is one.
    fn output_index(&self) -> Vec<Index> {
        let mut index = axes(0, self.kernel.len() + 2);
        for (i, tap) in self.taps().iter().enumerate() {
            let origin = index[i + 2].plus(&tap.times(-(self.dilation[i] as i64))).shifted(self.padding[i] as i64);
            index[i + 2] = origin.exact_div(self.stride[i] as i64);
        }
        index
    }

    /// What is outside the input, if a window can reach there.
    fn outside(&self, value: f64) -> Option<f64> {
        (self.ceil || self.padding.iter().any(|&padding| padding > 0)).then_some(value)
    }

    /// The smallest dtype for positions in a window.
    fn position_dtype(&self) -> DType {
        if self.kernel.iter().product::<usize>() <= 256 { DType::U8 } else { DType::I32 }
    }
}

/// A pool: its attributes, its rules, and how it turns into the other pools with the same window.
macro_rules! pools {
    ($($(#[doc = $formula:literal])* $name:ident $text:literal ($($operand:ident),*) $({ $(#[$doc:meta])* $extra:ident })?:
        infer |$w:ident, $types:ident, $this:ident| $infer:expr;
        body |$w2:ident, $types2:ident| $body:expr;
        vjp |$cx:ident, $self_:ident| $vjp:expr;
        examples $examples:expr;)*) => {$(
        op! {
            $(#[doc = $formula])*
            $name($($operand),*) {
                /// Extents of the window.
                kernel: Vec<usize>,
                /// Distance between windows.
                stride: Vec<usize>,
                /// Positions outside the input on both sides.
                padding: Vec<usize>,
                /// Distance between the taps of a window.
                dilation: Vec<usize>,
                /// Whether a window may begin inside and end outside: PyTorch's `ceil_mode`.
                ceil: bool,
                $($(#[$doc])* $extra: Vec<usize>,)?
            }
        }

        #[allow(dead_code)]
        impl $name {
            fn window(&self) -> Window<'_> {
                let $name { kernel, stride, padding, dilation, ceil, .. } = self;
                Window { name: $text, kernel, stride, padding, dilation, ceil: *ceil }
            }

            fn index(&self) -> MaxPoolIndex {
                let $name { kernel, stride, padding, dilation, ceil, .. } = self.clone();
                MaxPoolIndex { kernel, stride, padding, dilation, ceil }
            }

            fn pick(&self) -> MaxPoolPick {
                let $name { kernel, stride, padding, dilation, ceil, .. } = self.clone();
                MaxPoolPick { kernel, stride, padding, dilation, ceil }
            }

            fn sum(&self) -> SumPool {
                let $name { kernel, stride, padding, dilation, ceil, .. } = self.clone();
                SumPool { kernel, stride, padding, dilation, ceil }
            }

            fn max_grad(&self, input: &[Dim]) -> MaxPoolGrad {
                let $name { kernel, stride, padding, dilation, ceil, .. } = self.clone();
                MaxPoolGrad { kernel, stride, padding, dilation, ceil, input: input[2..].iter().map(|d| d.factor).collect() }
            }

            fn sum_grad(&self, input: &[Dim]) -> SumPoolGrad {
                let $name { kernel, stride, padding, dilation, ceil, .. } = self.clone();
                SumPoolGrad { kernel, stride, padding, dilation, ceil, input: input[2..].iter().map(|d| d.factor).collect() }
            }
        }

        impl Operator for $name {
            #[allow(unused_variables)]
            fn infer(&self, $types: &[Type]) -> Result<Type, Diagnostic> {
                let ($w, $this) = (self.window(), self);
                $infer
            }

            #[allow(unused_variables)]
            fn body(&self, $types2: &[Type], _: &Type) -> Body {
                let $w2 = self.window();
                $body
            }

            #[allow(unused_variables)]
            fn vjp(&self, $cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
                let $self_ = self;
                $vjp
            }

            fn examples() -> Vec<Example> {
                $examples
            }
        }
    )*};
}

pools! {
    /// The maximum of each window; NaN if any is. Gradient: `g` to the first maximum of its window.
    MaxPool "max_pool" (input):
        infer |w, types, this| w.output_type(&types[0]);
        body |w, types| {
            let value = load(0, w.input_index(), w.outside(f64::NEG_INFINITY));
            Body::reduce(Kind::Window, Monoid::Max, w.reduction(), value)
        };
        vjp |cx, this| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            let index = cx.emit(this.index(), &[x]);
            let index = cx.cast(index, this.window().position_dtype());
            let op = this.max_grad(&cx.operand_shape(0).0);
            vec![Some(cx.emit(op, &[g, index]))]
        };
        examples windows().into_iter().map(|pool| Example::new(pool, [input_type()])).collect();

    /// Where in its window each maximum is: the row-major number of the tap, as `i64`, the first of equals. No gradient.
    MaxPoolIndex "max_pool_index" (input):
        infer |w, types, this| Ok(w.output_type(&types[0])?.with_dtype(DType::I64));
        body |w, types| {
            let value = load(0, w.input_index(), w.outside(f64::NEG_INFINITY));
            Body::reduce(Kind::Window, Monoid::ArgMax, w.reduction(), value)
        };
        vjp |cx, this| vec![None];
        examples windows().into_iter().map(|pool| Example::new(pool.index(), [input_type()])).collect();

    /// Adds each cotangent to the input position that its window's `index` names. Gradient: `max_pool_pick`.
    MaxPoolGrad "max_pool_grad" (cotangent, index) {
        /// The spatial extents of the input.
        input
    }:
        infer |w, types, this| {
            checks::same(w.name, &types[0].with_dtype(types[1].dtype), &types[1])?;
            w.input_type(&types[0], &this.input)
        };
        body |w, types| {
            let at = Expr::cast(DType::I64, load(1, w.output_index(), Some(0.0)));
            let here = Expr::compare(Comparison::Eq, at, w.tap_number());
            let value = Expr::select(here, load(0, w.output_index(), Some(0.0)), Expr::number(0.0, types[0].dtype));
            Body::reduce(Kind::Window, Monoid::Sum, w.reduction(), value)
        };
        vjp |cx, this| {
            let (index, h) = (cx.operand(1), cx.cotangent());
            vec![Some(cx.emit(this.pick(), &[h, index])), None]
        };
        examples windows().into_iter().map(|pool| {
            let output = pool.window().output_type(&input_type()).expect("the examples fit");
            let index = output.with_dtype(DType::U8);
            Example::new(pool.max_grad(&input_type().shape.0), [output, index]).domain(1, 0.0, 4.0)
        }).collect();

    /// The input element that each window's `index` names. Gradient: `max_pool_grad`.
    MaxPoolPick "max_pool_pick" (input, index):
        infer |w, types, this| {
            let output = w.output_type(&types[0])?;
            checks::same(w.name, &output.with_dtype(types[1].dtype), &types[1])?;
            Ok(output)
        };
        body |w, types| {
            let at = Expr::cast(DType::I64, load(1, axes(0, types[1].rank()), None));
            let here = Expr::compare(Comparison::Eq, at, w.tap_number());
            let x = load(0, w.input_index(), w.outside(0.0));
            let value = Expr::select(here, x, Expr::number(0.0, types[0].dtype));
            Body::reduce(Kind::Window, Monoid::Sum, w.reduction(), value)
        };
        vjp |cx, this| {
            let (index, h) = (cx.operand(1), cx.cotangent());
            let op = this.max_grad(&cx.operand_shape(0).0);
            vec![Some(cx.emit(op, &[h, index])), None]
        };
        examples windows().into_iter().map(|pool| {
            let index = pool.window().output_type(&input_type()).expect("the examples fit").with_dtype(DType::U8);
            Example::new(pool.pick(), [input_type(), index]).domain(1, 0.0, 4.0)
        }).collect();

    /// The sum of each window, zeros outside. Gradient: `sum_pool_grad`.
    SumPool "sum_pool" (input):
        infer |w, types, this| w.output_type(&types[0]);
        body |w, types| Body::reduce(Kind::Window, Monoid::Sum, w.reduction(), load(0, w.input_index(), w.outside(0.0)));
        vjp |cx, this| {
            let (g, op) = (cx.cotangent(), this.sum_grad(&cx.operand_shape(0).0));
            vec![Some(cx.emit(op, &[g]))]
        };
        examples windows().into_iter().map(|pool| Example::new(pool.sum(), [input_type()])).collect();

    /// Adds each cotangent to every input position of its window. Gradient: `sum_pool`.
    SumPoolGrad "sum_pool_grad" (cotangent) {
        /// The spatial extents of the input.
        input
    }:
        infer |w, types, this| w.input_type(&types[0], &this.input);
        body |w, types| Body::reduce(Kind::Window, Monoid::Sum, w.reduction(), load(0, w.output_index(), Some(0.0)));
        vjp |cx, this| { let h = cx.cotangent(); vec![Some(cx.emit(this.sum(), &[h]))] };
        examples windows().into_iter().map(|pool| {
            let output = pool.window().output_type(&input_type()).expect("the examples fit");
            Example::new(pool.sum_grad(&input_type().shape.0), [output])
        }).collect();
}

fn input_type() -> Type {
    Type::new(DType::F32, [Dim::BATCH, 2.into(), 5.into(), 6.into()])
}

fn windows() -> Vec<MaxPool> {
    let pool = |kernel, stride, padding, ceil| MaxPool {
        kernel: vec![kernel; 2],
        stride: vec![stride; 2],
        padding: vec![padding; 2],
        dilation: vec![1; 2],
        ceil,
    };
    vec![pool(2, 2, 0, false), pool(3, 2, 1, false), pool(2, 3, 0, true)]
}
