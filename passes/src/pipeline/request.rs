//! What is asked of the compiler, the units that it is divided into, and what can be wrong with it.

use kiln_ir::{Diagnostic, Graph, Op, Role, UpdateRules};

use crate::rewrite::is_output;

/// The unit that computes the loss and every new weight and state.
pub(super) const TRAIN_STEP: &str = "train_step";
/// The unit that computes the predictions and needs no labels.
const PREDICT: &str = "predict";

/// A traced model to compile.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// The model's name, before its units' names: `lenet.train_step`.
    pub name: String,
    /// The graph of each entry point: `train_step` (output `loss`, and updates of the model's buffers), `eval_loss`, `predict`.
    pub units: Vec<(String, Graph)>,
    /// What the optimiser does. Without rules, `train_step` gives the gradients and changes no weight.
    pub rules: Option<UpdateRules>,
}

/// The units under their full names, each with the inputs that it needs.
pub fn units(request: &Request) -> Vec<(String, Graph)> {
    let named = |(unit, graph): &(String, Graph)| {
        let mut graph = graph.clone();
        graph.name = format!("{}.{unit}", request.name);
        if unit == PREDICT {
            remove_unused_data(&mut graph);
        }
        (unit.clone(), graph)
    };
    request.units.iter().map(named).collect()
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
