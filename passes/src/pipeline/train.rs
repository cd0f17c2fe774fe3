//! The two steps that only `train_step` takes: gradients as outputs, and the optimiser in their place.

use kiln_ir::update::names;
use kiln_ir::{Code, Diagnostic, Graph, Role, UpdateRules, ValueId};

use crate::{append_update, autodiff};

/// The gradients of the loss, for the parameters that have a rule or, without rules, for every one, as outputs: so they are part of
/// the graph's text, and a graph that comes from a file can go on from here.
pub(super) fn add_gradients(graph: &mut Graph, rules: Option<&UpdateRules>) -> Result<(), Diagnostic> {
    let wrt = match rules {
        Some(rules) => {
            let found = rules.trained.iter().map(|name| graph.find(name).ok_or_else(|| unknown(name)));
            found.collect::<Result<Vec<ValueId>, Diagnostic>>()?
        }
        None => graph.inputs().into_iter().filter(|(_, input)| input.role == Role::Parameter).map(|(v, _)| v).collect(),
    };
    let find = |name: &str| output(graph, name).ok();
    let objective = find(names::OBJECTIVE).or(find(names::LOSS)).ok_or_else(|| unknown(names::LOSS))?;
    let gradients = autodiff::run(graph, objective, &wrt)?;
    graph.retain_outputs(|output| output.updates.is_some() || output.name != names::OBJECTIVE);
    for (parameter, gradient) in wrt.into_iter().zip(gradients) {
        graph.add_output(names::gradient_of(graph.name_of(parameter)), gradient);
    }
    Ok(())
}

/// Hands the gradients to the rules. Without rules they stay outputs, for a step that is written by hand.
pub(super) fn append_updates(graph: &mut Graph, rules: Option<&UpdateRules>) -> Result<(), Diagnostic> {
    let Some(rules) = rules else { return Ok(()) };
    let outputs: Vec<String> = rules.trained.iter().map(|name| names::gradient_of(name)).collect();
    let gradients = outputs.iter().map(|name| output(graph, name)).collect::<Result<Vec<ValueId>, _>>()?;
    graph.retain_outputs(|output| output.updates.is_some() || !outputs.contains(&output.name));
    append_update::run(graph, rules, &gradients)
}

fn output(graph: &Graph, name: &str) -> Result<ValueId, Diagnostic> {
    let found = graph.outputs().iter().find(|output| output.updates.is_none() && output.name == *name);
    found.map(|output| output.value).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Diagnostic {
    Diagnostic::new(Code::UnknownName, format!("training needs `{name}`, which the graph does not have"))
}
