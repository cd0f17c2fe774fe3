//! Names as they are printed: bare where they read back, in quotes where they are no word or mean something else.

use super::lexer::{is_file_character, is_name};
use crate::kernel::Kernel;
use crate::{AxisId, LocalId, Place, TensorId};

/// The names an expression is printed with.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By `TensorId`.
    pub tensors: Vec<String>,
    /// By `AxisId`.
    pub axes: Vec<String>,
    /// By `LocalId`.
    pub locals: Vec<String>,
}

impl Names {
    /// The names of a kernel.
    pub fn of(kernel: &Kernel) -> Names {
        Names {
            tensors: kernel.tensors.iter().map(|tensor| tensor.name.clone()).collect(),
            axes: kernel.axes.iter().map(|axis| axis.name.clone()).collect(),
            locals: kernel.locals.iter().map(|local| local.name.clone()).collect(),
        }
    }

    pub(super) fn tensor(&self, id: TensorId) -> String {
        named(&self.tensors, id.0)
    }

    pub(super) fn axis(&self, id: AxisId) -> String {
        named(&self.axes, id.0)
    }

    pub(super) fn local(&self, id: LocalId) -> String {
        named(&self.locals, id.0)
    }
}

/// A name as it reads back where only a name can stand: of graphs, values, kernels, buffers and entries.
pub(super) fn name_text(name: &str) -> String {
    if is_name(name) { name.to_owned() } else { quoted(name) }
}

/// A name as it reads back among the words of a kernel's body, or among attributes.
pub(super) fn word_text(name: &str) -> String {
    if is_reserved(name) { quoted(name) } else { name_text(name) }
}

/// `@lenet.rs:14:17 in conv1 as conv2d`.
pub(super) fn place_text(place: &Place) -> String {
    let bare = !place.file.is_empty() && place.file.chars().all(is_file_character);
    let file = if bare { place.file.clone() } else { quoted(&place.file) };
    let part = |word: &str, name: &str| match name {
        "" => String::new(),
        name => format!(" {word} {}", name_text(name)),
    };
    let (module, method) = (part("in", &place.module), part("as", place.method.as_deref().unwrap_or_default()));
    format!("@{file}:{}:{}{module}{method}", place.line, place.column)
}

/// ` @lenet.rs:14:17 in conv1 as conv2d`, or nothing where there is no place.
pub(super) fn place_suffix(place: &Place) -> String {
    if *place == Place::NONE { String::new() } else { format!(" {}", place_text(place)) }
}

/// The printed names, with a comma between.
pub(super) fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

/// An id that names nothing still prints, because broken IR is what one most needs to read.
fn named(names: &[String], id: u32) -> String {
    names.get(id as usize).map_or_else(|| format!("?{id}"), |name| word_text(name))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Words that a kernel's body reads as something else than a name. Functions and reductions are told by what follows them.
fn is_reserved(name: &str) -> bool {
    const WORDS: [&str; 14] = [
        "B", "and", "axes", "false", "for", "in", "locals", "of", "or", "schedule", "serial", "true", "where", "while",
    ];
    let literal = name.split('_').next().is_some_and(|head| matches!(head, "inf" | "nan"));
    literal || WORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Cursor;
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for name in ["x", "layer1.0.bn", "0.weight", "", "sum", "a b", "q\"\\\n", "f32", "é", "inf_f64"] {
            for text in [name_text(name), word_text(name)] {
                let mut cursor = Cursor::new(&text, "t.kir").unwrap();
                cursor.advance();
                assert_eq!(cursor.name("a name").unwrap(), name);
            }
        }
    }

    #[test]
    fn every_place_comes_back() {
        let places = [
            ("src/lenet.rs", "layer1.0", Some("linear")),
            ("", "", None),
            ("my file.rs", "0", None),
            (r"C:\a.rs", "in", Some("as")),
            ("a.rs", "", Some("f32")),
        ];
        for (file, module, method) in places {
            let ([file, module], method) = ([file, module].map(str::to_owned), method.map(Box::from));
            let place = Place { file, line: 3, column: 7, module, method };
            let text = place_text(&place);
            let mut cursor = Cursor::new(&text, "t.kir").unwrap();
            cursor.advance();
            assert_eq!(cursor.place_mark().unwrap(), Some(place), "{text}");
        }
    }
}
