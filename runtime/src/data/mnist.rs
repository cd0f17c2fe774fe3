//! MNIST and the sets that share its format (Fashion-MNIST, KMNIST): a pair of IDX files, images and labels.
//!
//! Pixels stay bytes in memory and become floats when a sample is read, through a table of 256 values: a quarter of
//! the memory of a float copy, and the normalisation costs nothing.

use super::batch::Sample;
use super::dataset::{Dataset, ReadError, Subset};
use super::error::DataError;
use super::host::Field;
use super::idx::{IdxArray, read_idx};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CLASSES: usize = 10;
const TRAIN_PREFIX: &str = "train";
const TEST_PREFIX: &str = "t10k";
/// Both spellings are about: the original page's and that of some mirrors.
const IMAGE_NAMES: [&str; 2] = ["images-idx3-ubyte", "images.idx3-ubyte"];
const LABEL_NAMES: [&str; 2] = ["labels-idx1-ubyte", "labels.idx1-ubyte"];
/// Mean and standard deviation of MNIST's training pixels, as in PyTorch's MNIST example.
const PIXEL_MEAN: f32 = 0.1307;
const PIXEL_STD: f32 = 0.3081;

/// Images with labels: fields `x: f32[1, height, width]` and `y: i64`.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// `[count, height, width]`
    images: IdxArray,
    /// `[count]`
    labels: IdxArray,
    /// What each pixel value becomes.
    pixel_values: [f32; 256],
}

/// The parts of MNIST that a folder holds; at least one.
#[derive(Clone, Debug)]
pub struct MnistParts {
    /// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`.
    pub train: Option<Mnist>,
    /// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`.
    pub test: Option<Mnist>,
}

/// Opens whatever `folder` holds of `train-images-idx3-ubyte`, `t10k-images-idx3-ubyte` and their labels, each plain
/// or with `.gz`.
pub fn load(folder: impl AsRef<Path>) -> Result<MnistParts, DataError> {
    let folder = folder.as_ref();
    std::fs::read_dir(folder).map_err(|source| DataError::File { path: folder.to_owned(), source })?;
    let train = open_part(folder, TRAIN_PREFIX)?;
    let test = open_part(folder, TEST_PREFIX)?;
    if train.is_none() && test.is_none() {
        let names = [TRAIN_PREFIX, TEST_PREFIX].iter().flat_map(|prefix| candidates(prefix, &IMAGE_NAMES)).collect();
        return Err(DataError::NoSuchFiles { folder: folder.to_owned(), names });
    }
    if let (Some((train, train_path)), Some((test, test_path))) = (&train, &test)
        && train.image_size() != test.image_size()
    {
        return Err(DataError::ImageShape {
            expected_path: train_path.clone(),
            expected: train.image_size(),
            path: test_path.clone(),
            found: test.image_size(),
        });
    }
    Ok(MnistParts { train: train.map(|(part, _)| part), test: test.map(|(part, _)| part) })
}

impl Mnist {
    /// Opens an image file and the label file that belongs to it. Pixels are scaled to `[0, 1]` as by `ToTensor`.
    pub fn open(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self, DataError> {
        let (images_path, labels_path) = (images.as_ref(), labels.as_ref());
        let images = read_with_rank(images_path, 3, "images")?;
        let labels = read_with_rank(labels_path, 1, "labels")?;
        if images.dims[0] != labels.dims[0] {
            return Err(DataError::CountMismatch {
                images_path: images_path.to_owned(),
                images: images.dims[0],
                labels_path: labels_path.to_owned(),
                labels: labels.dims[0],
            });
        }
        if let Some(index) = labels.bytes.iter().position(|&label| usize::from(label) >= CLASSES) {
            let found = labels.bytes[index];
            return Err(DataError::Label { path: labels_path.to_owned(), index, found, classes: CLASSES });
        }
        let pixel_values = std::array::from_fn(|pixel| pixel as f32 / 255.0);
        Ok(Self { images, labels, pixel_values })
    }

    /// Normalises as PyTorch's MNIST example does: `(pixel / 255 - 0.1307) / 0.3081`, in f32.
    pub fn normalized(self) -> Self {
        let pixel_values = std::array::from_fn(|pixel| (pixel as f32 / 255.0 - PIXEL_MEAN) / PIXEL_STD);
        Self { pixel_values, ..self }
    }

    /// Height and width of an image; 28 and 28 for MNIST itself.
    pub fn image_size(&self) -> [usize; 2] {
        [self.images.dims[1], self.images.dims[2]]
    }

    /// The class of each image.
    pub fn labels(&self) -> &[u8] {
        &self.labels.bytes
    }
}

impl Dataset for Mnist {
    fn len(&self) -> usize {
        self.images.dims[0]
    }

