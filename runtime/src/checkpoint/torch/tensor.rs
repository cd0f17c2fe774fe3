//! A tensor as a view of its storage: PyTorch saves views as they are, with offset and strides.

use std::borrow::Cow;
use std::sync::Arc;

use safetensors::Dtype;

use super::TorchError;

/// The bytes that a tensor may have which shows elements of its storage more than once (`expand`): a small file could otherwise ask for any amount of memory.
const MAX_EXPANDED_BYTES: usize = 1 << 30;

/// The elements that tensors are views of.
#[derive(Debug, PartialEq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) dtype: Dtype,
    pub(super) bytes: Vec<u8>,
}

/// One tensor of a file. Tensors may share their elements, which are copied only when they are not in the order of the shape.
#[derive(Debug, Clone, PartialEq)]
pub struct TorchTensor {
    storage: Arc<Storage>,
    /// Of the first element.
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl TorchTensor {
    /// A view that lies within its storage.
    pub(super) fn new(
        storage: Arc<Storage>,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<TorchTensor, TorchError> {
        let fault = |reason: String| Err(TorchError::Tensor(format!("a tensor of storage `{}` {reason}", storage.key)));
        if shape.len() != strides.len() {
            return fault(format!("has the shape {shape:?} and the strides {strides:?}"));
        }
        if !shape.contains(&0) {
            let size = storage.dtype.bitsize() / 8;
            let held = storage.bytes.len() / size;
            let axes = || shape.iter().zip(&strides);
            let last =
                axes().try_fold(offset, |last, (&extent, &step)| last.checked_add((extent - 1).checked_mul(step)?));
            if last.is_none_or(|last| last >= held) {
                return fault(format!("of shape {shape:?} goes beyond its {held} elements"));
            }
            let bytes = shape.iter().try_fold(size, |bytes, &extent| bytes.checked_mul(extent));
            if bytes.is_none_or(|bytes| bytes > MAX_EXPANDED_BYTES.max(storage.bytes.len())) {
                return fault(format!(
                    "of shape {shape:?} repeats its {held} elements too often: save it `contiguous()`"
                ));
            }
        }
        Ok(TorchTensor { storage, offset, shape, strides })
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.storage.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major and little-endian.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if self.shape.contains(&0) {
            return Cow::Borrowed(&[]);
        }
        let size = self.dtype().bitsize() / 8;
        let count: usize = self.shape.iter().product();
        let at = |element: usize| element * size..(element + 1) * size;
        if self.is_contiguous() {
            return Cow::Borrowed(&self.storage.bytes[self.offset * size..(self.offset + count) * size]);
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let element = self.offset + index.iter().zip(&self.strides).map(|(&i, &step)| i * step).sum::<usize>();
            bytes.extend_from_slice(&self.storage.bytes[at(element)]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Cow::Owned(bytes)
    }

    /// Whether the elements lie in the order of the shape. The view lies within its storage, so the products do not overflow.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&extent, &step)| {
            let fits = extent == 1 || step == expected;
            expected *= extent;
            fits
        })
    }
}
