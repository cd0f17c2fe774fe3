//! The inputs that the host gives for a step.

use std::collections::BTreeMap;
use std::ops::Index;

use kiln_ir::{Code, Diagnostic, Init, Place, Role, Type};

use crate::{Tensor, trace};

/// One of them, as declared.
pub(super) struct InputSpec {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) place: Place,
}

/// The inputs of a step, by name: `batch["x"]`. An unknown name is a mistake that the trace reports.
pub struct Inputs {
    tensors: BTreeMap<String, Tensor>,
    /// What an unknown name refers to.
    unknown: Tensor,
}

impl Index<&str> for Inputs {
    type Output = Tensor;

    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        if let Some(tensor) = self.tensors.get(name) {
            return tensor;
        }
        let names: Vec<String> = self.tensors.keys().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let message = format!("a step has the inputs that the training declares, {names}: found `{name}`");
        let help = format!("declare it with `.input(\"{name}\", dtype, shape)`");
        Tensor::mistake(Diagnostic::new(Code::UnknownName, message).help(help));
        &self.unknown
    }
}

/// Makes an input of the open trace of each.
pub(super) fn declare(specs: &[InputSpec]) -> Inputs {
    let declare = |spec: &InputSpec| {
        // `faults` reports an input that no graph can have.
        let is_sound = spec.ty.shape.is_batch_leading();
        let tensor = trace::with(|trace| {
            let input = || trace.input(&spec.name, Role::Data, spec.ty.clone(), Init::Zeros, spec.place.clone());
            let value = is_sound.then(input);
            Tensor::new(trace.id, value)
        });
        (spec.name.clone(), tensor.unwrap_or_else(Tensor::poison))
    };
    Inputs { tensors: specs.iter().map(declare).collect(), unknown: Tensor::poison() }
}
