//! Scalar and index expressions as text, with as few parentheses as their trees allow.
//!
//! From loose to tight: `or`, `and`, comparisons (which do not chain), `+ -`, `* /`, the sign. All but comparisons associate to
//! the left; everything else is written as a function.

use super::names::{Names, joined, word_text};
use super::number::{float_text, literal_text};
use crate::{Atom, Binary, Expr, Index, Load, Unary};

/// How tightly a form binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Or,
    And,
    Compare,
    Add,
    Multiply,
    Sign,
    Primary,
}

impl Level {
    /// The level that an operand needs where its own level would read back as something else.
    pub fn tighter(self) -> Level {
        match self {
            Level::Or => Level::And,
            Level::And => Level::Compare,
            Level::Compare => Level::Add,
            Level::Add => Level::Multiply,
            Level::Multiply => Level::Sign,
            Level::Sign | Level::Primary => Level::Primary,
        }
    }

    /// The level of an operator between two operands; `None`: written as a function.
    pub fn of(op: Binary) -> Option<Level> {
        match op {
            Binary::Or => Some(Level::Or),
            Binary::And => Some(Level::And),
            Binary::Add | Binary::Sub => Some(Level::Add),
            Binary::Mul | Binary::Div => Some(Level::Multiply),
            Binary::Max | Binary::Min | Binary::Rem | Binary::Pow => None,
        }
    }
}

/// An expression.
pub fn expr_text(expr: &Expr, names: &Names) -> String {
    at_level(expr, names, Level::Or)
}

/// An index expression.
pub fn index_text(index: &Index, names: &Names) -> String {
    // A positive constant goes in front of a negative term: `27 - x`.
    let offset_first = index.offset > 0 && index.terms.first().is_some_and(|(_, factor)| *factor < 0);
    let mut text = if offset_first { index.offset.to_string() } else { String::new() };
    for (atom, factor) in &index.terms {
        let sign = match (text.is_empty(), *factor < 0) {
            (true, true) => "-",
            (true, false) => "",
            (false, true) => " - ",
            (false, false) => " + ",
        };
        text.push_str(sign);
        text.push_str(&term_text(atom, factor.unsigned_abs(), names));
    }
    match index.offset {
        offset if text.is_empty() => offset.to_string(),
        offset if offset < 0 => format!("{text} - {}", offset.unsigned_abs()),
        offset if offset > 0 && !offset_first => format!("{text} + {offset}"),
        _ => text,
    }
}

/// `x[n, c, oh + kh - 2 | 0]`.
pub fn load_text(load: &Load, names: &Names) -> String {
    let fill = load.fill.map_or_else(String::new, |fill| format!(" | {}", float_text(fill.value())));
    format!("{}[{}{fill}]", names.tensor(load.tensor), indices_text(&load.index, names))
}

pub(super) fn indices_text(indices: &[Index], names: &Names) -> String {
    joined(indices.iter().map(|index| index_text(index, names)))
}

fn at_level(expr: &Expr, names: &Names, needed: Level) -> String {
    let (level, text) = leveled(expr, names);
    if level < needed { format!("({text})") } else { text }
}

fn leveled(expr: &Expr, names: &Names) -> (Level, String) {
    let text = |x: &Expr| expr_text(x, names);
    let function = |name: &str, operands: &[&Expr]| {
        (Level::Primary, format!("{name}({})", joined(operands.iter().map(|x| text(x)))))
    };
    match expr {
        Expr::Number(number, dtype) => (Level::Primary, literal_text(number.value(), *dtype)),
        Expr::Index(index) => (Level::Primary, format!("index({})", index_text(index, names))),
        Expr::Extent(dim) => (Level::Primary, format!("extent({dim})")),
        Expr::Local(local) => (Level::Primary, names.local(*local)),
        Expr::Load(load) => (Level::Primary, load_text(load, names)),
        // A sign in front of a literal is the literal's own.
        Expr::Unary(Unary::Neg, x) if matches!(**x, Expr::Number(..)) => (Level::Sign, format!("-({})", text(x))),
        Expr::Unary(Unary::Neg, x) => (Level::Sign, format!("-{}", at_level(x, names, Level::Primary))),
        Expr::Unary(op, x) => function(op.name(), &[x]),
        Expr::Binary(op, a, b) => match Level::of(*op) {
            Some(level) => {
                let (left, right) = (at_level(a, names, level), at_level(b, names, level.tighter()));
                (level, format!("{left} {} {right}", op.name()))
            }
            None => function(op.name(), &[a, b]),
        },
        Expr::Compare(op, a, b) => {
            let side = |x| at_level(x, names, Level::Compare.tighter());
            (Level::Compare, format!("{} {} {}", side(a), op.name(), side(b)))
        }
        Expr::Select(condition, then, otherwise) => function("select", &[condition, then, otherwise]),
        Expr::Cast(dtype, x) => function(dtype.name(), &[x]),
        Expr::Check(x, bound, site) => {
            let site = if site.is_empty() { String::new() } else { format!(", {}", word_text(site)) };
            (Level::Primary, format!("check({}, {bound}{site})", text(x)))
        }
        Expr::Random { bits, seed, stream, position } => {
            (Level::Primary, format!("random({bits}, {}, {}, {})", text(seed), text(stream), text(position)))
        }
    }
}

/// `factor*atom`.
fn term_text(atom: &Atom, factor: u64, names: &Names) -> String {
    let divided = |inner: &Index, operator: &str, by: i64| {
        let simple = match inner.terms.as_slice() {
            [(Atom::Axis(_) | Atom::Value(_), 1)] => inner.offset == 0,
            [] => inner.offset >= 0,
            _ => false,
        };
        let inner = index_text(inner, names);
        let text = if simple { format!("{inner} {operator} {by}") } else { format!("({inner}) {operator} {by}") };
        if factor == 1 { text } else { format!("({text})") }
    };
    let text = match atom {
        Atom::Axis(axis) => names.axis(*axis),
        Atom::Value(value) => format!("[{}]", expr_text(value, names)),
        Atom::Div(inner, by) => divided(inner, "/", *by),
        Atom::Mod(inner, by) => divided(inner, "%", *by),
        Atom::ExactDiv(inner, by) => divided(inner, "/!", *by),
    };
    if factor == 1 { text } else { format!("{factor}*{text}") }
}
