//! What is asked of the compiler, the units that it is divided into, and what can be wrong with it.

use kiln_ir::{Diagnostic, Graph, Op, Role, UpdateRules};

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
    let named = |(unit, graph): (&'static str, &Option<Graph>)| {
        let mut graph = graph.clone()?;
        graph.name = format!("{}.{unit}", request.name);
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
