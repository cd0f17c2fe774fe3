//! Comparing the tensors a program needs with those a file has; every difference is found before anything is reported.

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
    /// What the file has under the same name.
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
}

/// Compares by name.
pub fn match_names<'a>(expected: &[TensorSpec], found: impl IntoIterator<Item = TensorView<'a>>) -> Report {
    let found: BTreeMap<String, TensorSpec> =
        found.into_iter().map(|tensor| (tensor.name.to_string(), TensorSpec::of(&tensor))).collect();
    let needed: BTreeSet<&str> = expected.iter().map(|spec| spec.name.as_str()).collect();
    let mut report = Report {
        unexpected: found.keys().filter(|name| !needed.contains(name.as_str())).cloned().collect(),
        ..Report::default()
    };
    for spec in expected {
        match found.get(&spec.name) {
            None => report.missing.push(spec.name.clone()),
            Some(other) if other != spec => {
                report.mismatched.push(Mismatch { expected: spec.clone(), found: other.clone() });
            }
            Some(_) => {}
        }
    }
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

impl Report {
    /// What stands before the names of one side and not of the other: `module.` of a model that was saved within `DataParallel`.
    fn common_prefix(&self) -> Option<(&'static str, String)> {
        let prefix = |short: &[String], long: &[String]| {
            let first = short.first()?;
            let prefix =
                long.iter().find_map(|name| name.strip_suffix(&**first).filter(|prefix| prefix.ends_with('.')))?;
            let explains = short.iter().all(|name| long.contains(&format!("{prefix}{name}")));
            explains.then(|| prefix.to_owned())
        };
        let of_file = prefix(&self.missing, &self.unexpected).map(|found| ("the file's names", found));
        of_file.or_else(|| prefix(&self.unexpected, &self.missing).map(|found| ("the model's names", found)))
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
        lines.extend(self.common_prefix().map(|(whose, prefix)| format!("  help: {whose} begin with `{prefix}`")));
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
