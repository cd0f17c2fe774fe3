//! Files that `torch.save` wrote: `.pt` and `.pth`, read without running anything in them.
//!
//! Such a file is a zip archive of uncompressed entries: `data.pkl` is a Python pickle of the object, in which a tensor names its storage, and `data/0`, `data/1`, … are the
//! storages. A pickle is a program for a stack machine that may call any Python function; this reader knows the few that make tensors and plain containers, and
//! refuses every other by its name.
//!
//! Source: PyTorch's `torch/serialization.py` and `torch/_weights_only_unpickler.py`; Python's `pickletools`.

mod archive;
mod machine;
mod object;
mod tensor;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use archive::Archive;
use machine::Machine;
pub use object::Torch;
pub use tensor::TorchTensor;

/// How a zip archive begins.
const ZIP: &[u8] = b"PK\x03\x04";

/// How a file of PyTorch before 1.6 begins: a pickle of its magic number.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Why a file of `torch.save` is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// The old format, a series of pickles.
    #[error("it is in the format of PyTorch before 1.6; load it there and save it again with `torch.save`")]
    Legacy,
    /// The archive is damaged, or is none of PyTorch's.
    #[error("the archive {0}")]
    Archive(String),
    /// A name that is not one of tensors and plain containers.
    #[error("it holds `{0}`, which is no tensor and no plain container; save the `state_dict()` alone")]
    Refused(String),
    /// The pickle makes no sense.
    #[error("its `data.pkl` is damaged at byte {at}: {reason}")]
    Pickle {
        /// The position in `data.pkl`.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that its storage cannot hold.
    #[error("{0}")]
    Tensor(String),
    /// Tensors are in several dicts of the file, or in none.
    #[error("{reason}: choose the dict that holds the weights by `key`; there are {}", list(.found))]
    Key {
        /// What is the matter with the key, or with none.
        reason: String,
        /// The keys of dicts with tensors.
        found: Vec<String>,
    },
}

/// Whether a file is one of `torch.save`, of any version.
pub(super) fn is_torch(file: &[u8]) -> bool {
    file.starts_with(ZIP) || file.starts_with(LEGACY)
}

/// The object in a file.
///
/// # Errors
/// [`TorchError`].
pub fn read(file: &[u8]) -> Result<Torch, TorchError> {
    if file.starts_with(LEGACY) {
        return Err(TorchError::Legacy);
    }
    let archive = Archive::open(file)?;
    let pickle = archive.entry("data.pkl")?;
    Machine::new(pickle, &archive).run()
}

/// The tensors of the dict `key` (parts joined by dots), or of the file itself, or of the only dict in it that has any.
///
/// # Errors
/// [`TorchError::Key`].
pub fn tensors(object: &Torch, key: Option<&str>) -> Result<BTreeMap<String, TorchTensor>, TorchError> {
    let dicts = dicts(object, "");
    let fault = |reason: String| {
        let found = dicts.iter().map(|(path, _)| path.clone()).collect();
        TorchError::Key { reason, found }
    };
    let chosen = match (key, dicts.as_slice()) {
        (Some(key), _) => match dicts.iter().find(|(path, _)| path == key) {
            Some((_, chosen)) => chosen,
            None => return Err(fault(format!("`{key}` is no dict with tensors"))),
        },
        (None, []) => return Err(fault("it holds no dict with tensors".to_owned())),
        (None, [(path, chosen), ..]) if path.is_empty() => chosen,
        (None, [(_, only)]) => only,
        (None, _) => return Err(fault("it holds several dicts with tensors".to_owned())),
    };
    let tensor = |(name, value): &(String, Torch)| match value {
        Torch::Tensor(tensor) => Some((name.clone(), tensor.clone())),
        _ => None,
    };
    Ok(chosen.iter().filter_map(tensor).collect())
}

/// The numbers and texts that stand in a dict beside the tensors, such as `epoch`, as text.
pub fn metadata(object: &Torch) -> BTreeMap<String, String> {
    let Torch::Dict(entries) = object else { return BTreeMap::new() };
    let text = |value: &Torch| match value {
        Torch::Bool(value) => Some(value.to_string()),
        Torch::Int(value) => Some(value.to_string()),
        Torch::Float(value) => Some(format!("{value:?}")),
        Torch::Text(value) => Some(value.clone()),
        _ => None,
    };
    entries.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

type Entries = [(String, Torch)];

/// The dicts that hold tensors themselves, by their paths; the empty one is the object's own.
fn dicts<'a>(object: &'a Torch, path: &str) -> Vec<(String, &'a Entries)> {
    let Torch::Dict(entries) = object else { return Vec::new() };
    let has_tensors = entries.iter().any(|(_, value)| matches!(value, Torch::Tensor(_)));
    let below = entries.iter().flat_map(|(name, value)| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        dicts(value, &path)
    });
    has_tensors.then(|| (path.to_owned(), entries.as_slice())).into_iter().chain(below).collect()
}

fn list(names: &[String]) -> String {
    let shown = names.iter().map(|name| if name.is_empty() { "its own".to_owned() } else { format!("`{name}`") });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}
