//! Files of IR text, as the command and `KILN_IR` take them: read, parsed and verified, so that every mistake is told at its line of the file.

use std::path::Path;

use kiln_ir::text::{Item, parse_module};
use kiln_ir::verify::{Finding, verify_graph, verify_kernel, verify_program};
use kiln_ir::{Code, Diagnostic, Place};

use crate::Error;

/// The items of a file; there is at least one.
pub(crate) fn read(file: &str) -> Result<Vec<Item>, Error> {
    let path = Path::new(file);
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let items = parse_module(&text, file).map_err(Error::Model)?.items;
    if items.is_empty() {
        let message = format!("`{file}` holds no IR");
        let help = "a file of IR text has graphs, kernels or a program, as `kiln dump` prints them";
        return Err(Error::Model(vec![Diagnostic::new(Code::Syntax, message).help(help)]));
    }
    let found = items.iter().enumerate().flat_map(|(number, item)| {
        let text = &text;
        findings(item).into_iter().map(move |finding| at_line_of_file(finding, item, text, number, file))
    });
    let diagnostics: Vec<Diagnostic> = found.collect();
    if diagnostics.is_empty() { Ok(items) } else { Err(Error::Model(diagnostics)) }
}

fn findings(item: &Item) -> Vec<Finding> {
    match item {
        Item::Graph(graph) => verify_graph(graph),
        Item::Kernel(kernel) => verify_kernel(kernel),
        Item::Program(program) => verify_program(program),
    }
}

/// A finding counts the lines of the item as it is printed. Where the file has its lines in the same order, its own line is blamed.
fn at_line_of_file(finding: Finding, item: &Item, text: &str, number: usize, file: &str) -> Diagnostic {
    let Finding { line, diagnostic } = finding;
    let printed = match item {
        Item::Graph(graph) => graph.to_string(),
        Item::Kernel(kernel) => kernel.to_string(),
        Item::Program(program) => program.to_string(),
    };
    let mut starts = 0;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| {
        let is_ir = !line.trim().is_empty() && !line.trim_start().starts_with("//");
        starts += usize::from(is_ir && !line.starts_with(char::is_whitespace));
        is_ir && starts == number + 1
    });
    let mut lines: Vec<(u32, &str)> = lines.collect();
    let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let blamed = printed.lines().nth(line as usize - 1).and_then(first_word);
    if lines.len() < line as usize || first_word(lines[line as usize - 1].1) != blamed {
        return diagnostic;
    }
    let (line, text) = lines.swap_remove(line as usize - 1);
    let column = 1 + (text.len() - text.trim_start().len()) as u32;
    let place = Place { file: file.to_owned(), line, column, ..Place::NONE };
    diagnostic.at(place)
}
