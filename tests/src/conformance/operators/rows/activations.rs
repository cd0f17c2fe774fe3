//! Activation functions.

use kiln::GeluApproximation;

use super::{Row, unary};

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.relu", |a| unary(a, |x| x.relu())),
    ("nn.functional.relu6", |a| unary(a, |x| x.relu6())),
    ("nn.functional.selu", |a| unary(a, |x| x.selu())),
    ("nn.functional.silu", |a| unary(a, |x| x.silu())),
    ("nn.functional.mish", |a| unary(a, |x| x.mish())),
    ("nn.functional.softsign", |a| unary(a, |x| x.softsign())),
    ("nn.functional.hardswish", |a| unary(a, |x| x.hardswish())),
    ("nn.functional.hardsigmoid", |a| unary(a, |x| x.hardsigmoid())),
    ("nn.functional.logsigmoid", |a| unary(a, |x| x.logsigmoid())),
    ("nn.functional.leaky_relu", |a| Ok(a.tensor("input")?.leaky_relu(a.number("negative_slope", 0.01)?).into())),
    ("nn.functional.elu", |a| Ok(a.tensor("input")?.elu(a.number("alpha", 1.0)?).into())),
    ("nn.functional.celu", |a| Ok(a.tensor("input")?.celu(a.number("alpha", 1.0)?).into())),
    ("nn.functional.gelu", |a| {
        Ok(a.tensor("input")?.gelu_with(a.word("approximate", GeluApproximation::None)?).into())
    }),
    ("nn.functional.softplus", |a| {
        Ok(a.tensor("input")?.softplus(a.number("beta", 1.0)?, a.number("threshold", 20.0)?).into())
    }),
    ("nn.functional.hardtanh", |a| {
        Ok(a.tensor("input")?.hardtanh(a.number("min_val", -1.0)?, a.number("max_val", 1.0)?).into())
    }),
    ("nn.functional.prelu", |a| Ok(a.tensor("input")?.prelu(a.tensor("weight")?).into())),
    ("nn.functional.glu", |a| Ok(a.tensor("input")?.glu(a.int("dim", -1)?).into())),
    ("nn.functional.threshold", |a| {
        Ok(a.tensor("input")?.threshold(a.number("threshold", 0.0)?, a.number("value", 0.0)?).into())
    }),
];
