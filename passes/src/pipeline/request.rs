//! What is asked of the compiler, and the units that it is divided into.

use kiln_ir::{Graph, Op, Role, UpdateRules};

use crate::rewrite::is_output;

/// The unit that computes the loss and every new weight and state.
pub(super) const TRAIN_STEP: &str = "train_step";
/// The unit that computes the loss as the evaluation sees it.
const EVAL_LOSS: &str = "eval_loss";
/// The unit that computes the predictions and needs no labels.
const PREDICT: &str = "predict";

/// A traced model to compile.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// The model's name, before its units' names: `lenet.train_step`.
    pub name: String,
    /// The forward pass and the loss as the model trains: the output `loss`, and updates of the model's buffers.
    pub train: Option<Graph>,
    /// The same in evaluation mode.
    pub eval: Option<Graph>,
    /// The forward pass in evaluation mode, whose outputs are the predictions.
    pub predict: Option<Graph>,
    /// What the optimiser does. Without rules, `train_step` gives the gradients and changes no weight.
    pub rules: Option<UpdateRules>,
}

/// The graph of each entry point, `train_step`, `eval_loss` and `predict`, as far as the request has them.
pub fn units(request: &Request) -> Vec<(&'static str, Graph)> {
    let units = [(TRAIN_STEP, &request.train), (EVAL_LOSS, &request.eval), (PREDICT, &request.predict)];
    let graphs = units.iter().filter_map(|(_, graph)| graph.as_ref());
    // The units share their persistent buffers and so the bound.
    let max_batch = graphs.filter_map(|graph| graph.max_batch).max();
    let named = |(unit, graph): (&'static str, &Option<Graph>)| {
        let mut graph = graph.clone()?;
        graph.name = format!("{}.{unit}", request.name);
        graph.max_batch = max_batch;
        if unit == PREDICT {
            remove_unused_data(&mut graph);
        }
        Some((unit, graph))
    };
    units.into_iter().filter_map(named).collect()
}

/// A prediction takes no labels, though the trace declares them.
fn remove_unused_data(graph: &mut Graph) {
    graph.remove_dead();
    for value in graph.order() {
        let is_data = matches!(&graph.node(value).op, Op::Input(input) if input.role == Role::Data);
        if is_data && graph.users(value).is_empty() && !is_output(graph, value) {
            graph.remove(value);
        }
    }
}
