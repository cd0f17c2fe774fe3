//! Trainings as compiled programs: the whole pipeline, the CPU back end and the runtime.
//!
//! The gradients come from a second program, the same training without an optimiser: there they are outputs of `train_step`.

use std::collections::BTreeMap;

use half::{bf16, f16};
use kiln::runtime::abi::ElementType;
use kiln::runtime::{Input, Lbfgs, LbfgsStep, SlotView, Trainer};
use kiln::{Compiler, Selection, Traced};
use kiln_ir::DType;
use kiln_ir::interpret::Value;

use super::backend::trained;
use super::{Batch, Engine, EngineError};

const TRAIN_STEP: &str = "train_step";

/// Before the name of a parameter: its gradient's output.
const GRADIENT: &str = "d_";

/// A compiled training.
pub struct Jit {
    trainer: Trainer,
    gradients: Trainer,
    parameters: Vec<String>,
}

/// The elements of an input, as the runtime takes them.
pub enum Elements {
    /// f64.
    F64(Vec<f64>),
    /// f32.
    F32(Vec<f32>),
    /// The bits of f16.
    F16(Vec<u16>),
    /// The bits of bf16.
    BF16(Vec<u16>),
    /// i64.
    I64(Vec<i64>),
    /// i32.
    I32(Vec<i32>),
    /// u8.
    U8(Vec<u8>),
    /// bool.
    Bool(Vec<bool>),
}

impl Jit {
    /// Compiles both programs.
    pub fn new(traced: Traced, selection: Selection) -> Result<Jit, EngineError> {
        let parameters = trained(&traced);
        let without = Traced { rules: None, accumulate: None, eval: None, predict: None, ..traced.clone() };
        Ok(Jit { trainer: compile(traced, selection.clone())?, gradients: compile(without, selection)?, parameters })
    }
}

impl Engine for Jit {
    fn get(&self, name: &str) -> Result<Value, EngineError> {
        value_of(self.trainer.slot(name)?)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), EngineError> {
        let found = self.get(name)?;
        if (found.dtype, &found.shape) != (value.dtype, &value.shape) {
            let text = |value: &Value| format!("{}{:?}", value.dtype, value.shape);
            let (expected, found) = (text(&found), text(value));
            return Err(EngineError::WrongTensor { name: name.to_owned(), expected, found });
        }
        let elements = Elements::new(value);
        self.trainer.slot_mut(name)?.bytes_mut().copy_from_slice(elements.input().bytes());
        Ok(())
    }

    fn gradients(&mut self, batch: &Batch) -> Result<BTreeMap<String, Value>, EngineError> {
        for slot in self.trainer.state() {
            if let Ok(mut other) = self.gradients.slot_mut(slot.name()) {
                other.bytes_mut().copy_from_slice(slot.bytes());
            }
        }
        with_inputs(&mut self.gradients, TRAIN_STEP, batch, |trainer, inputs| trainer.run(TRAIN_STEP, inputs))?;
        let gradient =
            |name: &String| Ok((name.clone(), value_of(self.gradients.slot(&format!("{GRADIENT}{name}"))?)?));
        self.parameters.iter().map(gradient).collect()
    }

    fn train_step(&mut self, batch: &Batch) -> Result<f64, EngineError> {
        let loss = with_inputs(&mut self.trainer, TRAIN_STEP, batch, |trainer, inputs| trainer.train_step(inputs))?;
        Ok(f64::from(loss))
    }

    fn lbfgs_step(&mut self, optimizer: &mut Lbfgs, batch: &Batch) -> Result<LbfgsStep, EngineError> {
        with_inputs(&mut self.trainer, TRAIN_STEP, batch, |trainer, inputs| optimizer.step(trainer, inputs))
    }

    fn eval_loss(&mut self, batch: &Batch) -> Result<f64, EngineError> {
        let loss = with_inputs(&mut self.trainer, "eval_loss", batch, |trainer, inputs| trainer.eval_loss(inputs))?;
        Ok(f64::from(loss))
    }
}

