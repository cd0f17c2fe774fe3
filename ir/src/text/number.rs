//! Literals. The spelling tells the dtype: `0.5` is `f32`, `3` is `i64`, `true` is `bool`; any other dtype is a suffix
//! (`0.5f64`, `3u8`, `inf_f16`). Floats are written in the shortest form that gives the same `f64` back.

use super::cursor::{Cursor, Parsed};
use super::lexer::TokenKind;
use super::names::joined;
use crate::{Code, DType, Expr, Init};

/// Up to here `f64` holds every integer.
const MAX_EXACT_INTEGER: f64 = (1u64 << 53) as f64;

/// A literal of a dtype.
pub(super) fn literal_text(value: f64, dtype: DType) -> String {
    let integral = value.fract() == 0.0 && value.abs() <= MAX_EXACT_INTEGER;
    match dtype {
        DType::Bool if value.to_bits() == 0.0f64.to_bits() => "false".to_owned(),
        DType::Bool if value == 1.0 => "true".to_owned(),
        DType::F32 => spelled_float(value),
        DType::I64 if integral => format!("{value}"),
        _ if !value.is_finite() => format!("{}_{dtype}", spelled_float(value)),
        _ if dtype.is_integer() && integral => format!("{value}{dtype}"),
        _ => format!("{value:?}{dtype}"),
    }
}

/// A number where no dtype is meant: fills and initial values.
pub(super) fn float_text(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT_INTEGER { format!("{value}") } else { spelled_float(value) }
}

/// `uniform(-0.2, 0.2)`.
pub(super) fn init_text(init: &Init) -> String {
    let call =
        |name: &str, values: &[f64]| format!("{name}({})", joined(values.iter().map(|&value| float_text(value))));
    match init {
        Init::Zeros => "zeros".to_owned(),
        Init::Constant(value) => call("constant", &[*value]),
        Init::Uniform { low, high } => call("uniform", &[*low, *high]),
        Init::Normal { mean, std } => call("normal", &[*mean, *std]),
        Init::TruncatedNormal { mean, std, low, high } => call("truncated_normal", &[*mean, *std, *low, *high]),
        Init::Orthogonal { gain } => call("orthogonal", &[*gain]),
        Init::Sparse { sparsity, std } => call("sparse", &[*sparsity, *std]),
        Init::Padded { std, row } => call("padded", &[*std, *row as f64]),
        Init::Data(values) => call("data", values),
        Init::Seed => "seed".to_owned(),
    }
}

/// A literal, if one is here.
pub(super) fn parse_literal(cursor: &mut Cursor<'_>) -> Parsed<Option<Expr>> {
    let start = cursor.position();
    let negative = cursor.eat("-");
    let literal = match cursor.peek() {
        TokenKind::Number(text) => Some(parse_number(cursor, text, negative)?),
        TokenKind::Name("true") if !negative => Some(Expr::number(1.0, DType::Bool)),
        TokenKind::Name("false") if !negative => Some(Expr::number(0.0, DType::Bool)),
        TokenKind::Name(name) => parse_named(name, negative),
        _ => None,
    };
    if literal.is_some() {
        cursor.advance();
    } else {
        cursor.rewind(start);
    }
    Ok(literal)
}

fn spelled_float(value: f64) -> String {
    match value {
        _ if value.is_nan() => "nan".to_owned(),
        f64::INFINITY => "inf".to_owned(),
        f64::NEG_INFINITY => "-inf".to_owned(),
        _ => format!("{value:?}"),
    }
}

/// `inf`, `nan_f64`, ...
fn parse_named(name: &str, negative: bool) -> Option<Expr> {
    let (head, dtype) = match name.split_once('_') {
        Some((head, suffix)) => (head, DType::from_name(suffix)?),
        None => (name, DType::F32),
    };
    let value = match head {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => return None,
    };
    Some(Expr::number(if negative { -value } else { value }, dtype))
}

fn parse_number(cursor: &Cursor<'_>, text: &str, negative: bool) -> Parsed<Expr> {
    // A suffix begins with the first letter, other than the `e` of an exponent, which a digit or a sign follows.
    let bytes = text.as_bytes();
    let suffix_at = (0..bytes.len())
        .find(|&at| {
            let exponent =
                bytes[at] == b'e' && bytes.get(at + 1).is_some_and(|c| matches!(c, b'0'..=b'9' | b'+' | b'-'));
            !matches!(bytes[at], b'0'..=b'9' | b'.' | b'+' | b'-') && !exponent
        })
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(suffix_at);
    let is_plain = digits.bytes().all(|c| c.is_ascii_digit());
    let dtype = match suffix {
        "" if is_plain => DType::I64,
        "" => DType::F32,
        _ => DType::from_name(suffix).ok_or_else(|| cursor.unknown("a dtype after the number", suffix))?,
    };
    let value: f64 = digits.parse().map_err(|_| cursor.expected("a number"))?;
    let is_exact = digits.parse::<u64>().is_ok_and(|integer| integer <= MAX_EXACT_INTEGER as u64);
    if is_plain && dtype.is_integer() && !is_exact {
        let message = format!("an integer literal is at most 2^53, found {digits}");
        return Err(cursor.error(Code::Syntax, message));
    }
    Ok(Expr::number(if negative { -value } else { value }, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 17] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.1f32 as f64,
        1e-7,
        1e300,
        -5e-324,
        MAX_EXACT_INTEGER,
        MAX_EXACT_INTEGER + 2.0,
        255.0,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        0.5,
    ];

    #[test]
    fn every_literal_comes_back() {
        for dtype in DType::ALL {
            for value in VALUES {
                let text = literal_text(value, dtype);
                let mut cursor = Cursor::new(&text, "t.kir").unwrap();
                cursor.advance();
                assert_eq!(parse_literal(&mut cursor).unwrap(), Some(Expr::number(value, dtype)), "{text}");
                assert_eq!(*cursor.peek(), TokenKind::End, "{text}");
            }
        }
    }

    #[test]
    fn every_plain_float_comes_back() {
        for value in VALUES {
            let text = float_text(value);
            let mut cursor = Cursor::new(&text, "t.kir").unwrap();
            cursor.advance();
            assert_eq!(cursor.float().unwrap().to_bits(), value.to_bits(), "{text}");
        }
    }

    #[test]
    fn spellings_are_short() {
        let spelled = [(0.5, DType::F32), (0.0, DType::F32), (3.0, DType::I64), (1.5, DType::F64), (3.0, DType::U8)];
        let texts: Vec<String> = spelled.into_iter().map(|(value, dtype)| literal_text(value, dtype)).collect();
        assert_eq!(texts, ["0.5", "0.0", "3", "1.5f64", "3u8"]);
    }

    #[test]
    fn integers_that_lose_digits_are_refused() {
        let mut cursor = Cursor::new("9007199254740993", "t.kir").unwrap();
        cursor.advance();
        assert_eq!(parse_literal(&mut cursor).unwrap_err().code, Code::Syntax);
    }
}
