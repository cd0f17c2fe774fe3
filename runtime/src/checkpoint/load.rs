//! What of a file goes into a program: `load_state_dict`.

use std::collections::BTreeMap;

use super::{Checkpoint, CheckpointError, Report, TensorSpec, match_names};

/// How to load a checkpoint.
///
/// ```
/// use kiln_runtime::checkpoint::Load;
///
/// // A pretrained network with another head.
/// let partial = Load { strict: false, exclude: vec!["fc".to_owned()], ..Load::default() };
/// // The weights in `torch.save({'net': net.state_dict(), 'epoch': 3}, ..)` of a model in `DataParallel`.
/// let nested = Load { key: Some("net".to_owned()), strip_prefix: Some("module.".to_owned()), ..Load::default() };
/// # assert!(nested.strict && !partial.strict);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Whether every tensor of the model must be in the file and no other. Without, what is in both is read. A tensor of another shape or dtype is an error
    /// either way, unless it is excluded.
    pub strict: bool,
    /// The dict of a `torch.save` file that holds the tensors, where it has several.
    pub key: Option<String>,
    /// What is taken off the front of the file's names.
    pub strip_prefix: Option<String>,
    /// Only tensors of these names, or below them: `layer1` is `layer1.0.weight` too. Empty: all.
    pub include: Vec<String>,
    /// No tensors of these names, or below them.
    pub exclude: Vec<String>,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors of the model that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the file that the model lacks.
    pub unexpected: Vec<String>,
    /// The free text that was saved with the tensors.
    pub metadata: BTreeMap<String, String>,
}

impl Default for Load {
    /// Strict, all of the file.
    fn default() -> Load {
        Load { strict: true, key: None, strip_prefix: None, include: Vec::new(), exclude: Vec::new() }
    }
}

impl Load {
    /// What is in both file and model: `load_state_dict(strict=False)`.
    pub fn partial() -> Load {
        Load { strict: false, ..Load::default() }
    }

    /// Whether a tensor takes part.
    pub(crate) fn selects(&self, name: &str) -> bool {
        let covers = |pattern: &String| {
            name.strip_prefix(&**pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        (self.include.is_empty() || self.include.iter().any(covers)) && !self.exclude.iter().any(covers)
    }

    /// The name of a file's tensor in the model.
    fn renamed<'a>(&self, name: &'a str) -> &'a str {
        self.strip_prefix.as_ref().and_then(|prefix| name.strip_prefix(&**prefix)).unwrap_or(name)
    }
}

impl Checkpoint {
    /// Compares the file with what the program needs, and gives the file's name of each tensor that fits.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] for another shape or dtype, and if `strict` for names that are missing or unexpected.
    pub fn check(
        &self,
        expected: &[TensorSpec],
        load: &Load,
    ) -> Result<(Report, BTreeMap<String, String>), CheckpointError> {
        let selected: Vec<TensorSpec> = expected.iter().filter(|spec| load.selects(&spec.name)).cloned().collect();
        let mut names = BTreeMap::new();
        let found = self.tensors().filter_map(|mut tensor| {
            let name = load.renamed(&tensor.name).to_owned();
            let taken = load.selects(&name);
            names.insert(name.clone(), tensor.name.to_string());
            tensor.name = name.into();
            taken.then_some(tensor)
        });
        let report = match_names(&selected, found.collect::<Vec<_>>());
        let fits = if load.strict { report.is_exact() } else { report.mismatched.is_empty() };
        if !fits {
            return Err(CheckpointError::Mismatch { path: self.path().to_owned(), report });
        }
        names.retain(|name, _| selected.iter().any(|spec| spec.name == *name));
        Ok((report, names))
    }
}