impl Elements {
    /// The elements of a tensor.
    pub fn new(value: &Value) -> Elements {
        let data = value.data.iter();
        match value.dtype {
            DType::F64 => Elements::F64(value.data.clone()),
            DType::F32 => Elements::F32(data.map(|&x| x as f32).collect()),
            DType::F16 => Elements::F16(data.map(|&x| f16::from_f64(x).to_bits()).collect()),
            DType::BF16 => Elements::BF16(data.map(|&x| bf16::from_f64(x).to_bits()).collect()),
            DType::I64 => Elements::I64(data.map(|&x| x as i64).collect()),
            DType::I32 => Elements::I32(data.map(|&x| x as i32).collect()),
            DType::U8 => Elements::U8(data.map(|&x| x as u8).collect()),
            DType::Bool => Elements::Bool(data.map(|&x| x != 0.0).collect()),
        }
    }

    /// The same, borrowed.
    pub fn input(&self) -> Input<'_> {
        match self {
            Elements::F64(elements) => elements.into(),
            Elements::F32(elements) => elements.into(),
            Elements::F16(bits) => Input::F16(bits),
            Elements::BF16(bits) => Input::BF16(bits),
            Elements::I64(elements) => elements.into(),
            Elements::I32(elements) => elements.into(),
            Elements::U8(elements) => elements.into(),
            Elements::Bool(elements) => elements.into(),
        }
    }
}

fn compile(traced: Traced, selection: Selection) -> Result<Trainer, EngineError> {
    let compiler = Compiler::new().algorithms(selection);
    Ok(compiler.compile_traced(traced)?.jit(&compiler)?)
}

/// Calls `run` with the tensors of `batch` in the order of the entry's inputs.
fn with_inputs<R>(
    trainer: &mut Trainer,
    entry: &str,
    batch: &Batch,
    run: impl FnOnce(&mut Trainer, &[Input<'_>]) -> Result<R, kiln::runtime::Error>,
) -> Result<R, EngineError> {
    let slots = trainer.session().entry(entry)?.inputs.iter();
    let names = slots.map(|&slot| trainer.program().slots[slot as usize].name.as_ref());
    let elements = |name: &str| batch.get(name).map(Elements::new).ok_or_else(|| EngineError::NoState(name.to_owned()));
    let elements = names.map(elements).collect::<Result<Vec<Elements>, _>>()?;
    let inputs: Vec<Input<'_>> = elements.iter().map(Elements::input).collect();
    Ok(run(trainer, &inputs)?)
}

/// A slot as a tensor of the interpreter.
pub fn value_of(slot: SlotView<'_>) -> Result<Value, EngineError> {
    let shape = slot.shape().iter().map(|&extent| extent as usize).collect();
    let (dtype, data) = match slot.element() {
        ElementType::F64 => (DType::F64, slot.elements::<f64>()?.to_vec()),
        ElementType::F32 => (DType::F32, slot.elements::<f32>()?.iter().map(|&x| f64::from(x)).collect()),
        ElementType::I64 => (DType::I64, slot.elements::<i64>()?.iter().map(|&x| x as f64).collect()),
        ElementType::I32 => (DType::I32, slot.elements::<i32>()?.iter().map(|&x| f64::from(x)).collect()),
        ElementType::U8 => (DType::U8, slot.elements::<u8>()?.iter().map(|&x| f64::from(x)).collect()),
        ElementType::Bool => (DType::Bool, slot.elements::<u8>()?.iter().map(|&x| f64::from(x)).collect()),
        ElementType::F16 => (DType::F16, slot.elements()?.iter().map(|&x| f16::from_bits(x).to_f64()).collect()),
        ElementType::BF16 => (DType::BF16, slot.elements()?.iter().map(|&x| bf16::from_bits(x).to_f64()).collect()),
    };
    Ok(Value::new(dtype, shape, data)?)
}
