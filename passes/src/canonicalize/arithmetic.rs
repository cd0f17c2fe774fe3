//! Rules for the ops of one position: arithmetic, comparisons, casts and choices.

use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Graph, ValueId};

use crate::rewrite::{fill_of, is_commutative, is_known};

/// `c + x → x + c`, `c < x → x > c`: later rules look for known values on the right only.
pub(super) fn known_to_the_right(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let [a, b] = pair(graph, value)?;
    if !is_known(graph, a) || is_known(graph, b) {
        return None;
    }
    let op: Op = match graph.node(value).op.clone() {
        op if is_commutative(&op) => op,
        Op::Lt(_) => Gt {}.into(),
        Op::Le(_) => Ge {}.into(),
        Op::Gt(_) => Lt {}.into(),
        Op::Ge(_) => Le {}.into(),
        _ => return None,
    };
    Some(builder(graph, value).emit(op, &[b, a]))
}

/// `x + 0`, `x - 0`, `x * 1`, `x / 1`, `x ^ 1`, `x and true`, `x or false`: `x`.
pub(super) fn neutral_operand(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let [x, b] = pair(graph, value)?;
    let neutral = match graph.node(value).op {
        Op::Add(_) | Op::Sub(_) | Op::Or(_) => 0.0,
        Op::Mul(_) | Op::Div(_) | Op::Pow(_) | Op::And(_) => 1.0,
        _ => return None,
    };
    (fill_of(graph, b)? == neutral).then_some(x)
}

/// `x * 0 → 0` for integers, which have no NaN.
pub(super) fn integer_zero(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (Op::Mul(_), [_, b]) = (&graph.node(value).op, pair(graph, value)?) else { return None };
    (graph.ty(value).dtype.is_integer() && fill_of(graph, b)? == 0.0).then_some(b)
}

/// `-(-x) → x`, `a - (-b) → a + b`, `a + (-b) → a - b`, `(-a) + b → b - a`, `x * -1 → -x`: exact, as negation only turns the sign.
pub(super) fn negations(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let negated = |x: ValueId| match graph.node(x).op {
        Op::Neg(_) => Some(graph.operands(x)[0]),
        _ => None,
    };
    let operands = graph.operands(value);
    match graph.node(value).op {
        Op::Neg(_) => negated(operands[0]),
        Op::Sub(_) => {
            let b = negated(operands[1])?;
            Some(builder(graph, value).add(operands[0], b))
        }
        Op::Add(_) => {
            let (kept, b) = match (negated(operands[1]), negated(operands[0])) {
                (Some(b), _) => (operands[0], b),
                (None, Some(a)) => (operands[1], a),
                (None, None) => return None,
            };
            Some(builder(graph, value).sub(kept, b))
        }
        Op::Mul(_) if fill_of(graph, operands[1])? == -1.0 && graph.ty(value).dtype.is_float() => {
            Some(builder(graph, value).neg(operands[0]))
        }
        _ => None,
    }
}

/// `relu(relu x) → relu x`, `abs(abs x) → abs x`, `abs(-x) → abs x`, `not(not x) → x`.
pub(super) fn twice_is_once(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let &[x] = graph.operands(value).as_slice() else { return None };
    match (&graph.node(value).op, &graph.node(x).op) {
        (Op::Relu(_), Op::Relu(_)) | (Op::Abs(_), Op::Abs(_)) => Some(x),
        (Op::Not(_), Op::Not(_)) => Some(graph.operands(x)[0]),
        (Op::Abs(_), Op::Neg(_)) => {
            let inner = graph.operands(x)[0];
            Some(builder(graph, value).emit(Abs {}, &[inner]))
        }
        _ => None,
    }
}

/// `x / 2^k → x * 2^-k`: both round the same real number.
pub(super) fn division_by_power_of_two(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (Op::Div(_), [x, b]) = (&graph.node(value).op, pair(graph, value)?) else { return None };
    let dtype = graph.ty(value).dtype;
    let divisor = fill_of(graph, b)?;
    let fits = is_power_of_two(divisor, dtype) && is_power_of_two(divisor.recip(), dtype);
    fits.then(|| builder(graph, value).scale(x, divisor.recip()))
}

