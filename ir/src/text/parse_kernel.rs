//! Text to a kernel; the inverse of [`super::print_kernel`].

use super::cursor::{Cursor, Parsed};
use super::lexer::TokenKind;
use super::parse_expr::{find_tensor, parse_expr, parse_index, parse_indices};
use super::parse_schedule::parse_schedule;
use super::print_kernel::{implied_dtype, implied_result_dtype};
use crate::kernel::{Access, Axis, Kernel, Local, Reduction, Schedule, Statement, Tensor};
use crate::{AxisId, Code, DType, Dim, Expr, LocalId, Monoid};

/// The kernel whose word `kernel` is next, on a line indented to column `indent`.
pub(super) fn parse_kernel(cursor: &mut Cursor<'_>, indent: u32) -> Parsed<Kernel> {
    cursor.expect_word("kernel")?;
    let mut parser = Parser {
        kernel: Kernel {
            name: cursor.name("the kernel's name")?,
            tensors: Vec::new(),
            axes: Vec::new(),
            locals: Vec::new(),
            body: Vec::new(),
            schedule: Schedule::default(),
            places: Vec::new(),
        },
        cursor,
    };
    parser.header()?;
    let body_indent = parser.cursor.next_indent().filter(|&next| next > indent);
    while let Some(line) = parser.cursor.enter_line(indent) {
        if Some(line) != body_indent {
            return Err(parser.cursor.expected("a line with the indentation of the one above"));
        }
        match parser.cursor.word() {
            Some("axes") => parser.declare_axes()?,
            Some("locals") => parser.declare_locals()?,
            Some("schedule") => {
                parser.cursor.advance();
                parser.kernel.schedule = parse_schedule(parser.cursor, &parser.kernel)?;
            }
            _ => {
                let statement = parser.statement(line)?;
                parser.kernel.body.push(statement);
            }
        }
    }
    Ok(parser.kernel)
}

struct Parser<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    kernel: Kernel,
}

impl Parser<'_, '_> {
    fn header(&mut self) -> Parsed<()> {
        let inputs = self.cursor.list("(", ")", |cursor| tensor(cursor, Access::Read))?;
        self.cursor.expect("->")?;
        let outputs = self.cursor.list("(", ")", |cursor| tensor(cursor, Access::Write))?;
        self.kernel.tensors = inputs.into_iter().chain(outputs).collect();
        while let Some(place) = self.cursor.place_mark()? {
            self.kernel.places.push(place);
        }
        self.cursor.expect_line_end()
    }

