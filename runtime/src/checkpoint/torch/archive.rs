//! The zip archive around a pickle and its storages. `torch.save` compresses nothing, so a directory and slices of the file are all there is to it, and no package
//! for archives need be linked into every training binary.
//!
//! Source: PKWARE's APPNOTE 6.3.10, sections 4.3.7 (header of an entry), 4.3.12 (directory), 4.3.14 to 4.3.16 (ends), 4.5.3 (sizes of 64 bits).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use flate2::Crc;

use super::TorchError;

/// Bytes of the end of the directory, and the most that may follow it as a comment.
const END_BYTES: usize = 22;
const MAX_COMMENT_BYTES: usize = 0xffff;

/// What a field of 32 or 16 bits holds whose value is elsewhere in 64.
const ELSEWHERE: u64 = 0xffff_ffff;
const COUNT_ELSEWHERE: u64 = 0xffff;

/// An archive whose entries have one folder in common, named after the file that was saved.
pub(super) struct Archive<'a> {
    file: &'a [u8],
    entries: BTreeMap<String, Entry>,
    folder: String,
    /// Bytes that entries may still have: together no more than the file.
    left: Cell<usize>,
}

/// A row of the directory.
struct Entry {
    is_plain: bool,
    crc: u64,
    size: u64,
    /// Where its header begins.
    header: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Archive<'a>, TorchError> {
        let entries = directory(file).ok_or_else(|| fault("is damaged: it has no sound directory"))?;
        let is_pickle = |name: &String| *name == "data.pkl" || name.ends_with("/data.pkl");
        let pickle = entries.keys().find(|name| is_pickle(name)).ok_or_else(|| fault("has no `data.pkl`"))?;
        let folder = pickle.trim_end_matches("data.pkl").to_owned();
        let archive = Archive { file, entries, folder, left: Cell::new(file.len()) };
        match archive.optional("byteorder")? {
            None | Some(b"little") => Ok(archive),
            Some(other) => {
                let order = String::from_utf8_lossy(other);
                Err(fault(format!("has the byte order `{order}`: only `little` is read")))
            }
        }
    }

    /// The bytes of an entry.
    pub(super) fn entry(&self, name: &str) -> Result<&'a [u8], TorchError> {
        self.optional(name)?.ok_or_else(|| fault(format!("has no `{name}`")))
    }

    fn optional(&self, name: &str) -> Result<Option<&'a [u8]>, TorchError> {
        let Some(entry) = self.entries.get(&format!("{}{name}", self.folder)) else { return Ok(None) };
        if !entry.is_plain {
            return Err(fault(format!(
                "has a `{name}` that is compressed or encrypted, which `torch.save` does not do"
            )));
        }
        let bytes = entry.range(self.file).and_then(|range| self.file.get(range));
        let bytes = bytes.ok_or_else(|| fault(format!("is damaged: its `{name}` goes beyond the file")))?;
        let mut crc = Crc::new();
        crc.update(bytes);
        if u64::from(crc.sum()) != entry.crc {
            return Err(fault(format!("is damaged: its `{name}` has another check sum")));
        }
        let left = self.left.get().checked_sub(bytes.len());
        self.left.set(left.ok_or_else(|| fault("has entries that overlap"))?);
        Ok(Some(bytes))
    }
}

impl Entry {
    /// Where its bytes are.
    fn range(&self, file: &[u8]) -> Option<Range<usize>> {
        let header = usize::try_from(self.header).ok()?;
        signed(file, header, b"PK\x03\x04")?;
        let texts = number(file, header + 26, 2)? + number(file, header + 28, 2)?;
        let start = header + 30 + texts as usize;
        Some(start..start.checked_add(usize::try_from(self.size).ok()?)?)
    }
}

fn fault(reason: impl Into<String>) -> TorchError {
    TorchError::Archive(reason.into())
}

/// All entries by name; `None` if the file ends too soon or a signature is missing.
fn directory(file: &[u8]) -> Option<BTreeMap<String, Entry>> {
    let first = file.len().saturating_sub(END_BYTES + MAX_COMMENT_BYTES);
    let end = (first..file.len().checked_sub(END_BYTES)? + 1).rfind(|&at| file[at..].starts_with(b"PK\x05\x06"))?;
    let (mut count, mut at) = (number(file, end + 10, 2)?, number(file, end + 16, 4)?);
    if count == COUNT_ELSEWHERE || at == ELSEWHERE {
        let locator = end.checked_sub(20)?;
        signed(file, locator, b"PK\x06\x07")?;
        let end = usize::try_from(number(file, locator + 8, 8)?).ok()?;
        signed(file, end, b"PK\x06\x06")?;
        (count, at) = (number(file, end.checked_add(32)?, 8)?, number(file, end.checked_add(48)?, 8)?);
    }
    let mut at = usize::try_from(at).ok()?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        signed(file, at, b"PK\x01\x02")?;
        let field = |offset: usize, bytes: usize| number(file, at + offset, bytes);
        let [name, extra, comment] = [field(28, 2)?, field(30, 2)?, field(32, 2)?].map(|length| length as usize);
        let (name, rest) = file.get(at + 46..)?.split_at_checked(name)?;
        let [size, packed, header] = wide([field(24, 4)?, field(20, 4)?, field(42, 4)?], rest.get(..extra)?)?;
        let is_plain = field(10, 2)? == 0 && field(8, 2)? & 1 == 0 && size == packed;
        let entry = Entry { is_plain, crc: field(16, 4)?, size, header };
        let is_new = entries.insert(String::from_utf8_lossy(name).into_owned(), entry).is_none();
        at += 46 + name.len() + extra + comment;
        is_new.then_some(())?;
    }
    Some(entries)
}

/// The sizes and the place of an entry, those of 64 bits taken from its extra fields, where they stand in this order.
fn wide(fields: [u64; 3], extra: &[u8]) -> Option<[u64; 3]> {
    if !fields.contains(&ELSEWHERE) {
        return Some(fields);
    }
    let mut at = 0;
    while number(extra, at, 2)? != 1 {
        at += 4 + number(extra, at + 2, 2)? as usize;
    }
    at += 4;
    let mut wide = fields;
    for field in wide.iter_mut().filter(|field| **field == ELSEWHERE) {
        *field = number(extra, at, 8)?;
        at += 8;
    }
    Some(wide)
}

fn signed(file: &[u8], at: usize, signature: &[u8]) -> Option<()> {
    file.get(at..)?.starts_with(signature).then_some(())
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..length)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
