//! Scalar expressions: what an op computes for one element.
//!
//! One tree type serves the op table (`Body::value`), the interpreter, the kernel level and both code writers. Names bound by `let`
//! and the results of reductions are [`Expr::Local`]s; a tree is therefore pure and can be copied, substituted and compared.

use serde::{Deserialize, Serialize};

use crate::{AxisId, DType, Dim, Index};

/// A value bound inside a kernel: a `let`, or the result of a reduction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LocalId(pub u32);

/// A tensor that an expression reads: an operand of an op, or a parameter of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// A literal. Floats are kept by their bits so that expressions have equality and order; there is one NaN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Number(u64);

impl Number {
    /// The literal of this value. Every `i64` that a model writes fits an `f64` exactly up to 2^53, which the parser checks.
    pub fn new(value: f64) -> Number {
        Number(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
    }

    /// The value.
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// One element of a tensor, by its index; outside the tensor it is `fill`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Load {
    /// The tensor.
    pub tensor: TensorId,
    /// One expression for each of its axes.
    pub index: Vec<Index>,
    /// The value where an index is out of range or an exact division is not. `None`: proven to be in range.
    pub fill: Option<Number>,
}

/// A scalar expression. The dtype of a node is that of its operands, except where said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Expr {
    /// A literal of a dtype.
    Number(Number, DType),
    /// The value of an index expression, as `i64`.
    Index(Index),
    /// An extent at run time, as `i64`.
    Extent(Dim),
    /// A `let`, or the result of a reduction.
    Local(LocalId),
    /// An element of a tensor.
    Load(Load),
    /// A function of one value.
    Unary(Unary, Box<Expr>),
    /// A function of two values of one dtype.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// A comparison of two values of one dtype; `bool`.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `condition ? then : otherwise`; both sides may be evaluated.
    Select(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Conversion as PyTorch's `to`: floats to integers truncate, anything to `bool` is `!= 0`.
    Cast(DType, Box<Expr>),
    /// An `i64` index that must lie in `0..bound`; the step stops with a clear error where it does not. The text says whose index it is,
    /// `gather at model.rs:12:9`; it is empty in the op table, and lowering writes it.
    Check(Box<Expr>, Dim, String),
    /// A random number: the upper `bits` bits, at most 31, of one word of Philox4x32-10, as a non-negative `i32`.
    ///
    /// With all three operands `i64`, it is word `position % 4` of the block whose key is `seed` and whose counter is
    /// `position / 4` in the lower half and `stream` in the upper half, low words first. Being a pure function it may be computed
    /// anywhere and any number of times.
    Random {
        /// How many bits of the word.
        bits: u32,
        /// The key.
        seed: Box<Expr>,
        /// Which of the key's streams.
        stream: Box<Expr>,
        /// Which word of the stream, from 0.
        position: Box<Expr>,
    },
}

macro_rules! named_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every variant.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The name in IR text.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The variant with this name in IR text.
            pub fn from_name(name: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|variant| variant.name() == name)
            }
        }
    };
}

pub(crate) use named_enum;

named_enum! {
    /// Functions of one value.
    Unary {
        /// `-x`.
        Neg = "neg",
        /// `|x|`.
        Abs = "abs",
        /// `e^x`.
        Exp = "exp",
        /// Natural logarithm.
        Log = "log",
        /// Square root.
        Sqrt = "sqrt",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// The error function.
        Erf = "erf",
        /// Sine, radians.
        Sin = "sin",
        /// Cosine, radians.
        Cos = "cos",
        /// The angle in `[-π/2, π/2]` with this tangent.
        Atan = "atan",
        /// The greatest integer that is not above.
        Floor = "floor",
        /// The least integer that is not below.
        Ceil = "ceil",
        /// The integer next to it in the direction of 0.
        Trunc = "trunc",
        /// The nearest integer, the even one of two (PyTorch's `round`).
        Round = "round",
        /// Logical negation of a `bool`.
        Not = "not",
    }
}

