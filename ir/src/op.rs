//! What an op is: one `impl` of [`Operator`] beside its definition, and one row in [`crate::ops`].

use crate::{Attribute, Body, Diagnostic, Op, Type, ValueId, Vjp};

/// The rules of an op. Its definition (name, operands, attributes) comes from `op!`.
pub trait Operator {
    /// The result's type, or what is wrong with the operands. The number of operands is already right.
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic>;

    /// What the op computes.
    fn body(&self, operands: &[Type], result: &Type) -> Body;

    /// The cotangent of each operand, `None` where no gradient flows, as graph nodes made through `cx`.
    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>>;

    /// Cases that the tests loop over: gradients, shapes, texts.
    fn examples() -> Vec<Example>
    where
        Self: Sized;
}

/// What `op!` derives from an op's definition.
pub trait Definition: Sized + Clone + Into<Op> {
    /// Names of the operands, for messages.
    const OPERANDS: &'static [&'static str];
    /// Whether the last operand may be repeated.
    const VARIADIC: bool;
    /// The op's documentation: its formula, then its gradient.
    const DOCUMENTATION: &'static str;

    /// The attributes in declaration order.
    fn attributes(&self) -> Vec<(&'static str, Attribute)>;

    /// The op with these attributes; the name of the attribute that is missing or of the wrong form.
    fn from_attributes(get: &dyn Fn(&str) -> Option<Attribute>) -> Result<Self, &'static str>;
}

/// An op with operands for it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The op.
    pub op: Op,
    /// Type and value range of each operand. Integer and `bool` operands take the whole numbers of the range.
    pub operands: Vec<(Type, [f64; 2])>,
}

impl Example {
    /// An example with operand values in `[-2, 2)`.
    pub fn new(op: impl Into<Op>, operands: impl IntoIterator<Item = Type>) -> Example {
        Example { op: op.into(), operands: operands.into_iter().map(|ty| (ty, [-2.0, 2.0])).collect() }
    }

    /// The same with values of one operand in `[low, high)`.
    pub fn domain(mut self, operand: usize, low: f64, high: f64) -> Example {
        self.operands[operand].1 = [low, high];
        self
    }
}

/// Defines an op: its struct with public attributes, and what follows from it.
macro_rules! op {
    ($(#[doc = $text:literal])* $name:ident ( $($operand:ident),* $(; variadic $last:ident)? )
     $({ $($(#[$doc:meta])* $field:ident : $ty:ty),* $(,)? })?) => {
        $(#[doc = $text])*
        #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($($(#[$doc])* pub $field: $ty,)*)? }

        impl $crate::op::Definition for $name {
            const OPERANDS: &'static [&'static str] = &[$(stringify!($operand),)* $(stringify!($last),)?];
            const VARIADIC: bool = !{
                const LAST: &[&str] = &[$(stringify!($last),)?];
                LAST
            }
            .is_empty();
            const DOCUMENTATION: &'static str = concat!($($text, "\n"),*);

            fn attributes(&self) -> Vec<(&'static str, $crate::Attribute)> {
                vec![$($((stringify!($field), $crate::AttributeValue::to_attribute(&self.$field)),)*)?]
            }

            #[allow(unused_variables)]
            fn from_attributes(get: &dyn Fn(&str) -> Option<$crate::Attribute>) -> Result<Self, &'static str> {
                Ok($name { $($($field: get(stringify!($field))
                    .and_then(|attribute| $crate::AttributeValue::from_attribute(&attribute))
                    .ok_or(stringify!($field))?,)*)? })
            }
        }
    };
}

pub(crate) use op;