/// `(x * a) * b → x * (a·b)` where `a` or `b` is a power of two, so that only one of the products rounds.
pub(super) fn factors(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (Op::Mul(_), [inner, b]) = (&graph.node(value).op, pair(graph, value)?) else { return None };
    let (Op::Mul(_), [x, a]) = (&graph.node(inner).op, pair(graph, inner)?) else { return None };
    let dtype = graph.ty(value).dtype;
    let (a, b) = (fill_of(graph, a)?, fill_of(graph, b)?);
    let [a_exponent, b_exponent, exponent] = [a, b, a * b].map(|factor| normal_exponent(factor, dtype));
    // Growing and then shrinking could overflow in between, and the product would not.
    let same_way = a_exponent? >= 0 && b_exponent? >= 0 && exponent.is_some();
    let exact = is_power_of_two(a, dtype) || is_power_of_two(b, dtype);
    (same_way && exact).then(|| builder(graph, value).scale(x, a * b))
}

/// `x ^ 2 → x * x`, whose derivative needs no logarithm.
pub(super) fn square(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let (Op::Pow(_), [x, b]) = (&graph.node(value).op, pair(graph, value)?) else { return None };
    (fill_of(graph, b)? == 2.0).then(|| builder(graph, value).mul(x, x))
}

/// A cast to the dtype that its operand has, and a cast of a cast that lost nothing.
pub(super) fn casts(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Cast(Cast { dtype: to }) = graph.node(value).op else { return None };
    let x = graph.operands(value)[0];
    let middle = graph.ty(x).dtype;
    if middle == to {
        return Some(x);
    }
    let Op::Cast(_) = graph.node(x).op else { return None };
    let inner = graph.operands(x)[0];
    let from = graph.ty(inner).dtype;
    // A float out of an integer's range saturates and an integer wraps, so the way to an integer must not change its kind.
    let same_rule = from.is_float() == middle.is_float() || to.is_float() || to == DType::Bool;
    (same_rule && is_lossless(from, middle)).then(|| builder(graph, value).cast(inner, to))
}

/// A choice that is known, between equals, or by a negation.
pub(super) fn choices(graph: &mut Graph, value: ValueId) -> Option<ValueId> {
    let Op::Where(_) = graph.node(value).op else { return None };
    let &[condition, a, b] = graph.operands(value).as_slice() else { return None };
    if let Some(known) = fill_of(graph, condition) {
        return Some(if known != 0.0 { a } else { b });
    }
    if a == b {
        return Some(a);
    }
    let Op::Not(_) = graph.node(condition).op else { return None };
    let condition = graph.operands(condition)[0];
    Some(builder(graph, value).select(condition, b, a))
}

/// A builder whose nodes have the place of a value.
pub(super) fn builder(graph: &mut Graph, value: ValueId) -> Builder<'_> {
    let place = graph.node(value).place.clone();
    Builder::new(graph, place)
}

fn pair(graph: &Graph, value: ValueId) -> Option<[ValueId; 2]> {
    graph.operands(value).try_into().ok()
}

/// The exponent `e` of `2^e ≤ |factor| < 2^(e+1)`, if the dtype is floating and holds a normal number there.
fn normal_exponent(factor: f64, dtype: DType) -> Option<i32> {
    let limit = match dtype {
        DType::F16 => 14,
        DType::BF16 | DType::F32 => 126,
        DType::F64 => 1022,
        _ => return None,
    };
    let exponent = ((factor.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    (-limit..=limit).contains(&exponent).then_some(exponent)
}

fn is_power_of_two(factor: f64, dtype: DType) -> bool {
    const MANTISSA: u64 = (1 << 52) - 1;
    factor.to_bits() & MANTISSA == 0 && normal_exponent(factor, dtype).is_some()
}

/// Whether every value of one dtype is a value of another.
fn is_lossless(from: DType, to: DType) -> bool {
    use DType::*;
    match from {
        Bool => true,
        U8 => !matches!(to, Bool | BF16),
        I32 => matches!(to, I32 | I64 | F64),
        I64 => to == I64,
        F16 => matches!(to, F16 | F32 | F64),
        BF16 => matches!(to, BF16 | F32 | F64),
        F32 => matches!(to, F32 | F64),
        F64 => to == F64,
    }
}
