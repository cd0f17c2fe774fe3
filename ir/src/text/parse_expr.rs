//! Text to scalar and index expressions.
//!
//! Names are looked up in a kernel. The three kinds of names cannot be confused: a tensor is followed by `[`, axes occur only in
//! indices, and what remains is a local.

use super::cursor::{Cursor, Parsed};
use super::lexer::TokenKind;
use super::number::parse_literal;
use super::print_expr::Level;
use crate::kernel::Kernel;
use crate::{Atom, AxisId, Binary, Code, Comparison, DType, Expr, Index, Load, LocalId, Number, TensorId, Unary};

/// Operators in one chain of equal precedence; a chain is as deep a tree as it is long.
const MAX_CHAIN: usize = 200;

/// The size of factors and constants of an index; what is made of them cannot overflow.
const MAX_COEFFICIENT: i128 = 1 << 60;

/// An expression.
pub(super) fn parse_expr(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Expr> {
    cursor.nested(|cursor| at_level(cursor, kernel, Level::Or))
}

/// An index expression.
pub(super) fn parse_index(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Index> {
    cursor.nested(|cursor| {
        let mut sum = Index::default();
        let mut negative = cursor.eat("-");
        loop {
            let term = index_term(cursor, kernel)?;
            sum = sum.plus(&if negative { term.times(-1) } else { term });
            check_coefficients(cursor, &sum, 1)?;
            negative = match () {
                () if cursor.eat("+") => false,
                () if cursor.eat("-") => true,
                () => return Ok(sum),
            };
        }
    })
}

/// `[n, c, 2*oh | 0]`.
pub(super) fn parse_indices(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<(Vec<Index>, Option<Number>)> {
    let (mut indices, mut fill) = (Vec::new(), None);
    cursor.expect("[")?;
    while !cursor.eat("]") {
        if cursor.eat("|") {
            fill = Some(Number::new(cursor.float()?));
            cursor.expect("]")?;
            break;
        }
        if !indices.is_empty() && !cursor.eat(",") {
            return Err(cursor.expected("`,`, `|` or `]`"));
        }
        indices.push(parse_index(cursor, kernel)?);
    }
    Ok((indices, fill))
}

pub(super) fn find_tensor(cursor: &Cursor<'_>, kernel: &Kernel, name: &str) -> Parsed<TensorId> {
    let at = kernel.tensors.iter().position(|tensor| tensor.name == name);
    at.map(|at| TensorId(at as u32)).ok_or_else(|| cursor.unknown("a tensor of the kernel", name))
}

fn at_level(cursor: &mut Cursor<'_>, kernel: &Kernel, level: Level) -> Parsed<Expr> {
    if level == Level::Sign {
        return signed(cursor, kernel);
    }
    let mut left = at_level(cursor, kernel, level.tighter())?;
    if level == Level::Compare {
        let Some(op) = operator(cursor, Comparison::from_name) else { return Ok(left) };
        cursor.advance();
        return Ok(Expr::compare(op, left, at_level(cursor, kernel, level.tighter())?));
    }
    for _ in 0..MAX_CHAIN {
        let Some(op) = operator(cursor, Binary::from_name).filter(|&op| Level::of(op) == Some(level)) else {
            return Ok(left);
        };
        cursor.advance();
        left = Expr::binary(op, left, at_level(cursor, kernel, level.tighter())?);
    }
    Err(cursor.error(Code::Syntax, format!("at most {MAX_CHAIN} operators stand in one chain")))
}

fn operator<T>(cursor: &Cursor<'_>, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    match cursor.peek() {
        TokenKind::Punctuation(text) | TokenKind::Name(text) => find(text),
        _ => None,
    }
}

fn signed(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Expr> {
    if let Some(literal) = parse_literal(cursor)? {
        return Ok(literal);
    }
    if cursor.eat("-") {
        return Ok(Expr::unary(Unary::Neg, cursor.nested(|cursor| signed(cursor, kernel))?));
    }
    primary(cursor, kernel)
}

fn primary(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Expr> {
    if cursor.eat("(") {
        let inner = parse_expr(cursor, kernel)?;
        cursor.expect(")")?;
        return Ok(inner);
    }
    match (cursor.peek(), cursor.peek_second()) {
        (TokenKind::Name(name), TokenKind::Punctuation("(")) => {
            let name = *name;
            function(cursor, kernel, name)
        }
        (TokenKind::Name(_) | TokenKind::Quoted(_), TokenKind::Punctuation("[")) => {
            let start = cursor.position();
            let name = cursor.name("a tensor")?;
            let tensor = match find_tensor(cursor, kernel, &name) {
                Ok(tensor) => tensor,
                Err(_) => {
                    cursor.rewind(start);
                    return Err(cursor.unknown("a tensor of the kernel", &name));
                }
            };
            let (index, fill) = parse_indices(cursor, kernel)?;
            Ok(Expr::Load(Load { tensor, index, fill }))
        }
        (TokenKind::Name(_) | TokenKind::Quoted(_), _) => {
            let start = cursor.position();
            let name = cursor.name("a local")?;
            match kernel.locals.iter().position(|local| local.name == name) {
                Some(at) => Ok(Expr::Local(LocalId(at as u32))),
                None => {
                    cursor.rewind(start);
                    Err(cursor.unknown("a local that is defined above", &name))
                }
            }
        }
        _ => Err(cursor.expected("an expression")),
    }
}

fn function(cursor: &mut Cursor<'_>, kernel: &Kernel, name: &str) -> Parsed<Expr> {
    let unknown = cursor.unknown("a function", name);
    cursor.advance();
    cursor.expect("(")?;
    let operand = |cursor: &mut Cursor<'_>, last: bool| {
        let operand = parse_expr(cursor, kernel)?;
        if !last {
            cursor.expect(",")?;
        }
        Ok::<_, crate::Diagnostic>(operand)
    };
    let expr = if let Some(op) = Unary::from_name(name) {
        Expr::unary(op, operand(cursor, true)?)
    } else if let Some(op) = Binary::from_name(name) {
        Expr::binary(op, operand(cursor, false)?, operand(cursor, true)?)
    } else if let Some(dtype) = DType::from_name(name) {
        Expr::cast(dtype, operand(cursor, true)?)
    } else {
        match name {
            "index" => Expr::Index(parse_index(cursor, kernel)?),
            "extent" => Expr::Extent(cursor.dim()?),
            "select" => Expr::select(operand(cursor, false)?, operand(cursor, false)?, operand(cursor, true)?),
            "check" => {
                let (x, bound) = (operand(cursor, false)?, cursor.dim()?);
                let site = if cursor.eat(",") { cursor.name("the index that is checked")? } else { String::new() };
                Expr::Check(Box::new(x), bound, site)
            }
            "random" => {
                let bits = cursor.integer("a number of bits")?;
                cursor.expect(",")?;
                let mut operand = |last| operand(cursor, last).map(Box::new);
                Expr::Random { bits, seed: operand(false)?, stream: operand(false)?, position: operand(true)? }
            }
            _ => return Err(unknown),
        }
    };
    cursor.expect(")")?;
    Ok(expr)
}

/// `atom`, `2*atom`, `(index) / 4`, `(index) % 4` or `(index) /! 4`, from left to right.
fn index_term(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Index> {
    let mut term = index_factor(cursor, kernel)?;
    loop {
        if cursor.eat("*") {
            let right = index_factor(cursor, kernel)?;
            term = match (term.as_constant(), right.as_constant()) {
                (Some(factor), _) => scaled(cursor, &right, factor)?,
                (_, Some(factor)) => scaled(cursor, &term, factor)?,
                _ => return Err(cursor.error(Code::Syntax, "one side of a product in an index is a constant".into())),
            };
            continue;
        }
        let divide = match cursor.peek() {
            TokenKind::Punctuation("/") => Index::div,
            TokenKind::Punctuation("%") => Index::rem,
            TokenKind::Punctuation("/!") => Index::exact_div,
            _ => return Ok(term),
        };
        cursor.advance();
        let place = cursor.place();
        let by = index_constant(cursor, "a positive divisor")?;
        if by == 0 {
            return Err(crate::Diagnostic::new(Code::Syntax, "the divisor of an index is positive, found 0").at(place));
        }
        term = divide(&term, by);
    }
}

fn index_factor(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Index> {
    if cursor.eat("(") {
        let inner = parse_index(cursor, kernel)?;
        cursor.expect(")")?;
        return Ok(inner);
    }
    if cursor.eat("[") {
        let value = parse_expr(cursor, kernel)?;
        cursor.expect("]")?;
        return Ok(Index::atom(Atom::Value(Box::new(value))));
    }
    if matches!(cursor.peek(), TokenKind::Number(_)) {
        return Ok(Index::constant(index_constant(cursor, "an integer")?));
    }
    let start = cursor.position();
    let name = cursor.name("an index")?;
    match kernel.axes.iter().position(|axis| axis.name == name) {
        Some(at) => Ok(Index::axis(AxisId(at as u32))),
        None => {
            cursor.rewind(start);
            Err(cursor.unknown("an axis of a loop around this", &name))
        }
    }
}

fn index_constant(cursor: &mut Cursor<'_>, what: &str) -> Parsed<i64> {
    let start = cursor.position();
    let value: i64 = cursor.integer(what)?;
    check_coefficients(cursor, &Index::constant(value), 1).inspect_err(|_| cursor.rewind(start))?;
    Ok(value)
}

fn scaled(cursor: &Cursor<'_>, index: &Index, factor: i64) -> Parsed<Index> {
    check_coefficients(cursor, index, i128::from(factor))?;
    Ok(index.times(factor))
}

fn check_coefficients(cursor: &Cursor<'_>, index: &Index, factor: i128) -> Parsed<()> {
    let coefficients = index.terms.iter().map(|(_, factor)| *factor).chain([index.offset]);
    if coefficients.into_iter().all(|coefficient| (i128::from(coefficient) * factor).abs() <= MAX_COEFFICIENT) {
        return Ok(());
    }
    Err(cursor.error(Code::Syntax, "a factor or a constant of an index is at most 2^60".to_owned()))
}
