//! The tensors of a running kernel, with the record of who touched what: the rules of [`Access`] are checked at each access.

use std::cell::Cell;

use super::tensor::UNSET;
use super::{InterpretError, Operands, Scalar, Value};
use crate::kernel::{Access, Kernel};
use crate::{DType, TensorId};

/// What stands outside of loops is one iteration; those of the loops are numbered after it.
pub(super) const OUTSIDE: u32 = 1;

/// The tensors of one launch.
pub(super) struct Memory<'a> {
    kernel: &'a Kernel,
    values: &'a mut [Value],
    /// The scratch tensors, as the iteration at hand has them.
    scratch: Vec<Value>,
    records: Vec<Vec<Record>>,
    /// The iteration of the outermost loops that runs, from 1.
    pub(super) iteration: u32,
    /// Whether a serial loop runs, whose iterations may share elements.
    pub(super) in_serial: bool,
}

/// Which iteration touched an element last; 0 is none.
#[derive(Clone, Default)]
struct Record {
    loaded: Cell<u32>,
    stored: Cell<u32>,
}

impl<'a> Memory<'a> {
    /// The tensors, which must be those that the kernel declares. What it writes starts without values.
    pub(super) fn new(kernel: &'a Kernel, values: &'a mut [Value], batch: usize) -> Result<Self, InterpretError> {
        if values.len() != kernel.arguments().len() {
            let (expected, found) = (kernel.arguments().len(), values.len());
            return Err(InterpretError::WrongCount { what: "tensors of the kernel".to_owned(), expected, found });
        }
        let mut records = Vec::new();
        for (tensor, value) in kernel.tensors.iter().zip(values.iter_mut()) {
            value.require(&tensor.name, &tensor.ty, batch)?;
            if tensor.access == Access::Write {
                value.data.fill(UNSET);
            }
            let tracked = if tensor.access == Access::Read { 0 } else { value.data.len() };
            records.push(vec![Record::default(); tracked]);
        }
        let mut scratch = Vec::new();
        for tensor in &kernel.tensors[values.len()..] {
            let shape = tensor.ty.shape.at(batch);
            let data = vec![UNSET; shape.iter().product()];
            records.push(vec![Record::default(); data.len()]);
            scratch.push(Value { dtype: tensor.ty.dtype, shape, data });
        }
        Ok(Memory { kernel, values, scratch, records, iteration: 0, in_serial: false })
    }

    /// The next iteration begins: what the one before has left in scratch memory is nobody's.
    pub(super) fn begin(&mut self, iteration: u32) {
        self.iteration = iteration;
        for (value, records) in self.scratch.iter_mut().zip(&mut self.records[self.values.len()..]) {
            value.data.fill(UNSET);
            records.fill(Record::default());
        }
    }

    fn value(&self, tensor: TensorId) -> &Value {
        let at = tensor.0 as usize;
        self.values.get(at).unwrap_or_else(|| &self.scratch[at - self.values.len()])
    }

    /// Whether this iteration may not touch what another, `by`, has touched. A serial loop outside of the others follows them all.
    fn is_foreign(&self, by: &Cell<u32>) -> bool {
        let follows = self.in_serial && self.iteration == OUTSIDE;
        by.get() != 0 && by.get() != self.iteration && !follows
    }

    /// Writes one element.
    pub(super) fn store(&mut self, tensor: TensorId, position: usize, value: Scalar) -> Result<(), InterpretError> {
        let declared = self.kernel.tensor(tensor);
        let name = || declared.name.clone();
        if value.dtype() != declared.ty.dtype {
            let (left, right) = (declared.ty.dtype, value.dtype());
            return Err(InterpretError::MixedDTypes { node: "store", left, right });
        }
        if declared.access == Access::Read {
            return Err(InterpretError::WrongAccess { tensor: name(), access: "stored" });
        }
        let record = &self.records[tensor.0 as usize][position];
        if record.stored.get() != 0 && !self.in_serial {
            return Err(InterpretError::StoredTwice { tensor: name(), position });
        }
        if self.is_foreign(&record.stored) || self.is_foreign(&record.loaded) {
            return Err(InterpretError::SharedElement { tensor: name(), position });
        }
        record.stored.set(self.iteration);
        let (at, arguments) = (tensor.0 as usize, self.values.len());
        let held = if at < arguments { &mut self.values[at] } else { &mut self.scratch[at - arguments] };
        held.data[position] = value.to_element()?;
        Ok(())
    }

    /// Fails unless every element that the kernel must write is written.
    pub(super) fn require_stored(&self) -> Result<(), InterpretError> {
        for (tensor, records) in self.kernel.tensors.iter().zip(&self.records) {
            let missing = records.iter().position(|record| record.stored.get() == 0);
            if let (Access::Write, Some(position)) = (tensor.access, missing) {
                return Err(InterpretError::NotStored { tensor: tensor.name.clone(), position });
            }
        }
        Ok(())
    }
}

impl Operands for Memory<'_> {
    fn describe(&self, tensor: TensorId) -> Result<(&str, DType, &[usize]), InterpretError> {
        let declared = self.kernel.tensors.get(tensor.0 as usize).ok_or(InterpretError::UnknownTensor(tensor.0))?;
        Ok((&declared.name, declared.ty.dtype, &self.value(tensor).shape))
    }

    fn element(&self, tensor: TensorId, position: usize) -> Result<f64, InterpretError> {
        let declared = self.kernel.tensor(tensor);
        match declared.access {
            Access::Read => {}
            Access::Scratch => {
                if self.records[tensor.0 as usize][position].stored.get() != self.iteration {
                    return Err(InterpretError::Unset { tensor: declared.name.clone(), position });
                }
            }
            Access::Write if self.in_serial => {
                let stored = &self.records[tensor.0 as usize][position].stored;
                if self.is_foreign(stored) {
                    return Err(InterpretError::SharedElement { tensor: declared.name.clone(), position });
                }
            }
            Access::Write => {
                return Err(InterpretError::WrongAccess { tensor: declared.name.clone(), access: "loaded" });
            }
            Access::Update => {
                let record = &self.records[tensor.0 as usize][position];
                // Of two loads by different iterations one is not by the iteration that stores, if any does.
                let others = [&record.loaded, &record.stored].map(|by| self.is_foreign(by));
                if others[1] || (others[0] && record.stored.get() != 0) {
                    return Err(InterpretError::SharedElement { tensor: declared.name.clone(), position });
                }
                if !others[0] {
                    record.loaded.set(self.iteration);
                }
            }
        }
        Ok(self.value(tensor).data[position])
    }
}
