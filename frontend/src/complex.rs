//! Complex numbers: pairs of real tensors.
//!
//! Every function is written in real ones, so fusion computes both parts in one loop, and gradients need no rule of their own: the gradient of a real
//! loss with respect to `z = x + iy` is the pair `∂L/∂x + i·∂L/∂y`, which is PyTorch's (the conjugate of Wirtinger's derivative, times 2).

use std::ops::{Add, Div, Mul, Neg, Sub};

use kiln_ir::{Code, DType, Diagnostic, Shape};

use crate::scalar::Scalar;
use crate::{Tensor, stack};

/// A complex tensor; see [`complex`].
#[derive(Clone, Copy, Debug)]
pub struct ComplexTensor {
    re: Tensor,
    im: Tensor,
}

/// `real + i·imag`: `torch.complex`.
///
/// Shapes: equal. Dtypes: both `f32`, which makes `complex64`, or both `f64`, `complex128`. Errors: K0101, K0103. Gradients: the parts of that of the result.
#[track_caller]
pub fn complex(real: Tensor, imag: Tensor) -> ComplexTensor {
    let (Some(_), Some(_)) = (real.value(), imag.value()) else { return ComplexTensor::poison() };
    let (re, im) = (real.ty(), imag.ty());
    if re.dtype != im.dtype || !matches!(re.dtype, DType::F32 | DType::F64) {
        let message = format!("complex needs a real and an imaginary part both of f32 or both of f64: {re} and {im}");
        return ComplexTensor::mistake(Diagnostic::new(Code::DTypeMismatch, message));
    }
    if re.shape != im.shape {
        let message = format!("complex needs parts of equal shapes: {} and {}", re.shape, im.shape);
        return ComplexTensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    ComplexTensor { re: real, im: imag }
}

/// `[.., 2]` as complex numbers: `torch.view_as_complex`.
///
/// Errors: K0101 for another last extent, K0103.
#[track_caller]
pub fn view_as_complex(parts: Tensor) -> ComplexTensor {
    if parts.value().is_some() && parts.shape().0.last().is_none_or(|dim| dim.as_fixed() != Some(2)) {
        let message = format!("view_as_complex needs a last axis of 2, the parts: found {}", parts.shape());
        return ComplexTensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
    }
    complex(parts.narrow(-1, 0, 1).squeeze(-1), parts.narrow(-1, 1, 1).squeeze(-1))
}

impl ComplexTensor {
    fn poison() -> ComplexTensor {
        ComplexTensor { re: Tensor::poison(), im: Tensor::poison() }
    }

    #[track_caller]
    fn mistake(diagnostic: Diagnostic) -> ComplexTensor {
        Tensor::mistake(diagnostic);
        ComplexTensor::poison()
    }

    /// PyTorch's name of the dtype.
    pub fn dtype_name(self) -> &'static str {
        if self.re.dtype() == DType::F64 { "complex128" } else { "complex64" }
    }

    /// The shape.
    pub fn shape(self) -> Shape {
        self.re.shape()
    }

    /// The real part.
    pub fn real(self) -> Tensor {
        self.re
    }

    /// The imaginary part.
    pub fn imag(self) -> Tensor {
        self.im
    }

    /// `x - iy`.
    #[track_caller]
    pub fn conj(self) -> ComplexTensor {
        ComplexTensor { re: self.re, im: -self.im }
    }

    /// `√(x² + y²)`, which overflows only where the result does. Gradient: `g·z/|z|`, 0 at 0.
    #[track_caller]
    pub fn abs(self) -> Tensor {
        let (x, y) = (self.re.abs(), self.im.abs());
        let greatest = x.maximum(y).detach();
        // At 0 there is nothing to scale, and at an infinity everything would be lost.
        let scale = greatest.masked_fill(greatest.eq(0), 1).masked_fill(greatest.isinf(), 1);
        let square = (x / scale).square() + (y / scale).square();
        let nothing = square.eq(0);
        square.masked_fill(nothing, 1).sqrt().masked_fill(nothing, 0) * scale
    }

    /// The angle in `[-π, π]`.
    #[track_caller]
    pub fn angle(self) -> Tensor {
        self.im.atan2(self.re)
    }

    /// `[.., 2]`: `torch.view_as_real`.
    #[track_caller]
    pub fn view_as_real(self) -> Tensor {
        stack(&[self.re, self.im], -1)
    }

    /// `e^x·(cos y + i·sin y)`.
    #[track_caller]
    pub fn exp(self) -> ComplexTensor {
        let radius = self.re.exp();
        ComplexTensor { re: radius * self.im.cos(), im: radius * self.im.sin() }
    }

    /// The matrix product, as [`Tensor::matmul`] of the parts.
    #[track_caller]
    pub fn matmul(self, other: impl ComplexOperand) -> ComplexTensor {
        let ComplexTensor { re, im } = other.parts(self);
        ComplexTensor { re: self.re.matmul(re) - self.im.matmul(im), im: self.re.matmul(im) + self.im.matmul(re) }
    }
}

