//! Products of matrices, vectors and tensors.

use kiln::functional::{baddbmm, einsum};

use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("matmul", |a| Ok(a.tensor("input")?.matmul(a.tensor("other")?).into())),
    ("mm", |a| Ok(a.tensor("input")?.mm(a.tensor("mat2")?).into())),
    ("bmm", |a| Ok(a.tensor("input")?.bmm(a.tensor("mat2")?).into())),
    ("mv", |a| Ok(a.tensor("input")?.mv(a.tensor("vec")?).into())),
    ("dot", |a| Ok(a.tensor("input")?.dot(a.tensor("tensor")?).into())),
    ("outer", |a| Ok(a.tensor("input")?.outer(a.tensor("vec2")?).into())),
    ("addmm", |a| {
        let (x, y) = (a.tensor("mat1")?, a.tensor("mat2")?);
        Ok(a.tensor("input")?.addmm(x, y, a.scalar("beta", 1)?, a.scalar("alpha", 1)?).into())
    }),
    ("baddbmm", |a| {
        let (x, y) = (a.tensor("batch1")?, a.tensor("batch2")?);
        Ok(baddbmm(a.tensor("input")?, x, y, a.scalar("beta", 1)?, a.scalar("alpha", 1)?).into())
    }),
    ("einsum", |a| {
        let equation = a.text("equation").ok_or_else(|| a.wrong("equation", "a string"))?;
        Ok(einsum(equation, &a.tensors("operands")?).into())
    }),
    ("nn.functional.linear", |a| Ok(a.tensor("input")?.linear(a.tensor("weight")?, a.optional_tensor("bias")?).into())),
    ("nn.functional.bilinear", |a| {
        let (x, y, weight) = (a.tensor("input1")?, a.tensor("input2")?, a.tensor("weight")?);
        Ok(x.bilinear(y, weight, a.optional_tensor("bias")?).into())
    }),
];
