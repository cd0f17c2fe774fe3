//! The table of contents of the compiler: every step in its order, and what is checked between them.
//!
//! | step | from → to | what it does |
//! |---|---|---|
//! | `verify` | graph | the traced graph is well formed; from here on a broken rule is a bug of the compiler |
//! | `canonicalize` | graph | one form for equal computations |
//! | `merge_common` | graph | nothing is computed twice |
//! | `fold_constants` | graph | what is known is computed now |
//! | `autodiff` | graph | the gradients of the loss, as outputs `d_<parameter>`; `train_step` only |
//! | `append_update` | graph | the optimiser's rules take the gradients' place; `train_step` only |
//! | `simplify` | graph | the three passes again, over what the two before have added; `detach` has done its work and goes |
//! | *autocast* | graph | its place; not there yet |
//! | *assign_layout* | graph | its place; not there yet |
//! | *select_algorithm* | graph | its place; not there yet |
//! | *rematerialize* | graph | its place; not there yet |
//! | `fuse` | graph | says which kernel computes each value |
//! | `lower` | graph → kernels | one loop nest for each |
//! | `tile` | kernels | blocks for caches and micro-kernels, items for threads |
//! | `vectorize` | kernels | lanes |
//! | `order_steps` | kernels | launches in an order that keeps little alive |
//! | `plan_memory` | kernels → program | an offset in the arena for every buffer |
//!
//! Every unit (entry point) goes down on its own. After each step what it made is verified, and an [`Observer`] may look at it, stop the
//! unit, or put other IR in its place: that is how the driver dumps, stops and swaps stages, since passes do no IO.

mod observe;
mod request;

pub use observe::{Control, Observer, Stage};
pub use request::{CompileError, CompilerBug, Request, units};

use kiln_ir::update::names;
use kiln_ir::verify::{Finding, marked, verify_graph};
use kiln_ir::{Code, Diagnostic, Graph, Role, UpdateRules, ValueId};

use crate::{append_update, autodiff, canonicalize, fold_constants, merge_common};

macro_rules! steps {
    ($($variant:ident = $name:literal,)*) => {
        /// A step of the pipeline, in the order in which they run.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum Step { $($variant,)* }

        impl Step {
            /// Every step, in order.
            pub const ALL: &[Step] = &[$(Step::$variant,)*];

            /// The step's name: of its file, its dumps and its cases.
            pub const fn name(self) -> &'static str {
                match self { $(Step::$variant => $name,)* }
            }
        }
    };
}

steps! {
    Verify = "verify",
    Canonicalize = "canonicalize",
    MergeCommon = "merge_common",
    FoldConstants = "fold_constants",
    Autodiff = "autodiff",
    AppendUpdate = "append_update",
    Simplify = "simplify",
    Fuse = "fuse",
    Lower = "lower",
    Tile = "tile",
    Vectorize = "vectorize",
    OrderSteps = "order_steps",
    PlanMemory = "plan_memory",
}

impl Step {
    /// The steps that turn a traced graph into the one that is fused.
    const GRAPH: &[Step] = Step::ALL.split_at(Step::Fuse as usize).0;

    /// The step of this name.
    pub fn from_name(name: &str) -> Option<Step> {
        Step::ALL.iter().copied().find(|step| step.name() == name)
    }

    /// The position in the order, from 0: the number of its dump, as in `07_fuse.ir`.
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The step before, whose output is this one's input.
    pub fn previous(self) -> Option<Step> {
        Some(Step::ALL[self.number().checked_sub(1)?])
    }
}

/// A unit's graph after the steps in front of `fuse`; `None` where the observer stopped it.
pub fn run_graph(
    unit: &str,
    mut graph: Graph,
    rules: Option<&UpdateRules>,
    observer: &mut dyn Observer,
) -> Result<Option<Graph>, CompileError> {
    let trains = unit == request::TRAIN_STEP;
    for &step in Step::GRAPH {
        match step {
            Step::Canonicalize => canonicalize::run(&mut graph),
            Step::MergeCommon => merge_common::run(&mut graph),
            Step::FoldConstants => fold_constants::run(&mut graph),
            Step::Autodiff if trains => add_gradients(&mut graph, rules)?,
            Step::AppendUpdate if trains => append_updates(&mut graph, rules)?,
            Step::Simplify => simplify(&mut graph),
            _ => {}
        }
        check(step, unit, &graph)?;
        match observer.after(step, unit, Stage::Graph(&graph)) {
            Control::Continue => {}
            Control::Stop => return Ok(None),
            Control::Graph(other) => {
                graph = other;
                check_given(&graph)?;
            }
            Control::Kernels(_) | Control::Program(_) => return Err(wrong_level(step)),
        }
    }
    Ok(Some(graph))
}

