//! The embedded data set: 1,797 real 8x8 images of handwritten digits, 57 kB, so that an example trains without a
//! download.
//!
//! It is the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak; UCI Machine Learning
//! Repository, 1998; <https://doi.org/10.24432/C50P49>; CC BY 4.0) in the copy that scikit-learn ships;
//! `data/digits/README.md` has the details. Each line of the compressed CSV file is 64 pixels from 0 to 16, row by
//! row, then the digit.

use super::dataset::{Subset, TensorDataset, random_split};
use super::host::{Field, HostTensor};
use flate2::read::GzDecoder;
use std::io::Read;

/// Images in the set.
pub const SAMPLES: usize = 1_797;
/// Images that [`split`] puts in the training part.
pub const TRAIN_SAMPLES: usize = 1_437;
/// Images that [`split`] holds out.
pub const TEST_SAMPLES: usize = SAMPLES - TRAIN_SAMPLES;

const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const MAX_PIXEL: f32 = 16.0;
/// The split is part of the data set's definition here, so that accuracies can be compared; it never follows the
/// user's seed.
const SPLIT_SEED: u64 = 0;
/// The file is part of the program, and a test compares what comes out of it with the set's published figures.
const EMBEDDED: &str = "the embedded file is intact";

static CSV_GZ: &[u8] = include_bytes!("../../../data/digits/digits.csv.gz");

/// All 1,797 images in the file's order: `x: f32[1, 8, 8]` scaled to `[0, 1]`, `y: i64`.
pub fn load() -> TensorDataset {
    let mut text = String::new();
    GzDecoder::new(CSV_GZ).read_to_string(&mut text).expect(EMBEDDED);
    let mut x = Vec::with_capacity(SAMPLES * PIXELS);
    let mut y = Vec::with_capacity(SAMPLES);
    for line in text.lines() {
        let mut numbers = line.split(',').map(|number| number.parse::<u8>().expect(EMBEDDED));
        x.extend(numbers.by_ref().take(PIXELS).map(|pixel| f32::from(pixel) / MAX_PIXEL));
        y.extend(numbers.map(i64::from));
    }
    let columns =
        vec![(Field::f32("x", &[1, SIDE, SIDE]), HostTensor::F32(x)), (Field::i64("y", &[]), HostTensor::I64(y))];
    TensorDataset::new(SAMPLES, columns).expect(EMBEDDED)
}

/// The fixed split, 1,437 images to train on and 360 held out: [`random_split`] of [`load`] with seed 0.
///
/// The thirteen writers of this part of the set are in both halves; the file does not say who wrote what.
pub fn split() -> (Subset, Subset) {
    let lengths = [TRAIN_SAMPLES, TEST_SAMPLES];
    let [train, test] = random_split(load(), lengths, SPLIT_SEED).expect("the two lengths add up to the whole");
    (train, test)
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Dataset;
    use super::super::loader::DataLoader;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn is_the_published_set() {
        let digits = load();
        let batch = digits.as_batch();
        let (x, y) = (batch.f32s("x").unwrap(), batch.i64s("y").unwrap());
        assert_eq!((x.len(), y.len()), (1_797 * 64, 1_797));
        // Images per class and sum of all pixels, as `sklearn.datasets.load_digits` has them.
        let per_class: Vec<usize> = (0..10).map(|class| y.iter().filter(|&&label| label == class).count()).collect();
        assert_eq!(per_class, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(x.iter().map(|&value| f64::from(value) * 16.0).sum::<f64>(), 561_718.0);
        assert_eq!(
            x[..8].iter().map(|value| value * 16.0).collect::<Vec<_>>(),
            [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]
        );
        assert!(x.iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn the_split_is_pinned_and_complete() {
        let (train, test) = split();
        assert_eq!((train.len(), test.len()), (1_437, 360));
        assert_eq!(train.indices()[..6], [937, 643, 1106, 1570, 453, 404]);
        assert_eq!(test.indices()[..6], [1060, 0, 797, 1655, 508, 1201]);
        let all: BTreeSet<usize> = train.indices().iter().chain(test.indices()).copied().collect();
        assert_eq!(all.len(), 1_797);
        // Every class is held out often enough to be measured.
        let batch = DataLoader::new(test).batch_size(360).epoch(0).next().unwrap().unwrap();
        for class in 0..10 {
            assert!(batch.i64s("y").unwrap().iter().filter(|&&label| label == class).count() >= 20);
        }
    }
}
