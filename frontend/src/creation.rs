//! Tensors that the program makes itself. Sizes are constants or the batch axis; the elements are computed where they are used.

use kiln_ir::{Code, DType, Diagnostic, Dim, Number, ops};

use crate::scalar::Scalar;
use crate::{Size, Sizes, Tensor};

/// Every element 0: `torch.zeros`.
#[track_caller]
pub fn zeros(sizes: impl Sizes, dtype: DType) -> Tensor {
    full(sizes, false, dtype)
}

/// Every element 1: `torch.ones`.
#[track_caller]
pub fn ones(sizes: impl Sizes, dtype: DType) -> Tensor {
    full(sizes, true, dtype)
}

/// A tensor whose elements do not matter: `torch.empty`. They are zeros, since nothing in a program is left undefined.
#[track_caller]
pub fn empty(sizes: impl Sizes, dtype: DType) -> Tensor {
    zeros(sizes, dtype)
}

/// Every element this number: `torch.full`. Negative sizes are K0105.
#[track_caller]
pub fn full(sizes: impl Sizes, value: impl Into<Scalar>, dtype: DType) -> Tensor {
    let mut shape = Vec::new();
    for size in sizes.sizes() {
        match size {
            Size::Dim(dim) => shape.push(dim),
            size => {
                let message = format!("full needs sizes of at least 0: found {size:?}");
                return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
            }
        }
    }
    let value = Number::new(value.into().value());
    Tensor::apply(ops::Full { value, dtype, shape }, &[])
}

/// Ones on the diagonal of a matrix, zeros elsewhere: `torch.eye`.
#[track_caller]
pub fn eye(rows: usize, columns: usize, dtype: DType) -> Tensor {
    let (row, column) = (positions(&[Dim::fixed(rows), Dim::ONE], 0), positions(&[Dim::fixed(columns)], 0));
    row.eq(column).to(dtype)
}

/// `start, start + step, ..`, without `end`: `torch.arange`. Integers give `i64`, and a floating argument `f32`.
///
/// There are `⌈(end - start)/step⌉` elements, each `start + n·step` in `f64` and then rounded. A step of 0 and one that leads away from `end`
/// are K0105.
#[track_caller]
pub fn arange(start: impl Into<Scalar>, end: impl Into<Scalar>, step: impl Into<Scalar>) -> Tensor {
    let all = [start.into(), end.into(), step.into()];
    let [start, end, step] = all.map(Scalar::value);
    let count = ((end - start) / step).ceil();
    if !(count >= 0.0 && count.is_finite()) {
        let message = format!("arange needs a step that leads from its start to its end: {start} to {end} by {step}");
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
    }
    let position = positions(&[Dim::fixed(count as usize)], 0);
    if all.iter().any(|scalar| matches!(scalar, Scalar::Float(_))) {
        (position.to(DType::F64) * step + start).to(DType::F32)
    } else {
        position * step as i64 + start as i64
    }
}

/// `steps` numbers from `start` to `end`, both included, at equal distances, as `f32`: `torch.linspace`.
///
/// The first half is counted from the start and the second from the end, so that both are exact; in `f64`, and then rounded. One step is `start`.
#[track_caller]
pub fn linspace(start: f64, end: f64, steps: usize) -> Tensor {
    let position = positions(&[Dim::fixed(steps)], 0);
    let step = (end - start) / steps.saturating_sub(1).max(1) as f64;
    let ahead = position.to(DType::F64) * step + start;
    let behind = (position - (steps as i64 - 1)).to(DType::F64) * step + end;
    let first_half = position.lt((steps as i64 + 1) / 2);
    ahead.where_self(first_half, behind).to(DType::F32)
}

