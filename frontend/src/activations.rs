//! Activation functions that are composed of ops. Half types are computed in `f32` and rounded once, as PyTorch does. Integers are refused (K0103) unless a function says otherwise. Where a branch would overflow for values that are not its own, its argument is held back first:
//! an infinite derivative times a cotangent of zero would be NaN.

use kiln_ir::{Code, Diagnostic, Dim};

use crate::Tensor;
use crate::words::words;

words! {
    /// How [`Tensor::gelu_with`] computes the normal distribution.
    pub enum GeluApproximation: "approximation of gelu" {
        /// Exactly, by the error function.
        None = "none",
        /// By a hyperbolic tangent.
        Tanh = "tanh",
    }
}

/// `√(2/π)`.
const SQRT_2_OVER_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;

impl Tensor {
    /// `x·Φ(x)` with the exact normal distribution: [`Tensor::gelu_with`] of `GeluApproximation::None`.
    #[track_caller]
    pub fn gelu(self) -> Tensor {
        self.gelu_with(GeluApproximation::None)
    }

    /// `x·Φ(x)`, exactly as `x/2·(1 + erf(x/√2))`, or by `tanh` as `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    ///
    /// Source: Hendrycks and Gimpel, "Gaussian Error Linear Units".
    #[track_caller]
    pub fn gelu_with(self, approximation: GeluApproximation) -> Tensor {
        let x = self.floating("gelu");
        let inner = match approximation {
            GeluApproximation::None => (x * std::f64::consts::FRAC_1_SQRT_2).erf(),
            GeluApproximation::Tanh => ((x + x * x * x * 0.044715) * SQRT_2_OVER_PI).tanh(),
        };
        (x * 0.5 * (inner + 1.0)).to(self.dtype())
    }

    /// `x·σ(x)`.
    #[track_caller]
    pub fn silu(self) -> Tensor {
        let x = self.floating("silu");
        (x * x.sigmoid()).to(self.dtype())
    }

    /// `x·tanh(softplus(x))`.
    ///
    /// Source: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function".
    #[track_caller]
    pub fn mish(self) -> Tensor {
        let x = self.floating("mish");
        (x * x.softplus(1.0, 20.0).tanh()).to(self.dtype())
    }

    /// `log(1 + e^(βx))/β`, and `x` where `βx` is above `threshold`. PyTorch's defaults: 1 and 20. Gradient: `g·σ(βx)`, `g` above the threshold.
    #[track_caller]
    pub fn softplus(self, beta: f64, threshold: f64) -> Tensor {
        let x = self.floating("softplus");
        let scaled = x * beta;
        let linear = scaled.gt(threshold);
        let bent = scaled.where_self(linear.logical_not(), 0.0).exp().log1p() / beta;
        x.where_self(linear, bent).to(self.dtype())
    }

    /// `log σ(x)`, as `min(x, 0) - log(1 + e^-|x|)`.
    #[track_caller]
    pub fn logsigmoid(self) -> Tensor {
        let x = self.floating("logsigmoid");
        (x.minimum(0.0) - (-x.abs()).exp().log1p()).to(self.dtype())
    }

    /// `x/(1 + |x|)`. Integers become `f32`.
    #[track_caller]
    pub fn softsign(self) -> Tensor {
        let x = self.to_float();
        let wide = x.wide();
        (wide / (wide.abs() + 1.0)).to(x.dtype())
    }

    /// `x` where positive, `α·(e^x - 1)` elsewhere. PyTorch's default: `alpha = 1`.
    ///
    /// Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units".
    #[track_caller]
    pub fn elu(self, alpha: f64) -> Tensor {
        self.exponential_below("elu", alpha, 1.0)
    }

