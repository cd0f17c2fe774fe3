//! Random numbers inside a model: `torch.rand` and its kin, and dropout.
//!
//! Every number is a pure function of the run's seed, the training step, the call and the element's position: the same for any thread
//! count, on every back end, and in the backward pass, which computes a mask again instead of keeping it. Two calls draw different
//! numbers; so do two steps. The state is two buffers, `random.seed` and `random.step`: they are in checkpoints, so a resumed run goes on
//! with the numbers of an uninterrupted one. Evaluation does not advance them.
//!
//! Generator: Philox4x32-10 (Salmon et al., SC'11), whose words differ from those of PyTorch's Mersenne Twister.

use std::f64::consts::TAU;

use kiln_ir::ops;
use kiln_ir::{Code, DType, Diagnostic, Dim};

use crate::{Tensor, trace};

/// Bits of a number that decides: the resolution of a probability.
const DECISION_BITS: usize = 24;

/// Uniform numbers in `[0, 1)` of a floating dtype, as `torch.rand`: multiples of 2^-24 in f32, of 2^-53 in f64, of 2^-11 in f16 and of 2^-8 in
/// bf16. No gradient.
///
/// # Errors
/// K0103 if the dtype is not floating.
#[track_caller]
pub fn rand<D: Into<Dim> + Copy>(shape: impl AsRef<[D]>, dtype: DType) -> Tensor {
    uniform("rand", &dims(shape), dtype)
}

/// Standard normal numbers of a floating dtype, as `torch.randn`: `√(-2 ln(1 - u))·cos(2π v)` of two uniform numbers (Box and Muller, 1958).
/// The greatest magnitude is 5.8 in f32 and 8.6 in f64; halves are drawn in f32 and rounded. No gradient.
///
/// # Errors
/// K0103 if the dtype is not floating.
#[track_caller]
pub fn randn<D: Into<Dim> + Copy>(shape: impl AsRef<[D]>, dtype: DType) -> Tensor {
    standard_normal("randn", &dims(shape), dtype)
}

/// Uniform integers in `low..high`, as `torch.randint`: `⌊u·(high - low)⌋ + low` with a uniform number of 53 bits. `i64`.
///
/// # Errors
/// K0105 unless `low < high` and they are at most 2^53 apart.
#[track_caller]
pub fn randint<D: Into<Dim> + Copy>(low: i64, high: i64, shape: impl AsRef<[D]>) -> Tensor {
    let span = i128::from(high) - i128::from(low);
    if !(1..=1 << 53).contains(&span) {
        let message = format!("randint needs `low` < `high`, at most 2^53 apart: {low} and {high}");
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
    }
    let drawn = (uniform("randint", &dims(shape), DType::F64) * span as f64).to(DType::I64);
    drawn + low as f64
}

/// Normal numbers with a mean and a standard deviation, as `torch.normal`; see [`randn`].
///
/// # Errors
/// K0105 if `std` is negative, K0103 if the dtype is not floating.
#[track_caller]
pub fn normal<D: Into<Dim> + Copy>(mean: f64, std: f64, shape: impl AsRef<[D]>, dtype: DType) -> Tensor {
    if std.is_nan() || std < 0.0 {
        let message = format!("normal needs a standard deviation that is not negative: found {std}");
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
    }
    standard_normal("normal", &dims(shape), dtype) * std + mean
}

impl Tensor {
    /// [`rand`] in the shape and dtype of this tensor.
    #[track_caller]
    pub fn rand_like(self) -> Tensor {
        if self.value().is_none() { self } else { uniform("rand_like", &self.shape().0, self.dtype()) }
    }

    /// [`randn`] in the shape and dtype of this tensor.
    #[track_caller]
    pub fn randn_like(self) -> Tensor {
        if self.value().is_none() { self } else { standard_normal("randn_like", &self.shape().0, self.dtype()) }
    }

