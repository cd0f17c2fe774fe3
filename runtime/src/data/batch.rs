//! Batches: struct-of-arrays, one contiguous host tensor per named field.
//!
//! A batch's buffers belong to its loader's pool and go back there when the batch is dropped, so that memory stays flat
//! over any number of steps.

use super::error::DataError;
use super::host::{Field, HostDtype, HostTensor};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Several samples, one tensor per field: field `f` of sample `i` is row `i` of tensor `f`.
pub struct Batch {
    size: usize,
    fields: Arc<[Field]>,
    /// Beside `fields`; each holds `size` rows.
    tensors: Vec<HostTensor>,
    /// Where the buffers go when the batch is dropped.
    pool: Option<Arc<BufferPool>>,
}

/// One row of a batch under construction, which a [`Dataset`](super::Dataset) fills. Rows start as zeros.
pub struct Sample<'a> {
    batch: &'a mut Batch,
    row: usize,
}

/// Buffers between two uses. It never holds more than `capacity` sets, whatever the user does with batches.
#[derive(Debug)]
pub(super) struct BufferPool {
    free: Mutex<Vec<Vec<HostTensor>>>,
    capacity: usize,
}

/// The typed readers of a batch and the typed writers of a sample differ only in the element type.
macro_rules! typed_access {
    ($method:ident, $element:ty, $variant:ident) => {
        impl Batch {
            #[doc = concat!("Field `name` as `[size, sample shape...]` of `", stringify!($element), "`.")]
            pub fn $method(&self, name: &str) -> Result<&[$element], DataError> {
                let position = self.position(name)?;
                match &self.tensors[position] {
                    HostTensor::$variant(values) => Ok(values),
                    other => Err(wrong_dtype(name, HostDtype::$variant, other.dtype())),
                }
            }
        }

        impl Sample<'_> {
            #[doc = concat!("Field `name` of this sample, to be filled with `", stringify!($element), "`.")]
            pub fn $method(&mut self, name: &str) -> Result<&mut [$element], DataError> {
                let position = self.batch.position(name)?;
                let elements = self.batch.fields[position].elements();
                match &mut self.batch.tensors[position] {
                    HostTensor::$variant(values) => Ok(&mut values[self.row * elements..][..elements]),
                    other => Err(wrong_dtype(name, HostDtype::$variant, other.dtype())),
                }
            }
        }
    };
}

typed_access!(f32s, f32, F32);
typed_access!(i64s, i64, I64);
typed_access!(u8s, u8, U8);

impl Batch {
    /// Makes a batch by hand, from arrays of `size` rows each.
    pub fn new(size: usize, columns: Vec<(Field, HostTensor)>) -> Result<Self, DataError> {
        for (field, tensor) in &columns {
            if field.dtype != tensor.dtype() {
                return Err(wrong_dtype(&field.name, field.dtype, tensor.dtype()));
            }
            let expected = size.saturating_mul(field.elements());
            if tensor.len() != expected {
                return Err(DataError::FieldLength {
                    name: field.name.clone(),
                    samples: size,
                    shape: field.shape.clone(),
                    expected,
                    found: tensor.len(),
                });
            }
        }
        let (fields, tensors): (Vec<Field>, Vec<HostTensor>) = columns.into_iter().unzip();
        Ok(Self { size, fields: fields.into(), tensors, pool: None })
    }

    /// How many samples; the last batch of an epoch may have fewer than the loader's `batch_size`.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The fields, in the data set's order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Each field with its tensor, in the data set's order.
    pub fn columns(&self) -> impl Iterator<Item = (&Field, &HostTensor)> {
        self.fields.iter().zip(&self.tensors)
    }

    /// The tensor of field `name`.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.position(name).ok().map(|position| &self.tensors[position])
    }

    /// A batch of zeros whose buffers come from `pool` and go back there.
    pub(super) fn from_pool(size: usize, fields: &Arc<[Field]>, pool: &Arc<BufferPool>) -> Self {
        let mut tensors =
            pool.take().unwrap_or_else(|| fields.iter().map(|field| HostTensor::empty(field.dtype)).collect());
        for (field, tensor) in fields.iter().zip(&mut tensors) {
            tensor.reset(size * field.elements());
        }
        Self { size, fields: fields.clone(), tensors, pool: Some(pool.clone()) }
    }

    pub(super) fn sample(&mut self, row: usize) -> Sample<'_> {
        Sample { batch: self, row }
    }

    fn position(&self, name: &str) -> Result<usize, DataError> {
        self.fields.iter().position(|field| field.name == name).ok_or_else(|| DataError::NoField {
            name: name.to_owned(),
            available: self.fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.give_back(std::mem::take(&mut self.tensors));
        }
    }
}

