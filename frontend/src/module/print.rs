//! A model as text, as PyTorch's `print(model)` shows it.

use std::fmt;

use super::walk::each_child;
use super::{MODULE_LIST, Module};

/// The module tree: `print!("{}", tree(&model))`. Equal neighbours in a list of modules are folded: `(0-1): 2 x Linear(…)`.
///
/// ```
/// use kiln_frontend::prelude::*;
/// use kiln_frontend::tree;
///
/// let net = Sequential::new((Linear::new(2, 4), Relu));
/// let text = "Sequential(\n  (0): Linear(in_features=2, out_features=4, bias=True)\n  (1): ReLU()\n)";
/// assert_eq!(tree(&net).to_string(), text);
/// ```
pub fn tree(module: &dyn Module) -> Tree {
    let mut children: Vec<(String, String)> = Vec::new();
    each_child(module, &mut |name, child| children.push((name.to_owned(), tree(child).0)));
    let name = module.type_name();
    let mut lines: Vec<String> = Vec::new();
    let repr = module.extra_repr();
    if !repr.is_empty() {
        lines.extend(repr.lines().map(str::to_owned));
    }
    if lines.len() == 1 && children.is_empty() {
        return Tree(format!("{name}({repr})"));
    }
    let mut rest = children.as_slice();
    while let Some((first, text)) = rest.first() {
        let equal = if name == MODULE_LIST { rest.iter().take_while(|(_, other)| other == text).count() } else { 1 };
        let indented = text.replace('\n', "\n  ");
        lines.push(match equal {
            1 => format!("({first}): {indented}"),
            _ => format!("({first}-{}): {equal} x {indented}", rest[equal - 1].0),
        });
        rest = &rest[equal..];
    }
    if lines.is_empty() {
        return Tree(format!("{name}()"));
    }
    Tree(format!("{name}(\n  {}\n)", lines.join("\n  ")))
}

/// See [`tree`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree(String);

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number as Python prints it.
pub(crate) fn python(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size < 1e-4 {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once("e-").unwrap_or((&text, "0"));
        return format!("{digits}e-{exponent:0>2}");
    }
    format!("{value:?}")
}

/// A truth value as Python prints it.
pub(crate) fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Extents as Python prints a tuple.
pub(crate) fn python_tuple(extents: &[usize]) -> String {
    match extents {
        [one] => format!("({one},)"),
        _ => format!("({})", extents.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Extents that PyTorch was most likely given as one number, where they are equal.
pub(crate) fn python_extents(extents: &[usize]) -> String {
    match extents.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => first.to_string(),
        _ => python_tuple(extents),
    }
}
