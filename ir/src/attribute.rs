//! Attributes: the compile-time arguments of ops, as data that prints, parses and serialises.

use serde::{Deserialize, Serialize};

use crate::{DType, Dim, Graph, Init, Number};

/// One attribute's value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Attribute {
    /// `true`.
    Bool(bool),
    /// `3`.
    Int(i64),
    /// `0.5`.
    Float(Number),
    /// `[1, 2]`.
    Ints(Vec<i64>),
    /// `[0.5, 1.0]`.
    Floats(Vec<Number>),
    /// `[B, 16, 5, 5]`.
    Dims(Vec<Dim>),
    /// `f32`.
    DType(DType),
    /// `"bi,oi->bo"`.
    Text(String),
    /// `uniform(-0.2, 0.2)`.
    Init(Init),
    /// `(%x = input {role = data} : f32[3]; output d0 = %x)`.
    Graph(Box<Graph>),
}

/// A Rust type that an op keeps as an attribute.
pub trait AttributeValue: Sized {
    /// The attribute.
    fn to_attribute(&self) -> Attribute;
    /// The value, if the attribute is of the right form.
    fn from_attribute(attribute: &Attribute) -> Option<Self>;
}

macro_rules! attribute_values {
    ($($ty:ty: $pattern:pat => $from:expr, $value:ident => $to:expr;)*) => {$(
        impl AttributeValue for $ty {
            fn to_attribute(&self) -> Attribute {
                let $value = self;
                $to
            }

            fn from_attribute(attribute: &Attribute) -> Option<Self> {
                match attribute {
                    $pattern => $from,
                    _ => None,
                }
            }
        }
    )*};
}

attribute_values! {
    bool: Attribute::Bool(x) => Some(*x), x => Attribute::Bool(*x);
    usize: Attribute::Int(x) => (*x).try_into().ok(), x => Attribute::Int(*x as i64);
    Number: Attribute::Float(x) => Some(*x), x => Attribute::Float(*x);
    DType: Attribute::DType(x) => Some(*x), x => Attribute::DType(*x);
    String: Attribute::Text(x) => Some(x.clone()), x => Attribute::Text(x.clone());
    Box<Graph>: Attribute::Graph(x) => Some(x.clone()), x => Attribute::Graph(x.clone());
    Init: Attribute::Init(x) => Some(x.clone()), x => Attribute::Init(x.clone());
    Vec<usize>: Attribute::Ints(x) => x.iter().map(|&i| i.try_into().ok()).collect(),
        x => Attribute::Ints(x.iter().map(|&i| i as i64).collect());
    Vec<i64>: Attribute::Ints(x) => Some(x.clone()), x => Attribute::Ints(x.clone());
    Vec<Number>: Attribute::Floats(x) => Some(x.clone()), x => Attribute::Floats(x.clone());
    Vec<Dim>: Attribute::Dims(x) => Some(x.clone()), x => Attribute::Dims(x.clone());
}
