//! What of a file goes into a program: `load_state_dict`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::matching::match_names;
use super::pattern::fits;
use super::{Checkpoint, CheckpointError, Report, TensorSpec};

/// How to load a checkpoint.
///
/// ```
/// use kiln_runtime::checkpoint::Load;
///
/// // A pretrained network with another head.
/// let partial = Load { strict: false, exclude: vec!["fc".to_owned()], ..Load::default() };
/// // The weights in `torch.save({'net': net.state_dict(), 'epoch': 3}, ..)` of a model in `DataParallel`.
/// let unwrapped = vec![("module.".to_owned(), String::new())];
/// let nested = Load { key: Some("net".to_owned()), rename: unwrapped, ..Load::default() };
/// # assert!(nested.strict && !partial.strict);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Whether every tensor of the model must be in the file and no other. Without, what is in both is read. A tensor of another shape or dtype is an error
    /// either way, unless it is excluded.
    pub strict: bool,
    /// The dict of a `torch.save` file that holds the tensors, where it has several.
    pub key: Option<String>,
    /// What names in the file begin with, and what they begin with in the model instead. The first that fits a name is applied.
    pub rename: Vec<(String, String)>,
    /// Only tensors of these names; empty: all. In such a pattern `*` stands for any text, and the name of a module for everything in it: `layer1` is
    /// `layer1.0.weight` too. It is about the model's names; an optimiser's state goes with its tensor.
    pub include: Vec<String>,
    /// No tensors of these names: they stay as they are in the model, and may be anything in the file.
    pub exclude: Vec<String>,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors of the model that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the file that the model lacks, under the file's names.
    pub unexpected: Vec<String>,
    /// The free text that was saved with the tensors; of a `torch.save` file the numbers and texts beside them.
    pub metadata: BTreeMap<String, String>,
}

/// The steps of a batch normalisation, which PyTorch before 0.4.1 did not save, and which no later one misses then.
const BATCH_NORM_STEPS: &str = "num_batches_tracked";

/// What the names of the optimiser's state begin with, before those of the tensors that it belongs to.
const OPTIMIZER: &str = "optimizer.";

impl Default for Load {
    /// Strict, all of the file.
    fn default() -> Load {
        Load { strict: true, key: None, rename: Vec::new(), include: Vec::new(), exclude: Vec::new() }
    }
}

impl Load {
    /// What is in both file and model: `load_state_dict(strict=False)`.
    pub fn partial() -> Load {
        Load { strict: false, ..Load::default() }
    }

    /// Whether a tensor of the model takes part.
    pub(crate) fn selects(&self, name: &str) -> bool {
        // What the optimiser remembers of a tensor goes with it.
        let tensor = name.strip_prefix(OPTIMIZER).unwrap_or(name);
        let covers = |pattern: &String| fits(pattern, tensor) || fits(pattern, name);
        (self.include.is_empty() || self.include.iter().any(covers)) && !self.exclude.iter().any(covers)
    }

    /// The model's name for a file's tensor, if there is a rule for it.
    fn renamed(&self, name: &str) -> Option<String> {
        self.rename.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(&**from)?)))
    }

    /// The first pattern or prefix that fits nothing: it would have no effect, so it is a slip.
    fn without_effect(&self, file: &[&str], model: &[&str]) -> Option<(&'static str, &str)> {
        let renamed: Vec<String> = file.iter().filter_map(|name| self.renamed(name)).collect();
        let names = || file.iter().chain(model).copied().chain(renamed.iter().map(String::as_str));
        let idle = |pattern: &&String| !names().any(|name| fits(pattern, name));
        let include = self.include.iter().find(idle).map(|pattern| ("include", &**pattern));
        let exclude = || self.exclude.iter().find(idle).map(|pattern| ("exclude", &**pattern));
        let unused = |(from, _): &&(String, String)| !file.iter().any(|name| name.starts_with(&**from));
        let rename = || self.rename.iter().find(unused).map(|(from, _)| ("rename", &**from));
        include.or_else(exclude).or_else(rename)
    }
}

impl Checkpoint {
    /// Compares the file with what the program needs, and gives the file's name of each tensor that fits.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] for another shape or dtype, and if `strict` for names that are missing or unexpected; [`CheckpointError::NoEffect`] and
    /// [`CheckpointError::RenamedTwice`] for options that do not suit the file.
    pub fn check(
        &self,
        expected: &[TensorSpec],
        load: &Load,
    ) -> Result<(Report, BTreeMap<String, String>), CheckpointError> {
        let file: Vec<TensorSpec> = self.specs().collect();
        let names: Vec<&str> = file.iter().map(|spec| &*spec.name).collect();
        let needed: Vec<&str> = expected.iter().map(|spec| &*spec.name).collect();
        if let Some((option, text)) = load.without_effect(&names, &needed) {
            return Err(CheckpointError::NoEffect { path: self.path().to_owned(), option, text: text.to_owned() });
        }
        let (mut found, displaced) = self.renamed(file, load)?;
        found.retain(|name, _| load.selects(name));
        let has_steps = found.keys().any(|name| name.ends_with(BATCH_NORM_STEPS));
        let may_lack =
            |spec: &TensorSpec| !has_steps && spec.name.ends_with(BATCH_NORM_STEPS) && !found.contains_key(&spec.name);
        let selected = expected.iter().filter(|spec| load.selects(&spec.name) && !may_lack(spec));
        let selected: Vec<TensorSpec> = selected.cloned().collect();
        let report = match_names(&selected, &found, &displaced);
        let fits = if load.strict { report.is_exact() } else { report.mismatched.is_empty() };
        if !fits {
            return Err(CheckpointError::Mismatch { path: self.path().to_owned(), report });
        }
        let names = selected.into_iter().filter_map(|spec| {
            let in_file = found.get(&spec.name)?.name.clone();
            Some((spec.name, in_file))
        });
        Ok((report, names.collect()))
    }

    /// The file's tensors by their names in the model, and those whose names were taken by renamed ones.
    fn renamed(
        &self,
        file: Vec<TensorSpec>,
        load: &Load,
    ) -> Result<(BTreeMap<String, TensorSpec>, Vec<TensorSpec>), CheckpointError> {
        let (mut found, mut displaced, mut unchanged) = (BTreeMap::new(), Vec::new(), Vec::new());
        for spec in file {
            let Some(name) = load.renamed(&spec.name) else {
                unchanged.push(spec);
                continue;
            };
            match found.entry(name) {
                Entry::Vacant(place) => drop(place.insert(spec)),
                Entry::Occupied(place) => {
                    let (path, name) = (self.path().to_owned(), place.key().clone());
                    let (first, second) = (place.get().name.clone(), spec.name);
                    return Err(CheckpointError::RenamedTwice { path, name, first, second });
                }
            }
        }
        for spec in unchanged {
            match found.entry(spec.name.clone()) {
                Entry::Vacant(place) => drop(place.insert(spec)),
                Entry::Occupied(_) => displaced.push(spec),
            }
        }
        Ok((found, displaced))
    }
}