    fn fields(&self) -> Vec<Field> {
        let [height, width] = self.image_size();
        vec![Field::f32("x", &[1, height, width]), Field::i64("y", &[])]
    }

    fn read(&self, index: usize, sample: &mut Sample<'_>) -> Result<(), ReadError> {
        let &label =
            self.labels.bytes.get(index).ok_or(DataError::IndexOutOfRange { index, len: self.labels.bytes.len() })?;
        let [height, width] = self.image_size();
        let pixels = &self.images.bytes[index * height * width..][..height * width];
        for (value, &pixel) in sample.f32s("x")?.iter_mut().zip(pixels) {
            *value = self.pixel_values[usize::from(pixel)];
        }
        sample.i64s("y")?[0] = i64::from(label);
        Ok(())
    }
}

impl MnistParts {
    /// Normalises both parts, see [`Mnist::normalized`].
    pub fn normalized(self) -> Self {
        Self { train: self.train.map(Mnist::normalized), test: self.test.map(Mnist::normalized) }
    }

    /// What to train on and what to test on: the two parts where both are there; else the first 85 % of the one there
    /// is, and the rest of it.
    pub fn train_test(self) -> Result<(Subset, Subset), DataError> {
        match (self.train, self.test) {
            (Some(train), Some(test)) => {
                let (train_len, test_len) = (train.len(), test.len());
                Ok((Subset::range(train, 0..train_len)?, Subset::range(test, 0..test_len)?))
            }
            (train, test) => {
                let names = vec!["train".to_owned(), "test".to_owned()];
                let only = train.or(test).ok_or(DataError::NoSuchFiles { folder: PathBuf::new(), names })?;
                let (len, only) = (only.len(), Arc::new(only));
                let cut = (len as u64 * 85 / 100) as usize;
                Ok((Subset::range(only.clone(), 0..cut)?, Subset::range(only, cut..len)?))
            }
        }
    }
}

/// The part with `prefix`, with the path of its images; `None` if the folder has neither of its files.
fn open_part(folder: &Path, prefix: &str) -> Result<Option<(Mnist, PathBuf)>, DataError> {
    let find = |names: &[&str]| {
        let names = candidates(prefix, names);
        let found = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
        found.ok_or(DataError::NoSuchFiles { folder: folder.to_owned(), names })
    };
    match (find(&IMAGE_NAMES), find(&LABEL_NAMES)) {
        (Err(_), Err(_)) => Ok(None),
        (images, labels) => {
            let (images, labels) = (images?, labels?);
            Ok(Some((Mnist::open(&images, labels)?, images)))
        }
    }
}

/// File names in the order in which they are looked for.
fn candidates(prefix: &str, names: &[&str]) -> Vec<String> {
    names.iter().flat_map(|name| [format!("{prefix}-{name}"), format!("{prefix}-{name}.gz")]).collect()
}

fn read_with_rank(path: &Path, expected: usize, used_as: &'static str) -> Result<IdxArray, DataError> {
    let array = read_idx(path)?;
    if array.dims.len() == expected {
        Ok(array)
    } else {
        Err(DataError::IdxRank { path: path.to_owned(), used_as, expected, found: array.dims })
    }
}

#[cfg(test)]
mod tests {
    use super::super::idx::tests::{gzip, idx_bytes};
    use super::super::loader::DataLoader;
    use super::*;
    use std::fs;

