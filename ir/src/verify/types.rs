//! Dtypes of scalar expressions: operands agree, conditions are `bool`, transcendental functions take floats.

use crate::kernel::Kernel;
use crate::text::{Names, expr_text};
use crate::{Atom, Binary, DType, Expr, Index, Unary};

/// The dtype of an expression, or what is wrong inside it.
pub(super) fn check(kernel: &Kernel, names: &Names, expr: &Expr) -> Result<DType, String> {
    let dtype = |x: &Expr| check(kernel, names, x);
    let needs = |holds: bool, what: &str, x: &Expr, found: DType| match holds {
        true => Ok(()),
        false => Err(format!("{what}: `{}` is {found}", expr_text(x, names))),
    };
    let same = |a: &Expr, b: &Expr| {
        let (left, right) = (dtype(a)?, dtype(b)?);
        let message = || format!("equal dtypes are needed in `{}`: {left} and {right}", expr_text(expr, names));
        if left == right { Ok(left) } else { Err(message()) }
    };
    match expr {
        Expr::Number(number, dtype) => {
            let value = number.value();
            let fits = match dtype {
                DType::Bool => value == 0.0 || value == 1.0,
                DType::U8 => value.fract() == 0.0 && (0.0..=255.0).contains(&value),
                DType::I32 => value.fract() == 0.0 && value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX),
                DType::I64 => value.fract() == 0.0,
                DType::F16 | DType::BF16 | DType::F32 | DType::F64 => true,
            };
            if fits { Ok(*dtype) } else { Err(format!("a literal of its dtype is needed: {value:?} is no {dtype}")) }
        }
        Expr::Index(index) => check_index(kernel, names, index).map(|()| DType::I64),
        Expr::Extent(_) => Ok(DType::I64),
        Expr::Local(local) => Ok(kernel.local(*local).dtype),
        Expr::Load(load) => {
            load.index.iter().try_for_each(|index| check_index(kernel, names, index))?;
            Ok(kernel.tensor(load.tensor).ty.dtype)
        }
        Expr::Unary(op, x) => {
            let found = dtype(x)?;
            match op {
                Unary::Not => needs(found == DType::Bool, "a bool is needed", x, found)?,
                _ if op.is_transcendental() || *op == Unary::Sqrt => {
                    needs(found.is_float(), "a float is needed", x, found)?;
                }
                _ => needs(found != DType::Bool, "a number is needed", x, found)?,
            }
            Ok(found)
        }
        Expr::Binary(op, a, b) => {
            let found = same(a, b)?;
            match op {
                Binary::And | Binary::Or => needs(found == DType::Bool, "a bool is needed", a, found)?,
                Binary::Max | Binary::Min => {}
                _ => needs(found != DType::Bool, "a number is needed", a, found)?,
            }
            Ok(found)
        }
        Expr::Compare(_, a, b) => same(a, b).map(|_| DType::Bool),
        Expr::Select(condition, then, otherwise) => {
            let found = dtype(condition)?;
            needs(found == DType::Bool, "a bool is needed as the condition", condition, found)?;
            same(then, otherwise)
        }
        Expr::Cast(to, x) => dtype(x).map(|_| *to),
        Expr::Check(x, ..) => {
            let found = dtype(x)?;
            needs(found == DType::I64, "an i64 is needed in a check", x, found).map(|()| DType::I64)
        }
        Expr::Random { bits, seed, stream, position } => {
            for operand in [seed, stream, position] {
                let found = dtype(operand)?;
                needs(found == DType::I64, "an i64 is needed in `random`", operand, found)?;
            }
            match bits {
                1..=31 => Ok(DType::I32),
                _ => Err(format!("`random` gives 1 to 31 bits: found {bits}")),
            }
        }
    }
}

/// The values inside an index are integers.
pub(super) fn check_index(kernel: &Kernel, names: &Names, index: &Index) -> Result<(), String> {
    index.terms.iter().try_for_each(|(atom, _)| match atom {
        Atom::Axis(_) => Ok(()),
        Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => check_index(kernel, names, inner),
        Atom::Value(value) => match check(kernel, names, value)? {
            DType::I64 | DType::I32 | DType::U8 => Ok(()),
            found => Err(format!("an integer is needed as an index: `{}` is {found}", expr_text(value, names))),
        },
    })
}
