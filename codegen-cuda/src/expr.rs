//! Scalar and index expressions as C.
//!
//! Each node of the IR becomes one operator or one call, in the IR's own order. Functions whose C spelling would mean something else
//! (wrapping integers, NaN in `max`, floor division) are in the prelude.

use kiln_ir::{Atom, Binary, Comparison, DType, Expr, Index, Load, Monoid, Number, TensorId, Unary};

use crate::bounds::{is_inside, is_natural, range};
use crate::scope::{Scope, c_type};
use crate::text::{Code, Level};

impl Scope<'_> {
    /// A scalar expression.
    pub(crate) fn expr(&self, expr: &Expr) -> Code {
        match expr {
            Expr::Number(number, dtype) => number_code(*number, *dtype),
            Expr::Index(index) => Code::cast("i64", &self.index(index)),
            Expr::Extent(dim) => Code::cast("i64", &self.dim(*dim)),
            Expr::Local(local) => Code::primary(self.names.local(*local)),
            Expr::Load(load) => self.load(load),
            Expr::Unary(op, x) => unary(*op, &self.expr(x), self.kernel.dtype(x)),
            Expr::Binary(op, a, b) => binary(*op, &self.expr(a), &self.expr(b), self.kernel.dtype(a)),
            Expr::Compare(op, a, b) => {
                let level =
                    if matches!(op, Comparison::Eq | Comparison::Ne) { Level::Equality } else { Level::Relation };
                // A comparison of comparisons reads better in parentheses than by C's table of precedences.
                let (a, b) = (self.expr(a).at(Level::Sum), self.expr(b).at(Level::Sum));
                Code::new(format!("{a} {} {b}", op.name()), level)
            }
            Expr::Select(condition, then, otherwise) => {
                ternary(&self.expr(condition), &self.expr(then), &self.expr(otherwise))
            }
            Expr::Cast(dtype, x) => cast(*dtype, &self.expr(x), self.kernel.dtype(x)),
            Expr::Check(x, bound, _) => {
                let number = Code::integer(self.check_number(expr) as i64);
                let position = self.kernel.checked_load(x);
                let position = position.map_or(Code::integer(0), |load| {
                    self.element_position(load.tensor, &load.index, &vec![None; load.index.len()])
                });
                let fault = Code::primary(self.fault.as_deref().unwrap_or("nullptr"));
                Code::call("kiln_check", &[self.expr(x), self.dim(*bound), number, position, fault])
            }
            Expr::Random { bits, seed, stream, position } => {
                let operands = [seed, stream, position].map(|x| self.expr(x));
                let operands = [Code::integer(i64::from(*bits))].into_iter().chain(operands);
                Code::call("kiln_random", &operands.collect::<Vec<_>>())
            }
        }
    }

    /// An index expression, of the type of positions. Where it could leave `int`, it is computed in 64 bits.
    pub(crate) fn index(&self, index: &Index) -> Code {
        let fits = range(index, self.kernel, self.max_batch)
            .is_none_or(|(low, high)| low >= i64::from(i32::MIN) && high <= i64::from(i32::MAX));
        self.index_in(index, !fits && !self.wide)
    }

    /// An element of a tensor, for reading or writing: `x[n * 784 + oh * 28 + ow]`.
    pub(crate) fn element(&self, tensor: TensorId, index: &[Index]) -> Code {
        self.element_at(tensor, index, &vec![None; index.len()])
    }

    /// A filled load with its guards. Index components in `named` have been bound to variables.
    pub(crate) fn filled(&self, load: &Load, fill: Number, named: &[Option<String>]) -> Code {
        let element = self.element_at(load.tensor, &load.index, named);
        let ty = &self.kernel.tensor(load.tensor).ty;
        let mut guards = Vec::new();
        for ((index, &extent), name) in load.index.iter().zip(ty.shape.dims()).zip(named) {
            self.exact_divisions(index, &mut guards);
            if !is_inside(index, extent, self.kernel, self.max_batch) {
                guards.push(Code::call("kiln_in_range", &[self.component(index, name), self.dim(extent)]));
            }
        }
        let guards = guards.into_iter().reduce(|all, guard| Code::binary(Level::And, "&&", &all, &guard));
        match guards {
            None => element,
            Some(guards) => ternary(&guards, &element, &number_code(fill, ty.dtype)),
        }
    }

    fn load(&self, load: &Load) -> Code {
        match (load.fill, self.bound_loads.iter().find(|(held, _)| held == load)) {
            (_, Some((_, name))) => Code::primary(name.as_str()),
            (Some(fill), None) => self.filled(load, fill, &vec![None; load.index.len()]),
            (None, None) => self.element(load.tensor, &load.index),
        }
    }

    fn element_at(&self, tensor: TensorId, index: &[Index], named: &[Option<String>]) -> Code {
        let place = self.element_position(tensor, index, named);
        Code::primary(format!("{}[{}]", self.names.tensor(tensor), place.text()))
    }

    /// The row-major position of an element.
    fn element_position(&self, tensor: TensorId, index: &[Index], named: &[Option<String>]) -> Code {
        let strides = self.kernel.tensor(tensor).ty.shape.strides();
        let mut sum: Option<Code> = None;
        let mut offset = 0;
        for ((index, stride), name) in index.iter().zip(strides).zip(named) {
            if let Some(constant) = index.as_constant() {
                offset += constant * stride as i64;
                continue;
            }
            let code = self.component(index, name);
            let term = match stride {
                1 => code,
                _ => Code::binary(Level::Product, "*", &code, &Code::integer(stride as i64)),
            };
            sum = Some(match sum {
                None => term,
                Some(sum) => add(&sum, &term),
            });
        }
        match sum {
            None => Code::integer(offset),
            Some(sum) => add_constant(&sum, offset),
        }
    }

    fn component(&self, index: &Index, name: &Option<String>) -> Code {
        name.as_ref().map_or_else(|| self.index(index), |name| Code::primary(name.as_str()))
    }

    /// The conditions under which the divisions that must be exact are.
    fn exact_divisions(&self, index: &Index, guards: &mut Vec<Code>) {
        for (atom, _) in &index.terms {
            match atom {
                Atom::ExactDiv(inner, by) => {
                    self.exact_divisions(inner, guards);
                    let rest = Code::binary(Level::Product, "%", &self.index(inner), &Code::integer(*by));
                    guards.push(Code::binary(Level::Equality, "==", &rest, &Code::integer(0)));
                }
                Atom::Div(inner, _) | Atom::Mod(inner, _) => self.exact_divisions(inner, guards),
                Atom::Axis(_) | Atom::Value(_) => {}
            }
        }
    }

    fn index_in(&self, index: &Index, widen: bool) -> Code {
        let mut terms: Vec<(Code, i64)> =
            index.terms.iter().map(|(atom, factor)| (self.atom(atom, widen), *factor)).collect();
        // A sum begins with something positive where it has any: `3 - kh`, not `-kh + 3`.
        terms.sort_by_key(|(_, factor)| *factor < 0);
        let (mut sum, rest) = match terms.first() {
            None => return Code::integer(index.offset),
            Some((_, factor)) if *factor < 0 => (Code::integer(index.offset), 0),
            Some((code, factor)) => (scaled(code, *factor), 1),
        };
        for (code, factor) in &terms[rest..] {
            let operator = if *factor < 0 { "-" } else { "+" };
            sum = Code::binary(Level::Sum, operator, &sum, &scaled(code, factor.abs()));
        }
        if rest == 1 { add_constant(&sum, index.offset) } else { sum }
    }

    fn atom(&self, atom: &Atom, widen: bool) -> Code {
        match atom {
            Atom::Axis(axis) if widen => Code::cast("i64", &Code::primary(self.names.axis(*axis))),
            Atom::Axis(axis) => Code::primary(self.names.axis(*axis)),
            Atom::ExactDiv(inner, by) => {
                Code::binary(Level::Product, "/", &self.index_in(inner, widen), &Code::integer(*by))
            }
            Atom::Div(inner, by) => self.division(inner, *by, widen, "/", "kiln_floor_div"),
            Atom::Mod(inner, by) => self.division(inner, *by, widen, "%", "kiln_floor_mod"),
            Atom::Value(value) if self.wide || widen => self.expr(value),
            Atom::Value(value) => Code::cast("int", &self.expr(value)),
        }
    }

    /// C's division rounds towards zero: right for what is never negative, otherwise the prelude's function is called.
    fn division(&self, inner: &Index, by: i64, widen: bool, operator: &str, function: &str) -> Code {
        let (left, right) = (self.index_in(inner, widen), Code::integer(by));
        if is_natural(inner, self.kernel, self.max_batch) {
            Code::binary(Level::Product, operator, &left, &right)
        } else {
            let ty = if widen { "i64" } else { self.position_type() };
            Code::call(&format!("{function}<{ty}>"), &[left, right])
        }
    }
}

