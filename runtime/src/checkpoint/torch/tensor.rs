//! A tensor out of its storage: PyTorch saves views as they are, with offset and strides.

use super::object::Storage;
use super::{TorchError, TorchTensor};

/// The elements of a view, row-major.
pub(super) fn view(
    storage: &Storage,
    offset: usize,
    shape: &[usize],
    stride: &[usize],
) -> Result<TorchTensor, TorchError> {
    let key = &storage.key;
    let fault = |reason: String| TorchError::Tensor(format!("a tensor of storage `{key}` {reason}"));
    if shape.len() != stride.len() {
        return Err(fault(format!("has the shape {shape:?} and the strides {stride:?}")));
    }
    let size = storage.dtype.bitsize() / 8;
    let held = storage.bytes.len() / size;
    let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    let last = shape
        .iter()
        .zip(stride)
        .try_fold(offset, |last, (&extent, &step)| last.checked_add(extent.saturating_sub(1).checked_mul(step)?));
    let (count, last) = match (count, last) {
        (Some(0), _) => (0, 0),
        (Some(count), Some(last)) if last < held => (count, last),
        _ => return Err(fault(format!("of shape {shape:?} goes beyond its {held} elements"))),
    };
    let is_contiguous = last + 1 == offset + count;
    let dense = shape
        .iter()
        .zip(stride)
        .rev()
        .try_fold(1, |expected, (&extent, &step)| (extent == 1 || step == expected).then_some(expected * extent));
    let bytes = if count == 0 {
        Vec::new()
    } else if is_contiguous && dense.is_some() {
        storage.bytes[offset * size..(offset + count) * size].to_vec()
    } else {
        // An expanded tensor has more elements than its storage, so the room is bounded by what can be read in time, not by the file.
        gathered(storage, offset, shape, stride, count, size).ok_or_else(|| fault(format!("has {count} elements")))?
    };
    Ok(TorchTensor { dtype: storage.dtype, shape: shape.to_vec(), bytes })
}

/// Elements one by one; `None` for more than a model can have.
fn gathered(
    storage: &Storage,
    offset: usize,
    shape: &[usize],
    stride: &[usize],
    count: usize,
    size: usize,
) -> Option<Vec<u8>> {
    const MAX_ELEMENTS: usize = 1 << 32;
    if count > MAX_ELEMENTS {
        return None;
    }
    let mut bytes = Vec::with_capacity(count.min(storage.bytes.len()) * size);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = offset + index.iter().zip(stride).map(|(&i, &step)| i * step).sum::<usize>();
        bytes.extend_from_slice(&storage.bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(bytes)
}
