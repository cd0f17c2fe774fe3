//! Checkpoints: safetensors files with the names of PyTorch's `state_dict`.
//!
//! Saving is atomic: the bytes go to a temporary file in the same folder, reach the disc, and only then take the
//! place of the old file by a rename. A reader sees the old checkpoint or the new one, never a part of one. The bytes
//! are a function of the contents: entries and metadata are sorted, which the `safetensors` crate does not do for
//! metadata, so the header is written here and only parsed by the crate.
//!
//! ```text
//! header length, u64 little-endian | header, JSON padded with spaces to a multiple of 8 | the tensors, without gaps
//! ```
//!
//! Source: <https://github.com/huggingface/safetensors>, section "Format".

mod load;
mod matching;
mod pattern;
mod renames;
#[cfg(test)]
mod tests;
pub mod torch;
mod write;

pub use load::{Load, Loaded};
pub use matching::{Mismatch, Report, TensorSpec};
pub use renames::Rename;
pub use safetensors::Dtype;

use safetensors::{SafeTensorError, SafeTensors};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The header's entry for free text, which is therefore no tensor name.
const METADATA_NAME: &str = "__metadata__";

/// One tensor to be saved, or one that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// `conv1.weight`, or whatever `state_dict` calls it.
    pub name: Cow<'a, str>,
    /// Element type.
    pub dtype: Dtype,
    /// Shape; empty for a scalar.
    pub shape: Cow<'a, [usize]>,
    /// The elements, row-major and little-endian.
    pub bytes: Cow<'a, [u8]>,
}

/// A loaded checkpoint. All names, shapes and sizes in it have been checked against the file.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: Vec<u8>,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    elements: Elements,
}

/// Where the elements of a tensor are.
#[derive(Debug)]
enum Elements {
    /// In the file.
    Range(Range<usize>),
    /// In a storage of PyTorch.
    View(torch::TorchTensor),
}

/// Why a checkpoint could not be saved or loaded. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// There is no such file.
    #[error("there is no checkpoint `{}`", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} checkpoint `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The target exists and is no ordinary file (a folder, a device), which a rename must not replace.
    #[error("cannot save checkpoint `{}`: it exists and is not a file", path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
    },
    /// Not a safetensors file, or a damaged or truncated one.
    #[error("`{}` ({size_bytes} bytes) is no safetensors file, or is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: usize,
        /// What does not fit.
        reason: Damage,
    },
    /// A file of `torch.save` that is not read.
    #[error("cannot read checkpoint `{}`: {reason}", path.display())]
    Torch {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: torch::TorchError,
    },
    /// The tensors in the file are not those that the program needs; all differences at once.
    #[error("checkpoint `{}` does not fit the model:\n{report}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The differences.
        report: Report,
    },
    /// An option of [`Load`] that fits no name.
    #[error("cannot load checkpoint `{}`: `{option}` has `{text}`, which fits no name in the file or the model", path.display())]
    NoEffect {
        /// The file.
        path: PathBuf,
        /// Which option.
        option: &'static str,
        /// The pattern or prefix.
        text: String,
    },
    /// Two tensors that would have the same name.
    #[error("cannot load checkpoint `{}`: `rename` makes `{name}` of both `{first}` and `{second}`", path.display())]
    RenamedTwice {
        /// The file.
        path: PathBuf,
        /// The name in the model.
        name: String,
        /// A name in the file.
        first: String,
        /// Another one.
        second: String,
    },
    /// The same name was to be saved twice.
    #[error("cannot save checkpoint `{}`: two tensors are named `{name}`", path.display())]
    DuplicateName {
        /// The target.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A name that the format keeps for itself.
    #[error("cannot save checkpoint `{}`: the format reserves the name `{METADATA_NAME}`", path.display())]
    ReservedName {
        /// The target.
        path: PathBuf,
    },
    /// A tensor to be saved has more or fewer bytes than its shape and type say.
    #[error(
        "cannot save checkpoint `{}`: `{}`, {tensor}, needs {expected_bytes} bytes, found {found_bytes}",
        path.display(),
        tensor.name
    )]
    ByteCount {
        /// The target.
        path: PathBuf,
        /// The tensor's name, type and shape.
        tensor: TensorSpec,
        /// Bytes by type and shape.
        expected_bytes: usize,
        /// Bytes given.
        found_bytes: usize,
    },
}