    /// `x` where positive, `α·(e^(x/α) - 1)` elsewhere. PyTorch's default: `alpha = 1`.
    #[track_caller]
    pub fn celu(self, alpha: f64) -> Tensor {
        if alpha == 0.0 {
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, "celu needs an alpha that is not 0"));
        }
        self.exponential_below("celu", alpha, 1.0 / alpha)
    }

    /// `s·elu(x)` with `α = 1.6733` and `s = 1.0507`, to the digits of the paper.
    ///
    /// Source: Klambauer et al., "Self-Normalizing Neural Networks".
    #[track_caller]
    pub fn selu(self) -> Tensor {
        const ALPHA: f64 = 1.673_263_242_354_377_2;
        const SCALE: f64 = 1.050_700_987_355_480_5;
        (self.floating("selu").exponential_below("selu", ALPHA, 1.0) * SCALE).to(self.dtype())
    }

    /// `x` where positive, `α·(e^(rate·x) - 1)` elsewhere.
    #[track_caller]
    fn exponential_below(self, method: &str, alpha: f64, rate: f64) -> Tensor {
        let x = self.floating(method);
        let positive = x.gt(0);
        let below = x.where_self(positive.logical_not(), 0.0);
        x.where_self(positive, (below * rate).expm1() * alpha).to(self.dtype())
    }

    /// `x` where positive, `slope·x` elsewhere. PyTorch's default: `negative_slope = 0.01`.
    #[track_caller]
    pub fn leaky_relu(self, negative_slope: f64) -> Tensor {
        let x = self.floating("leaky_relu");
        x.where_self(x.gt(0), x * negative_slope).to(self.dtype())
    }

    /// `x` where positive, `weight·x` elsewhere: one weight, or one a channel (axis 1).
    ///
    /// Shapes: weight `[]`, `[1]` or `[channels]`. Errors: K0101, K0102, K0103. Gradients: for both.
    #[track_caller]
    pub fn prelu(self, weight: Tensor) -> Tensor {
        let (Some(_), Some(_)) = (self.value(), weight.value()) else { return Tensor::poison() };
        if !self.is_floating("prelu") || !Tensor::are_alike("prelu", &[self, weight]) {
            return Tensor::poison();
        }
        let (x, w) = (self.shape(), weight.shape());
        if w.rank() > 1 {
            let message = format!("prelu needs a weight of one number or one a channel: found {w}");
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        let weight = if w.count() == Dim::ONE {
            weight.reshape([0_usize; 0])
        } else {
            let channels = x.0.get(1).or(x.0.first()).copied();
            if channels != Some(w.0[0]) || x.rank() < 2 {
                let message = format!("prelu needs one weight for each channel (axis 1): {x} and {w}");
                return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
            }
            let mut sizes = vec![1_i64; x.rank() - 1];
            sizes[0] = -1;
            weight.reshape(&sizes)
        };
        self.where_self(self.gt(0), self * weight)
    }

    /// `min(max(x, low), high)` with no gradient at the bounds themselves. PyTorch's defaults: -1 and 1.
    ///
    /// Bounds of integers are cut to integers. Errors: K0103 for `bool`; K0105 if `low` is above `high`.
    #[track_caller]
    pub fn hardtanh(self, low: f64, high: f64) -> Tensor {
        if low > high {
            let message = format!("hardtanh needs a lower bound that is not above its upper one: {low} and {high}");
            return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
        }
        let (Some(low), Some(high)) = (self.constant("hardtanh", low), self.constant("hardtanh", high)) else {
            return Tensor::poison();
        };
        let held = high.where_self(self.ge(high), self);
        low.where_self(self.le(low), held)
    }

    /// `min(max(x, 0), 6)`.
    #[track_caller]
    pub fn relu6(self) -> Tensor {
        self.hardtanh(0.0, 6.0)
    }

    /// `relu6(x + 3)/6`.
    #[track_caller]
    pub fn hardsigmoid(self) -> Tensor {
        ((self.floating("hardsigmoid") + 3.0).relu6() / 6.0).to(self.dtype())
    }

    /// `x·relu6(x + 3)/6`.
    ///
    /// Source: Howard et al., "Searching for MobileNetV3".
    #[track_caller]
    pub fn hardswish(self) -> Tensor {
        let x = self.floating("hardswish");
        (x * x.hardsigmoid()).to(self.dtype())
    }

    /// `x` where it is above `threshold`, `value` elsewhere. For integers both are cut to integers; `bool` is K0103.
    #[track_caller]
    pub fn threshold(self, threshold: f64, value: f64) -> Tensor {
        match (self.constant("threshold", threshold), self.constant("threshold", value)) {
            (Some(threshold), Some(value)) => value.where_self(self.le(threshold), self),
            _ => Tensor::poison(),
        }
    }

    /// A number in the dtype of the tensor.
    #[track_caller]
    fn constant(self, method: &str, value: f64) -> Option<Tensor> {
        self.value()?;
        if self.is_number(method) { Some(Tensor::full(value, self.dtype())) } else { None }
    }

    /// `a·σ(b)`, where `a` and `b` are the halves of the input on an axis. PyTorch's default: the last.
    ///
    /// Errors: K0101 if the extent is odd, K0104.
    ///
    /// Source: Dauphin et al., "Language Modeling with Gated Convolutional Networks".
    #[track_caller]
    pub fn glu(self, axis: i64) -> Tensor {
        let Some(at) = self.axis("glu", axis) else { return Tensor::poison() };
        let extent = self.shape().0[at];
        if extent.batch || !extent.factor.is_multiple_of(2) {
            let message = format!("glu needs an even extent on axis {at}: {} has {extent}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
        }
        if !self.is_floating("glu") {
            return Tensor::poison();
        }
        let half = extent.factor / 2;
        let (a, b) = (self.narrow(axis, 0, half).wide(), self.narrow(axis, half as i64, half).wide());
        (a * b.sigmoid()).to(self.dtype())
    }
}