/// Numbers written out, nested as deep as the tensor has axes: `torch.tensor`. Whole numbers are `i64`, floating ones `f32`, truth values
/// `bool`.
///
/// ```
/// # use kiln_frontend::{Function, functional::tensor};
/// # Function::new("constants").trace(|_| {
/// let matrix = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]); // f32[2,3]
/// let number = tensor(3); // i64[]
/// # vec![matrix, number] }).unwrap();
/// ```
#[track_caller]
pub fn tensor<T: Literal>(elements: T) -> Tensor {
    let mut data = Vec::new();
    elements.write(&mut data);
    if let Some(large) = data.iter().find(|number| T::DTYPE == DType::I64 && number.value().abs() > MAX_INTEGER) {
        let message = format!("tensor needs whole numbers of at most 2^53: found {}", large.value());
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
    }
    Tensor::apply(ops::Constant { dtype: T::DTYPE, shape: T::shape(), data }, &[])
}

/// 2^53: up to here a literal of the IR is exact.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// What [`tensor`] takes: a number, or an array of literals.
pub trait Literal {
    /// The dtype of the tensor.
    const DTYPE: DType;

    /// Its shape.
    fn shape() -> Vec<Dim>;

    /// Appends the elements in row-major order.
    fn write(&self, data: &mut Vec<Number>);
}

impl<T: Literal, const N: usize> Literal for [T; N] {
    const DTYPE: DType = T::DTYPE;

    fn shape() -> Vec<Dim> {
        [vec![Dim::fixed(N)], T::shape()].concat()
    }

    fn write(&self, data: &mut Vec<Number>) {
        self.iter().for_each(|part| part.write(data));
    }
}

macro_rules! literals {
    ($($ty:ty => $dtype:ident;)*) => {$(
        impl Literal for $ty {
            const DTYPE: DType = DType::$dtype;

            fn shape() -> Vec<Dim> {
                Vec::new()
            }

            fn write(&self, data: &mut Vec<Number>) {
                data.push(Number::new(Scalar::from(*self).value()));
            }
        }
    )*};
}

literals! {
    bool => Bool;
    i64 => I64;
    f32 => F32;
    f64 => F32;
}

impl Tensor {
    /// Zeros in the shape and dtype of this tensor.
    #[track_caller]
    pub fn zeros_like(self) -> Tensor {
        self.full_like(false)
    }

    /// Ones in the shape and dtype of this tensor.
    #[track_caller]
    pub fn ones_like(self) -> Tensor {
        self.full_like(true)
    }

    /// A tensor like this one whose elements do not matter: zeros.
    #[track_caller]
    pub fn empty_like(self) -> Tensor {
        self.zeros_like()
    }

    /// One number in the shape and dtype of this tensor.
    #[track_caller]
    pub fn full_like(self, value: impl Into<Scalar>) -> Tensor {
        match self.value() {
            Some(_) => full(self.shape().0, value, self.dtype()),
            None => self,
        }
    }
}

/// Tensors of the dtype of another: PyTorch's `Tensor.new_*`.
impl Tensor {
    /// [`zeros`] in the dtype of this tensor.
    #[track_caller]
    pub fn new_zeros(self, sizes: impl Sizes) -> Tensor {
        zeros(sizes, self.dtype())
    }

    /// [`ones`] in the dtype of this tensor.
    #[track_caller]
    pub fn new_ones(self, sizes: impl Sizes) -> Tensor {
        ones(sizes, self.dtype())
    }

    /// [`empty`] in the dtype of this tensor.
    #[track_caller]
    pub fn new_empty(self, sizes: impl Sizes) -> Tensor {
        empty(sizes, self.dtype())
    }

    /// [`full`] in the dtype of this tensor.
    #[track_caller]
    pub fn new_full(self, sizes: impl Sizes, value: impl Into<Scalar>) -> Tensor {
        full(sizes, value, self.dtype())
    }
}

/// The position on an axis, as `i64`.
#[track_caller]
pub(crate) fn positions(shape: &[Dim], axis: usize) -> Tensor {
    Tensor::apply(ops::Iota { axis, dtype: DType::I64, shape: shape.to_vec() }, &[])
}
