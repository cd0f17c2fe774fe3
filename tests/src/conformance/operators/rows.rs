//! How each operator of PyTorch's database is called here: one row an operator, in the families of the front end.

mod activations;
mod attention;
mod convolutions;
mod distances;
mod indexing;
mod losses;
mod norms;
mod pointwise;
mod pooling;
mod products;
mod reductions;
mod sampling;
mod views;

use kiln::prelude::Tensor;

use super::arguments::{Args, Stop};

/// An operator's name in PyTorch's database, and the call.
pub type Row = (&'static str, Call);

/// Makes the call with the arguments of a case.
pub type Call = fn(&Args<'_>) -> Result<Results, Stop>;

/// What a call gives.
pub struct Results {
    /// In PyTorch's order.
    pub results: Vec<Tensor>,
    /// The new values of arguments that the call changes, by parameter name.
    pub changed: Vec<(&'static str, Tensor)>,
}

/// The call of an operator.
pub fn find(op: &str) -> Option<Call> {
    let families = [
        activations::ROWS,
        attention::ROWS,
        convolutions::ROWS,
        distances::ROWS,
        indexing::ROWS,
        losses::ROWS,
        norms::ROWS,
        pointwise::ROWS,
        pooling::ROWS,
        products::ROWS,
        reductions::ROWS,
        sampling::ROWS,
        views::ROWS,
    ];
    families.into_iter().flatten().find(|(name, _)| *name == op).map(|(_, call)| *call)
}

/// A function of `input` alone.
fn unary(a: &Args<'_>, function: fn(Tensor) -> Tensor) -> Result<Results, Stop> {
    Ok(function(a.tensor("input")?).into())
}

impl From<Tensor> for Results {
    fn from(result: Tensor) -> Results {
        Results { results: vec![result], changed: Vec::new() }
    }
}

impl From<Vec<Tensor>> for Results {
    fn from(results: Vec<Tensor>) -> Results {
        Results { results, changed: Vec::new() }
    }
}

impl From<(Tensor, Tensor)> for Results {
    fn from((first, second): (Tensor, Tensor)) -> Results {
        Results::from(vec![first, second])
    }
}
