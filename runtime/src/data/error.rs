//! What can go wrong between a file and a batch. Every message names the file or sample, what was expected and what was
//! found.

use super::dataset::ReadError;
use super::host::HostDtype;
use std::io;
use std::path::PathBuf;

/// An error of a data set, a data file or a loader.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused to open or read a file.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// None of the file names that would do is in the folder.
    #[error("`{}` holds none of: {}", folder.display(), names.join(", "))]
    NoSuchFiles {
        /// Where they were looked for.
        folder: PathBuf,
        /// The names that would have been taken.
        names: Vec<String>,
    },
    /// The gzip stream is damaged: a bad header, corrupt data or a wrong checksum.
    #[error("`{}` is damaged: {source} (after {read_bytes} decompressed bytes)", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// Decompressed bytes before the damage was noticed.
        read_bytes: u64,
        /// What the decompressor found.
        source: io::Error,
    },
    /// The file does not start with the magic number of an IDX file.
    #[error("`{}` is no IDX file: expected magic number 00 00 08 and the rank, found {found}", path.display())]
    IdxMagic {
        /// The file.
        path: PathBuf,
        /// Its first four bytes in hexadecimal.
        found: String,
    },
    /// An IDX file of something else than unsigned bytes.
    #[error("`{}` holds elements of type 0x{found:02x} ({name}); expected 0x08 (unsigned byte)", path.display())]
    IdxElement {
        /// The file.
        path: PathBuf,
        /// The type byte.
        found: u8,
        /// Its name in the format.
        name: &'static str,
    },
    /// The data have another rank than their use needs.
    #[error("`{}` has shape {found:?}; {used_as} need {expected} axes", path.display())]
    IdxRank {
        /// The file.
        path: PathBuf,
        /// What the file was opened as.
        used_as: &'static str,
        /// The rank it should have.
        expected: usize,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// The file ends too early.
    #[error("`{}` is truncated: expected {expected_bytes} bytes of data, found {found_bytes}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Size by the header, header included (decompressed).
        expected_bytes: u64,
        /// Size in fact (decompressed).
        found_bytes: u64,
    },
    /// The file goes on after its data.
    #[error(
        "`{}` has trailing bytes: expected {expected_bytes} bytes of data, found at least {found_bytes}",
        path.display()
    )]
    Trailing {
        /// The file.
        path: PathBuf,
        /// Size by the header, header included (decompressed).
        expected_bytes: u64,
        /// Size in fact (decompressed), counted for at most 1 MiB beyond.
        found_bytes: u64,
    },
    /// Images and labels do not belong together.
    #[error("`{}` holds {images} images, but `{}` holds {labels} labels", images_path.display(), labels_path.display())]
    CountMismatch {
        /// The image file.
        images_path: PathBuf,
        /// Images in it.
        images: usize,
        /// The label file.
        labels_path: PathBuf,
        /// Labels in it.
        labels: usize,
    },
    /// Two files that are used together hold images of different sizes.
    #[error(
        "`{}` holds images of {expected:?}, but `{}` holds images of {found:?}",
        expected_path.display(),
        path.display()
    )]
    ImageShape {
        /// The first file.
        expected_path: PathBuf,
        /// Height and width in the first file.
        expected: [usize; 2],
        /// The second file.
        path: PathBuf,
        /// Height and width in the second file.
        found: [usize; 2],
    },
    /// A label is no class number.
    #[error("`{}`: label {index} is {found}; expected 0 to {}", path.display(), classes - 1)]
    Label {
        /// The label file.
        path: PathBuf,
        /// Which label.
        index: usize,
        /// Its value.
        found: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// A field that the batch does not have was asked for.
    #[error("no field `{name}`; the data have {available}")]
    NoField {
        /// The name asked for.
        name: String,
        /// The fields there are.
        available: String,
    },
    /// A field was used as another element type than it has.
    #[error("field `{name}` is {found}, used as {expected}")]
    FieldDtype {
        /// The field.
        name: String,
        /// What it was used as.
        expected: HostDtype,
        /// What it is.
        found: HostDtype,
    },
    /// An array does not have the size that its field and the number of samples ask for.
    #[error("field `{name}` of {samples} samples of shape {shape:?} needs {expected} elements, found {found}")]
    FieldLength {
        /// The field.
        name: String,
        /// How many samples.
        samples: usize,
        /// Shape of one sample.
        shape: Vec<usize>,
        /// Their product.
        expected: usize,
        /// Elements in the array.
        found: usize,
    },
    /// A sample that does not exist was asked for.
    #[error("sample {index} was asked for, the data set has {len}")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// The size of the data set.
        len: usize,
    },
    /// The parts of a split do not add up to the whole.
    #[error("split lengths add up to {found}; the data set has {expected} samples")]
    SplitCounts {
        /// The size of the data set.
        expected: usize,
        /// The sum of the parts.
        found: usize,
    },
    /// The fractions of a split do not add up to one, or one is outside 0 to 1.
    #[error("split fractions {found:?} must each be in 0..=1 and add up to 1")]
    SplitFractions {
        /// The fractions.
        found: Vec<f64>,
    },
    /// A loader with a batch size of zero.
    #[error("batch_size must be at least 1, found 0")]
    BatchSizeZero,
    /// The data set could not read a sample.
    #[error("sample {index}: {source}")]
    Sample {
        /// Which sample.
        index: usize,
        /// What the data set reported.
        source: ReadError,
    },
    /// The data set panicked while it read a sample.
    #[error("the data set panicked while it read sample {index}: {message}")]
    Panicked {
        /// Which sample.
        index: usize,
        /// The panic's message.
        message: String,
    },
    /// The background thread could not be started, or ended before its work was done.
    #[error("the prefetch thread failed: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
}
