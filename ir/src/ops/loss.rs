//! Losses whose gradient is not that of their formula.

use super::checks;
use super::elementwise::binary;
use crate::op::{Example, Operator, op};
use crate::ops::{Log, Maximum};
use crate::{Binary, Body, DType, Diagnostic, Expr, Type, Unary, ValueId, Vjp};

binary! {
    /// `-(b·log a + (1 - b)·log(1 - a))` of probabilities, with logarithms of at least -100. Gradients: `g·(a - b)/max(a·(1 - a), 1e-12)`, which the
    /// bound of the logarithm does not cut off (PyTorch), and `g·(log(1 - a) - log a)`.
    BinaryCrossEntropy of float in [0.2, 0.8]: |x, y, dtype| {
        let one = Expr::number(1.0, dtype);
        let logarithm = |x| Expr::binary(Binary::Max, Expr::unary(Unary::Log, x), Expr::number(-100.0, dtype));
        let rest = one.clone() - x.clone();
        (y.clone() - one) * logarithm(rest) - y * logarithm(x)
    };
    |cx, g, a, b| {
        let one = cx.full_like(a, 1.0);
        let (rest, difference) = (cx.sub(one, a), cx.sub(a, b));
        let (product, least) = (cx.mul(a, rest), cx.full_like(a, 1e-12));
        let divisor = cx.emit(Maximum {}, &[product, least]);
        let slope = cx.div(difference, divisor);
        let (log_rest, log_a) = (cx.emit(Log {}, &[rest]), cx.emit(Log {}, &[a]));
        let other_slope = cx.sub(log_rest, log_a);
        (cx.mul(g, slope), cx.mul(g, other_slope))
    };
}
