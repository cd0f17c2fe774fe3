//! IDX files, the format of MNIST and its relatives, plain or gzip-compressed (told apart by their first bytes).
//!
//! ```text
//! 00 00 08 rank | rank axis lengths, u32 big-endian | the elements, row-major      08 = unsigned byte
//! ```
//!
//! Nothing is believed: the memory reserved is bounded by what the file can hold, the elements must end exactly where
//! the header says, and the checksum of a compressed file is verified. Source: Y. LeCun, C. Cortes, C. Burges, "The
//! MNIST database of handwritten digits", section "file formats".

use super::error::DataError;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTE: u8 = 0x08;
/// Deflate cannot expand further than 1032 to 1, so that a header cannot make us reserve more memory than this allows.
const MAX_EXPANSION: u64 = 1032;
/// How far beyond the announced end surplus bytes are counted.
const MAX_SURPLUS_BYTES: u64 = 1 << 20;

/// The contents of an IDX file of unsigned bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdxArray {
    /// Length of each axis.
    pub dims: Vec<usize>,
    /// The elements, row-major.
    pub bytes: Vec<u8>,
}

/// Reads an IDX file of unsigned bytes.
pub fn read_idx(path: impl AsRef<Path>) -> Result<IdxArray, DataError> {
    let path = path.as_ref();
    let unreadable = |source| DataError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    let mut reader = BufReader::new(file);
    let compressed = reader.fill_buf().map_err(unreadable)?.starts_with(&GZIP_MAGIC);
    if compressed {
        let max_bytes = size_bytes.saturating_mul(MAX_EXPANSION);
        Input { path, source: MultiGzDecoder::new(reader), compressed, read_bytes: 0 }.read_array(max_bytes)
    } else {
        Input { path, source: reader, compressed, read_bytes: 0 }.read_array(size_bytes)
    }
}

/// A file while it is read, with the bytes that came out of it so far.
struct Input<'a, R> {
    path: &'a Path,
    source: R,
    compressed: bool,
    read_bytes: u64,
}

impl<R: Read> Input<'_, R> {
    fn read_array(mut self, max_bytes: u64) -> Result<IdxArray, DataError> {
        let magic = self.read_header(4, 4)?;
        if magic[..2] != [0, 0] || magic[3] == 0 {
            return Err(self.wrong_magic(&magic));
        }
        if magic[2] != UNSIGNED_BYTE {
            let Some(name) = element_name(magic[2]) else { return Err(self.wrong_magic(&magic)) };
            return Err(DataError::IdxElement { path: self.path.to_owned(), found: magic[2], name });
        }
        let rank = u64::from(magic[3]);
        let header_bytes = 4 + 4 * rank;
        let lengths = self.read_header(4 * rank, header_bytes)?;
        let lengths: Vec<u32> =
            lengths.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect();
        // A product beyond u64 cannot be on any disc; saturating makes it a truncated file, which it is.
        let elements = lengths.iter().fold(1_u64, |product, &length| product.saturating_mul(u64::from(length)));
        let expected_bytes = header_bytes.saturating_add(elements);

        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(usize::try_from(elements.min(max_bytes)).unwrap_or(usize::MAX));
        reserved.map_err(|_| self.failed(ErrorKind::OutOfMemory.into()))?;
        self.read_up_to(elements, &mut bytes)?;
        if (bytes.len() as u64) < elements {
            return Err(self.truncated(expected_bytes));
        }
        // Reading on finds surplus bytes, and makes the decompressor verify its checksum.
        let mut surplus = Vec::new();
        let result = self.append(MAX_SURPLUS_BYTES, &mut surplus);
        result.map_err(|source| self.failed(source))?;
        if !surplus.is_empty() {
            let found_bytes = expected_bytes + surplus.len() as u64;
            return Err(DataError::Trailing { path: self.path.to_owned(), expected_bytes, found_bytes });
        }
        Ok(IdxArray { dims: lengths.into_iter().map(|length| length as usize).collect(), bytes })
    }

    /// Exactly `count` bytes of the header, which as a whole needs `expected_bytes`.
    fn read_header(&mut self, count: u64, expected_bytes: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        self.read_up_to(count, &mut bytes)?;
        if bytes.len() as u64 == count { Ok(bytes) } else { Err(self.truncated(expected_bytes)) }
    }

    /// Appends `count` bytes, or fewer if the data end before. A compressed stream that was cut off counts as an end:
    /// the caller knows how many bytes there should be and says so.
    fn read_up_to(&mut self, count: u64, bytes: &mut Vec<u8>) -> Result<(), DataError> {
        match self.append(count, bytes) {
            Err(source) if source.kind() != ErrorKind::UnexpectedEof => Err(self.failed(source)),
            _ => Ok(()),
        }
    }

    fn append(&mut self, count: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let before = bytes.len();
        let result = self.source.by_ref().take(count).read_to_end(bytes);
        self.read_bytes += (bytes.len() - before) as u64;
        result.map(drop)
    }

    fn failed(&self, source: io::Error) -> DataError {
        let path = self.path.to_owned();
        // An error that comes from the operating system is about the file, any other about its contents.
        if self.compressed && source.raw_os_error().is_none() && source.kind() != ErrorKind::OutOfMemory {
            DataError::Gzip { path, read_bytes: self.read_bytes, source }
        } else {
            DataError::File { path, source }
        }
    }

    fn truncated(&self, expected_bytes: u64) -> DataError {
        DataError::Truncated { path: self.path.to_owned(), expected_bytes, found_bytes: self.read_bytes }
    }

    fn wrong_magic(&self, magic: &[u8]) -> DataError {
        let found = magic.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        DataError::IdxMagic { path: self.path.to_owned(), found }
    }
}