/// The value from which a reduction starts.
pub(crate) fn identity(monoid: Monoid, dtype: DType) -> Code {
    let (low, high) = match dtype {
        DType::Bool => (Code::primary("false"), Code::primary("true")),
        DType::U8 => (Code::integer(0), Code::integer(255)),
        DType::I32 => (Code::primary("KILN_INT_MIN"), Code::primary("KILN_INT_MAX")),
        DType::I64 => (Code::primary("KILN_I64_MIN"), Code::primary("KILN_I64_MAX")),
        _ => (number_code(Number::new(f64::NEG_INFINITY), dtype), number_code(Number::new(f64::INFINITY), dtype)),
    };
    match monoid {
        Monoid::Sum => number_code(Number::new(0.0), dtype),
        Monoid::Product => number_code(Number::new(1.0), dtype),
        Monoid::Max | Monoid::ArgMax => low,
        Monoid::Min => high,
    }
}

/// The statement that takes one more value into a reduction's result; not for `ArgMax`, which keeps two variables.
pub(crate) fn accumulate(monoid: Monoid, dtype: DType, result: &str, value: &Code) -> String {
    let operator = match monoid {
        Monoid::Sum if dtype.is_float() => return format!("{result} += {};", value.text()),
        Monoid::Product if dtype.is_float() => return format!("{result} *= {};", value.at(Level::Sum)),
        Monoid::Sum => Binary::Add,
        Monoid::Product => Binary::Mul,
        Monoid::Max | Monoid::ArgMax => Binary::Max,
        Monoid::Min => Binary::Min,
    };
    format!("{result} = {};", binary(operator, &Code::primary(result), value, dtype).text())
}