impl Sample<'_> {
    /// Copies row `index` of `source`, which has the same fields.
    pub(super) fn copy_from(&mut self, source: &Batch, index: usize) -> Result<(), DataError> {
        let row = self.row;
        for (field, (to, from)) in source.fields.iter().zip(self.batch.tensors.iter_mut().zip(&source.tensors)) {
            let elements = field.elements();
            let (to_range, from_range) =
                (row * elements..(row + 1) * elements, index * elements..(index + 1) * elements);
            match (to, from) {
                (HostTensor::F32(to), HostTensor::F32(from)) => to[to_range].copy_from_slice(&from[from_range]),
                (HostTensor::I64(to), HostTensor::I64(from)) => to[to_range].copy_from_slice(&from[from_range]),
                (HostTensor::U8(to), HostTensor::U8(from)) => to[to_range].copy_from_slice(&from[from_range]),
                (to, from) => return Err(wrong_dtype(&field.name, to.dtype(), from.dtype())),
            }
        }
        Ok(())
    }
}

impl BufferPool {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(Vec::with_capacity(capacity)), capacity })
    }

    fn take(&self) -> Option<Vec<HostTensor>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, tensors: Vec<HostTensor>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.capacity {
            free.push(tensors);
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("size", &self.size).field("fields", &self.fields).finish_non_exhaustive()
    }
}

fn wrong_dtype(name: &str, expected: HostDtype, found: HostDtype) -> DataError {
    DataError::FieldDtype { name: name.to_owned(), expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_samples() -> Batch {
        let x = (Field::f32("x", &[3]), HostTensor::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let y = (Field::i64("y", &[]), HostTensor::I64(vec![7, 8]));
        Batch::new(2, vec![x, y]).unwrap()
    }

    #[test]
    fn gives_fields_by_name_and_type() {
        let batch = two_samples();
        assert_eq!(batch.size(), 2);
        assert_eq!(batch.f32s("x").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(batch.i64s("y").unwrap(), [7, 8]);
        assert_eq!(batch.get("y"), Some(&HostTensor::I64(vec![7, 8])));
        assert_eq!(batch.get("z"), None);
        assert_eq!(batch.f32s("z").unwrap_err().to_string(), "no field `z`; the data have `x`, `y`");
        assert_eq!(batch.f32s("y").unwrap_err().to_string(), "field `y` is i64, used as f32");
    }

    #[test]
    fn refuses_arrays_of_the_wrong_size_or_type() {
        let short = Batch::new(2, vec![(Field::f32("x", &[3]), HostTensor::F32(vec![0.0; 5]))]).unwrap_err();
        assert_eq!(short.to_string(), "field `x` of 2 samples of shape [3] needs 6 elements, found 5");
        let bytes = Batch::new(1, vec![(Field::f32("x", &[3]), HostTensor::U8(vec![0; 3]))]).unwrap_err();
        assert!(matches!(bytes, DataError::FieldDtype { .. }), "{bytes}");
    }

    #[test]
    fn recycled_buffers_are_zeroed_and_bounded() {
        let fields: Arc<[Field]> = vec![Field::f32("x", &[2])].into();
        let pool = BufferPool::new(1);
        let mut batch = Batch::from_pool(2, &fields, &pool);
        batch.sample(1).f32s("x").unwrap().fill(9.0);
        assert_eq!(batch.f32s("x").unwrap(), [0.0, 0.0, 9.0, 9.0]);
        let address = batch.f32s("x").unwrap().as_ptr();
        let other = Batch::from_pool(2, &fields, &pool);
        drop(batch);
        drop(other);
        assert_eq!(pool.free.lock().unwrap().len(), 1);
        let recycled = Batch::from_pool(1, &fields, &pool);
        assert_eq!(recycled.f32s("x").unwrap(), [0.0, 0.0]);
        assert_eq!(recycled.f32s("x").unwrap().as_ptr(), address);
    }
}