    /// 1 with the probability that the element says and 0 otherwise, as `torch.bernoulli`. No gradient.
    ///
    /// # Errors
    /// K0103 if the dtype is not floating.
    #[track_caller]
    pub fn bernoulli(self) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        let drawn = uniform("bernoulli", &self.shape().0, self.dtype());
        drawn.lt(self.detach()).to(self.dtype())
    }

    /// Zeroes elements with probability `p` and scales the others by `1/(1-p)`; without `training` it is the identity. PyTorch's
    /// `F.dropout` (Hinton et al., 2012). Gradient: `g/(1-p)` where the element was kept, 0 elsewhere.
    ///
    /// # Errors
    /// K0105 if `p` is outside `[0, 1]`, K0103 if the dtype is not floating.
    #[track_caller]
    pub fn dropout(self, p: f64, training: bool) -> Tensor {
        dropped("dropout", self, p, training, Share::Nothing, Filling::Zero)
    }

    /// [`Tensor::dropout`] of whole channels of `[batch, channels, length]` or `[channels, length]`: `F.dropout1d`.
    ///
    /// # Errors
    /// As [`Tensor::dropout`], and K0102 for other ranks.
    #[track_caller]
    pub fn dropout1d(self, p: f64, training: bool) -> Tensor {
        if self.value().is_some() && !matches!(self.rank(), 2 | 3) {
            let message = format!("dropout1d needs 2 or 3 axes, [batch, channels, length]: found {}", self.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        dropped("dropout1d", self, p, training, Share::After(self.rank().saturating_sub(1)), Filling::Zero)
    }

    /// [`Tensor::dropout`] of whole channels of `[batch, channels, h, w]`: `F.dropout2d`. As in PyTorch, the first two axes are batch and
    /// channels for every rank.
    ///
    /// # Errors
    /// As [`Tensor::dropout`], and K0102 with less than two axes.
    #[track_caller]
    pub fn dropout2d(self, p: f64, training: bool) -> Tensor {
        dropped("dropout2d", self, p, training, Share::After(2), Filling::Zero)
    }

    /// [`Tensor::dropout`] of whole channels of `[batch, channels, d, h, w]` or `[channels, d, h, w]`: `F.dropout3d`. As in PyTorch, tensors
    /// of other ranks count as one sample.
    ///
    /// # Errors
    /// As [`Tensor::dropout`], and K0102 without axes.
    #[track_caller]
    pub fn dropout3d(self, p: f64, training: bool) -> Tensor {
        let shared = if self.rank() == 5 { 2 } else { 1 };
        dropped("dropout3d", self, p, training, Share::After(shared), Filling::Zero)
    }

    /// Dropout that keeps mean 0 and variance 1, for SELU networks: PyTorch's `F.alpha_dropout` (Klambauer et al., 2017). Dropped elements
    /// become `-α'`, and everything goes through the affine map that restores both moments.
    ///
    /// # Errors
    /// As [`Tensor::dropout`].
    #[track_caller]
    pub fn alpha_dropout(self, p: f64, training: bool) -> Tensor {
        dropped("alpha_dropout", self, p, training, Share::Nothing, Filling::Alpha)
    }

    /// [`Tensor::alpha_dropout`] of whole channels of `[batch, channels, ..]`: `F.feature_alpha_dropout`.
    ///
    /// # Errors
    /// As [`Tensor::dropout2d`].
    #[track_caller]
    pub fn feature_alpha_dropout(self, p: f64, training: bool) -> Tensor {
        dropped("feature_alpha_dropout", self, p, training, Share::After(2), Filling::Alpha)
    }
}

/// Which elements share one decision.
#[derive(Clone, Copy)]
enum Share {
    /// None.
    Nothing,
    /// Those that differ only in the axes after the first few.
    After(usize),
}

/// What dropped elements become.
#[derive(Clone, Copy)]
enum Filling {
    Zero,
    Alpha,
}

/// `scale·λ·α` of SELU: the value at minus infinity, with the sign turned.
const SELU_ALPHA: f64 = 1.758_099_340_847_376_6;

#[track_caller]
fn dropped(method: &str, x: Tensor, p: f64, training: bool, share: Share, filling: Filling) -> Tensor {
    if x.value().is_none() {
        return x;
    }
    if !(0.0..=1.0).contains(&p) {
        let message = format!("{method} needs a probability between 0 and 1: `p` is {p}");
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, message));
    }
    if let Some(mistake) = not_floating(method, x.dtype()) {
        return Tensor::mistake(mistake);
    }
    let mut shape = x.shape().0;
    if let Share::After(axes) = share {
        if shape.len() < axes {
            let message = format!("{method} needs at least {axes} axes, the channels among them: found {}", x.ty());
            return Tensor::mistake(Diagnostic::new(Code::RankMismatch, message));
        }
        shape[axes..].fill(Dim::ONE);
    }
    if !training || p == 0.0 {
        return x;
    }
    // A word below the threshold drops; for p = 1 all are, and no scale makes sense.
    let threshold = (p * f64::from(1 << DECISION_BITS)).round();
    let kept = bits(method, &shape, DECISION_BITS).ge(threshold);
    match filling {
        Filling::Zero => (x * if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 }).where_self(kept, 0.0),
        Filling::Alpha if p < 1.0 => {
            let scale = 1.0 / ((SELU_ALPHA * SELU_ALPHA * p + 1.0) * (1.0 - p)).sqrt();
            let shift = SELU_ALPHA * scale * p;
            (x * scale + shift).where_self(kept, shift - SELU_ALPHA * scale)
        }
        Filling::Alpha => x * 0.0,
    }
}

