//! What is asked of the compiler, the units that it is divided into, and what can be wrong with it.

use kiln_ir::update::names;
use kiln_ir::{Diagnostic, Graph, Op, Output, Role, UpdateRules};

/// The unit that computes the loss and every new weight and state.
pub(super) const TRAIN_STEP: &str = "train_step";
/// The unit that computes the loss as the evaluation sees it.
const EVAL_LOSS: &str = "eval_loss";
/// The unit that computes the predictions and needs no labels.
const PREDICT: &str = "predict";

/// A model to compile.
#[derive(Clone, PartialEq, Debug)]
pub struct Training {
    /// The model's name, before its units' names: `lenet.train_step`.
    pub name: String,
    /// The bound of the batch size, for graphs with a symbolic axis.
    pub max_batch: usize,
    /// The model as it trains: the output `loss`, and updates of its buffers.
    pub train: Option<Graph>,
    /// The model as it evaluates: the predictions, and the output `loss` if it has one.
    pub evaluate: Option<Graph>,
    /// What the optimiser does. Without rules, `train_step` gives the gradients and changes no weight.
    pub rules: Option<UpdateRules>,
}

/// The graph of each entry point: `train_step`, `eval_loss` and `predict`, as far as the request has them.
pub fn units(request: &Training) -> Vec<(&'static str, Graph)> {
    let is_loss = |output: &Output| output.updates.is_none() && output.name == names::LOSS;
    let is_prediction = |output: &Output| output.updates.is_none() && output.name != names::LOSS;
    let evaluate = request.evaluate.as_ref();
    let units = [
        (TRAIN_STEP, request.train.as_ref().map(|graph| unit(request, TRAIN_STEP, graph, |_| true))),
        (EVAL_LOSS, evaluate.map(|graph| unit(request, EVAL_LOSS, graph, is_loss))),
        (PREDICT, evaluate.map(|graph| unit(request, PREDICT, graph, is_prediction))),
    ];
    let present = units.into_iter().filter_map(|(name, graph)| Some((name, graph?)));
    present.filter(|(_, graph)| !graph.outputs().is_empty()).collect()
}

/// A copy with only these outputs, and without the data that only other outputs need: a prediction takes no labels.
fn unit(request: &Training, name: &str, graph: &Graph, keep: impl FnMut(&Output) -> bool) -> Graph {
    let mut graph = graph.clone();
    graph.name = format!("{}.{name}", request.name);
    graph.max_batch = graph.max_batch.map(|_| request.max_batch);
    graph.retain_outputs(keep);
    if name != TRAIN_STEP {
        graph.remove_dead();
        let is_output = |value| graph.outputs().iter().any(|output| output.value == value);
        let unused: Vec<_> = graph
            .order()
            .into_iter()
            .filter(|&value| matches!(&graph.node(value).op, Op::Input(input) if input.role == Role::Data))
            .filter(|&value| graph.users(value).is_empty() && !is_output(value))
            .collect();
        for value in unused {
            graph.remove(value);
        }
    }
    graph
}

/// Why there is no program.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CompileError {
    /// Mistakes in what was asked for, all that were found.
    #[error("{}", texts(.0))]
    User(Vec<Diagnostic>),
    /// A mistake of the compiler.
    #[error(transparent)]
    Bug(#[from] CompilerBug),
}

/// A pass has left IR that breaks a rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("bug in pass `{pass}` of {unit}: {message}\n\n{text}\nhelp: please report this, with the text above")]
pub struct CompilerBug {
    /// The step after which the check failed.
    pub pass: &'static str,
    /// The unit that was compiled.
    pub unit: String,
    /// The first broken rule.
    pub message: String,
    /// The IR, with each finding under its line.
    pub text: String,
}

impl From<Diagnostic> for CompileError {
    fn from(diagnostic: Diagnostic) -> CompileError {
        CompileError::User(vec![diagnostic])
    }
}

fn texts(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n")
}
