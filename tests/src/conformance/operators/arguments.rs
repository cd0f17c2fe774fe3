//! A call's arguments, as the rows take them: typed, by PyTorch's parameter names, with the defaults of its signatures.

use std::collections::BTreeMap;
use std::str::FromStr;

use kiln::prelude::*;
use kiln::{Code, Diagnostic, Operand, Scalar};

use super::file::Argument;
use super::rows::Results;

/// Why a row gives no results.
#[derive(Debug)]
pub enum Stop {
    /// The runner cannot express the call; the case has failed.
    Inexpressible(String),
    /// Rust's types refuse the argument: a negative number where a count belongs, a word that is no variant of an enum.
    Refused(Diagnostic),
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Stop {
        Stop::Refused(diagnostic)
    }
}

/// A tensor, or a number where PyTorch takes one in its place.
#[derive(Clone, Copy, Debug)]
pub enum Either {
    /// A tensor.
    Tensor(Tensor),
    /// A number.
    Scalar(Scalar),
}

impl Operand for Either {
    #[track_caller]
    fn like(self, other: Tensor) -> Tensor {
        match self {
            Either::Tensor(tensor) => tensor,
            Either::Scalar(scalar) => scalar.like(other),
        }
    }
}

/// The arguments of one call.
pub struct Args<'a> {
    /// The operator.
    pub op: &'a str,
    /// Which overload they are for.
    pub signature: usize,
    pub(super) arguments: &'a BTreeMap<String, Argument>,
    /// The tensors by key; those without one by their place, as `path` writes it.
    pub(super) tensors: &'a BTreeMap<String, Tensor>,
}

impl<'a> Args<'a> {
    /// An argument as it is; `None` when it is absent or Python's `None`.
    pub fn get(&self, name: &str) -> Option<&'a Argument> {
        self.arguments.get(name).filter(|argument| **argument != Argument::None)
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Result<Tensor, Stop> {
        self.optional_tensor(name)?.ok_or_else(|| self.wrong(name, "a tensor"))
    }

    /// A tensor that may be absent.
    pub fn optional_tensor(&self, name: &str) -> Result<Option<Tensor>, Stop> {
        self.get(name).map(|argument| self.tensor_of(argument, name)).transpose()
    }

    /// Several tensors.
    pub fn tensors(&self, name: &str) -> Result<Vec<Tensor>, Stop> {
        let Some(Argument::List(items)) = self.get(name) else { return Err(self.wrong(name, "a list of tensors")) };
        let tensor = |(at, item)| self.tensor_of(item, &format!("{name}.{at}"));
        items.iter().enumerate().map(tensor).collect()
    }

    /// The tensor of an argument that is nested at `path`.
    pub fn tensor_of(&self, argument: &Argument, path: &str) -> Result<Tensor, Stop> {
        let key = match argument {
            Argument::Tensor(key) => key,
            Argument::Zeros(..) => path,
            // Rust's types do not take a number for a tensor.
            _ => {
                let message = format!("{} needs a tensor for `{path}`: found {argument:?}", self.op);
                return Err(Diagnostic::new(Code::BadArgument, message).into());
            }
        };
        self.tensors.get(key).copied().ok_or_else(|| self.wrong(path, "a tensor"))
    }

    /// A tensor or a number.
    pub fn either(&self, name: &str) -> Result<Either, Stop> {
        match self.get(name) {
            Some(argument @ (Argument::Tensor(_) | Argument::Zeros(..))) => {
                Ok(Either::Tensor(self.tensor_of(argument, name)?))
            }
            Some(_) => self.scalar(name, Scalar::Int(0)).map(Either::Scalar),
            None => Err(self.wrong(name, "a tensor or a number")),
        }
    }

    /// Two operands of which at least one is a tensor: a number takes its dtype from the other.
    pub fn pair(&self, a: &str, b: &str) -> Result<(Tensor, Tensor), Stop> {
        match (self.either(a)?, self.either(b)?) {
            (Either::Tensor(a), b) => Ok((a, b.like(a))),
            (a, Either::Tensor(b)) => Ok((a.like(b), b)),
            _ => {
                let message = format!("{} needs a tensor for `{a}` or `{b}`: found two numbers", self.op);
                Err(Diagnostic::new(Code::BadArgument, message).into())
            }
        }
    }

