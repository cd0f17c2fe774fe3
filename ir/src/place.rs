//! Source places: where in the user's own code a value was made, kept as syntax through every stage.

use std::fmt;
use std::panic::Location;

use serde::{Deserialize, Serialize};

/// A place in the user's source and the module path that was being traced there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// The file as the compiler names it; empty when the value has no place (a pass made it).
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The module path, as in `layer1.0.conv1`; empty at the root.
    pub module: String,
    /// What the user called there, where that is not the op's own name. Messages of steps that fail say it.
    pub method: Option<Box<str>>,
}

impl Place {
    /// No place: the value comes from no line of the user's.
    pub const NONE: Place = Place { file: String::new(), line: 0, column: 0, module: String::new(), method: None };

    /// The place of a `#[track_caller]` caller.
    pub fn of(location: &Location<'_>, module: &str) -> Place {
        Place {
            file: without_detours(location.file()),
            line: location.line(),
            column: location.column(),
            module: module.to_owned(),
            method: None,
        }
    }

    /// The line alone, whatever was called there.
    pub fn without_method(&self) -> Place {
        Place { method: None, ..self.clone() }
    }

    /// Whether this is no place.
    pub fn is_none(&self) -> bool {
        self.file.is_empty()
    }
}

/// `src/../examples/model.rs` is `examples/model.rs`: what `#[path]` leaves.
fn without_detours(file: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in file.split('/') {
        match (part, parts.last()) {
            ("..", Some(folder)) if *folder != ".." && !folder.is_empty() => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// `lenet.rs:14:17`, the file without its folders, and `in layer1.0` when inside a module.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)?;
        if self.module.is_empty() { Ok(()) } else { write!(f, " in {}", self.module) }
    }
}
