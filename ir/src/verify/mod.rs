//! What must hold of each level. Passes, parsers of files and back ends rely on it: after the front end, a broken rule is a bug
//! of the compiler, so a finding says which line of the printed IR it blames as well as which line of the user's.
//!
//! A line has at most one finding, its first: what follows from a mistake is not reported with it.

mod access;
mod bounds;
mod graph;
mod ids;
mod kernel;
mod program;
mod range;
mod schedule;
mod scratch;
mod strides;
mod types;

pub use access::can_share;
pub use graph::verify_graph;
pub use kernel::verify_kernel;
pub use program::verify_program;
pub use range::{Bound, Range, Ranges};
pub use strides::{affine_strides, collapse};

use crate::{Code, Diagnostic, Place};

/// A broken rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// The line of the printed graph, kernel or program that breaks it, from 1.
    pub line: u32,
    /// The rule, and the user's line that the IR comes from.
    pub diagnostic: Diagnostic,
}

/// A printed graph, kernel or program with each finding under its line.
pub fn marked(text: &str, findings: &[Finding]) -> String {
    let mut marked = String::new();
    for (line, number) in text.lines().zip(1..) {
        marked += line;
        marked.push('\n');
        for Finding { diagnostic, .. } in findings.iter().filter(|finding| finding.line == number) {
            let indent = line.len() - line.trim_start().len();
            marked += &format!("{:indent$}^ error[{}]: {}\n", "", diagnostic.code, diagnostic.message);
        }
    }
    marked
}

/// The findings so far.
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn new() -> Report {
        Report { findings: Vec::new() }
    }

    fn add(&mut self, line: u32, code: Code, message: impl Into<String>, place: &Place) {
        self.include(line, Diagnostic::new(code, message).at(place.clone()));
    }

    fn include(&mut self, line: u32, diagnostic: Diagnostic) {
        if self.findings.iter().all(|finding| finding.line != line) {
            self.findings.push(Finding { line, diagnostic });
        }
    }

    fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| finding.line);
        self.findings
    }
}