/// A literal: the shortest text that reads back as the same value.
fn number_code(number: Number, dtype: DType) -> Code {
    let value = number.value();
    let text = match dtype {
        DType::Bool => return Code::primary(if value != 0.0 { "true" } else { "false" }),
        DType::U8 => return Code::cast("u8", &Code::integer(value as i64)),
        DType::I32 => return Code::integer(value as i64),
        DType::I64 => format!("{}ll", value as i64),
        _ if value.is_nan() => return float_constant("NAN", false, dtype),
        _ if value.is_infinite() => return float_constant("INFINITY", value < 0.0, dtype),
        DType::F64 => format!("{value:?}"),
        _ if (value as f32).is_infinite() => return float_constant("INFINITY", value < 0.0, dtype),
        _ => format!("{:?}f", value as f32),
    };
    let level = if text.starts_with('-') { Level::Prefix } else { Level::Primary };
    Code::new(text, level)
}

fn float_constant(name: &str, negative: bool, dtype: DType) -> Code {
    let constant = Code::primary(name);
    let constant = if dtype == DType::F64 { Code::cast("double", &constant) } else { constant };
    if negative { Code::new(format!("-{}", constant.at(Level::Prefix)), Level::Prefix) } else { constant }
}

fn unary(op: Unary, x: &Code, dtype: DType) -> Code {
    let single = dtype != DType::F64;
    let function = match op {
        Unary::Not => return Code::new(format!("!{}", x.at(Level::Primary)), Level::Prefix),
        Unary::Neg if dtype.is_integer() => {
            return Code::call("kiln_sub", &[number_code(Number::new(0.0), dtype), x.clone()]);
        }
        Unary::Neg => return Code::new(format!("-{}", x.at(Level::Primary)), Level::Prefix),
        Unary::Abs if dtype.is_integer() => return Code::call("kiln_abs", std::slice::from_ref(x)),
        _ if op.is_rounding() && dtype.is_integer() => return x.clone(),
        Unary::Abs => "fabs",
        Unary::Exp => "exp",
        Unary::Log => "log",
        Unary::Sqrt => "sqrt",
        Unary::Tanh => "tanh",
        Unary::Erf => "erf",
        Unary::Sin => "sin",
        Unary::Cos => "cos",
        Unary::Atan => "atan",
        Unary::Floor => "floor",
        Unary::Ceil => "ceil",
        Unary::Trunc => "trunc",
        Unary::Round => "rint",
    };
    Code::call(&format!("{function}{}", if single { "f" } else { "" }), std::slice::from_ref(x))
}

