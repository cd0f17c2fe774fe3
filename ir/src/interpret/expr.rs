//! Expressions: a tree walk over [`Scalar`]s.

use super::tensor::is_unset;
use super::{InterpretError, Precision, Scalar, Value, binary, compare, philox, unary};
use crate::{Atom, DType, Expr, Index, Load, TensorId};

/// What an expression can load from.
pub trait Operands {
    /// The name for messages, the dtype and the extents.
    fn describe(&self, tensor: TensorId) -> Result<(&str, DType, &[usize]), InterpretError>;

    /// The element at a row-major position, which is in range.
    fn element(&self, tensor: TensorId, position: usize) -> Result<f64, InterpretError>;
}

/// The operands of an op, by number, each with a name for messages.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a>(pub &'a [(&'a str, &'a Value)]);

/// Everything that an expression can name.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The batch size.
    pub batch: usize,
    /// How floats are rounded.
    pub precision: Precision,
    /// The position on each axis; `None` outside its loop.
    pub axes: &'a [Option<i64>],
    /// Each local; `None` where it is not bound.
    pub locals: &'a [Option<Scalar>],
    /// The tensors.
    pub operands: &'a dyn Operands,
}

impl Scope<'_> {
    /// The value of an expression. Both sides of a `Select` are evaluated, as compiled code may do.
    pub fn evaluate(&self, expr: &Expr) -> Result<Scalar, InterpretError> {
        match expr {
            Expr::Number(number, dtype) => Ok(Scalar::new(number.value(), *dtype, self.precision)),
            Expr::Index(index) => self.index(index)?.map(Scalar::index).ok_or(InterpretError::InexactDivision),
            Expr::Extent(dim) => Ok(Scalar::index(dim.at(self.batch) as i64)),
            Expr::Local(id) => {
                self.locals.get(id.0 as usize).copied().flatten().ok_or(InterpretError::UnboundLocal(id.0))
            }
            Expr::Load(load) => self.load(load),
            Expr::Unary(op, x) => unary(*op, self.evaluate(x)?, self.precision),
            Expr::Binary(op, a, b) => binary(*op, self.evaluate(a)?, self.evaluate(b)?, self.precision),
            Expr::Compare(op, a, b) => compare(*op, self.evaluate(a)?, self.evaluate(b)?),
            Expr::Select(condition, then, otherwise) => {
                let condition = self.evaluate(condition)?.to_bool("select")?;
                let (then, otherwise) = (self.evaluate(then)?, self.evaluate(otherwise)?);
                if then.dtype() != otherwise.dtype() {
                    let (left, right) = (then.dtype(), otherwise.dtype());
                    return Err(InterpretError::MixedDTypes { node: "select", left, right });
                }
                Ok(if condition { then } else { otherwise })
            }
            Expr::Cast(dtype, x) => Ok(self.evaluate(x)?.cast(*dtype, self.precision)),
            Expr::Check(x, bound, _) => {
                let (value, bound) = (self.evaluate(x)?.to_i64("check")?, bound.at(self.batch));
                if (0..bound as i64).contains(&value) {
                    Ok(Scalar::index(value))
                } else {
                    let position = self.position_of_index(x)?;
                    Err(InterpretError::CheckFailed { value, position, bound })
                }
            }
            Expr::Random { bits, seed, stream, position } => {
                let operand = |x| self.evaluate(x)?.to_i64("random");
                let word = philox::word(operand(seed)?, operand(stream)?, operand(position)?);
                Ok(Scalar::Integer(i64::from(word) << bits >> u32::BITS, DType::I32))
            }
        }
    }

    /// The value of an index expression; `None` where a division that must be exact is not.
    pub fn index(&self, index: &Index) -> Result<Option<i64>, InterpretError> {
        let mut sum = index.offset;
        for (atom, factor) in &index.terms {
            let value = match atom {
                Atom::Axis(id) => {
                    Some(self.axes.get(id.0 as usize).copied().flatten().ok_or(InterpretError::UnboundAxis(id.0))?)
                }
                Atom::Div(inner, by) => self.index(inner)?.map(|value| value.div_euclid(*by)),
                Atom::Mod(inner, by) => self.index(inner)?.map(|value| value.rem_euclid(*by)),
                Atom::ExactDiv(inner, by) => self.index(inner)?.filter(|value| value % by == 0).map(|value| value / by),
                Atom::Value(expr) => Some(self.evaluate(expr)?.to_i64("index")?),
            };
            let Some(value) = value else { return Ok(None) };
            sum += value * factor;
        }
        Ok(Some(sum))
    }

    /// The row-major position of an index in a tensor of this shape; `None` outside of it or where a division is not exact.
    pub fn position(&self, index: &[Index], shape: &[usize]) -> Result<Option<usize>, InterpretError> {
        if index.len() != shape.len() {
            let what = "indices of a load or store".to_owned();
            return Err(InterpretError::WrongCount { what, expected: shape.len(), found: index.len() });
        }
        let mut position = Some(0);
        for (component, &extent) in index.iter().zip(shape) {
            let component = self.index(component)?.filter(|at| (0..extent as i64).contains(at));
            position = position.zip(component).map(|(outer, at)| outer * extent + at as usize);
        }
        Ok(position)
    }

    /// Where a checked index stands in the tensor that it is read from.
    fn position_of_index(&self, index: &Expr) -> Result<Option<usize>, InterpretError> {
        let Some(load) = index.first_load(&|_| None) else { return Ok(None) };
        let (_, _, shape) = self.operands.describe(load.tensor)?;
        self.position(&load.index, shape)
    }

    /// Why an index has no position.
    pub fn no_position(&self, tensor: &str, index: &[Index], shape: &[usize]) -> InterpretError {
        let components: Result<Option<Vec<i64>>, _> = index.iter().map(|component| self.index(component)).collect();
        match components {
            Ok(Some(index)) => InterpretError::OutOfBounds { tensor: tensor.to_owned(), index, shape: shape.to_vec() },
            Ok(None) => InterpretError::InexactDivision,
            Err(error) => error,
        }
    }

    fn load(&self, load: &Load) -> Result<Scalar, InterpretError> {
        let (name, dtype, shape) = self.operands.describe(load.tensor)?;
        let value = match (self.position(&load.index, shape)?, load.fill) {
            (Some(position), _) => {
                let value = self.operands.element(load.tensor, position)?;
                if is_unset(value) {
                    return Err(InterpretError::Unset { tensor: name.to_owned(), position });
                }
                value
            }
            (None, Some(fill)) => fill.value(),
            (None, None) => return Err(self.no_position(name, &load.index, shape)),
        };
        Ok(Scalar::new(value, dtype, self.precision))
    }
}

impl Operands for Named<'_> {
    fn describe(&self, tensor: TensorId) -> Result<(&str, DType, &[usize]), InterpretError> {
        let (name, value) = self.0.get(tensor.0 as usize).ok_or(InterpretError::UnknownTensor(tensor.0))?;
        Ok((name, value.dtype, &value.shape))
    }

    fn element(&self, tensor: TensorId, position: usize) -> Result<f64, InterpretError> {
        Ok(self.0[tensor.0 as usize].1.data[position])
    }
}
