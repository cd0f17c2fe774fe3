//! `docs/operators.md`: every function of tensors and every op, made of the rows of both tables and of the documentation beside the code.
//!
//! `KILN_BLESS=1 cargo test -p kiln-tests --test operators_page` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_ir::Op;

/// The files of the front end that hold functions of tensors, in the page's order. Each is a family; its `//!` introduces it.
const FAMILIES: &[&str] = &[
    "creation",
    "arithmetic",
    "pointwise",
    "activations",
    "reductions",
    "views",
    "indexing",
    "products",
    "einsum",
    "convolution",
    "patches",
    "pooling",
    "normalization",
    "interpolation",
    "grid_sample",
    "losses",
    "distances",
    "attention",
    "complex",
    "random",
];

/// Public methods of `Tensor` in those files that are no functions of tensors, with the reason.
const NO_FUNCTIONS: &[(&str, &str)] = &[("extent", "makes a tensor of none"), ("full", "makes a tensor of none")];

/// A function as the source shows it.
struct Function {
    name: String,
    signature: String,
    documentation: String,
    method: bool,
}

#[test]
fn the_page_of_operators_is_what_the_tables_say() {
    let page = page();
    let path = root().join("docs/operators.md");
    if std::env::var_os("KILN_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
        fs::write(&path, &page).expect("the page can be written");
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    assert!(held == page, "docs/operators.md is stale: KILN_BLESS=1 cargo test -p kiln-tests --test operators_page");
}

#[test]
fn every_method_has_a_row_and_every_row_a_method() {
    let rows = rows();
    let mut faults = Vec::new();
    let mut methods = BTreeSet::new();
    for function in FAMILIES.iter().flat_map(|family| functions(&source(family))) {
        if function.documentation.is_empty() {
            faults.push(format!("`{}` has no documentation", function.name));
        }
        if function.method {
            let excused = NO_FUNCTIONS.iter().any(|(name, _)| *name == function.name);
            if !excused && !rows.contains(&function.name) {
                faults.push(format!("`{}` has no row in frontend/src/functional.rs", function.name));
            }
            methods.insert(function.name);
        }
    }
    let of_ops: BTreeSet<&str> = op_methods().into_iter().map(|(_, method)| method).collect();
    for row in rows.iter().filter(|row| !methods.contains(*row) && !of_ops.contains(row.as_str())) {
        faults.push(format!("the row `{row}` of frontend/src/functional.rs has no method in a file of FAMILIES"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn page() -> String {
    let mut page = String::from(
        "# Operators\n\nEvery function of tensors, by family, and below them the ops of the IR that they are composed of. Methods of `Tensor` are free functions of\n\
         `kiln::functional` too. Shapes are `[axis, …]`, `g` is the cotangent of the result; unless said otherwise a function takes any number of axes, keeps\n\
         the dtype, broadcasts its operands, reports mistakes of shape, rank, dtype, axis and argument as K0101 to K0105 at the caller's line, and has the\n\
         gradient that follows from what it is composed of. Semantics are PyTorch's; the conformance cases are the numerics.\n\n\
         This file is made by `KILN_BLESS=1 cargo test -p kiln-tests --test operators_page`.\n",
    );
    for family in FAMILIES {
        let source = source(family);
        writeln!(page, "\n## {family}\n\n{}", introduction(&source)).expect("a string takes everything");
        if *family == "arithmetic" {
            page.push_str(&op_functions());
        }
        for function in functions(&source) {
            let Function { name, signature, documentation, .. } = function;
            writeln!(page, "\n### `{name}`\n\n```rust\n{signature}\n```\n\n{documentation}")
                .expect("a string takes everything");
        }
    }
    page.push_str("\n## Ops of the IR\n\n| op | meaning and gradient |\n|---|---|\n");
    for name in Op::NAMES {
        let documentation = Op::documentation(name).unwrap_or_default();
        let text: Vec<&str> = documentation.lines().map(str::trim).collect();
        writeln!(page, "| `{name}` | {} |", text.join(" ").trim().replace('|', "\\|"))
            .expect("a string takes everything");
    }
    page
}

/// The functions that follow from rows of the op table.
fn op_functions() -> String {
    let mut text = String::from("\n| function | meaning and gradient |\n|---|---|\n");
    for (op, method) in op_methods() {
        let documentation = Op::documentation(op).unwrap_or_default();
        let documentation: Vec<&str> = documentation.lines().map(str::trim).collect();
        writeln!(text, "| `{method}` | {} |", documentation.join(" ").trim().replace('|', "\\|"))
            .expect("a string takes everything");
    }
    text
}

/// Op and method of the rows that say how they are called.
fn op_methods() -> Vec<(&'static str, &'static str)> {
    macro_rules! pairs {
        ($($form:ident $op:ident $text:literal $method:ident;)*) => { vec![$(($text, stringify!($method))),*] };
    }
    kiln_ir::op_rows!(pairs)
}

/// The names in the `functions!` table.
fn rows() -> BTreeSet<String> {
    let source = source("functional");
    let table = source.split("\nfunctions! {").nth(1).expect("the file has the table");
    let lines = table.lines().filter(|line| line.starts_with("        "));
    let entries = lines.flat_map(|line| line.split(';').map(str::trim).map(str::to_owned).collect::<Vec<_>>());
    entries
        .filter_map(|entry| entry.split_once('(').map(|(name, _)| name.to_owned()))
        .filter(|name| is_name(name))
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// The text of a `//!` head.
fn introduction(source: &str) -> String {
    let head = source.lines().take_while(|line| line.starts_with("//!"));
    head.map(|line| line.trim_start_matches("//!").trim()).collect::<Vec<_>>().join("\n")
}

/// The public functions of a file, each with its documentation. The files are formatted, so lines tell everything.
fn functions(source: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    let (mut documentation, mut of_tensor) = (Vec::new(), false);
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        let depth = line.len() - code.len();
        if depth == 0 && code.starts_with("impl") {
            of_tensor = code.starts_with("impl Tensor");
        }
        if let Some(text) = code.strip_prefix("///") {
            documentation.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
        } else if let Some(rest) = code.strip_prefix("pub fn ") {
            let mut signature = rest.to_owned();
            while !signature.contains('{') {
                let Some(next) = lines.next() else { break };
                signature = format!("{signature} {}", next.trim());
            }
            let signature =
                signature.split('{').next().unwrap_or_default().trim().replace("( ", "(").replace(", )", ")");
            let name: String = signature.chars().take_while(|c| *c == '_' || c.is_ascii_alphanumeric()).collect();
            let method = depth > 0 && of_tensor;
            if (method || depth == 0) && !signature.contains("$") {
                let documentation = documentation.join("\n");
                functions.push(Function { name, signature: format!("fn {signature}"), documentation, method });
            }
            documentation.clear();
        } else if !code.starts_with("#[") {
            documentation.clear();
        }
    }
    functions
}

/// A family's source: one file, or all files of its folder.
fn source(family: &str) -> String {
    let front_end = root().join("frontend/src");
    let mut text = fs::read_to_string(front_end.join(format!("{family}.rs"))).unwrap_or_default();
    let files: BTreeMap<PathBuf, String> = fs::read_dir(front_end.join(family))
        .map(|entries| {
            entries
                .filter_map(Result::ok)
                .filter_map(|e| Some((e.path(), fs::read_to_string(e.path()).ok()?)))
                .collect()
        })
        .unwrap_or_default();
    for more in files.values() {
        text.push('\n');
        text.push_str(more);
    }
    assert!(!text.is_empty(), "frontend/src has no family `{family}`");
    text
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}
