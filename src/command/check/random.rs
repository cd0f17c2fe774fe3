//! Random inputs that depend on a tensor's name only, so that every stage of a unit gets the same ones; and the bytes of elements.

use std::collections::BTreeMap;

use kiln_ir::interpret::{Precision, Value};
use kiln_ir::{DType, Graph, Init, Role, Type};
use kiln_runtime::Input;
use kiln_runtime::abi::ElementType;
use kiln_runtime::philox::Philox4x32;

/// Labels are drawn below this many classes: every op that takes labels has at least two.
const CLASSES: u64 = 2;

/// The seed of the model's own random numbers.
const SEED: f64 = 7.0;

/// Every input of a graph.
pub(super) fn inputs(graph: &Graph, batch: usize) -> BTreeMap<String, Value> {
    let value = |name: &str, ty: &Type, role: Role, init: &Init| match role {
        Role::Data => data(name, ty, batch),
        _ => Value { dtype: ty.dtype, shape: ty.shape.at(batch), data: state(name, ty, init, batch, false) },
    };
    let inputs = graph.inputs().into_iter();
    inputs
        .map(|(id, input)| {
            let name = graph.name_of(id).to_owned();
            let value = value(&name, graph.ty(id), input.role, &input.init);
            (name, value)
        })
        .collect()
}

/// Data from the host: numbers around zero, labels below [`CLASSES`].
pub(super) fn data(name: &str, ty: &Type, batch: usize) -> Value {
    let mut generator = generator(name);
    let count = ty.shape.count().at(batch);
    let draw = || match ty.dtype.is_float() {
        true => f64::from(generator.normal_f32()),
        false => generator.below(CLASSES) as f64,
    };
    let data = std::iter::repeat_with(draw).take(count).map(|x| rounded(ty.dtype, x)).collect();
    Value { dtype: ty.dtype, shape: ty.shape.at(batch), data }
}

/// Persistent values: where a tensor starts with one constant it keeps it, otherwise numbers of a weight's size.
pub(super) fn state(name: &str, ty: &Type, init: &Init, batch: usize, exact: bool) -> Vec<f64> {
    let count = ty.shape.count().at(batch);
    let mut generator = generator(name);
    let mut weight = || rounded(ty.dtype, f64::from(generator.normal_f32()) * 0.1);
    match init {
        Init::Data(data) if exact || data.len() == count => data.clone(),
        Init::Zeros => vec![0.0; count],
        Init::Seed => vec![SEED; count],
        Init::Constant(value) => vec![rounded(ty.dtype, *value); count],
        _ => std::iter::repeat_with(&mut weight).take(count).collect(),
    }
}

/// Writes elements of a dtype.
pub(super) fn write(dtype: DType, values: &[f64], bytes: &mut [u8]) {
    for (value, bytes) in values.iter().zip(bytes.chunks_exact_mut(dtype.size_bytes())) {
        match dtype {
            DType::Bool | DType::U8 => bytes.copy_from_slice(&[*value as u8]),
            DType::I32 => bytes.copy_from_slice(&(*value as i32).to_le_bytes()),
            DType::I64 => bytes.copy_from_slice(&(*value as i64).to_le_bytes()),
            DType::F32 => bytes.copy_from_slice(&(*value as f32).to_le_bytes()),
            DType::F64 => bytes.copy_from_slice(&value.to_le_bytes()),
            DType::F16 => ElementType::F16.write_f64(*value, bytes),
            DType::BF16 => ElementType::BF16.write_f64(*value, bytes),
        }
    }
}

/// Reads elements of a dtype.
pub(super) fn read(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let element = |bytes: &[u8]| match (dtype, bytes) {
        (DType::Bool | DType::U8, &[byte]) => f64::from(byte),
        (DType::I32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
        (DType::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (DType::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
        (DType::F16, bytes) => ElementType::F16.read_f64(bytes).unwrap_or(f64::NAN),
        (DType::BF16, bytes) => ElementType::BF16.read_f64(bytes).unwrap_or(f64::NAN),
        (DType::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    };
    bytes.chunks_exact(dtype.size_bytes()).map(element).collect()
}

/// An input of the runtime with its elements.
pub(super) enum Typed {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<u16>),
    BF16(Vec<u16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    Bool(Vec<bool>),
}

impl Typed {
    pub(super) fn read(dtype: DType, bytes: &[u8]) -> Typed {
        let values = read(dtype, bytes).into_iter();
        let halves = || bytes.as_chunks().0.iter().map(|half| u16::from_ne_bytes(*half)).collect();
        match dtype {
            DType::F64 => Typed::F64(values.collect()),
            DType::I32 => Typed::I32(values.map(|x| x as i32).collect()),
            DType::I64 => Typed::I64(values.map(|x| x as i64).collect()),
            DType::U8 => Typed::U8(values.map(|x| x as u8).collect()),
            DType::Bool => Typed::Bool(values.map(|x| x != 0.0).collect()),
            DType::F32 => Typed::F32(values.map(|x| x as f32).collect()),
            DType::F16 => Typed::F16(halves()),
            DType::BF16 => Typed::BF16(halves()),
        }
    }

    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Typed::F32(elements) => Input::F32(elements),
            Typed::F64(elements) => Input::F64(elements),
            Typed::F16(bits) => Input::F16(bits),
            Typed::BF16(bits) => Input::BF16(bits),
            Typed::I32(elements) => Input::I32(elements),
            Typed::I64(elements) => Input::I64(elements),
            Typed::U8(elements) => Input::U8(elements),
            Typed::Bool(elements) => Input::Bool(elements),
        }
    }
}

fn rounded(dtype: DType, value: f64) -> f64 {
    Precision::Declared.round(value, dtype)
}

/// A stream for each name.
fn generator(name: &str) -> Philox4x32 {
    let stream = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Philox4x32::new(0, stream)
}
