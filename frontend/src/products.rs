//! Products of matrices and tensors.

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim, Shape};

use crate::Tensor;

impl Tensor {
    /// The matrix product of the last two axes, batched over equal leading axes: `[.., m, k] · [.., k, n]`.
    #[track_caller]
    pub fn matmul(self, other: Tensor) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), other.value()) else { return Tensor::poison() };
        let (a, b) = (self.shape(), other.shape());
        // Only the call itself is outside of the closure: in it, the caller's place would be lost.
        let fault = |code, requirement: &str| Diagnostic::new(code, format!("matmul needs {requirement}: {a} and {b}"));
        if a.rank() < 2 || b.rank() < 2 || a.rank() > 8 {
            return Tensor::mistake(fault(Code::RankMismatch, "two operands with two to eight axes"));
        }
        if a.0[a.rank() - 1] != b.0[b.rank() - 2] {
            return Tensor::mistake(fault(Code::ShapeMismatch, "equal inner extents"));
        }
        let batch: String = ('a'..).take(a.rank() - 2).collect();
        let equation = match b.rank() {
            2 => format!("{batch}mk,kn->{batch}mn"),
            _ if a.0[..a.rank() - 2] == b.0[..b.rank() - 2] => format!("{batch}mk,{batch}kn->{batch}mn"),
            _ => return Tensor::mistake(fault(Code::ShapeMismatch, "equal leading axes")),
        };
        Tensor::apply(ops::Einsum::new(equation), &[self, other])
    }

    /// `x·wᵀ + b` over the last axis; w: `[out, in]`, b: `[out]`.
    #[track_caller]
    pub fn linear(self, weight: Tensor, bias: Option<Tensor>) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), weight.value()) else { return Tensor::poison() };
        let (x, w) = (self.shape(), weight.shape());
        let inner = |shape: &Shape| shape.0.last().copied();
        if x.rank() < 2 {
            let message =
                format!("linear needs an input with a batch axis, [batch, .., features]: found {}", self.ty());
            let diagnostic = Diagnostic::new(Code::RankMismatch, message);
            return Tensor::mistake(diagnostic.help("`unsqueeze(0)` makes a batch of one sample"));
        }
        if w.rank() != 2 || inner(&x) != inner(&w) {
            let wanted = inner(&w).unwrap_or(Dim::ONE);
            let found = inner(&x).map_or("none".to_owned(), |dim| dim.to_string());
            let message = format!("linear needs {wanted} input features: input {x} has {found}, weight is {w}");
            let diagnostic = Diagnostic::new(Code::ShapeMismatch, message);
            return Tensor::mistake(match x.rank() {
                4 if x.0[1..].iter().map(|dim| dim.factor).product::<usize>() == wanted.factor => {
                    diagnostic.help("flatten the image first: `.flatten(1, -1)`")
                }
                _ => diagnostic,
            });
        }
        if self.dtype() != weight.dtype() {
            let message =
                format!("linear needs an input of its weight's dtype, {}: found {}", weight.dtype(), self.ty());
            let help = format!("convert it with `.to(DType::{:?})`", weight.dtype());
            return Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message).help(help));
        }
        let leading: String = ('a'..).take(x.rank() - 1).filter(|label| *label != 'o').collect();
        let product = Tensor::apply(ops::Einsum::new(format!("{leading}z,oz->{leading}o")), &[self, weight]);
        match bias {
            Some(bias) => product + bias,
            None => product,
        }
    }
}
