//! The text of the three levels, and its parsers: `parse(print(x)) == x`.
//!
//! A `.kir` file holds graphs and kernels, or one program. Each item begins in the first column; what belongs to it is
//! indented. `//` begins a comment. Names that are no words, or that mean something else, are written in quotes.
//! The form of kernels is shown at [`crate::kernel`]. A graph:
//!
//! ```text
//! graph mlp.predict batch <= 64
//!   %x = input {role = data} : f32[B,4]
//!   %fc.weight = input {role = parameter, init = uniform(-0.5, 0.5)} : f32[2,4]
//!   %y = einsum %x, %fc.weight {equation = "bi,oi->bo"} : f32[B,2] @mlp.rs:9:13 in fc as linear
//!   %h = relu %y : f32[B,2] by fc_relu @mlp.rs:9:20
//!   output logits = %h
//! ```
//!
//! What the result's type says is not said twice: the attributes `dtype` and `shape` are left out where they are the type's,
//! and `init` where it is zeros. `by` names the kernel that a value is computed in, `@` the user's line, and `as` what was called there, where
//! that is not the op. A program:
//!
//! ```text
//! program mlp batch <= 64 arena 4096
//!   buffers
//!     x: f32[B,4] data at 0
//!     fc.weight: f32[2,4] parameter at 1024 init uniform(-0.5, 0.5)
//!     y: f32[B,2] output at 1088 live predict 0..0
//!   kernel fc(x: f32[B,4], w: f32[2,4]) -> (y: f32[B,2])
//!     for n in B, o in 2
//!       acc = sum i in 4 of x[n, i] * w[o, i]
//!       y[n, o] = acc
//!   entry predict(x) -> (y)
//!     fc(x, fc.weight) -> y   @mlp.rs:9:13 in fc
//! ```

mod cursor;
mod lexer;
mod names;
mod number;
mod numbering;
mod parse_expr;
mod parse_graph;
mod parse_kernel;
mod parse_program;
mod parse_schedule;
mod parts;
mod print_expr;
mod print_graph;
mod print_kernel;
mod print_program;

use std::fmt;

pub use names::Names;
pub use print_expr::{expr_text, index_text, load_text};
pub(crate) use print_kernel::lines_before_body;

use crate::{Code, Diagnostic, Graph, Kernel, Program};
use cursor::Cursor;

/// What a `.kir` file holds, in its order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Module {
    /// Any number of graphs and kernels, or one program.
    pub items: Vec<Item>,
}

/// One of the three levels.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// `graph ...`
    Graph(Graph),
    /// `kernel ...`
    Kernel(Kernel),
    /// `program ...`
    Program(Program),
}

/// Parses a file. An item ends at its first mistake; the mistakes of all items are reported together.
pub fn parse_module(text: &str, file: &str) -> Result<Module, Vec<Diagnostic>> {
    let mut cursor = Cursor::new(text, file).map_err(|error| vec![error])?;
    let (mut module, mut mistakes) = (Module::default(), Vec::new());
    while cursor.enter_line(0).is_some() {
        match parse_item(&mut cursor, module.items.is_empty() && mistakes.is_empty()) {
            Ok(item) => module.items.push(item),
            Err(mistake) => {
                mistakes.push(mistake);
                cursor.skip_item();
            }
        }
    }
    if mistakes.is_empty() { Ok(module) } else { Err(mistakes) }
}

/// Parses a file that holds one graph.
pub fn parse_graph(text: &str, file: &str) -> Result<Graph, Vec<Diagnostic>> {
    parse_only(text, file, "graph", |item| if let Item::Graph(graph) = item { Some(graph) } else { None })
}

/// Parses a file that holds one kernel.
pub fn parse_kernel(text: &str, file: &str) -> Result<Kernel, Vec<Diagnostic>> {
    parse_only(text, file, "kernel", |item| if let Item::Kernel(kernel) = item { Some(kernel) } else { None })
}

/// Parses a file that holds one program.
pub fn parse_program(text: &str, file: &str) -> Result<Program, Vec<Diagnostic>> {
    parse_only(text, file, "program", |item| if let Item::Program(program) = item { Some(program) } else { None })
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.items.iter().enumerate() {
            write!(f, "{}{item}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Graph(graph) => graph.fmt(f),
            Item::Kernel(kernel) => kernel.fmt(f),
            Item::Program(program) => program.fmt(f),
        }
    }
}

fn parse_item(cursor: &mut Cursor<'_>, is_first: bool) -> Result<Item, Diagnostic> {
    let indent = 1;
    let item = match cursor.word() {
        Some("graph") => Item::Graph(parse_graph::parse_graph(cursor, indent)?),
        Some("kernel") => Item::Kernel(parse_kernel::parse_kernel(cursor, indent)?),
        Some("program") if is_first => Item::Program(parse_program::parse_program(cursor, indent)?),
        Some("program") => return Err(cursor.error(Code::Syntax, "a program stands alone in its file".to_owned())),
        _ => return Err(cursor.expected("`graph`, `kernel` or `program`")),
    };
    let is_program = matches!(item, Item::Program(_));
    match cursor.next_indent() {
        None if *cursor.peek() != lexer::TokenKind::End => Err(cursor.expected("the end of the line")),
        Some(1) if is_program => Err(cursor.error(Code::Syntax, "a program stands alone in its file".to_owned())),
        _ => Ok(item),
    }
}

fn parse_only<T>(text: &str, file: &str, what: &str, take: fn(Item) -> Option<T>) -> Result<T, Vec<Diagnostic>> {
    let items = parse_module(text, file)?.items;
    let count = items.len();
    let only = if count == 1 { items.into_iter().next().and_then(take) } else { None };
    only.ok_or_else(|| {
        let place = crate::Place { file: file.to_owned(), line: 1, column: 1, ..crate::Place::NONE };
        vec![Diagnostic::new(Code::Syntax, format!("expected one {what}, found {count} items")).at(place)]
    })
}
