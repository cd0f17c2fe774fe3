//! Reading: safetensors files as tensors of `f64`, JSON files, and what can be wrong with either.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_ir::DType;
use kiln_ir::interpret::Value;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde::de::DeserializeOwned;

/// The tensors of one file, by key.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorFile {
    path: PathBuf,
    tensors: BTreeMap<String, Value>,
    /// The elements of `i64` tensors: a [`Value`] holds them as `f64`, which is exact only up to 2^53.
    integers: BTreeMap<String, Vec<i64>>,
}

/// Why a directory of cases cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not the JSON that is expected: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{} is not a safetensors file: {source}", path.display())]
    Tensors { path: PathBuf, source: SafeTensorError },
    #[error("{} has no tensor `{key}`", path.display())]
    NoTensor { path: PathBuf, key: String },
    #[error("tensor `{key}` of {} has the unknown dtype {dtype:?}", path.display())]
    UnknownDType { path: PathBuf, key: String, dtype: Dtype },
    #[error("cannot write the report: {0}")]
    Output(#[source] io::Error),
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or has a dtype that Kiln lacks.
    pub fn read(path: &Path) -> Result<TensorFile, ReadError> {
        let bytes = fs::read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        let file =
            SafeTensors::deserialize(&bytes).map_err(|source| ReadError::Tensors { path: path.to_owned(), source })?;
        let (mut tensors, mut integers) = (BTreeMap::new(), BTreeMap::new());
        for (key, view) in file.iter() {
            let unknown =
                || ReadError::UnknownDType { path: path.to_owned(), key: key.to_owned(), dtype: view.dtype() };
            tensors.insert(key.to_owned(), value_of(&view).ok_or_else(unknown)?);
            if view.dtype() == Dtype::I64 {
                integers.insert(key.to_owned(), elements(view.data(), i64::from_le_bytes));
            }
        }
        Ok(TensorFile { path: path.to_owned(), tensors, integers })
    }

    /// A tensor by key.
    ///
    /// # Errors
    /// When the file has none of this key.
    pub fn get(&self, key: &str) -> Result<&Value, ReadError> {
        let missing = || ReadError::NoTensor { path: self.path.clone(), key: key.to_owned() };
        self.tensors.get(key).ok_or_else(missing)
    }

    /// The exact elements of an `i64` tensor; `None` for other dtypes and keys.
    pub fn integers(&self, key: &str) -> Option<&[i64]> {
        self.integers.get(key).map(Vec::as_slice)
    }

    /// The tensors whose keys begin with `prefix`, without it, sorted.
    pub fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.tensors.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value)))
    }
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read or is not of the form of `T`.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    let bytes = fs::read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| ReadError::Json { path: path.to_owned(), source })
}

/// The entries of a folder, sorted; none if there is no such folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let error = |source| ReadError::Io { path: folder.to_owned(), source };
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(error(other)),
    };
    let mut paths = listing.map(|entry| Ok(entry.map_err(error)?.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn value_of(view: &TensorView<'_>) -> Option<Value> {
    let bytes = view.data();
    let (dtype, data) = match view.dtype() {
        Dtype::BOOL => (DType::Bool, bytes.iter().map(|&byte| f64::from(byte)).collect()),
        Dtype::I32 => (DType::I32, elements(bytes, |bytes| f64::from(i32::from_le_bytes(bytes)))),
        Dtype::I64 => (DType::I64, elements(bytes, |bytes| i64::from_le_bytes(bytes) as f64)),
        Dtype::F16 => (DType::F16, elements(bytes, |bytes| half::f16::from_le_bytes(bytes).to_f64())),
        Dtype::BF16 => (DType::BF16, elements(bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f64())),
        Dtype::F32 => (DType::F32, elements(bytes, |bytes| f64::from(f32::from_le_bytes(bytes)))),
        Dtype::F64 => (DType::F64, elements(bytes, f64::from_le_bytes)),
        _ => return None,
    };
    Value::new(dtype, view.shape().to_vec(), data).ok()
}

fn elements<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&chunk| read(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whatever_its_dtypes() {
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let labels: Vec<u8> = [-7i64].iter().flat_map(|x| x.to_le_bytes()).collect();
        let views = [
            ("0.x", TensorView::new(Dtype::F32, vec![1, 2], &floats).unwrap()),
            ("0.y", TensorView::new(Dtype::I64, vec![], &labels).unwrap()),
            ("1.x", TensorView::new(Dtype::BOOL, vec![2, 0], &[]).unwrap()),
        ];
        let path = std::env::temp_dir().join(format!("kiln-tensors-{}.safetensors", std::process::id()));
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let file = TensorFile::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(file.get("0.x").unwrap(), &Value::new(DType::F32, vec![1, 2], vec![1.5, -2.0]).unwrap());
        assert_eq!(file.get("0.y").unwrap(), &Value::scalar(DType::I64, -7.0));
        assert_eq!(file.under("0.").map(|(key, _)| key).collect::<Vec<_>>(), ["x", "y"]);
        assert!(file.get("2.x").unwrap_err().to_string().ends_with("has no tensor `2.x`"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty_and_a_damaged_file_is_an_error() {
        assert!(entries(Path::new("/no/such/folder")).unwrap().is_empty());
        let path = std::env::temp_dir().join(format!("kiln-damaged-{}.safetensors", std::process::id()));
        fs::write(&path, [9, 0, 0]).unwrap();
        let error = TensorFile::read(&path).unwrap_err();
        fs::remove_file(&path).unwrap();
        assert!(matches!(error, ReadError::Tensors { .. }), "{error}");
    }
}