    /// Writes `count` images of 2x3 pixels and their labels; pixel `p` of image `i` is `10 * i + p`, its label `i %
    /// 10`.
    fn write_part(folder: &Path, prefix: &str, count: u32) {
        let pixels: Vec<u8> = (0..count).flat_map(|i| (0..6).map(move |p| (10 * i + p) as u8)).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        fs::write(folder.join(format!("{prefix}-images-idx3-ubyte.gz")), gzip(&idx_bytes(&[count, 2, 3], &pixels)))
            .unwrap();
        fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), idx_bytes(&[count], &labels)).unwrap();
    }

    #[test]
    fn both_parts_are_found_and_read() {
        let folder = tempfile::tempdir().unwrap();
        write_part(folder.path(), "train", 12);
        write_part(folder.path(), "t10k", 3);
        let (train, test) = load(folder.path()).unwrap().train_test().unwrap();
        assert_eq!((train.len(), test.len()), (12, 3));
        let batch = DataLoader::new(train).batch_size(12).epoch(0).next().unwrap().unwrap();
        assert_eq!(batch.fields()[0].shape, [1, 2, 3]);
        assert_eq!(batch.f32s("x").unwrap()[6], 10.0 / 255.0);
        assert_eq!(batch.i64s("y").unwrap()[10..], [0, 1]);
    }

    #[test]
    fn one_part_is_cut_in_two() {
        let folder = tempfile::tempdir().unwrap();
        write_part(folder.path(), "t10k", 20);
        let (train, test) = load(folder.path()).unwrap().train_test().unwrap();
        assert_eq!(train.indices(), (0..17).collect::<Vec<_>>());
        assert_eq!(test.indices(), [17, 18, 19]);
    }

    #[test]
    fn normalisation_is_that_of_the_pytorch_example() {
        let folder = tempfile::tempdir().unwrap();
        write_part(folder.path(), "t10k", 26);
        let test = load(folder.path()).unwrap().normalized().test.unwrap();
        let batch = DataLoader::new(test).batch_size(26).epoch(0).next().unwrap().unwrap();
        let x = batch.f32s("x").unwrap();
        // torchvision: ToTensor, then Normalize((0.1307,), (0.3081,)), for the pixels 0 and 255.
        assert_eq!(x[0], -0.424_212_96);
        assert_eq!(x[25 * 6 + 5], 2.821_486_7);
    }

    #[test]
    fn mistakes_name_the_file_and_both_values() {
        let folder = tempfile::tempdir().unwrap();
        let message = |result: Result<MnistParts, DataError>| {
            result.unwrap_err().to_string().replace(&folder.path().display().to_string(), "DIR")
        };
        let nothing = message(load(folder.path()));
        assert!(
            nothing.starts_with("`DIR` holds none of: train-images-idx3-ubyte, train-images-idx3-ubyte.gz"),
            "{nothing}"
        );
        assert!(message(load(folder.path().join("absent"))).starts_with("cannot read `DIR/absent`"));

        write_part(folder.path(), "t10k", 4);
        let labels = folder.path().join("t10k-labels-idx1-ubyte");
        fs::write(&labels, idx_bytes(&[3], &[1, 2, 3])).unwrap();
        assert_eq!(
            message(load(folder.path())),
            "`DIR/t10k-images-idx3-ubyte.gz` holds 4 images, but `DIR/t10k-labels-idx1-ubyte` holds 3 labels"
        );
        fs::write(&labels, idx_bytes(&[4], &[1, 2, 10, 3])).unwrap();
        assert_eq!(message(load(folder.path())), "`DIR/t10k-labels-idx1-ubyte`: label 2 is 10; expected 0 to 9");
        fs::write(&labels, idx_bytes(&[4, 1], &[1, 2, 3, 4])).unwrap();
        assert_eq!(message(load(folder.path())), "`DIR/t10k-labels-idx1-ubyte` has shape [4, 1]; labels need 1 axes");
        fs::remove_file(&labels).unwrap();
        assert!(message(load(folder.path())).starts_with("`DIR` holds none of: t10k-labels-idx1-ubyte, "));
    }

    #[test]
    fn parts_must_have_images_of_one_size() {
        let folder = tempfile::tempdir().unwrap();
        write_part(folder.path(), "train", 2);
        write_part(folder.path(), "t10k", 2);
        fs::write(folder.path().join("t10k-images-idx3-ubyte"), idx_bytes(&[2, 1, 1], &[0, 0])).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(matches!(error, DataError::ImageShape { expected: [2, 3], found: [1, 1], .. }), "{error}");
    }

    /// Runs where the real files lie beside the workspace, as they do on the project's own machines.
    #[test]
    fn reads_the_real_test_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mnist");
        if !folder.exists() {
            return;
        }
        let test = load(folder).unwrap().normalized().test.unwrap();
        assert_eq!((test.len(), test.image_size()), (10_000, [28, 28]));
        assert_eq!(test.labels()[..8], [7, 2, 1, 0, 4, 1, 4, 9]);
        let mut pixels = 0;
        let mut sum = 0.0;
        for batch in DataLoader::new(test).batch_size(64).shuffle(true).epoch(0) {
            for &value in batch.unwrap().f32s("x").unwrap() {
                sum += f64::from(value);
                pixels += 1;
            }
        }
        assert_eq!(pixels, 10_000 * 28 * 28);
        // Normalised with the training set's mean, the test set's mean is near zero (0.1325 against 0.1307).
        assert!((sum / f64::from(pixels)).abs() < 0.01);
    }
}