fn binary(op: Binary, a: &Code, b: &Code, dtype: DType) -> Code {
    let call = |function: &str| Code::call(function, &[a.clone(), b.clone()]);
    match op {
        Binary::Add if dtype.is_integer() => call("kiln_add"),
        Binary::Sub if dtype.is_integer() => call("kiln_sub"),
        Binary::Mul if dtype.is_integer() => call("kiln_mul"),
        Binary::Add => Code::binary(Level::Sum, "+", a, b),
        Binary::Sub => Code::binary(Level::Sum, "-", a, b),
        Binary::Mul => Code::binary(Level::Product, "*", a, b),
        Binary::Div if dtype.is_integer() => call("kiln_div"),
        Binary::Rem if dtype.is_integer() => call("kiln_rem"),
        Binary::Rem => call(if dtype == DType::F64 { "fmod" } else { "fmodf" }),
        Binary::Div => Code::binary(Level::Product, "/", a, b),
        Binary::Max => call("kiln_max"),
        Binary::Min => call("kiln_min"),
        Binary::Pow if dtype == DType::F64 => call("pow"),
        Binary::Pow if dtype.is_float() => call("powf"),
        Binary::Pow => call("kiln_pow"),
        Binary::And => Code::binary(Level::And, "&&", a, b),
        Binary::Or => Code::binary(Level::Or, "||", a, b),
    }
}

/// PyTorch's `to`: what is not zero is true; a float becomes a byte by way of a wider integer.
fn cast(to: DType, x: &Code, from: DType) -> Code {
    match (to, from) {
        _ if to == from => x.clone(),
        (DType::Bool, _) => {
            let zero = number_code(Number::new(0.0), from);
            Code::new(format!("{} != {}", x.at(Level::Sum), zero.text()), Level::Equality)
        }
        (DType::U8, from) if from.is_float() => Code::cast("u8", &Code::cast("i64", x)),
        _ => Code::cast(c_type(to), x),
    }
}

fn ternary(condition: &Code, then: &Code, otherwise: &Code) -> Code {
    let text = format!("{} ? {} : {}", condition.at(Level::Or), then.at(Level::Or), otherwise.at(Level::Or));
    Code::new(text, Level::Ternary)
}

fn scaled(code: &Code, factor: i64) -> Code {
    if factor == 1 { code.clone() } else { Code::binary(Level::Product, "*", code, &Code::integer(factor)) }
}

/// A sum of index parts: integers, so the order may be any and no parentheses are needed.
fn add(sum: &Code, term: &Code) -> Code {
    let term = if term.text().starts_with('-') { term.at(Level::Primary) } else { term.at(Level::Sum) };
    Code::new(format!("{} + {term}", sum.at(Level::Sum)), Level::Sum)
}

fn add_constant(sum: &Code, offset: i64) -> Code {
    match offset {
        0 => sum.clone(),
        _ if offset < 0 => Code::binary(Level::Sum, "-", sum, &Code::integer(-offset)),
        _ => Code::binary(Level::Sum, "+", sum, &Code::integer(offset)),
    }
}
