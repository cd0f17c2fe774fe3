//! Puts the optimiser into the train step: one program computes the loss, the gradients and the new weights.
//!
//! Copies the rules (`kiln_ir::UpdateRules`) into the graph: what is done to all gradients, the shared part of each group, a parameter's rule for each
//! trained parameter, with the weight and its gradient in the place of the rule's inputs. Moments become inputs of role `State` named
//! `optimizer.<parameter>.<moment>`, and every new weight and moment an update of its input, so that each is one buffer later.
//!
//! A parameter that the loss does not depend on stays as it is, without state, as in PyTorch, where its gradient is `None`: weight decay must not touch it.
//!
//! **Before:** the scalar and the parameters are in the graph, gradients are not. **After:** updates of every trained parameter and of all
//! optimiser state.
//!
//! ```text
//! %w = input : f32[10]   →   %step = mul %lr, %d_w : f32[10]
//!                            %w_new = sub %w, %step : f32[10]
//!                            update %w = %w_new
//! ```
//!
//! **Order:** after autodiff, which it calls for, and before fusion, which puts a weight's update behind the contraction that makes its
//! gradient.
//! **Source:** the rules are `torch.optim`'s; the front end holds them.

use std::collections::{BTreeMap, BTreeSet};

use kiln_ir::ops::Input;
use kiln_ir::update::names;
use kiln_ir::{Code, Diagnostic, Graph, Number, Op, Place, Role, UpdateRules, ValueId};

use crate::rewrite::has_own_name;

/// Adds the updates for `gradients`, which are in the order of `rules.trained`.
pub fn run(graph: &mut Graph, rules: &UpdateRules, gradients: &[ValueId]) -> Result<(), Diagnostic> {
    let gradient_names = rules.trained.iter().map(|name| names::gradient_of(name));
    let mut given: BTreeMap<String, ValueId> = gradient_names.zip(gradients.iter().copied()).collect();
    let reached: BTreeSet<&String> = rules
        .trained
        .iter()
        .zip(gradients)
        .filter(|&(_, &gradient)| !is_zero(graph, gradient))
        .map(|(n, _)| n)
        .collect();
    for (name, value) in copy(graph, &rules.gradients, "", &given)? {
        if given.insert(name.clone(), value).is_none() {
            graph.add_output(name, value);
        }
    }
    for group in &rules.groups {
        let mut given = given.clone();
        given.extend(copy(graph, &group.shared, &group.prefix, &given)?);
        for (name, rule) in group.parameters.iter().filter(|(name, _)| reached.contains(name)) {
            let weight = graph.find(name).ok_or_else(|| unknown(name))?;
            let gradient = *given.get(&names::gradient_of(name)).ok_or_else(|| unknown(name))?;
            given.insert(names::PARAMETER.to_owned(), weight);
            given.insert(names::GRADIENT.to_owned(), gradient);
            let results = copy(graph, rule, &format!("{}.{name}", names::OPTIMIZER), &given)?;
            let updated = results.get(names::PARAMETER).copied().ok_or_else(|| unknown(names::PARAMETER))?;
            add_update(graph, weight, updated);
        }
    }
    Ok(())
}

/// The gradient that `autodiff` gives a value on which the scalar does not depend.
fn is_zero(graph: &Graph, gradient: ValueId) -> bool {
    matches!(&graph.node(gradient).op, Op::Full(full) if full.value == Number::new(0.0))
}

/// The new value of an input is named after it, unless the rule names it.
fn add_update(graph: &mut Graph, input: ValueId, value: ValueId) {
    if !has_own_name(graph, value) {
        let name = format!("{}_new", graph.name_of(input));
        graph.rename(value, &name);
    }
    graph.add_update(input, value);
}

/// Copies a rule: its inputs are what `given` names, a scalar of the host, or a state under `prefix`. Returns its named outputs.
fn copy(
    graph: &mut Graph,
    rule: &Graph,
    prefix: &str,
    given: &BTreeMap<String, ValueId>,
) -> Result<BTreeMap<String, ValueId>, Diagnostic> {
    let mut copied: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for value in rule.order() {
        let node = rule.node(value);
        let new = match &node.op {
            Op::Input(input) => input_of(graph, input, &node.name, prefix, given)?,
            op => {
                let operands: Vec<ValueId> = rule.operands(value).iter().map(|operand| copied[operand]).collect();
                let hint = if has_own_name(rule, value) { &node.name } else { "" };
                graph.add(op.clone(), &operands, hint, &node.place)?
            }
        };
        copied.insert(value, new);
    }
    let mut results = BTreeMap::new();
    for output in rule.outputs() {
        match output.updates {
            Some(state) => add_update(graph, copied[&state], copied[&output.value]),
            None => {
                results.insert(output.name.clone(), copied[&output.value]);
            }
        }
    }
    Ok(results)
}

fn input_of(
    graph: &mut Graph,
    input: &Input,
    name: &str,
    prefix: &str,
    given: &BTreeMap<String, ValueId>,
) -> Result<ValueId, Diagnostic> {
    let full_name = match input.role {
        Role::State if !prefix.is_empty() => format!("{prefix}.{name}"),
        Role::State => name.to_owned(),
        Role::Scalar => name.to_owned(),
        _ => return given.get(name).copied().ok_or_else(|| unknown(name)),
    };
    match graph.find(&full_name) {
        Some(existing) if graph.node(existing).op == Op::Input(input.clone()) => Ok(existing),
        Some(other) => {
            let message =
                format!("the optimiser's `{full_name}` needs a name of its own, and the model has another one");
            let help = "rename the model's value";
            Err(Diagnostic::new(Code::DuplicateName, message).at(graph.node(other).place.clone()).help(help))
        }
        None => graph.add(input.clone(), &[], &full_name, &Place::NONE),
    }
}

fn unknown(name: &str) -> Diagnostic {
    Diagnostic::new(Code::UnknownName, format!("an update rule needs `{name}`, which nothing makes"))
}
