//! The zip archive around a pickle and its storages.

use std::cell::Cell;
use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::TorchError;

/// An archive whose entries have one folder in common, named after the file that was saved.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that entries may still have: together no more than the file.
    left: Cell<u64>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Archive<'a>, TorchError> {
        let zip = ZipArchive::new(Cursor::new(file)).map_err(|error| damaged(&error))?;
        let pickle = zip.file_names().flatten().find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned));
        let folder = pickle.ok_or_else(|| TorchError::Archive("has no `data.pkl`".to_owned()))?;
        let archive = Archive { zip, folder, left: Cell::new(file.len() as u64) };
        match archive.optional("byteorder")?.as_deref() {
            None | Some(b"little") => Ok(archive),
            Some(other) => {
                let order = String::from_utf8_lossy(other).into_owned();
                Err(TorchError::Archive(format!("has the byte order `{order}`: only `little` is read")))
            }
        }
    }

    /// The bytes of an entry.
    pub(super) fn entry(&self, name: &str) -> Result<Vec<u8>, TorchError> {
        self.optional(name)?.ok_or_else(|| TorchError::Archive(format!("has no `{name}`")))
    }

    fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, TorchError> {
        // Reading moves a cursor; the clone shares the bytes and the directory.
        let mut zip = self.zip.clone();
        let mut entry = match zip.by_name(&format!("{}{name}", self.folder)) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(damaged(&error)),
        };
        // What the directory says of the size is not believed, and entries could share their bytes.
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(self.left.get() + 1).read_to_end(&mut bytes);
        read.map_err(|error| TorchError::Archive(format!("has a damaged `{name}`: {error}")))?;
        let left = self.left.get().checked_sub(bytes.len() as u64);
        self.left.set(left.ok_or_else(|| TorchError::Archive("has entries that overlap".to_owned()))?);
        Ok(Some(bytes))
    }
}

fn damaged(error: &ZipError) -> TorchError {
    TorchError::Archive(format!("is damaged: {error}"))
}
