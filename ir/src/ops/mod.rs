//! The op table: one row an op, in families. The definition, shape rule, formula and derivative of each stand together in the
//! family's file.
//!
//! From a row follow the enum, the texts and serde here; the interpreter's meaning, the gradient and shape tests and the page of
//! operators through `Operator`; and, for a row that says how it is called (`as unary`), the front end's `Tensor` method and free function
//! through [`op_rows`](crate::op_rows).

mod adaptive;
mod checks;
mod contract;
mod convolution;
mod custom;
mod elementwise;
mod functions;
mod indexing;
mod leaf;
mod logic;
mod loss;
mod pool;
mod random;
mod rank;
mod rearrange;
mod reduce;
mod scan;
mod straight_line;
mod view;
mod windows;
mod winograd;

pub use adaptive::*;
pub use contract::*;
pub use convolution::*;
pub use custom::*;
pub use elementwise::*;
pub use functions::*;
pub use indexing::*;
pub use leaf::*;
pub use logic::*;
pub use loss::*;
pub use pool::*;
pub use random::*;
pub use rank::*;
pub use rearrange::*;
pub use reduce::*;
pub use scan::*;
pub use view::*;
pub use windows::*;
pub use winograd::*;

use serde::{Deserialize, Serialize};

use crate::op::{Definition, Example, Operator};
use crate::{Attribute, Body, Code, Diagnostic, Dim, Type, ValueId, Vjp};

macro_rules! table {
    // `$d` is a dollar sign: without it, a macro cannot write one with parameters of its own.
    (($d:tt) $($text:literal => $name:ident $(as $form:ident $method:ident)?,)*) => {
        /// Calls a macro with every row that says how the op is called: `unary Exp "exp" exp;`, and so on (`float` and `real` are functions of one and two real
        /// numbers, of which integers become `f32`; `unary` keeps the dtype). The front end makes methods and
        /// free functions of them.
        #[macro_export]
        macro_rules! op_rows {
            ($d callback:ident) => { $d callback! { $($($form $name $text $method;)?)* } };
        }

        /// Every op.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        pub enum Op { $(#[doc = concat!("`", $text, "`")] $name($name),)* }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*

        impl Op {
            /// The name of every op, in the order of the table.
            pub const NAMES: &[&str] = &[$($text,)*];

            /// The name in IR text.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(_) => $text,)* }
            }

            /// The attributes in declaration order.
            pub fn attributes(&self) -> Vec<(&'static str, Attribute)> {
                match self { $(Op::$name(op) => op.attributes(),)* }
            }

            /// The op of this name with these attributes: `None` for an unknown op, and otherwise the attribute that is missing
            /// or of the wrong form.
            pub fn from_attributes(
                name: &str,
                get: &dyn Fn(&str) -> Option<Attribute>,
            ) -> Option<Result<Op, &'static str>> {
                match name {
                    $($text => Some($name::from_attributes(get).map(Op::$name)),)*
                    _ => None,
                }
            }

            /// Cases of every op.
            pub fn examples() -> Vec<Example> {
                let mut examples = Vec::new();
                $(examples.extend(<$name as Operator>::examples());)*
                examples
            }

            /// The documentation of the op of this name: formula, then gradient.
            pub fn documentation(name: &str) -> Option<&'static str> {
                match name {
                    $($text => Some(<$name as Definition>::DOCUMENTATION),)*
                    _ => None,
                }
            }

            fn rules(&self) -> &dyn Rules {
                match self { $(Op::$name(op) => op,)* }
            }
        }
    };
}