    /// The lines below that are indented by more than `indent`, all alike.
    fn block(&mut self, indent: u32) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        let block_indent = self.cursor.next_indent().filter(|&next| next > indent);
        while let Some(line) = self.cursor.enter_line(indent) {
            if Some(line) != block_indent {
                return Err(self.cursor.expected("a line with the indentation of the one above"));
            }
            statements.push(self.statement(line)?);
        }
        Ok(statements)
    }

    fn statement(&mut self, indent: u32) -> Parsed<Statement> {
        for (word, statement) in [("for", Statement::For as fn(_, _) -> _), ("serial", Statement::Serial)] {
            if self.cursor.eat_word(word) {
                let axes = self.axes()?;
                self.cursor.expect_line_end()?;
                self.cursor.enter()?;
                let body = self.block(indent)?;
                self.cursor.leave();
                return Ok(statement(axes, body));
            }
        }
        if *self.cursor.peek_second() == TokenKind::Punctuation("[") {
            return self.store();
        }
        let targets = self.targets()?;
        self.cursor.expect("=")?;
        let is_reduction = self.cursor.word().and_then(Monoid::from_name).is_some()
            && match self.cursor.peek_second() {
                TokenKind::Name(word) => !matches!(*word, "and" | "or"),
                TokenKind::Quoted(_) | TokenKind::Punctuation(",") => true,
                _ => false,
            };
        if is_reduction {
            return self.reduce(targets, indent);
        }
        let [(name, dtype)] = targets.as_slice() else {
            return Err(self.cursor.expected("one reduction for each name, as in `m, at = max, argmax`"));
        };
        let (local, value) = self.binding(name, *dtype)?;
        Ok(Statement::Let(local, value))
    }

    fn store(&mut self) -> Parsed<Statement> {
        let start = self.cursor.position();
        let name = self.cursor.name("a statement")?;
        let tensor = find_tensor(self.cursor, &self.kernel, &name).map_err(|error| {
            self.cursor.rewind(start);
            error.at(self.cursor.place())
        })?;
        let (index, fill) = parse_indices(self.cursor, &self.kernel)?;
        if fill.is_some() {
            return Err(self.cursor.error(Code::Syntax, "a store has no fill value".to_owned()));
        }
        self.cursor.expect("=")?;
        let value = parse_expr(self.cursor, &self.kernel)?;
        self.cursor.expect_line_end()?;
        Ok(Statement::Store { tensor, index, value })
    }

    /// What follows `m, at = `: `max, argmax c in 10 of e, e`, and `where` lines.
    fn reduce(&mut self, targets: Vec<(String, Option<DType>)>, indent: u32) -> Parsed<Statement> {
        let mut monoids = Vec::new();
        loop {
            monoids.push(self.cursor.known("a reduction", Monoid::from_name)?);
            if !self.cursor.eat(",") {
                break;
            }
        }
        if monoids.len() != targets.len() {
            let message = format!("{} names need as many reductions, found {}", targets.len(), monoids.len());
            return Err(self.cursor.error(Code::Syntax, message));
        }
        let axes = if self.cursor.word() == Some("of") { Vec::new() } else { self.axes()? };
        self.cursor.expect_word("of")?;
        // The values may use what the `where` lines below define.
        let values_at = self.cursor.position();
        self.cursor.skip_line();
        let mut lets = Vec::new();
        while self.cursor.enter_line(indent).is_some() {
            self.cursor.expect_word("where")?;
            let (name, dtype) = self.target()?;
            self.cursor.expect("=")?;
            lets.push(self.binding(&name, dtype)?);
        }
        let end = self.cursor.position();
        self.cursor.rewind(values_at);
        let mut results = Vec::new();
        for (at, (monoid, (name, dtype))) in monoids.into_iter().zip(targets).enumerate() {
            if at > 0 {
                self.cursor.expect(",")?;
            }
            let value = parse_expr(self.cursor, &self.kernel)?;
            let dtype = dtype.unwrap_or_else(|| implied_result_dtype(&self.kernel, monoid, &value));
            results.push((name, dtype, monoid, value));
        }
        self.cursor.expect_line_end()?;
        self.cursor.rewind(end);
        let results = results.into_iter().map(|(name, dtype, monoid, value)| Reduction {
            local: self.define_local(&name, dtype),
            monoid,
            value,
        });
        let results = results.collect();
        Ok(Statement::Reduce { axes, lets, results })
    }

    fn binding(&mut self, name: &str, dtype: Option<DType>) -> Parsed<(LocalId, Expr)> {
        let value = parse_expr(self.cursor, &self.kernel)?;
        self.cursor.expect_line_end()?;
        let dtype = dtype.unwrap_or_else(|| implied_dtype(&self.kernel, &value));
        Ok((self.define_local(name, dtype), value))
    }

    /// `m, at: i64`.
    fn targets(&mut self) -> Parsed<Vec<(String, Option<DType>)>> {
        let mut targets = vec![self.target()?];
        while self.cursor.eat(",") {
            targets.push(self.target()?);
        }
        Ok(targets)
    }

    fn target(&mut self) -> Parsed<(String, Option<DType>)> {
        let name = self.cursor.name("a statement")?;
        let dtype = if self.cursor.eat(":") { Some(self.cursor.dtype()?) } else { None };
        Ok((name, dtype))
    }

    /// `n in B, i in 4 while 4*p + i < B`, perhaps none at the end of a line.
    fn axes(&mut self) -> Parsed<Vec<AxisId>> {
        let mut axes = Vec::new();
        while !self.cursor.at_line_end() && (axes.is_empty() || self.cursor.eat(",")) {
            let (name, extent) = self.axis()?;
            let id = self.declare_axis(name, extent);
            if self.cursor.eat_word("while") {
                let index = parse_index(self.cursor, &self.kernel)?;
                self.cursor.expect("<")?;
                self.kernel.axes[id.0 as usize].limit = Some((index, self.cursor.dim()?));
            }
            axes.push(id);
            if !self.cursor.at(",") {
                break;
            }
        }
        Ok(axes)
    }

    fn axis(&mut self) -> Parsed<(String, Dim)> {
        let name = self.cursor.name("an axis")?;
        self.cursor.expect_word("in")?;
        Ok((name, self.cursor.dim()?))
    }

    /// A name that stands for an axis already keeps its id: that is how a kernel that uses an axis twice reads back.
    fn declare_axis(&mut self, name: String, extent: Dim) -> AxisId {
        let at = self.kernel.axes.iter().position(|axis| axis.name == name).unwrap_or(self.kernel.axes.len());
        if at == self.kernel.axes.len() {
            self.kernel.axes.push(Axis { name, extent, limit: None });
        }
        AxisId(at as u32)
    }

    fn define_local(&mut self, name: &str, dtype: DType) -> LocalId {
        let at = self.kernel.locals.iter().position(|local| local.name == name).unwrap_or(self.kernel.locals.len());
        if at == self.kernel.locals.len() {
            self.kernel.locals.push(Local { name: name.to_owned(), dtype });
        }
        LocalId(at as u32)
    }

    fn declare_axes(&mut self) -> Parsed<()> {
        self.cursor.advance();
        while !self.cursor.at_line_end() {
            let (name, extent) = self.axis()?;
            self.declare_axis(name, extent);
            if !self.cursor.eat(",") {
                break;
            }
        }
        self.cursor.expect_line_end()
    }

    fn declare_locals(&mut self) -> Parsed<()> {
        self.cursor.advance();
        while !self.cursor.at_line_end() {
            let name = self.cursor.name("a local")?;
            self.cursor.expect(":")?;
            let dtype = self.cursor.dtype()?;
            self.define_local(&name, dtype);
            if !self.cursor.eat(",") {
                break;
            }
        }
        self.cursor.expect_line_end()
    }
}

fn tensor(cursor: &mut Cursor<'_>, plain: Access) -> Parsed<Tensor> {
    let is_named = |cursor: &Cursor<'_>| *cursor.peek_second() != TokenKind::Punctuation(":");
    let access = match cursor.word() {
        Some("in") if is_named(cursor) => Some(Access::Read),
        Some("out") if is_named(cursor) => Some(Access::Write),
        Some("inout") if is_named(cursor) => Some(Access::Update),
        Some("scratch") if is_named(cursor) => Some(Access::Scratch),
        _ => None,
    };
    if access.is_some() {
        cursor.advance();
    }
    let name = cursor.name("a tensor")?;
    cursor.expect(":")?;
    Ok(Tensor { name, ty: cursor.ty()?, access: access.unwrap_or(plain) })
}
