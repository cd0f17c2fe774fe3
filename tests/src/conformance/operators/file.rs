//! `operators/<op>.json`: the calls of one operator and what PyTorch answers.

use std::collections::BTreeMap;

use kiln_ir::DType;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::super::Tolerance;

/// One file.
#[derive(Debug, Deserialize)]
pub struct OperatorFile {
    /// The operator's name in PyTorch's database.
    pub op: String,
    /// Calls with results.
    pub cases: Vec<Case>,
    /// Calls that must be refused.
    #[serde(default)]
    pub errors: Vec<ErrorCase>,
}

/// One call.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// `<op>/<number>`.
    pub id: String,
    /// Which overload the arguments are for.
    pub signature: usize,
    /// By parameter name.
    pub args: BTreeMap<String, Argument>,
    /// In PyTorch's order.
    pub outputs: Vec<Output>,
    /// Gradients of `Σ cotangent·output`.
    #[serde(default)]
    pub grads: Vec<Expected>,
    /// Inputs that the call changes.
    #[serde(default)]
    pub mutated: Vec<Expected>,
}

/// One call that must end in an error.
#[derive(Debug, Deserialize)]
pub struct ErrorCase {
    /// `<op>/e<number>`.
    pub id: String,
    /// Which overload the arguments are for.
    pub signature: usize,
    /// By parameter name.
    pub args: BTreeMap<String, Argument>,
    /// What PyTorch says.
    pub message: String,
}

/// An output.
#[derive(Debug, Deserialize)]
pub struct Output {
    /// The key of the result; in half precision PyTorch's own, then `reference` is what counts.
    pub tensor: String,
    /// The key of the float64 result of a case in half precision.
    pub reference: Option<String>,
    /// The dtype of the result.
    #[serde(deserialize_with = "dtype")]
    pub dtype: DType,
    /// Where a gradient flows: the key of the upstream gradient.
    pub cotangent: Option<String>,
    /// The tolerance.
    #[serde(flatten)]
    pub tolerance: ToleranceFields,
}

/// A gradient, or the new value of an input.
#[derive(Debug, Deserialize)]
pub struct Expected {
    /// The key of the input.
    pub of: String,
    /// The key of the value.
    pub tensor: String,
    /// The dtype that PyTorch returns it in, if the file says so.
    #[serde(default, deserialize_with = "optional_dtype")]
    pub dtype: Option<DType>,
    /// The tolerance.
    #[serde(flatten)]
    pub tolerance: ToleranceFields,
}

/// A tolerance as the fields of an object.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ToleranceFields {
    rtol: f64,
    atol: f64,
}

impl From<ToleranceFields> for Tolerance {
    fn from(ToleranceFields { rtol, atol }: ToleranceFields) -> Tolerance {
        Tolerance { rtol, atol }
    }
}

/// An argument.
#[derive(Clone, PartialEq, Debug)]
pub enum Argument {
    /// Python's `None`.
    None,
    /// A truth value.
    Flag(bool),
    /// A number without a decimal point.
    Int(i64),
    /// A number with one.
    Float(f64),
    /// A string.
    Text(String),
    /// A dtype.
    DType(DType),
    /// The tensor of this key.
    Tensor(String),
    /// Any tensor of this type.
    Zeros(DType, Vec<usize>),
    /// A list or tuple.
    List(Vec<Argument>),
    /// `start:stop:step` of a subscript.
    Slice([Option<i64>; 3]),
    /// `...` of a subscript.
    Ellipsis,
    /// `None` of a subscript.
    NewAxis,
    /// An index tensor of a subscript, written out.
    Indices(Vec<Argument>),
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Argument, D::Error> {
        let json = Json::deserialize(deserializer)?;
        argument(&json).ok_or_else(|| serde::de::Error::custom(format!("an argument of an unknown form: {json}")))
    }
}

fn argument(json: &Json) -> Option<Argument> {
    let list = |items: &Vec<Json>| items.iter().map(argument).collect::<Option<Vec<Argument>>>();
    Some(match json {
        Json::Null => Argument::None,
        Json::Bool(flag) => Argument::Flag(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Argument::Int(integer),
            None => Argument::Float(number.as_f64()?),
        },
        Json::String(text) => Argument::Text(text.clone()),
        Json::Array(items) => Argument::List(list(items)?),
        Json::Object(fields) => {
            let (kind, value) = fields.iter().next()?;
            match kind.as_str() {
                "tensor" => Argument::Tensor(value.as_str()?.to_owned()),
                "float" => Argument::Float(value.as_str()?.parse().ok()?),
                "dtype" => Argument::DType(dtype_of(value.as_str()?)?),
                "zeros" => {
                    let shape = value.get("shape")?.as_array()?.iter();
                    let shape = shape.map(|extent| Some(extent.as_u64()? as usize)).collect::<Option<_>>()?;
                    Argument::Zeros(dtype_of(value.get("dtype")?.as_str()?)?, shape)
                }
                "slice" => {
                    let bounds: Vec<Option<i64>> = value.as_array()?.iter().map(Json::as_i64).collect();
                    Argument::Slice(bounds.try_into().ok()?)
                }
                "ellipsis" => Argument::Ellipsis,
                "newaxis" => Argument::NewAxis,
                "list" => Argument::Indices(list(value.as_array()?)?),
                _ => return None,
            }
        }
    })
}

fn dtype_of(name: &str) -> Option<DType> {
    Some(match name {
        "bool" => DType::Bool,
        "uint8" => DType::U8,
        "int32" => DType::I32,
        "int64" => DType::I64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "float32" => DType::F32,
        "float64" => DType::F64,
        _ => return None,
    })
}

fn dtype<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DType, D::Error> {
    let name = String::deserialize(deserializer)?;
    dtype_of(&name).ok_or_else(|| serde::de::Error::custom(format!("an unknown dtype: {name}")))
}

fn optional_dtype<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DType>, D::Error> {
    dtype(deserializer).map(Some)
}
