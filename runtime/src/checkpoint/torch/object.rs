//! What a pickle makes: plain values, and on the way there the names and storages that tensors are made of.

use std::sync::Arc;

use safetensors::Dtype;

use super::TorchError;
use super::tensor::{Storage, TorchTensor};

/// A value of a file. Keys of dicts are text; numbers, as in an optimiser's state, are written out.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Torch {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A list or tuple, or `torch.Size`.
    List(Vec<Torch>),
    /// A dict or `OrderedDict`, in its order.
    Dict(Vec<(String, Torch)>),
    Tensor(TorchTensor),
}

/// The number of an object of the machine. Objects are shared: a memo may fetch a dict while it is still being filled.
pub(super) type Id = usize;

/// An object of the machine.
#[derive(Debug, Clone)]
pub(super) enum Object {
    /// A plain value without parts.
    Plain(Torch),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Arc<Storage>),
}

/// The names that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(Dtype),
    DType(&'static str),
}

/// Storages by their classes. Halves of a complex number and quantised integers have none here.
const STORAGES: &[(&str, Dtype)] = &[
    ("DoubleStorage", Dtype::F64),
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::BF16),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::BOOL),
];

const DTYPES: &[&str] =
    &["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"];

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Result<Global, TorchError> {
        let storage = STORAGES.iter().find(|(known, _)| *known == name);
        let dtype = DTYPES.iter().find(|known| **known == name);
        match (module, name) {
            ("collections", "OrderedDict") => Ok(Global::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Ok(Global::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Ok(Global::RebuildParameter),
            ("torch", "Size") => Ok(Global::Size),
            ("torch", _) => match (storage, dtype) {
                (Some(&(_, dtype)), _) => Ok(Global::Storage(dtype)),
                (None, Some(word)) => Ok(Global::DType(word)),
                (None, None) => Err(TorchError::Refused(format!("{module}.{name}"))),
            },
            _ => Err(TorchError::Refused(format!("{module}.{name}"))),
        }
    }
}
