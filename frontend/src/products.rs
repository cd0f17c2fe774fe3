//! Products of matrices, vectors and tensors.
//!
//! Each is an [`einsum`](crate::functional::einsum): operands have one dtype, half types are multiplied and summed in f32, an empty sum is
//! 0, and the gradients are products of the cotangent with the other operand.

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim, Shape, accumulator};

use crate::Tensor;
use crate::einsum::{Labelled, contract};
use crate::scalar::Scalar;

impl Tensor {
    /// `y[.., i, j] = Σₖ a[.., i, k]·b[.., k, j]`, with PyTorch's rules for ranks: leading axes broadcast; a vector on the left is a row
    /// and one on the right a column, whose axis the result lacks.
    ///
    /// K0102 for an operand without axes; K0101 for inner extents that differ (they do not broadcast) and leading axes that do not
    /// broadcast.
    #[track_caller]
    pub fn matmul(self, other: Tensor) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), other.value()) else { return Tensor::poison() };
        let (a, b) = (self.shape(), other.shape());
        // Only the call itself is outside of the closure: in it, the caller's place would be lost.
        let fault = |code, requirement: &str| Diagnostic::new(code, format!("matmul needs {requirement}: {a} and {b}"));
        if a.rank() == 0 || b.rank() == 0 {
            return Tensor::mistake(fault(Code::RankMismatch, "operands with at least one axis"));
        }
        if a.0[a.rank() - 1] != b.0[b.rank().saturating_sub(2)] {
            return Tensor::mistake(fault(Code::ShapeMismatch, "equal inner extents"));
        }
        let leading =
            |shape: &Shape| shape.0[..shape.rank().saturating_sub(2)].iter().rev().copied().collect::<Vec<Dim>>();
        let meet = |(x, y): (Dim, Dim)| x == y || x == Dim::ONE || y == Dim::ONE;
        if !leading(&a).into_iter().zip(leading(&b)).all(meet) {
            return Tensor::mistake(fault(Code::ShapeMismatch, "leading axes that broadcast"));
        }
        let lhs = Labelled::batched(self, if a.rank() == 1 { "k" } else { "ik" });
        let rhs = Labelled::batched(other, if b.rank() == 1 { "k" } else { "kj" });
        let longer = if a.rank() > b.rank() { &lhs } else { &rhs };
        let leading = longer.labels().iter().filter(|label| !label.is_ascii());
        let own = lhs.labels().iter().chain(rhs.labels()).filter(|label| matches!(label, 'i' | 'j'));
        let out: Vec<char> = leading.chain(own).copied().collect();
        contract("matmul", &[lhs, rhs], &out)
    }

    /// `y[i, j] = Σₖ a[i, k]·b[k, j]`. K0102 for other ranks than 2 and 2, K0101 for inner extents that differ: nothing broadcasts.
    #[track_caller]
    pub fn mm(self, other: Tensor) -> Tensor {
        Tensor::apply_as("mm", ops::Einsum::new("ik,kj->ij"), &[self, other])
    }

    /// `y[n, i, j] = Σₖ a[n, i, k]·b[n, k, j]`. K0102 for other ranks than 3 and 3, K0101 for extents that differ: nothing broadcasts.
    #[track_caller]
    pub fn bmm(self, other: Tensor) -> Tensor {
        Tensor::apply_as("bmm", ops::Einsum::new("nik,nkj->nij"), &[self, other])
    }

    /// `y[i] = Σₖ a[i, k]·x[k]`. K0102 for other ranks than 2 and 1, K0101 for inner extents that differ.
    #[track_caller]
    pub fn mv(self, other: Tensor) -> Tensor {
        Tensor::apply_as("mv", ops::Einsum::new("ik,k->i"), &[self, other])
    }

    /// `y = Σₖ a[k]·b[k]`. K0102 for operands that are not vectors, K0101 for lengths that differ.
    #[track_caller]
    pub fn dot(self, other: Tensor) -> Tensor {
        Tensor::apply_as("dot", ops::Einsum::new("k,k->"), &[self, other])
    }

    /// `y[i, j] = a[i]·b[j]`, promoted as [`Mul`](std::ops::Mul). K0102 for operands that are not vectors.
    #[track_caller]
    pub fn outer(self, other: Tensor) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), other.value()) else { return Tensor::poison() };
        if self.rank() != 1 || other.rank() != 1 {
            let message = format!("outer needs two vectors: {} and {}", self.ty(), other.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        self.unsqueeze(1) * other
    }

    /// `beta·input + alpha·a·b` of matrices. The input broadcasts to the product; with `beta` 0 it is not looked at, so that its NaNs do
    /// not spread.
    #[track_caller]
    pub fn addmm(self, a: Tensor, b: Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Tensor {
        accumulate("addmm", "ik,kj->ij", [self, a, b], beta.into(), alpha.into())
    }

    /// `beta·input + alpha·a·b` of batches of matrices; as [`Tensor::addmm`].
    #[track_caller]
    pub fn baddbmm(self, a: Tensor, b: Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Tensor {
        accumulate("baddbmm", "nik,nkj->nij", [self, a, b], beta.into(), alpha.into())
    }

    /// `y[.., o] = Σᵢ x[.., i]·w[o, i] + b[o]`; w: `[out, in]`, or `[in]` for one number a sample; b: `[out]`.
    ///
    /// K0101 for another number of features, or a bias that does not broadcast to the product; K0103 for dtypes that differ.
    #[track_caller]
    pub fn linear(self, weight: Tensor, bias: Option<Tensor>) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), weight.value()) else { return Tensor::poison() };
        let (x, w) = (self.shape(), weight.shape());
        let features = |shape: &Shape| shape.0.last().copied();
        if !(1..=2).contains(&w.rank()) || features(&x) != features(&w) {
            let wanted = features(&w).unwrap_or(Dim::ONE);
            let found = features(&x).map_or("none".to_owned(), |dim| dim.to_string());
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
        let dtype = self.dtype();
        let (input, weight, bias) = match bias {
            None => (self, weight, None),
            Some(bias) => {
                let Some([x, w, bias]) = in_sum_dtype("linear", [self, weight, bias]) else { return Tensor::poison() };
                (x, w, Some(bias))
            }
        };
        let input = Labelled::batched(input, "i");
        let weight = Labelled::batched(weight, if w.rank() == 1 { "i" } else { "oi" });
        let mut out: Vec<char> = input.labels()[..x.rank() - 1].to_vec();
        out.extend(weight.labels().iter().filter(|label| **label == 'o'));
        let product = contract("linear", &[input, weight], &out);
        match bias {
            Some(bias) => biased("linear", product, bias).to(dtype),
            None => product,
        }
    }

    /// `y[.., o] = Σᵢⱼ x₁[.., i]·w[o, i, j]·x₂[.., j] + b[o]`; the leading axes of both inputs are equal, w: `[out, in₁, in₂]`, b: `[out]`.
    ///
    /// Made as a linear map of the products `x₁[i]·x₂[j]`. K0102 for a weight that does not have three axes; K0101 for extents that do not
    /// fit, K0103 for tensors of several dtypes.
    #[track_caller]
    pub fn bilinear(self, other: Tensor, weight: Tensor, bias: Option<Tensor>) -> Tensor {
        let (Some(_), Some(_), Some(_)) = (self.value(), other.value(), weight.value()) else {
            return Tensor::poison();
        };
        if !Tensor::are_alike("bilinear", &[self, other, weight, bias.unwrap_or(weight)]) {
            return Tensor::poison();
        }
        let (x, y, w) = (self.shape(), other.shape(), weight.shape());
        let fault = |code, requirement: &str| {
            let message = format!("bilinear needs {requirement}: inputs {x} and {y}, weight {w}");
            Diagnostic::new(code, message)
        };
        if w.rank() != 3 || x.rank() == 0 || x.rank() != y.rank() {
            return Tensor::mistake(fault(Code::RankMismatch, "two inputs of equal rank and a weight with 3 axes"));
        }
        let last = x.rank() - 1;
        if x.0[..last] != y.0[..last] || [x.0[last], y.0[last]] != w.0[1..] {
            return Tensor::mistake(fault(Code::ShapeMismatch, "equal leading axes and the features of its weight"));
        }
        (self.unsqueeze(-1) * other.unsqueeze(-2)).flatten(-2, -1).linear(weight.flatten(1, 2), bias)
    }
}

