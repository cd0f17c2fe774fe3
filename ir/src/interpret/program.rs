//! Programs: launches over one arena, laid out as the plan says, so that a wrong plan shows.
//!
//! The arena has one `f64` cell for every byte. An element's value is in the cell of its first byte, and the cells of its other
//! bytes are marked with its size; an element whose cells another element took in whole or in part holds no value any more, and
//! reading it is an error. When an entry starts, everything that does not outlive it is emptied.

use super::tensor::{UNSET, is_unset, tail};
use super::{InterpretError, Precision, Value, run_kernel};
use crate::kernel::Access;
use crate::program::{Buffer, BufferId, Class, Entry, Launch, Program};

/// A program with its memory.
#[derive(Clone, Debug)]
pub struct ProgramState<'a> {
    program: &'a Program,
    precision: Precision,
    /// One cell a byte.
    arena: Vec<f64>,
}

impl<'a> ProgramState<'a> {
    /// The program before its first step. `initial` gives the elements, as many as its second argument says, of each buffer that
    /// lives as long as the program and that the program itself starts; what the host fills and what entries return start empty.
    pub fn new(
        program: &'a Program,
        precision: Precision,
        initial: &mut dyn FnMut(&Buffer, usize) -> Vec<f64>,
    ) -> Result<Self, InterpretError> {
        let mut state = ProgramState { program, precision, arena: vec![UNSET; program.arena_bytes] };
        for buffer in &program.buffers {
            state.require_inside(buffer)?;
            if buffer.live.is_none() && !matches!(buffer.class, Class::Data | Class::Output) {
                let shape = buffer.ty.shape.at(program.max_batch);
                let data = initial(buffer, shape.iter().product());
                let value = Value::new(buffer.ty.dtype, shape, data)
                    .map_err(|error| error.within(format!("initial value of `{}`", buffer.name)))?;
                state.write_cells(buffer, &value.rounded(precision));
            }
        }
        Ok(state)
    }

    /// Runs an entry: takes its inputs, in order, and gives its outputs.
    pub fn run_entry(&mut self, name: &str, batch: usize, inputs: &[Value]) -> Result<Vec<Value>, InterpretError> {
        let program = self.program;
        let entry = program
            .entries
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| InterpretError::UnknownName { what: "entry", name: name.to_owned() })?;
        self.start(entry, batch, inputs)?;
        for (at, step) in entry.steps.iter().enumerate() {
            self.launch(step, batch).map_err(|error| error.within(format!("`{name}` step {at}")))?;
        }
        entry.outputs.iter().map(|&output| self.read(output, batch)).collect()
    }

    /// What a buffer holds; an element without a value is an error.
    pub fn read(&self, buffer: BufferId, batch: usize) -> Result<Value, InterpretError> {
        let buffer = self.program.buffer(buffer);
        let value = self.read_cells(buffer, batch);
        match value.data.iter().position(|&element| is_unset(element)) {
            Some(position) => Err(InterpretError::Unset { tensor: buffer.name.clone(), position }),
            None => Ok(value),
        }
    }

    /// Fills a buffer, as the host does with data and learning rates.
    pub fn write(&mut self, buffer: BufferId, batch: usize, value: &Value) -> Result<(), InterpretError> {
        let buffer = self.program.buffer(buffer);
        value.require(&buffer.name, &buffer.ty, batch)?;
        self.write_cells(buffer, &value.rounded(self.precision));
        Ok(())
    }

    /// Empties what does not outlive an entry, and takes the inputs.
    fn start(&mut self, entry: &Entry, batch: usize, inputs: &[Value]) -> Result<(), InterpretError> {
        if !(1..=self.program.max_batch).contains(&batch) {
            return Err(InterpretError::WrongBatch { batch, max: self.program.max_batch });
        }
        if inputs.len() != entry.inputs.len() {
            let what = format!("inputs of `{}`", entry.name);
            return Err(InterpretError::WrongCount { what, expected: entry.inputs.len(), found: inputs.len() });
        }
        for buffer in self.program.buffers.iter().filter(|buffer| buffer.live.is_some()) {
            let range = buffer.offset..buffer.offset + buffer.ty.size_bytes(self.program.max_batch);
            self.arena[range].fill(UNSET);
        }
        for (&buffer, value) in entry.inputs.iter().zip(inputs) {
            self.write(buffer, batch, value)?;
        }
        Ok(())
    }

    fn launch(&mut self, step: &Launch, batch: usize) -> Result<(), InterpretError> {
        let kernel = self.program.kernel(step.kernel);
        if step.buffers.len() != kernel.arguments().len() {
            let what = format!("buffers for kernel `{}`", kernel.name);
            return Err(InterpretError::WrongCount {
                what,
                expected: kernel.arguments().len(),
                found: step.buffers.len(),
            });
        }
        let buffers: Vec<&Buffer> = step.buffers.iter().map(|&id| self.program.buffer(id)).collect();
        for (at, tensor) in kernel.arguments().iter().enumerate().filter(|(_, tensor)| tensor.access != Access::Read) {
            let written = buffers[at];
            for (_, other) in buffers.iter().enumerate().filter(|(other, _)| *other != at) {
                let ends = |buffer: &Buffer| buffer.offset + buffer.ty.size_bytes(batch);
                if written.offset < ends(other) && other.offset < ends(written) {
                    let (first, second) = (written.name.clone(), other.name.clone());
                    return Err(InterpretError::Overlap { first, second }.within(format!("`{}`", tensor.name)));
                }
            }
        }
        let mut values: Vec<Value> = Vec::new();
        for (tensor, buffer) in kernel.tensors.iter().zip(&buffers) {
            let mut value = self.read_cells(buffer, batch);
            let shape = tensor.ty.shape.at(batch);
            if shape.iter().product::<usize>() == value.data.len() {
                // The same elements, as the kernel sees them.
                value.shape = shape;
            }
            values.push(value);
        }
        run_kernel(kernel, &mut values, batch, self.precision)?;
        for ((tensor, buffer), value) in kernel.tensors.iter().zip(&buffers).zip(&values) {
            if tensor.access != Access::Read {
                self.write_cells(buffer, value);
            }
        }
        Ok(())
    }

    fn require_inside(&self, buffer: &Buffer) -> Result<(), InterpretError> {
        if buffer.offset + buffer.ty.size_bytes(self.program.max_batch) > self.arena.len() {
            return Err(InterpretError::OutsideArena(buffer.name.clone()));
        }
        Ok(())
    }

    fn read_cells(&self, buffer: &Buffer, batch: usize) -> Value {
        let size = buffer.ty.dtype.size_bytes();
        let shape = buffer.ty.shape.at(batch);
        let count: usize = shape.iter().product();
        let bytes = &self.arena[buffer.offset..buffer.offset + count * size];
        let element = |cells: &[f64]| {
            let whole = cells[1..].iter().all(|cell| cell.to_bits() == tail(size).to_bits());
            if whole { cells[0] } else { UNSET }
        };
        Value { dtype: buffer.ty.dtype, shape, data: bytes.chunks_exact(size).map(element).collect() }
    }

    fn write_cells(&mut self, buffer: &Buffer, value: &Value) {
        let size = buffer.ty.dtype.size_bytes();
        let bytes = &mut self.arena[buffer.offset..buffer.offset + value.data.len() * size];
        for (cells, &element) in bytes.chunks_exact_mut(size).zip(&value.data) {
            cells[0] = element;
            cells[1..].fill(tail(size));
        }
    }
}
