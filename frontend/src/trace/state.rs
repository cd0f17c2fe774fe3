//! Parameters and buffers in the open trace.

use std::panic::Location;

use kiln_ir::{Code, Diagnostic, ValueId};

use super::{Trace, with};
use crate::{Buffer, Parameter, Tensor};

impl Parameter {
    /// The parameter's tensor in the open trace.
    #[track_caller]
    pub fn tensor(&self) -> Tensor {
        let value = with(|trace| trace.parameters.get(&self.address()).copied()).flatten();
        member_tensor(value, "parameter", Location::caller())
    }
}

impl Buffer {
    /// The buffer's latest value in the open trace.
    #[track_caller]
    pub fn tensor(&self) -> Tensor {
        let find = |trace: &mut Trace| {
            trace.buffers.iter().find(|state| state.address == self.address()).map(|state| state.latest)
        };
        member_tensor(with(find).flatten(), "buffer", Location::caller())
    }

    /// Makes `value` the buffer's next value: it is stored when the step ends.
    #[track_caller]
    pub fn update(&self, value: Tensor) {
        let Some(new) = value.value() else { return };
        let location = Location::caller();
        with(|trace| {
            let Some(state) = trace.buffers.iter_mut().find(|state| state.address == self.address()) else {
                let place = trace.place(location);
                trace.note(foreign("buffer", trace.is_backward).at(place));
                return;
            };
            let (wanted, found) = (trace.graph.ty(state.input), trace.graph.ty(new));
            if wanted == found {
                state.latest = new;
                return;
            }
            let message = format!(
                "a buffer keeps its type: `{}` is {wanted}, its update {found}",
                trace.graph.name_of(state.input)
            );
            let place = trace.place(location);
            trace.note(Diagnostic::new(Code::ShapeMismatch, message).at(place));
        });
    }
}

fn member_tensor(value: Option<ValueId>, what: &str, location: &Location<'_>) -> Tensor {
    let noted = with(|trace| {
        if value.is_none() {
            let place = trace.place(location);
            trace.note(foreign(what, trace.is_backward).at(place));
        }
        trace.id
    });
    Tensor::new(noted.unwrap_or(0), value)
}

/// A parameter or buffer that the open trace does not have.
fn foreign(what: &str, is_backward: bool) -> Diagnostic {
    if is_backward {
        let message = format!("a derivative sees its arguments only: it cannot use a {what}");
        return Diagnostic::new(Code::UnknownName, message).help("make its tensor an input of the function");
    }
    let message = format!("a {what} needs to belong to the model that is traced: this one is in none of its fields");
    let help = "keep it in a field of a `#[model]` struct that is not skipped";
    Diagnostic::new(Code::UnknownName, message).help(help)
}
