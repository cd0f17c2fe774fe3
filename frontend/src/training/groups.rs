//! Parameter groups: which optimiser has which parameters.

use std::collections::BTreeMap;
use std::panic::Location;

use kiln_ir::{Code, Diagnostic, Place};

use crate::optim::{Group, Optimizer};
use crate::{Module, Parameter, named_parameters};

/// A group as declared.
pub(super) struct ParameterGroup<M> {
    /// Without a selection: all that no other group has.
    selection: Option<Selection<M>>,
    optimizer: Box<dyn Optimizer>,
    place: Place,
}

type Selection<M> = Box<dyn Fn(&M) -> Vec<Parameter>>;

impl<M> ParameterGroup<M> {
    pub(super) fn new(
        parameters: impl Fn(&M) -> Vec<Parameter> + 'static,
        optimizer: impl Optimizer + 'static,
        location: &Location<'_>,
    ) -> ParameterGroup<M> {
        ParameterGroup { selection: Some(Box::new(parameters)), ..ParameterGroup::rest(optimizer, location) }
    }

    pub(super) fn rest(optimizer: impl Optimizer + 'static, location: &Location<'_>) -> ParameterGroup<M> {
        ParameterGroup { selection: None, optimizer: Box::new(optimizer), place: Place::of(location, "") }
    }

    pub(super) fn is_rest(&self) -> bool {
        self.selection.is_none()
    }
}

/// Finds the names of the parameters of every group. Frozen ones are left out, as their gradients are.
pub(super) fn resolve<'a, M: Module>(
    groups: &'a [ParameterGroup<M>],
    model: &M,
) -> Result<Vec<Group<'a>>, Vec<Diagnostic>> {
    let mut left = named_parameters(model);
    let names: BTreeMap<usize, String> = left.iter().map(|(name, p)| (p.address(), name.clone())).collect();
    let (mut resolved, mut faults) = (Vec::new(), Vec::new());
    for group in groups {
        let mut fault = |message| faults.push(Diagnostic::new(Code::BadArgument, message).at(group.place.clone()));
        let mut parameters = Vec::new();
        match &group.selection {
            None => parameters = std::mem::take(&mut left),
            Some(select) => {
                for parameter in select(model) {
                    let at = left.iter().position(|(_, held)| Parameter::same(held, &parameter));
                    match (at, names.get(&parameter.address())) {
                        (Some(at), _) => parameters.push(left.remove(at)),
                        (None, Some(name)) => {
                            fault(format!("some parameters appear in more than one parameter group: `{name}`"));
                        }
                        (None, None) => {
                            let shape = parameter.shape();
                            fault(format!("a parameter group has a parameter of shape {shape:?} that the model lacks"));
                        }
                    }
                }
            }
        }
        if parameters.is_empty() {
            fault("optimizer got an empty parameter list".to_owned());
        }
        parameters.retain(|(_, parameter)| parameter.is_trainable());
        resolved.push(Group { optimizer: &*group.optimizer, parameters, place: group.place.clone() });
    }
    if faults.is_empty() { Ok(resolved) } else { Err(faults) }
}
