//! The writing half: header text, and replacing a file in one step.

use super::{CheckpointError, METADATA_NAME, TensorSpec, TensorView};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// The tensors in the order of the file, checked: the widest elements first, so that all are aligned, then by name.
/// It is the order that the `safetensors` crate writes.
pub(super) fn sorted<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = TensorView<'a>>,
) -> Result<Vec<TensorView<'a>>, CheckpointError> {
    let mut tensors: Vec<TensorView<'a>> = tensors.into_iter().collect();
    tensors.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(CheckpointError::DuplicateName { path: path.to_owned(), name: pair[0].name.to_string() });
    }
    for tensor in &tensors {
        if tensor.name == METADATA_NAME {
            return Err(CheckpointError::ReservedName { path: path.to_owned() });
        }
        let elements = tensor.shape.iter().fold(1_usize, |product, &length| product.saturating_mul(length));
        let expected_bytes = elements.saturating_mul(tensor.dtype.bitsize()) / 8;
        if tensor.bytes.len() != expected_bytes {
            return Err(CheckpointError::ByteCount {
                path: path.to_owned(),
                tensor: TensorSpec::of(tensor),
                expected_bytes,
                found_bytes: tensor.bytes.len(),
            });
        }
    }
    tensors.sort_by(|one, other| other.dtype.cmp(&one.dtype).then_with(|| one.name.cmp(&other.name)));
    Ok(tensors)
}

/// The JSON header of `tensors` in the order given, padded to a multiple of 8 bytes.
pub(super) fn header(tensors: &[TensorView<'_>], metadata: &BTreeMap<String, String>) -> String {
    let mut entries = Vec::with_capacity(tensors.len() + 1);
    if !metadata.is_empty() {
        let pairs: Vec<String> =
            metadata.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
        entries.push(format!("{}:{{{}}}", quoted(METADATA_NAME), pairs.join(",")));
    }
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.bytes.len();
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        entries.push(format!(
            "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{start},{end}]}}",
            quoted(&tensor.name),
            tensor.dtype,
            shape.join(",")
        ));
        start = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    let padding = header.len().next_multiple_of(8) - header.len();
    header.extend(std::iter::repeat_n(' ', padding));
    header
}

/// Writes a temporary file beside `path` with `fill`, waits until it is on the disc, and renames it to `path`.
pub(super) fn replace_file(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    // A symbolic link keeps pointing where it did: its target is what gets replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(CheckpointError::NotAFile { path: path.to_owned() });
    }
    let temporary = temporary_beside(&target);
    let result = write_and_rename(&temporary, &target, fill);
    if result.is_err() {
        // The first error is the one to report; if the file was never made, there is nothing to remove.
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(|source| CheckpointError::File { path: path.to_owned(), action: "save", source })
}

fn write_and_rename(
    temporary: &Path,
    target: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(OpenOptions::new().write(true).create(true).truncate(true).open(temporary)?);
    fill(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(temporary, target)?;
    sync_folder_of(target);
    Ok(())
}

/// The name has the process id, so that two programs that save to one place do not write into one temporary file.
fn temporary_beside(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    target.with_file_name(name)
}

/// Makes the rename itself survive a power failure. Not every file system can do that; where it cannot, the new file is
/// in place all the same, and the save has not failed.
fn sync_folder_of(target: &Path) {
    if let Some(folder) = target.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => write!(quoted, "\\u{:04x}", u32::from(character)).expect("a String takes any text"),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failure_half_way_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        fs::write(&path, b"old").unwrap();
        let error = replace_file(&path, |file| {
            file.write_all(&[1; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(error.to_string().starts_with("cannot save checkpoint `"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_new_file_appears_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        fs::write(&path, b"old").unwrap();
        replace_file(&path, |file| {
            file.write_all(b"new")?;
            file.flush()?;
            assert_eq!(fs::read(&path)?, b"old");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn quotes_as_json_does() {
        assert_eq!(quoted("a\"b\\c\nd\u{e9}"), "\"a\\\"b\\\\c\\u000ad\u{e9}\"");
    }
}
