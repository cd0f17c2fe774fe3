//! Comparing the tensors a program needs with those a file has; every difference is found before anything is reported.

use super::renames::{self, Rename};
use super::{Dtype, TensorView};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A tensor that the program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in `state_dict`.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Shape.
    pub shape: Vec<usize>,
}

/// A tensor that is in the file with another type or shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the program needs.
    pub expected: TensorSpec,
    /// What the file has in its place.
    pub found: TensorSpec,
}

/// All differences between a program and a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Needed, but not in the file; in the program's order.
    pub missing: Vec<String>,
    /// In the file, but not needed; in order of the names.
    pub unexpected: Vec<String>,
    /// In both with different types or shapes; in the program's order.
    pub mismatched: Vec<Mismatch>,
    /// What the names of the file may have been changed from.
    pub renames: Vec<Rename>,
}

/// Compares by name. `found` has the file's tensors by their names in the program, where their own names may be others; `displaced` are those that have none.
pub(super) fn match_names(
    expected: &[TensorSpec],
    found: &BTreeMap<String, TensorSpec>,
    displaced: &[TensorSpec],
) -> Report {
    let needed: BTreeSet<&str> = expected.iter().map(|spec| spec.name.as_str()).collect();
    let surplus = found.iter().filter(|(name, _)| !needed.contains(name.as_str())).map(|(_, spec)| spec);
    let surplus: Vec<&TensorSpec> = surplus.chain(displaced).collect();
    let mut report = Report { unexpected: surplus.iter().map(|spec| spec.name.clone()).collect(), ..Report::default() };
    report.unexpected.sort_unstable();
    let mut lacking = Vec::new();
    for spec in expected {
        match found.get(&spec.name) {
            None => lacking.push(spec),
            Some(other) if (other.dtype, &other.shape) != (spec.dtype, &spec.shape) => {
                report.mismatched.push(Mismatch { expected: spec.clone(), found: other.clone() });
            }
            Some(_) => {}
        }
    }
    report.missing = lacking.iter().map(|spec| spec.name.clone()).collect();
    // Tensors of another type count on both sides: where layers were taken out, the names of others stand for the next ones.
    let needed: Vec<&TensorSpec> =
        lacking.into_iter().chain(report.mismatched.iter().map(|pair| &pair.expected)).collect();
    let offered: Vec<&TensorSpec> =
        surplus.into_iter().chain(report.mismatched.iter().map(|pair| &pair.found)).collect();
    report.renames = renames::suggest(&needed, &offered);
    report
}

impl TensorSpec {
    /// A specification from its parts.
    pub fn new(name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_vec() }
    }

    pub(super) fn of(tensor: &TensorView<'_>) -> Self {
        Self::new(&tensor.name, tensor.dtype, &tensor.shape)
    }
}

impl Report {
    /// Whether there is no difference.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

/// One line per kind of name difference and one per wrong tensor.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (what, names) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                lines.push(format!("  {what}: {}", names.join(", ")));
            }
        }
        for Mismatch { expected, found } in &self.mismatched {
            let what = match (expected.shape == found.shape, expected.dtype == found.dtype) {
                (false, true) => "shape",
                (true, _) => "dtype",
                (false, false) => "shape and dtype",
            };
            lines.push(format!("  {what} of `{}`: the model has {expected}, the file has {found}", expected.name));
        }
        if !self.renames.is_empty() {
            let pair = |rename: &Rename| {
                let tensors = if rename.tensors == 1 { "tensor" } else { "tensors" };
                format!("`{}` to `{}` ({} {tensors})", rename.from, rename.to, rename.tensors)
            };
            let pairs: Vec<String> = self.renames.iter().map(pair).collect();
            lines.push(format!("  help: names seem to have changed; `rename` {}", pairs.join(", ")));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// `f32[6,1,5,5]`, as the IR prints types.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{}[{}]", self.dtype.to_string().to_lowercase(), shape.join(","))
    }
}
