//! How far or alike vectors are.

use kiln::functional::{Normalize, PairwiseDistance};

use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[
    ("nn.functional.normalize", |a| {
        let options = Normalize { p: a.number("p", 2.0)?, axis: a.int("dim", 1)?, eps: a.number("eps", 1e-12)? };
        Ok(a.tensor("input")?.normalize(options).into())
    }),
    ("nn.functional.cosine_similarity", |a| {
        let (axis, eps) = (a.int("dim", 1)?, a.number("eps", 1e-8)?);
        Ok(a.tensor("x1")?.cosine_similarity(a.tensor("x2")?, axis, eps).into())
    }),
    ("nn.functional.pairwise_distance", |a| {
        let (p, eps) = (a.number("p", 2.0)?, a.number("eps", 1e-6)?);
        let options = PairwiseDistance { p, eps, keep: a.flag("keepdim", false)? };
        Ok(a.tensor("x1")?.pairwise_distance(a.tensor("x2")?, options).into())
    }),
];
