//! Mistakes in the declaration of a training itself.

use kiln_ir::{Code, Diagnostic, Place};

use super::Training;
use crate::optim::Clip;

impl<M> Training<M> {
    /// All of them, each at the place of its declaration.
    pub(super) fn faults(&self) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let mut fault =
            |code, message: String, place: &Place| faults.push(Diagnostic::new(code, message).at(place.clone()));
        for (position, input) in self.inputs.iter().enumerate() {
            if self.inputs[..position].iter().any(|other| other.name == input.name) {
                fault(
                    Code::DuplicateName,
                    format!("inputs need different names: `{}` stands for two", input.name),
                    &input.place,
                );
            }
            if !input.ty.shape.is_batch_leading() {
                fault(
                    Code::BatchAxis,
                    format!("the batch axis needs to be in front: `{}` is {}", input.name, input.ty),
                    &input.place,
                );
            }
            if input.ty.shape.0.iter().any(|dim| dim.batch) && self.max_batch.is_none() {
                let message = format!(
                    "a batch axis needs a bound: `{}` is {}, and there is no `.max_batch(n)`",
                    input.name, input.ty
                );
                fault(Code::BadArgument, message, &input.place);
            }
        }
        let identifier = |name: &str| {
            name.chars().enumerate().all(|(i, c)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit()))
        };
        if self.name.is_empty() || !identifier(&self.name) {
            let message =
                format!("a training's name becomes a Rust module and needs to be an identifier: found `{}`", self.name);
            fault(Code::BadArgument, message, &self.place);
        }
        if self.max_batch == Some(0) {
            fault(Code::BadArgument, "a batch needs at least one sample: the bound is 0".to_owned(), &self.place);
        }
        if self.loss.is_none() && self.predict.is_none() {
            fault(Code::BadArgument, "a training needs `.loss(..)`, `.predict(..)` or both".to_owned(), &self.place);
        }
        if !self.groups.is_empty() && self.loss.is_none() {
            fault(Code::BadArgument, "an optimizer needs a `.loss(..)` to minimise".to_owned(), &self.place);
        }
        if self.gradients.accumulate == Some(0) {
            fault(
                Code::BadArgument,
                "gradients of at least one batch are accumulated: found 0".to_owned(),
                &self.place,
            );
        }
        for clip in &self.gradients.clips {
            let (what, limit, order) = match *clip {
                Clip::Value(limit) => ("clip_value", limit, 1.0),
                Clip::Norm { max, order } => ("max_norm", max, order),
            };
            if limit.is_nan() || limit < 0.0 || order.is_nan() || order <= 0.0 {
                let message =
                    format!("gradients are clipped to {what} >= 0 with a norm of order > 0: found {limit} and {order}");
                fault(Code::BadArgument, message, &self.place);
            }
        }
        if let Some(message) = self.gradients.scaler.as_ref().and_then(|scaler| scaler.fault()) {
            fault(Code::BadArgument, message, &self.place);
        }
        faults
    }
}
