//! Values that the host may read after a run, because the model names them.

use std::panic::Location;

use kiln_ir::update::names;
use kiln_ir::{Code, Diagnostic, ValueId};

use super::Trace;
use crate::training::PREDICTION;

impl Trace {
    /// Notes a value that the host may read.
    pub(crate) fn tap(&mut self, name: &str, value: ValueId, location: &Location<'_>) {
        let other = self.taps.iter().find(|(held, other)| held == name && *other != value);
        let holder = match other {
            Some((_, other)) => self.graph.node(*other).place.to_string(),
            None if [names::LOSS, PREDICTION].contains(&name) => "the entry point's own".to_owned(),
            None if self.graph.find(name).is_some_and(|found| self.graph.operands(found).is_empty()) => {
                "an input or a parameter".to_owned()
            }
            None => {
                self.taps.retain(|(held, _)| held != name);
                return self.taps.push((name.to_owned(), value));
            }
        };
        let message = format!("a tap needs a name of its own: there is another `{name}`, {holder}");
        let place = self.place(location);
        self.note(Diagnostic::new(Code::DuplicateName, message).at(place));
    }

    /// Makes them outputs, behind what the entry point is for.
    pub(super) fn add_taps(&mut self) {
        for (name, value) in std::mem::take(&mut self.taps) {
            self.graph.add_output(name, value);
        }
    }
}
