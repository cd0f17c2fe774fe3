//! The checks that shape rules share. Messages state the requirement and then both values.

use crate::{Code, DType, Diagnostic, Dim, Type};

/// A dtype that the op takes.
pub fn float(op: &str, ty: &Type) -> Result<(), Diagnostic> {
    dtype(op, ty, "a floating dtype", ty.dtype.is_float())
}

/// A dtype to calculate with: any but `bool`.
pub fn number(op: &str, ty: &Type) -> Result<(), Diagnostic> {
    dtype(op, ty, "numbers", ty.dtype != DType::Bool)
}

/// Any dtype.
pub fn any(_: &str, _: &Type) -> Result<(), Diagnostic> {
    Ok(())
}

/// A condition on a dtype.
pub fn dtype(op: &str, ty: &Type, needed: &str, holds: bool) -> Result<(), Diagnostic> {
    if holds {
        return Ok(());
    }
    let help = "convert it with `.to(dtype)`";
    Err(Diagnostic::new(Code::DTypeMismatch, format!("{op} needs {needed}, found {ty}")).help(help))
}

/// One dtype.
pub fn exactly(op: &str, ty: &Type, wanted: DType) -> Result<(), Diagnostic> {
    dtype(op, ty, &wanted.to_string(), ty.dtype == wanted)
}

/// Equal types.
pub fn same(op: &str, a: &Type, b: &Type) -> Result<(), Diagnostic> {
    same_dtype(op, a, b)?;
    if a.shape == b.shape {
        return Ok(());
    }
    Err(Diagnostic::new(Code::ShapeMismatch, format!("{op} needs equal shapes: {} and {}", a.shape, b.shape)))
}

/// Equal dtypes.
pub fn same_dtype(op: &str, a: &Type, b: &Type) -> Result<(), Diagnostic> {
    if a.dtype == b.dtype {
        return Ok(());
    }
    Err(Diagnostic::new(Code::DTypeMismatch, format!("{op} needs equal dtypes: {} and {}", a.dtype, b.dtype)))
}

/// A number of axes.
pub fn rank(op: &str, operand: &str, ty: &Type, wanted: usize) -> Result<(), Diagnostic> {
    if ty.rank() == wanted {
        return Ok(());
    }
    let message = format!("{op} needs `{operand}` with {wanted} axes, found {ty} with {}", ty.rank());
    let diagnostic = Diagnostic::new(Code::RankMismatch, message);
    let has_batch = ty.shape.dims().first().is_some_and(|dim| dim.batch);
    Err(match (ty.rank() + 1 == wanted, has_batch) {
        (true, false) => diagnostic.help("add the batch axis: `unsqueeze(0)` makes a batch of one sample"),
        (true, true) => diagnostic.help("add the axis that is missing: `unsqueeze(1)` makes one channel"),
        (false, _) => diagnostic,
    })
}

/// An axis of the operand.
pub fn axis(op: &str, ty: &Type, axis: usize) -> Result<(), Diagnostic> {
    if axis < ty.rank() {
        return Ok(());
    }
    let message = format!("{op} needs an axis below {}, the rank of {ty}: found {axis}", ty.rank());
    Err(Diagnostic::new(Code::AxisOutOfRange, message))
}

/// Distinct axes of the operand.
pub fn axes(op: &str, ty: &Type, given: &[usize]) -> Result<(), Diagnostic> {
    for (position, &one) in given.iter().enumerate() {
        axis(op, ty, one)?;
        if given[..position].contains(&one) {
            return Err(argument(op, &format!("distinct axes, found {given:?}")));
        }
    }
    Ok(())
}

/// An extent that must be a constant.
pub fn fixed(op: &str, ty: &Type, at: usize) -> Result<usize, Diagnostic> {
    ty.dim(at).as_fixed().ok_or_else(|| {
        let message = format!("{op} needs a constant extent on axis {at}, found the batch axis of {ty}");
        Diagnostic::new(Code::BatchAxis, message)
    })
}

/// Equal extents.
pub fn extent(op: &str, what: &str, a: Dim, b: Dim) -> Result<(), Diagnostic> {
    if a == b {
        return Ok(());
    }
    Err(Diagnostic::new(Code::ShapeMismatch, format!("{op} needs {what}: {a} and {b}")))
}

/// An argument with a value the op does not take.
pub fn argument(op: &str, requirement: &str) -> Diagnostic {
    Diagnostic::new(Code::BadArgument, format!("{op} needs {requirement}"))
}