/// What may stand beside a complex tensor: another, a real tensor or a number.
pub trait ComplexOperand {
    /// Both parts, in the dtype of `other`.
    #[track_caller]
    fn parts(self, other: ComplexTensor) -> ComplexTensor;
}

impl ComplexOperand for ComplexTensor {
    fn parts(self, _: ComplexTensor) -> ComplexTensor {
        self
    }
}

impl ComplexOperand for Tensor {
    #[track_caller]
    fn parts(self, other: ComplexTensor) -> ComplexTensor {
        let re = if self.dtype().is_float() { self } else { self.to(other.re.dtype()) };
        ComplexTensor { re, im: Tensor::full(0.0, re.dtype()).broadcast(&re.shape()) }
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl ComplexOperand for $number {
            #[track_caller]
            fn parts(self, other: ComplexTensor) -> ComplexTensor {
                let number = |value| Tensor::full(value, other.re.dtype());
                ComplexTensor { re: number(Scalar::from(self).value()), im: number(0.0) }
            }
        }
    )*};
}

numbers!(i32 i64 f32 f64);

macro_rules! operators {
    ($($(#[doc = $doc:literal])* $trait:ident $method:ident |$a:ident, $b:ident| $value:expr;)*) => {$(
        $(#[doc = $doc])*
        impl<T: ComplexOperand> $trait<T> for ComplexTensor {
            type Output = ComplexTensor;

            #[track_caller]
            fn $method(self, other: T) -> ComplexTensor {
                let ($a, $b) = (self, other.parts(self));
                $value
            }
        }
    )*};
}

operators! {
    Add add |a, b| ComplexTensor { re: a.re + b.re, im: a.im + b.im };
    Sub sub |a, b| ComplexTensor { re: a.re - b.re, im: a.im - b.im };
    Mul mul |a, b| ComplexTensor { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
    /// By the greater part of the divisor first, so that its square is never needed (Smith, 1962).
    Div div |a, b| quotient(a, b);
}

impl Neg for ComplexTensor {
    type Output = ComplexTensor;

    #[track_caller]
    fn neg(self) -> ComplexTensor {
        ComplexTensor { re: -self.re, im: -self.im }
    }
}

/// `(a + ib)/(c + id)` with `r = d/c` is `((a + br) + i(b - ar))/(c + dr)` where `|c| >= |d|`. Elsewhere both are turned by a right angle first:
/// `(b - ia)/(d - ic)`.
#[track_caller]
fn quotient(a: ComplexTensor, b: ComplexTensor) -> ComplexTensor {
    let flat = b.re.abs().ge(b.im.abs());
    let (c, d) = (b.re.where_self(flat, b.im), b.im.where_self(flat, -b.re));
    let (x, y) = (a.re.where_self(flat, a.im), a.im.where_self(flat, -a.re));
    let ratio = d / c;
    let divisor = c + d * ratio;
    ComplexTensor { re: (x + y * ratio) / divisor, im: (y - x * ratio) / divisor }
}
