//! Lines with indentation, and C expressions that know how tightly they bind.

use std::fmt::Display;

/// Lines of C under construction.
pub(crate) struct Text {
    out: String,
    depth: usize,
}

impl Text {
    /// Lines inside a function whose head is written elsewhere.
    pub(crate) fn inside_function() -> Text {
        Text { out: String::new(), depth: 1 }
    }

    pub(crate) fn line(&mut self, line: impl Display) {
        self.out.push_str(&"    ".repeat(self.depth));
        self.out.push_str(&line.to_string());
        self.out.push('\n');
    }

    /// A blank line and a comment: the start of a part of a kernel.
    pub(crate) fn section(&mut self, comment: impl Display) {
        if !self.out.is_empty() && !self.out.ends_with("{\n") {
            self.out.push('\n');
        }
        self.line(format_args!("// {comment}"));
    }

    /// A line that begins a block.
    pub(crate) fn open(&mut self, head: impl Display) {
        self.line(format_args!("{head} {{"));
        self.depth += 1;
    }

    /// The ends of `count` blocks.
    pub(crate) fn close(&mut self, count: usize) {
        for _ in 0..count {
            self.depth -= 1;
            self.line("}");
        }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// How tightly the outermost operator of a C expression binds, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    Ternary,
    Or,
    And,
    Equality,
    Relation,
    Sum,
    Product,
    Prefix,
    Primary,
}

/// A C expression.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Code {
    text: String,
    level: Level,
}

impl Code {
    pub(crate) fn new(text: impl Into<String>, level: Level) -> Code {
        Code { text: text.into(), level }
    }

    pub(crate) fn primary(text: impl Into<String>) -> Code {
        Code::new(text, Level::Primary)
    }

    /// An integer literal.
    pub(crate) fn integer(value: i64) -> Code {
        Code::new(value.to_string(), if value < 0 { Level::Prefix } else { Level::Primary })
    }

    /// A left-associative operator: the right side is in parentheses where it has the same level, so that the order of
    /// floating-point operations is that of the IR.
    pub(crate) fn binary(level: Level, operator: &str, left: &Code, right: &Code) -> Code {
        let tighter = match level {
            // `a || b && c` is right without parentheses, and read wrongly: compilers warn of it.
            Level::Or | Level::And => Level::Equality,
            Level::Equality => Level::Relation,
            Level::Relation => Level::Sum,
            Level::Sum => Level::Product,
            _ => Level::Prefix,
        };
        let left = if left.level == level { left.at(level) } else { left.at(tighter) };
        Code::new(format!("{left} {operator} {}", right.at(tighter)), level)
    }

    pub(crate) fn call(function: &str, arguments: &[Code]) -> Code {
        let arguments: Vec<&str> = arguments.iter().map(Code::text).collect();
        Code::primary(format!("{function}({})", arguments.join(", ")))
    }

    pub(crate) fn cast(ty: &str, operand: &Code) -> Code {
        Code::new(format!("({ty}){}", operand.at(Level::Prefix)), Level::Prefix)
    }

    /// The text where anything may stand.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text as an operand of an operator of this level.
    pub(crate) fn at(&self, level: Level) -> String {
        if self.level < level { format!("({})", self.text) } else { self.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parentheses_appear_only_where_the_order_would_change() {
        let (a, b, c) = (Code::primary("a"), Code::primary("b"), Code::primary("c"));
        let sum = Code::binary(Level::Sum, "+", &a, &b);
        assert_eq!(Code::binary(Level::Sum, "+", &sum, &c).text(), "a + b + c");
        assert_eq!(Code::binary(Level::Sum, "+", &c, &sum).text(), "c + (a + b)");
        assert_eq!(Code::binary(Level::Product, "*", &sum, &c).text(), "(a + b) * c");
        assert_eq!(Code::cast("i64", &sum).text(), "(i64)(a + b)");
    }
}
