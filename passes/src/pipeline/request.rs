//! What is asked of the compiler, and the units that it is divided into.

use kiln_ir::{DType, Graph, Op, PeakMemory, Role, UpdateRules};

use crate::rewrite::is_output;
use crate::select_algorithm::Selection;

/// The unit that computes the loss and every new weight and state.
const TRAIN_STEP: &str = "train_step";
/// The unit that computes the loss and adds the gradients to those of earlier batches.
const ACCUMULATE_STEP: &str = "accumulate_step";
/// The unit that computes the loss as the evaluation sees it.
const EVAL_LOSS: &str = "eval_loss";
/// The unit that computes the predictions and needs no labels.
const PREDICT: &str = "predict";

/// A traced model to compile.
#[derive(Clone, PartialEq, Debug, Default)]
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
    /// What becomes of the gradients of a batch after which the optimiser does not step; the unit `accumulate_step`.
    pub accumulate: Option<UpdateRules>,
    /// Whether every value has a kernel of its own that knows the user's line, so that the first one that is not finite can be told.
    pub detect_anomaly: bool,
    /// The half type of contractions, if they are not to be f32.
    pub autocast: Option<DType>,
    /// Which algorithms convolutions may take.
    pub selection: Selection,
    /// The most that the arena may have. What does not fit is computed again instead of kept.
    pub peak_memory: Option<PeakMemory>,
    /// Whether kernels hand each other everything through the arena, because the target's threads have no memory that keeps a strip.
    pub stores_strips: bool,
}

/// An entry point to compile.
#[derive(Clone, PartialEq, Debug)]
pub struct Unit<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its graph as traced.
    pub graph: Graph,
    /// What happens to the gradients, if its loss is differentiated; without rules they are its outputs.
    pub rules: Option<&'a UpdateRules>,
}

/// The entry points, as far as the request has them: `train_step`, `accumulate_step`, `eval_loss` and `predict`.
pub fn units(request: &Request) -> Vec<Unit<'_>> {
    let accumulate = request.accumulate.as_ref();
    let units = [
        (TRAIN_STEP, request.train.as_ref(), request.rules.as_ref()),
        (ACCUMULATE_STEP, accumulate.and(request.train.as_ref()), accumulate),
        (EVAL_LOSS, request.eval.as_ref(), None),
        (PREDICT, request.predict.as_ref(), None),
    ];
    // The units share their persistent buffers and so the bound.
    let max_batch = units.iter().filter_map(|(_, graph, _)| graph.as_ref()?.max_batch).max();
    let unit = |(name, graph, rules): (&'static str, Option<&Graph>, _)| {
        let mut graph = graph?.clone();
        graph.name = format!("{}.{name}", request.name);
        graph.max_batch = max_batch;
        if name == PREDICT {
            remove_unused_data(&mut graph);
        }
        Some(Unit { name, graph, rules })
    };
    units.into_iter().filter_map(unit).collect()
}

/// Whether the loss of a unit is differentiated.
pub(super) fn trains(unit: &str) -> bool {
    [TRAIN_STEP, ACCUMULATE_STEP].contains(&unit)
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
