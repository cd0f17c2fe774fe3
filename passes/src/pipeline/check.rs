//! What holds between two steps: the verifier's rules, the observer's say, and what is reported when either fails.

use std::collections::BTreeMap;
use std::fmt::Display;

use kiln_ir::kernel::Access;
use kiln_ir::verify::{Finding, marked, verify_graph, verify_kernel, verify_program};
use kiln_ir::{Code, Diagnostic, Graph, Kernel, Program, Type};

use super::{Control, Observer, Stage, Step};
use crate::steps::Steps;

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

/// Checks what a step has made of a unit, shows it, and gives what the next step gets: `None` where the observer stops the unit.
pub(super) struct Watch<'a> {
    pub(super) unit: &'a str,
    pub(super) observer: &'a mut dyn Observer,
}

impl Watch<'_> {
    pub(super) fn graph(&mut self, step: Step, graph: Graph) -> Result<Option<Graph>, CompileError> {
        match step {
            // The first step sees the user's graph, later ones what a pass made.
            Step::Verify => given(verify_graph(&graph))?,
            _ => self.made(step, &graph, verify_graph(&graph))?,
        }
        match self.observer.after(step, self.unit, Stage::Graph(&graph)) {
            Control::Continue => Ok(Some(graph)),
            Control::Stop => Ok(None),
            Control::Graph(other) => given(verify_graph(&other)).map(|()| Some(other)),
            Control::Kernels(_) | Control::Program(_) => Err(wrong_level(step, "a graph")),
        }
    }

    /// `checked` are kernels by name that hold the rules, as the step before has left them.
    pub(super) fn kernels(
        &mut self,
        step: Step,
        mut steps: Steps,
        checked: &mut BTreeMap<String, Kernel>,
    ) -> Result<Option<Steps>, CompileError> {
        let kernels: Vec<Kernel> = steps.steps.iter().map(|step| step.kernel.clone()).collect();
        for kernel in &kernels {
            if checked.get(&kernel.name) != Some(kernel) {
                self.made(step, kernel, verify_kernel(kernel))?;
                checked.insert(kernel.name.clone(), kernel.clone());
            }
        }
        match self.observer.after(step, self.unit, Stage::Kernels(&kernels)) {
            Control::Continue => Ok(Some(steps)),
            Control::Stop => Ok(None),
            Control::Kernels(others) => {
                given(others.iter().flat_map(verify_kernel).collect())?;
                if signatures(&kernels) != signatures(&others) {
                    return Err(wrong_kernels(step));
                }
                for (step, kernel) in steps.steps.iter_mut().zip(others) {
                    step.kernel = kernel;
                }
                Ok(Some(steps))
            }
            Control::Graph(_) | Control::Program(_) => Err(wrong_level(step, "kernels")),
        }
    }

    pub(super) fn program(&mut self, step: Step, program: Program) -> Result<Option<Program>, CompileError> {
        self.made(step, &program, verify_program(&program))?;
        match self.observer.after(step, self.unit, Stage::Program(&program)) {
            Control::Continue => Ok(Some(program)),
            Control::Stop => Ok(None),
            Control::Program(other) => given(verify_program(&other)).map(|()| Some(other)),
            Control::Graph(_) | Control::Kernels(_) => Err(wrong_level(step, "a program")),
        }
    }

    /// A rule that a pass has broken is a bug of the compiler.
    fn made(&self, step: Step, ir: &dyn Display, findings: Vec<Finding>) -> Result<(), CompileError> {
        let Some(first) = findings.first() else { return Ok(()) };
        let (message, text) = (first.diagnostic.message.clone(), marked(&ir.to_string(), &findings));
        Err(CompilerBug { pass: step.name(), unit: self.unit.to_owned(), message, text }.into())
    }
}

impl From<Diagnostic> for CompileError {
    fn from(diagnostic: Diagnostic) -> CompileError {
        CompileError::User(vec![diagnostic])
    }
}

fn texts(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n")
}

/// A rule that given IR breaks is the giver's mistake.
fn given(findings: Vec<Finding>) -> Result<(), CompileError> {
    let is_sound = findings.is_empty();
    let diagnostics = findings.into_iter().map(|finding| finding.diagnostic).collect();
    if is_sound { Ok(()) } else { Err(CompileError::User(diagnostics)) }
}

/// What a launch relies on: the tensors of each kernel, and how it uses them.
fn signatures(kernels: &[Kernel]) -> Vec<Vec<(&Type, Access)>> {
    let mut signatures = Vec::new();
    for kernel in kernels {
        signatures.push(kernel.tensors.iter().map(|tensor| (&tensor.ty, tensor.access)).collect());
    }
    signatures
}

fn wrong_level(step: Step, level: &str) -> CompileError {
    let message = format!("`{}` leaves {level}: nothing else can stand in its place", step.name());
    Diagnostic::new(Code::BadArgument, message).into()
}

fn wrong_kernels(step: Step) -> CompileError {
    let message =
        format!("`{}` needs as many kernels in its place as it leaves, on the same tensors in order", step.name());
    Diagnostic::new(Code::BadArgument, message).into()
}

#[cfg(test)]
mod tests {
    use kiln_ir::ops::Relu;
    use kiln_ir::text::parse_graph;
    use kiln_ir::{DType, Node, Place};

    use super::*;

    #[test]
    fn a_broken_rule_names_the_pass_and_marks_the_value() {
        let text = "graph g\n  %x = input {role = data} : f32[3]\n  output y = %x\n";
        let mut graph = parse_graph(text, "test").expect("the text is well formed");
        let x = graph.find("x").expect("x is there");
        let ty = Type::new(DType::F32, [4]);
        graph.insert(
            Node {
                name: "h".to_owned(),
                op: Relu {}.into(),
                ty,
                place: Place::NONE,
                kernel: None,
                layout: None,
                again: false,
            },
            &[x],
        );
        let mut watch = Watch { unit: "predict", observer: &mut () };
        let error = watch.graph(Step::MergeCommon, graph).expect_err("relu keeps the shape");
        let CompileError::Bug(bug) = &error else { panic!("{error}") };
        assert_eq!((bug.pass, bug.unit.as_str()), ("merge_common", "predict"));
        let lines: Vec<&str> = bug.text.lines().collect();
        let value = lines.iter().position(|line| line.contains("%h = relu")).expect("the value is shown");
        assert!(lines[value + 1].contains("^ error[K0201]"), "{error}");
        assert!(error.to_string().starts_with("bug in pass `merge_common` of predict: "), "{error}");
    }
}
