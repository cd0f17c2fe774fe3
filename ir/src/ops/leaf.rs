//! Values without operands: inputs, constants, fills, positions and extents.

use serde::{Deserialize, Serialize};

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Attribute, AttributeValue, Body, DType, Diagnostic, Dim, Expr, Init, Number, Type, ValueId, Vjp};

/// What an input is, and so who fills it and how long it lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Filled by the host for every step.
    Data,
    /// A weight that is trained.
    Parameter,
    /// A weight that is not trained: `requires_grad = false`.
    Frozen,
    /// State of the model: running statistics.
    Buffer,
    /// State of the optimiser.
    State,
    /// A number that the host sets: a learning rate.
    Scalar,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] = [Role::Data, Role::Parameter, Role::Frozen, Role::Buffer, Role::State, Role::Scalar];

    /// The name in IR text.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Data => "data",
            Role::Parameter => "parameter",
            Role::Frozen => "frozen",
            Role::Buffer => "buffer",
            Role::State => "state",
            Role::Scalar => "scalar",
        }
    }
}

impl AttributeValue for Role {
    fn to_attribute(&self) -> Attribute {
        Attribute::Text(self.name().to_owned())
    }

    fn from_attribute(attribute: &Attribute) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.to_attribute() == *attribute)
    }
}

op! {
    /// A value from outside the graph. The node's name is the input's.
    Input() {
        /// Who fills it.
        role: Role,
        /// The dtype.
        dtype: DType,
        /// The shape.
        shape: Vec<Dim>,
        /// How it starts, if it is kept between steps.
        init: Init,
    }
}

impl Operator for Input {
    fn infer(&self, _: &[Type]) -> Result<Type, Diagnostic> {
        Ok(Type::new(self.dtype, self.shape.clone()))
    }

    fn body(&self, _: &[Type], _: &Type) -> Body {
        unreachable!("the elements of an input are given")
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        Vec::new()
    }

    fn examples() -> Vec<Example> {
        Vec::new()
    }
}

op! {
    /// A tensor whose elements are known when the program is compiled, row-major.
    Constant() {
        /// The dtype.
        dtype: DType,
        /// The shape; no axis is symbolic.
        shape: Vec<Dim>,
        /// The elements.
        data: Vec<Number>,
    }
}

impl Operator for Constant {
    fn infer(&self, _: &[Type]) -> Result<Type, Diagnostic> {
        let ty = Type::new(self.dtype, self.shape.clone());
        match ty.shape.count().as_fixed() {
            Some(count) if count == self.data.len() => Ok(ty),
            _ => Err(checks::argument("constant", &format!("as many values as {ty} has, found {}", self.data.len()))),
        }
    }

    fn body(&self, _: &[Type], _: &Type) -> Body {
        unreachable!("the elements of a constant are given")
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        Vec::new()
    }

    fn examples() -> Vec<Example> {
        Vec::new()
    }
}

op! {
    /// Every element is `value`.
    Full() {
        /// The element.
        value: Number,
        /// The dtype.
        dtype: DType,
        /// The shape.
        shape: Vec<Dim>,
    }
}

impl Operator for Full {
    fn infer(&self, _: &[Type]) -> Result<Type, Diagnostic> {
        Ok(Type::new(self.dtype, self.shape.clone()))
    }

    fn body(&self, _: &[Type], _: &Type) -> Body {
        Body::pointwise(Expr::Number(self.value, self.dtype))
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        Vec::new()
    }

    fn examples() -> Vec<Example> {
        let shape = vec![Dim::fixed(3)];
        vec![Example::new(Full { value: Number::new(0.5), dtype: DType::F32, shape }, [])]
    }
}

op! {
    /// The position along one axis: `result[i] = i[axis]`.
    Iota() {
        /// The axis.
        axis: usize,
        /// The dtype.
        dtype: DType,
        /// The shape.
        shape: Vec<Dim>,
    }
}

impl Operator for Iota {
    fn infer(&self, _: &[Type]) -> Result<Type, Diagnostic> {
        let ty = Type::new(self.dtype, self.shape.clone());
        checks::axis("iota", &ty, self.axis)?;
        Ok(ty)
    }

    fn body(&self, _: &[Type], _: &Type) -> Body {
        let position = Expr::axis(self.axis as u32);
        Body::pointwise(if self.dtype == DType::I64 { position } else { Expr::cast(self.dtype, position) })
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        Vec::new()
    }

    fn examples() -> Vec<Example> {
        let shape = vec![Dim::BATCH, Dim::fixed(3)];
        vec![Example::new(Iota { axis: 1, dtype: DType::F32, shape }, [])]
    }
}

op! {
    /// An element count at run time, which a mean divides by: with a short last batch it is the true count.
    Extent() {
        /// The count.
        extent: Vec<Dim>,
        /// The dtype.
        dtype: DType,
    }
}

impl Operator for Extent {
    fn infer(&self, _: &[Type]) -> Result<Type, Diagnostic> {
        Ok(Type::scalar(self.dtype))
    }

    fn body(&self, _: &[Type], _: &Type) -> Body {
        let count = crate::Shape(self.extent.clone()).count();
        Body::pointwise(Expr::cast(self.dtype, Expr::Extent(count)))
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        Vec::new()
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Extent { extent: vec![Dim::BATCH, Dim::fixed(4)], dtype: DType::F32 }, [])]
    }
}