/// What is wrong with a file that should be a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The tensors end before or after the file does.
    #[error("the header describes tensors that end elsewhere than the file does")]
    Length,
    /// The header is longer than the file.
    #[error("the header goes on beyond the end of the file")]
    Header,
    /// Anything else that the format forbids.
    #[error(transparent)]
    Format(SafeTensorError),
}

/// Saves `tensors` and `metadata` as the safetensors file `path`, all or nothing: on an error a file that was there
/// before is untouched, and no temporary file is left.
pub fn save<'a>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = TensorView<'a>>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let tensors = write::sorted(path, tensors)?;
    let header = write::header(&tensors, metadata);
    write::replace_file(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        tensors.iter().try_for_each(|tensor| file.write_all(&tensor.bytes))
    })
}

/// Loads a safetensors file, whoever wrote it, or one of `torch.save` (`.pt`, `.pth`) whose tensors are in one dict.
pub fn load(path: impl AsRef<Path>) -> Result<Checkpoint, CheckpointError> {
    load_key(path, None)
}

/// The same, with the key of the dict that holds the tensors of a `torch.save` of several: `net`, or `state.net` within another dict.
pub fn load_key(path: impl AsRef<Path>, key: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let path = path.as_ref();
    let file = fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CheckpointError::NotFound { path: path.to_owned() },
        _ => CheckpointError::File { path: path.to_owned(), action: "read", source },
    })?;
    if torch::is_torch(&file) {
        let checkpoint = torch::read(&file).and_then(|object| Checkpoint::of_torch(path, &object, key));
        return checkpoint.map_err(|reason| CheckpointError::Torch { path: path.to_owned(), reason });
    }
    let (header_bytes, header) = SafeTensors::read_metadata(&file).map_err(|error| CheckpointError::Damaged {
        path: path.to_owned(),
        size_bytes: file.len(),
        reason: match error {
            SafeTensorError::MetadataIncompleteBuffer => Damage::Length,
            SafeTensorError::InvalidHeaderLength => Damage::Header,
            other => Damage::Format(other),
        },
    })?;
    let data_start = 8 + header_bytes;
    let tensors = header.tensors().into_iter().map(|(name, info)| {
        let range = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
        (name, Entry { dtype: info.dtype, shape: info.shape.clone(), elements: Elements::Range(range) })
    });
    let tensors = tensors.collect();
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Checkpoint { path: path.to_owned(), file, tensors, metadata })
}

impl Checkpoint {
    fn of_torch(path: &Path, object: &torch::Torch, key: Option<&str>) -> Result<Checkpoint, torch::TorchError> {
        let entry = |(name, tensor): (String, torch::TorchTensor)| {
            let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
            (name, Entry { dtype, shape, elements: Elements::View(tensor) })
        };
        let tensors = torch::tensors(object, key)?.into_iter().map(entry).collect();
        Ok(Checkpoint { path: path.to_owned(), file: Vec::new(), tensors, metadata: torch::metadata(object) })
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The free text that was saved with the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The types of the tensors, in order of their names.
    pub fn specs(&self) -> impl Iterator<Item = TensorSpec> {
        self.tensors.iter().map(|(name, entry)| TensorSpec::new(name, entry.dtype, &entry.shape))
    }

    /// The tensors in order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = TensorView<'_>> {
        self.tensors.iter().map(|(name, entry)| self.view(name, entry))
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<TensorView<'_>> {
        self.tensors.get_key_value(name).map(|(name, entry)| self.view(name, entry))
    }

    fn view<'a>(&'a self, name: &'a str, entry: &'a Entry) -> TensorView<'a> {
        TensorView {
            name: name.into(),
            dtype: entry.dtype,
            shape: (&entry.shape[..]).into(),
            bytes: match &entry.elements {
                Elements::Range(range) => (&self.file[range.clone()]).into(),
                Elements::View(tensor) => tensor.bytes(),
            },
        }
    }
}

impl<'a> TensorView<'a> {
    /// Borrows a tensor's bytes, little-endian.
    pub fn new(name: &'a str, dtype: Dtype, shape: &'a [usize], bytes: &'a [u8]) -> Self {
        Self { name: name.into(), dtype, shape: shape.into(), bytes: bytes.into() }
    }

    /// Copies an f32 tensor.
    pub fn from_f32s(name: &'a str, shape: &'a [usize], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::F32, shape: shape.into(), bytes: bytes.into() }
    }

    /// The elements, if the type is f32.
    pub fn to_f32s(&self) -> Option<Vec<f32>> {
        let words = self.bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        (self.dtype == Dtype::F32).then(|| words.collect())
    }
}