    /// A number with its kind.
    pub fn scalar(&self, name: &str, default: impl Into<Scalar>) -> Result<Scalar, Stop> {
        match self.get(name) {
            None => Ok(default.into()),
            Some(Argument::Flag(flag)) => Ok(Scalar::Bool(*flag)),
            Some(Argument::Int(value)) => Ok(Scalar::Int(*value)),
            Some(Argument::Float(value)) => Ok(Scalar::Float(*value)),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    /// A number.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, Stop> {
        Ok(self.scalar(name, default)?.value())
    }

    /// A number that may be absent.
    pub fn optional_number(&self, name: &str) -> Result<Option<f64>, Stop> {
        self.get(name).map(|_| self.number(name, 0.0)).transpose()
    }

    /// A truth value.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Stop> {
        match self.get(name) {
            None => Ok(default),
            Some(Argument::Flag(flag)) => Ok(*flag),
            Some(Argument::Int(value)) => Ok(*value != 0),
            Some(_) => Err(self.wrong(name, "a truth value")),
        }
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, Stop> {
        self.optional_int(name).map(|value| value.unwrap_or(default))
    }

    /// An integer that may be absent.
    pub fn optional_int(&self, name: &str) -> Result<Option<i64>, Stop> {
        match self.get(name) {
            None => Ok(None),
            Some(Argument::Int(value)) => Ok(Some(*value)),
            Some(Argument::Flag(flag)) => Ok(Some(i64::from(*flag))),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    /// Integers; one stands for a list of one. `None` when absent.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Stop> {
        match self.get(name) {
            None => Ok(None),
            Some(Argument::List(items)) => {
                items.iter().map(|item| self.int_of(name, item)).collect::<Result<_, _>>().map(Some)
            }
            Some(item) => self.int_of(name, item).map(|value| Some(vec![value])),
        }
    }

    /// A count: what is negative is refused, as Rust's `usize` does.
    pub fn count(&self, name: &str, default: usize) -> Result<usize, Stop> {
        match self.optional_int(name)? {
            None => Ok(default),
            Some(value) => self.count_of(name, value),
        }
    }

    /// Counts, as many as there are; one stands for a list of one.
    pub fn counts_of(&self, name: &str) -> Result<Vec<usize>, Stop> {
        let values = self.ints(name)?.ok_or_else(|| self.wrong(name, "a list of counts"))?;
        values.into_iter().map(|value| self.count_of(name, value)).collect()
    }

    /// Counts, one for each of `N` axes; one number stands for all of them.
    pub fn counts<const N: usize>(&self, name: &str, default: usize) -> Result<[usize; N], Stop> {
        let Some(values) = self.ints(name)? else { return Ok([default; N]) };
        let values = values.into_iter().map(|value| self.count_of(name, value)).collect::<Result<Vec<usize>, _>>()?;
        match values.as_slice() {
            &[value] => Ok([value; N]),
            values => values.try_into().map_err(|_| {
                let message = format!("{} needs {N} numbers for `{name}`: found {values:?}", self.op);
                Stop::Refused(Diagnostic::new(Code::BadArgument, message))
            }),
        }
    }

    /// A word that stands for a variant of an enum.
    pub fn word<T: FromStr<Err = Diagnostic>>(&self, name: &str, default: T) -> Result<T, Stop> {
        match self.get(name) {
            None => Ok(default),
            Some(Argument::Text(word)) => Ok(word.parse()?),
            Some(_) => Err(self.wrong(name, "a word")),
        }
    }

    /// A string.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name) {
            Some(Argument::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What `function` makes of a tensor, both in the dtype that is asked for.
    pub fn typed(&self, name: &str, function: impl FnOnce(Tensor) -> Result<Tensor, Stop>) -> Result<Results, Stop> {
        let x = self.tensor(name)?;
        Ok(match self.dtype("dtype")? {
            Some(dtype) => function(x.to(dtype))?.to(dtype),
            None => function(x)?,
        }
        .into())
    }

    /// A dtype that may be absent.
    pub fn dtype(&self, name: &str) -> Result<Option<DType>, Stop> {
        match self.get(name) {
            None => Ok(None),
            Some(Argument::DType(dtype)) => Ok(Some(*dtype)),
            Some(_) => Err(self.wrong(name, "a dtype")),
        }
    }

    /// What to say of an argument that has another form than the row expects.
    pub fn wrong(&self, name: &str, expected: &str) -> Stop {
        Stop::Inexpressible(format!("`{name}` is not {expected}: {:?}", self.arguments.get(name)))
    }

    fn int_of(&self, name: &str, item: &Argument) -> Result<i64, Stop> {
        match item {
            Argument::Int(value) => Ok(*value),
            _ => Err(self.wrong(name, "integers")),
        }
    }

    /// A count of a list.
    pub fn count_of(&self, name: &str, value: i64) -> Result<usize, Stop> {
        usize::try_from(value).map_err(|_| {
            let message = format!("{} needs `{name}` of at least 0: found {value}", self.op);
            Stop::Refused(Diagnostic::new(Code::BadArgument, message))
        })
    }
}