/// The three passes once more. What is folded opens the way for rules about known values, so two of them run twice.
fn simplify(graph: &mut Graph) {
    canonicalize::remove_detach(graph);
    canonicalize::run(graph);
    merge_common::run(graph);
    fold_constants::run(graph);
    canonicalize::run(graph);
    merge_common::run(graph);
}

/// The gradients of the loss, for the parameters that have a rule or, without rules, for every one, as outputs: so they are part of
/// the graph's text, and a graph that comes from a file can go on from here.
fn add_gradients(graph: &mut Graph, rules: Option<&UpdateRules>) -> Result<(), Diagnostic> {
    let wrt = match rules {
        Some(rules) => {
            let found = rules.parameters.iter().map(|(name, _)| graph.find(name).ok_or_else(|| unknown(name)));
            found.collect::<Result<Vec<ValueId>, Diagnostic>>()?
        }
        None => graph.inputs().into_iter().filter(|(_, input)| input.role == Role::Parameter).map(|(v, _)| v).collect(),
    };
    let loss = graph.outputs().iter().find(|output| output.updates.is_none() && output.name == names::LOSS);
    let loss = loss.ok_or_else(|| unknown(names::LOSS))?.value;
    let gradients = autodiff::run(graph, loss, &wrt)?;
    for (parameter, gradient) in wrt.into_iter().zip(gradients) {
        graph.add_output(gradient_name(graph.name_of(parameter)), gradient);
    }
    Ok(())
}

/// Hands the gradients to the rules. Without rules they stay outputs, for a step that is written by hand.
fn append_updates(graph: &mut Graph, rules: Option<&UpdateRules>) -> Result<(), Diagnostic> {
    let Some(rules) = rules else { return Ok(()) };
    let outputs: Vec<String> = rules.parameters.iter().map(|(name, _)| gradient_name(name)).collect();
    let gradient = |name: &String| {
        let found = graph.outputs().iter().find(|output| output.updates.is_none() && output.name == *name);
        found.map(|output| output.value).ok_or_else(|| unknown(name))
    };
    let gradients: Vec<ValueId> = outputs.iter().map(gradient).collect::<Result<_, _>>()?;
    graph.retain_outputs(|output| output.updates.is_some() || !outputs.contains(&output.name));
    append_update::run(graph, rules, &gradients)
}

fn gradient_name(parameter: &str) -> String {
    format!("d_{parameter}")
}

/// The first step sees the user's graph, or a file's; later ones see what a pass made.
fn check(step: Step, unit: &str, graph: &Graph) -> Result<(), CompileError> {
    if step == Step::Verify {
        return check_given(graph);
    }
    let findings = verify_graph(graph);
    match findings.first() {
        None => Ok(()),
        Some(first) => Err(bug(step, unit, first, marked(&graph.to_string(), &findings))),
    }
}

fn check_given(graph: &Graph) -> Result<(), CompileError> {
    let findings = verify_graph(graph);
    let is_sound = findings.is_empty();
    let diagnostics = findings.into_iter().map(|finding| finding.diagnostic).collect();
    if is_sound { Ok(()) } else { Err(CompileError::User(diagnostics)) }
}

fn bug(step: Step, unit: &str, first: &Finding, text: String) -> CompileError {
    let message = first.diagnostic.message.clone();
    CompilerBug { pass: step.name(), unit: unit.to_owned(), message, text }.into()
}

fn wrong_level(step: Step) -> CompileError {
    let message = format!("`{}` leaves a graph: only a graph can stand in its place", step.name());
    Diagnostic::new(Code::BadArgument, message).into()
}

fn unknown(name: &str) -> Diagnostic {
    Diagnostic::new(Code::UnknownName, format!("training needs `{name}`, which the graph does not have"))
}

#[cfg(test)]
mod tests {
    use kiln_ir::ops::Relu;
    use kiln_ir::text::parse_graph;
    use kiln_ir::{DType, Node, Place, Type};

    use super::*;

    #[test]
    fn a_broken_rule_names_the_pass_and_marks_the_value() {
        let text = "graph g\n  %x = input {role = data} : f32[3]\n  output y = %x\n";
        let mut graph = parse_graph(text, "test").expect("the text is well formed");
        let x = graph.find("x").expect("x is there");
        let ty = Type::new(DType::F32, [4]);
        graph.insert(Node { name: "h".to_owned(), op: Relu {}.into(), ty, place: Place::NONE, kernel: None }, &[x]);
        let error = check(Step::MergeCommon, "predict", &graph).expect_err("relu keeps the shape");
        let CompileError::Bug(bug) = &error else { panic!("{error}") };
        assert_eq!((bug.pass, bug.unit.as_str()), ("merge_common", "predict"));
        let lines: Vec<&str> = bug.text.lines().collect();
        let value = lines.iter().position(|line| line.contains("%h = relu")).expect("the value is shown");
        assert!(lines[value + 1].contains("^ error[K0201]"), "{error}");
        assert!(error.to_string().starts_with("bug in pass `merge_common` of predict: "), "{error}");
    }
}