named_enum! {
    /// Functions of two values of one dtype.
    Binary {
        /// `a + b`; integers wrap.
        Add = "+",
        /// `a - b`.
        Sub = "-",
        /// `a * b`.
        Mul = "*",
        /// `a / b`; integers truncate towards zero.
        Div = "/",
        /// The greater; NaN if either is (PyTorch's `maximum`).
        Max = "max",
        /// The smaller; NaN if either is.
        Min = "min",
        /// `a - b·trunc(a / b)`, exact, with the sign of `a`: C's `fmod`. Of integers, the remainder that belongs to `/`.
        Rem = "rem",
        /// `a` to the power of `b`. Integers wrap, and powers with a negative exponent are rounded towards zero.
        Pow = "pow",
        /// Logical and of two `bool`s.
        And = "and",
        /// Logical or of two `bool`s.
        Or = "or",
    }
}

named_enum! {
    /// Comparisons; all but `!=` are false where a side is NaN.
    Comparison {
        /// Equal.
        Eq = "==",
        /// Not equal.
        Ne = "!=",
        /// Less.
        Lt = "<",
        /// Less or equal.
        Le = "<=",
        /// Greater.
        Gt = ">",
        /// Greater or equal.
        Ge = ">=",
    }
}

named_enum! {
    /// How a reduction combines values. Each has an identity, and the order of combination is fixed by the kernel.
    Monoid {
        /// Sum from 0.
        Sum = "sum",
        /// Product from 1.
        Product = "product",
        /// Maximum from minus infinity; NaN if any is.
        Max = "max",
        /// Minimum from infinity; NaN if any is.
        Min = "min",
        /// The row-major position of the first maximum in the reduction's axes, as `i64`; NaN counts as greatest.
        ArgMax = "argmax",
    }
}

impl Unary {
    /// Whether only floats have it and it takes a polynomial or a call: worth keeping rather than computing twice.
    pub const fn is_transcendental(self) -> bool {
        use Unary::*;
        matches!(self, Exp | Log | Tanh | Erf | Sin | Cos | Atan)
    }

    /// Whether it gives the integer near a number: integers stay as they are.
    pub const fn is_rounding(self) -> bool {
        use Unary::*;
        matches!(self, Floor | Ceil | Trunc | Round)
    }
}

impl Expr {
    /// A literal.
    pub fn number(value: f64, dtype: DType) -> Expr {
        Expr::Number(Number::new(value), dtype)
    }

    /// The position on an axis.
    pub fn axis(axis: u32) -> Expr {
        Expr::Index(Index::axis(AxisId(axis)))
    }

    /// A function of one value.
    pub fn unary(op: Unary, x: Expr) -> Expr {
        Expr::Unary(op, Box::new(x))
    }