/// Uniform in `[0, 1)`.
#[track_caller]
fn uniform(method: &str, shape: &[Dim], dtype: DType) -> Tensor {
    let fraction = |count: usize| bits(method, shape, count).to(dtype) * 0.5_f64.powi(count as i32);
    match dtype {
        DType::F64 => {
            let (high, low) = (bits(method, shape, 27).to(dtype), bits(method, shape, 26).to(dtype));
            (high * f64::from(1 << 26) + low) * 0.5_f64.powi(53)
        }
        DType::F32 => fraction(24),
        DType::F16 => fraction(11),
        DType::BF16 => fraction(8),
        _ => Tensor::mistake(not_floating(method, dtype).expect("the floating dtypes are above")),
    }
}

#[track_caller]
fn standard_normal(method: &str, shape: &[Dim], dtype: DType) -> Tensor {
    let drawn_in = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    if let Some(mistake) = not_floating(method, dtype) {
        return Tensor::mistake(mistake);
    }
    // In (0, 1], so that the logarithm is finite.
    let radius = 1.0 - uniform(method, shape, drawn_in);
    let angle = uniform(method, shape, drawn_in) * TAU;
    ((radius.log() * -2.0).sqrt() * angle.cos()).to(dtype)
}

/// Random bits, as a non-negative `i32`.
#[track_caller]
fn bits(method: &str, shape: &[Dim], bits: usize) -> Tensor {
    let state = trace::with(|trace| {
        let state = trace.random_call();
        let tensor = |value| Tensor::new(trace.id, Some(value));
        (tensor(state.seed), tensor(state.step), state.call)
    });
    let Some((seed, step, call)) = state else { return Tensor::poison() };
    Tensor::apply_as(method, ops::Random { call, bits, shape: shape.to_vec() }, &[seed, step])
}

fn not_floating(method: &str, dtype: DType) -> Option<Diagnostic> {
    let message = || format!("{method} needs a floating dtype: found {dtype}");
    (!dtype.is_float()).then(|| Diagnostic::new(Code::DTypeMismatch, message()).help("convert it with `.to(dtype)`"))
}

fn dims<D: Into<Dim> + Copy>(shape: impl AsRef<[D]>) -> Vec<Dim> {
    shape.as_ref().iter().map(|&dim| dim.into()).collect()
}