fn element_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x09 => "signed byte",
        0x0b => "16-bit integer",
        0x0c => "32-bit integer",
        0x0d => "32-bit float",
        0x0e => "64-bit float",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// The bytes of a small IDX file.
    pub fn idx_bytes(dims: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, UNSIGNED_BYTE, dims.len() as u8];
        bytes.extend(dims.iter().flat_map(|length| length.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    pub fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<IdxArray, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some-idx");
        std::fs::write(&path, bytes).unwrap();
        let result = read_idx(&path);
        if let Err(error) = &result {
            assert!(error.to_string().contains("some-idx"), "{error} does not name the file");
        }
        result
    }

    fn sample() -> Vec<u8> {
        idx_bytes(&[2, 3, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    }

    #[test]
    fn reads_plain_and_compressed_files() {
        let expected = IdxArray { dims: vec![2, 3, 2], bytes: (1..=12).collect() };
        assert_eq!(read(&sample()).unwrap(), expected);
        assert_eq!(read(&gzip(&sample())).unwrap(), expected);
        // gzip files may be concatenated.
        let (front, back) = (gzip(&sample()[..9]), gzip(&sample()[9..]));
        assert_eq!(read(&[front, back].concat()).unwrap(), expected);
        assert_eq!(read(&idx_bytes(&[0], &[])).unwrap(), IdxArray { dims: vec![0], bytes: vec![] });
    }

    #[test]
    fn every_truncation_is_noticed() {
        let (plain, compressed) = (sample(), gzip(&sample()));
        for cut in 0..plain.len() {
            let error = read(&plain[..cut]).unwrap_err();
            assert!(matches!(error, DataError::Truncated { found_bytes, .. } if found_bytes == cut as u64), "{error}");
        }
        for cut in 0..compressed.len() {
            let error = read(&compressed[..cut]).unwrap_err();
            assert!(
                matches!(error, DataError::Truncated { .. } | DataError::Gzip { .. } | DataError::IdxMagic { .. }),
                "{cut}: {error}"
            );
        }
        let error = read(&plain[..20]).unwrap_err().to_string();
        assert!(error.ends_with("is truncated: expected 28 bytes of data, found 20"), "{error}");
    }

    #[test]
    fn every_damaged_byte_of_a_compressed_file_is_noticed_or_harmless() {
        let (expected, compressed) = (read(&sample()).unwrap(), gzip(&sample()));
        let mut harmless = 0;
        for position in 0..compressed.len() {
            let mut damaged = compressed.clone();
            damaged[position] ^= 0x10;
            // Six bytes of the gzip header (time, operating system) and the padding bits after the last deflate block
            // mean nothing; no damage may change the result.
            if let Ok(array) = read(&damaged) {
                assert_eq!(array, expected, "byte {position}");
                harmless += 1;
            }
        }
        assert!(harmless <= 7, "{harmless}");
    }

    #[test]
    fn surplus_bytes_are_noticed() {
        let longer = [sample(), vec![0; 5]].concat();
        for bytes in [longer.clone(), gzip(&longer)] {
            let error = read(&bytes).unwrap_err();
            assert!(matches!(error, DataError::Trailing { expected_bytes: 28, found_bytes: 33, .. }), "{error}");
        }
        assert!(read(&[gzip(&sample()), b"rubbish".to_vec()].concat()).is_err());
    }

    #[test]
    fn other_files_are_refused() {
        let html = read(b"<!DOCTYPE html>").unwrap_err().to_string();
        assert!(html.ends_with("expected magic number 00 00 08 and the rank, found 3c 21 44 4f"), "{html}");
        assert!(matches!(read(&[0, 0, 8, 0, 1, 2]), Err(DataError::IdxMagic { .. })));
        assert!(matches!(read(&[0, 0, 7, 1, 0, 0, 0, 0]), Err(DataError::IdxMagic { .. })));
        let floats = read(&[0, 0, 0x0d, 1, 0, 0, 0, 0]).unwrap_err().to_string();
        assert!(floats.contains("type 0x0d (32-bit float); expected 0x08"), "{floats}");
        assert!(matches!(read_idx("no/such/file"), Err(DataError::File { .. })));
        assert!(matches!(read_idx(std::env::temp_dir()), Err(DataError::File { .. })));
    }

    #[test]
    fn an_absurd_header_reserves_no_memory() {
        for bytes in [idx_bytes(&[u32::MAX; 8], &[1, 2, 3]), gzip(&idx_bytes(&[u32::MAX, u32::MAX], &[1]))] {
            assert!(matches!(read(&bytes), Err(DataError::Truncated { .. })));
        }
    }
}