    /// A function of two values.
    pub fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
        Expr::Binary(op, Box::new(a), Box::new(b))
    }

    /// A comparison.
    pub fn compare(op: Comparison, a: Expr, b: Expr) -> Expr {
        Expr::Compare(op, Box::new(a), Box::new(b))
    }

    /// A choice.
    pub fn select(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
        Expr::Select(Box::new(condition), Box::new(then), Box::new(otherwise))
    }

    /// A conversion.
    pub fn cast(dtype: DType, x: Expr) -> Expr {
        Expr::Cast(dtype, Box::new(x))
    }

    /// A check of an index.
    pub fn check(x: Expr, bound: Dim) -> Expr {
        Expr::Check(Box::new(x), bound, String::new())
    }

    /// `x < 0 ? x + bound : x`: an index that counts from the end where it is negative.
    pub fn wrapped(x: Expr, bound: Dim) -> Expr {
        let (zero, extent) = (Expr::number(0.0, DType::I64), Expr::Extent(bound));
        let from_end = Expr::binary(Binary::Add, x.clone(), extent);
        Expr::select(Expr::compare(Comparison::Lt, x.clone(), zero), from_end, x)
    }

    /// The index that [`Expr::wrapped`] has made this of, if it has.
    pub fn unwrapped(&self, bound: Dim) -> Option<&Expr> {
        let Expr::Select(_, _, x) = self else { return None };
        (*self == Expr::wrapped((**x).clone(), bound)).then_some(&**x)
    }

    /// The dtype, given those of tensors and locals.
    pub fn dtype(&self, tensor: &dyn Fn(TensorId) -> DType, local: &dyn Fn(LocalId) -> DType) -> DType {
        match self {
            Expr::Number(_, dtype) | Expr::Cast(dtype, _) => *dtype,
            Expr::Index(_) | Expr::Extent(_) | Expr::Check(..) => DType::I64,
            Expr::Local(id) => local(*id),
            Expr::Load(load) => tensor(load.tensor),
            Expr::Unary(_, x) | Expr::Binary(_, x, _) | Expr::Select(_, x, _) => x.dtype(tensor, local),
            Expr::Compare(..) => DType::Bool,
            Expr::Random { .. } => DType::I32,
        }
    }

    /// The same node with `map` applied to each operand and to each expression inside its indices (not to axes).
    pub fn map_operands(&self, map: &mut dyn FnMut(&Expr) -> Expr) -> Expr {
        let mut boxed = |x: &Expr| Box::new(map(x));
        match self {
            Expr::Number(..) | Expr::Extent(_) | Expr::Local(_) => self.clone(),
            Expr::Index(index) => Expr::Index(index.substitute(&mut Index::axis, &mut |x| *boxed(x))),
            Expr::Load(load) => {
                let index = load.index.iter().map(|i| i.substitute(&mut Index::axis, &mut |x| *boxed(x))).collect();
                Expr::Load(Load { tensor: load.tensor, index, fill: load.fill })
            }
            Expr::Unary(op, x) => Expr::Unary(*op, boxed(x)),
            Expr::Binary(op, a, b) => Expr::Binary(*op, boxed(a), boxed(b)),
            Expr::Compare(op, a, b) => Expr::Compare(*op, boxed(a), boxed(b)),
            Expr::Select(c, a, b) => Expr::Select(boxed(c), boxed(a), boxed(b)),
            Expr::Cast(dtype, x) => Expr::Cast(*dtype, boxed(x)),
            Expr::Check(x, bound, site) => Expr::Check(boxed(x), *bound, site.clone()),
            Expr::Random { bits, seed, stream, position } => {
                Expr::Random { bits: *bits, seed: boxed(seed), stream: boxed(stream), position: boxed(position) }
            }
        }
    }

    /// The expression with every axis replaced, everywhere.
    pub fn substitute_axes(&self, axis: &mut dyn FnMut(AxisId) -> Index) -> Expr {
        match self {
            Expr::Index(index) => Expr::Index(substitute_index(index, axis)),
            Expr::Load(load) => {
                let index = load.index.iter().map(|i| substitute_index(i, axis)).collect();
                Expr::Load(Load { tensor: load.tensor, index, fill: load.fill })
            }
            _ => self.map_operands(&mut |x| x.substitute_axes(axis)),
        }
    }

    /// The first load in it, or in what `local` says of its locals: of a checked index, the element that it is made of.
    pub fn first_load(&self, local: &dyn Fn(LocalId) -> Option<Load>) -> Option<Load> {
        let mut found = None;
        self.for_each(&mut |x| match x {
            _ if found.is_some() => {}
            Expr::Load(load) => found = Some(load.clone()),
            Expr::Local(id) => found = local(*id),
            _ => {}
        });
        found
    }

    /// Calls `visit` with this expression and every one below it, also those inside indices; parents first.
    pub fn for_each(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match self {
            Expr::Number(..) | Expr::Extent(_) | Expr::Local(_) => {}
            Expr::Index(index) => index.for_each_value(&mut |x| x.for_each(visit)),
            Expr::Load(load) => load.index.iter().for_each(|index| index.for_each_value(&mut |x| x.for_each(visit))),
            Expr::Unary(_, x) | Expr::Cast(_, x) | Expr::Check(x, ..) => x.for_each(visit),
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => [a, b].into_iter().for_each(|x| x.for_each(visit)),
            Expr::Select(a, b, c) | Expr::Random { seed: a, stream: b, position: c, .. } => {
                [a, b, c].into_iter().for_each(|x| x.for_each(visit));
            }
        }
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl std::ops::$trait for Expr {
            type Output = Expr;

            fn $method(self, other: Expr) -> Expr {
                Expr::binary(Binary::$op, self, other)
            }
        }
    )*};
}

arithmetic! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl std::ops::Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        Expr::unary(Unary::Neg, self)
    }
}

fn substitute_index(index: &Index, axis: &mut dyn FnMut(AxisId) -> Index) -> Index {
    // Values inside an index are expressions over the same axes; two closures cannot share `axis`, so collect first.
    let axis = std::cell::RefCell::new(axis);
    index.substitute(&mut |id| (axis.borrow_mut())(id), &mut |x| x.substitute_axes(&mut |id| (axis.borrow_mut())(id)))
}