/// `beta·input + alpha·product`.
#[track_caller]
fn accumulate(method: &str, equation: &str, operands: [Tensor; 3], beta: Scalar, alpha: Scalar) -> Tensor {
    let dtype = operands[0].dtype();
    let Some([input, a, b]) = in_sum_dtype(method, operands) else { return Tensor::poison() };
    let product = Tensor::apply_as(method, ops::Einsum::new(equation), &[a, b]);
    if product.value().is_none() {
        return product;
    }
    let scaled = if alpha.value() == 1.0 { product } else { product * alpha };
    let input = input.broadcast_as(method, &product.shape());
    if beta.value() == 0.0 {
        return scaled.to(dtype);
    }
    biased(method, scaled, if beta.value() == 1.0 { input } else { input * beta }).to(dtype)
}

/// `product + bias`, where the bias broadcasts to the product and not the product to the bias, in one dtype.
#[track_caller]
pub(crate) fn biased(method: &str, product: Tensor, bias: Tensor) -> Tensor {
    if product.value().is_none() {
        return product;
    }
    let bias = bias.broadcast_as(method, &product.shape());
    Tensor::apply_as(method, ops::Add {}, &[product, bias])
}

/// Operands of one dtype in the one that products are summed in, so that a product and its bias are rounded once: half types in f32.
#[track_caller]
pub(crate) fn in_sum_dtype<const N: usize>(method: &str, operands: [Tensor; N]) -> Option<[Tensor; N]> {
    let mut wide = operands;
    for (at, operand) in operands.into_iter().enumerate() {
        operand.value()?;
        if operand.dtype() != operands[0].dtype() {
            let message = format!("{method} needs equal dtypes: {} and {}", operands[0].dtype(), operand.dtype());
            Tensor::mistake(Diagnostic::new(Code::DTypeMismatch, message));
            return None;
        }
        wide[at] = operand.to(accumulator(operand.dtype()));
    }
    Some(wide)
}