table! {
    ($)
    "input" => Input,
    "constant" => Constant,
    "full" => Full,
    "iota" => Iota,
    "extent" => Extent,
    "random" => Random,

    "add" => Add,
    "sub" => Sub,
    "mul" => Mul,
    "div" => Div,
    "fmod" => Fmod as binary fmod,
    "remainder" => Remainder as binary remainder,
    "maximum" => Maximum as binary maximum,
    "minimum" => Minimum as binary minimum,
    "pow" => Pow as binary pow,
    "neg" => Neg,
    "abs" => Abs as unary abs,
    "sign" => Sign as unary sign,
    "relu" => Relu as unary relu,
    "floor" => Floor as unary floor,
    "ceil" => Ceil as unary ceil,
    "trunc" => Trunc as unary trunc,
    "round" => Round as unary round,
    "exp" => Exp as float exp,
    "exp2" => Exp2 as float exp2,
    "expm1" => Expm1 as float expm1,
    "log" => Log as float log,
    "log2" => Log2 as float log2,
    "log1p" => Log1p as float log1p,
    "sqrt" => Sqrt as float sqrt,
    "rsqrt" => Rsqrt as float rsqrt,
    "sin" => Sin as float sin,
    "cos" => Cos as float cos,
    "tan" => Tan as float tan,
    "asin" => Asin as float asin,
    "acos" => Acos as float acos,
    "atan" => Atan as float atan,
    "atan2" => Atan2 as real atan2,
    "sinh" => Sinh as float sinh,
    "cosh" => Cosh as float cosh,
    "tanh" => Tanh as float tanh,
    "erf" => Erf as float erf,
    "sigmoid" => Sigmoid as float sigmoid,
    "cast" => Cast,
    "detach" => Detach as unary detach,
    "custom_vjp" => CustomVjp,
    "custom_result" => CustomResult,

    "eq" => Eq as binary eq,
    "ne" => Ne as binary ne,
    "lt" => Lt as binary lt,
    "le" => Le as binary le,
    "gt" => Gt as binary gt,
    "ge" => Ge as binary ge,
    "and" => And,
    "or" => Or,
    "not" => Not,
    "where" => Where,
    "one_hot" => OneHot,
    "binary_cross_entropy" => BinaryCrossEntropy,

    "reshape" => Reshape,
    "permute" => Permute,
    "expand" => Expand,
    "slice" => Slice,
    "pad" => Pad,
    "concat" => Concat,
    "flip" => Flip,
    "roll" => Roll,
    "windows" => Windows,
    "fold_windows" => FoldWindows,

    "sum" => Sum,
    "amax" => Amax,
    "amin" => Amin,
    "argmax" => Argmax,
    "prod" => Prod,
    "rank_of" => RankOf,

    "gather" => Gather,
    "scatter" => Scatter,
    "check_index" => CheckIndex,
    "scan" => Scan,

    "einsum" => Einsum,
    "conv" => Conv,
    "conv_input_grad" => ConvInputGrad,
    "conv_weight_grad" => ConvWeightGrad,
    "to_winograd" => ToWinograd,
    "from_winograd" => FromWinograd,

    "max_pool" => MaxPool,
    "max_pool_index" => MaxPoolIndex,
    "max_pool_grad" => MaxPoolGrad,
    "max_pool_pick" => MaxPoolPick,
    "sum_pool" => SumPool,
    "sum_pool_grad" => SumPoolGrad,
    "adaptive_sum" => AdaptiveSum,
    "adaptive_argmax" => AdaptiveArgmax,
}

/// [`Operator`] without what needs `Sized`.
trait Rules {
    fn operand_names(&self) -> (&'static [&'static str], bool);
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic>;
    fn body(&self, operands: &[Type], result: &Type) -> Body;
    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>>;
}

impl<T: Operator + Definition> Rules for T {
    fn operand_names(&self) -> (&'static [&'static str], bool) {
        (T::OPERANDS, T::VARIADIC)
    }

    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        Operator::infer(self, operands)
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        Operator::body(self, operands, result)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        Operator::vjp(self, cx)
    }
}

impl Op {
    /// The name of an operand, for messages.
    pub fn operand_name(&self, position: usize) -> &'static str {
        let (names, _) = self.rules().operand_names();
        names.get(position).or(names.last()).copied().unwrap_or("operand")
    }

    /// The result's type, or what is wrong with the operands.
    pub fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let (names, variadic) = self.rules().operand_names();
        let fits = if variadic { operands.len() >= names.len() } else { operands.len() == names.len() };
        if !fits {
            let message = format!("{} takes {} operands, found {}", self.name(), names.len(), operands.len());
            return Err(Diagnostic::new(Code::BadArgument, message));
        }
        let result = self.rules().infer(operands)?;
        if !result.shape.is_batch_leading() {
            let message = format!("{} needs the batch axis in front: its result would be {result}", self.name());
            return Err(Diagnostic::new(Code::BatchAxis, message));
        }
        // Everything behind this point may multiply extents, and count in bytes.
        let bytes = |size: Option<usize>, dim: &Dim| size?.checked_mul(dim.factor.max(1));
        if result
            .shape
            .0
            .iter()
            .fold(Some(result.dtype.size_bytes()), bytes)
            .is_none_or(|size| size > isize::MAX as usize)
        {
            let message = format!("{} needs a result that a memory can hold: it would be {result}", self.name());
            return Err(Diagnostic::new(Code::ShapeMismatch, message));
        }
        Ok(result)
    }

    /// What the op computes; `None` for inputs and constants, whose elements are given.
    pub fn body(&self, operands: &[Type], result: &Type) -> Option<Body> {
        match self {
            Op::Input(_) | Op::Constant(_) => None,
            _ => Some(self.rules().body(operands, result)),
        }
    }

    /// The cotangent of each operand, `None` where no gradient flows.
    pub fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        self.rules().vjp(cx)
    }
}
