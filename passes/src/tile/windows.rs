//! Writes out windows that look for a position.
//!
//! The position of a maximum is an integer of 64 bits beside values of 32, which no lanes hold together. Over a short window it is a chain of
//! choices among literals, and those are kept in the dtype of the values, so that the whole window runs in lanes.
//!
//! ```text
//! m, p = max, argmax kh in 2, kw in 2 of x[2*h + kh, 2*w + kw]     →     tap = x[2*h, 2*w]
//!                                                                       tap_2 = x[2*h, 2*w + 1]
//!                                                                       p_2 = select(tap_2 > tap, 1.0, 0.0)
//!                                                                       m_2 = max(tap, tap_2) ..
//! ```

use kiln_ir::kernel::{Kernel, Local, Reduction, Statement};
use kiln_ir::statements::{map_exprs, substitute_locals};
use kiln_ir::{AxisId, Binary, Comparison, DType, Expr, Index, LocalId, Monoid};

use super::MAX_UNROLL;
use super::rewrite::expr_indices;
use crate::lower::tidy;

/// Writes out the windows of a kernel that has one with a position.
pub fn run(kernel: &mut Kernel) {
    let [Statement::For(shared, inner)] = kernel.body.as_slice() else { return };
    let Some((Statement::Reduce { axes, lets, results }, rest)) = inner.split_first() else { return };
    let taps: Option<usize> = axes.iter().map(|&axis| kernel.axis(axis).extent.as_fixed()).product();
    let float = |result: &Reduction| kernel.dtype(&result.value) == DType::F32;
    let positions = results.iter().any(|result| result.monoid == Monoid::ArgMax);
    if !positions || !results.iter().all(float) || taps.is_none_or(|taps| taps > MAX_UNROLL || taps == 0) {
        return;
    }
    let (shared, axes, lets, results, rest) =
        (shared.clone(), axes.clone(), lets.clone(), results.clone(), rest.to_vec());
    let mut window = Window { kernel, lets: Vec::new(), chains: Vec::new() };
    for tap in 0..taps.unwrap_or(0) {
        window.tap(tap, &axes, &lets, &results);
    }
    let Window { lets, chains, .. } = window;
    let mut body: Vec<Statement> = lets.into_iter().map(|(local, value)| Statement::Let(local, value)).collect();
    for (result, chain) in results.iter().zip(&chains) {
        let held = match result.monoid {
            Monoid::ArgMax => Expr::cast(DType::I64, Expr::Local(chain.held)),
            _ => Expr::Local(chain.held),
        };
        body.push(Statement::Let(result.local, held));
    }
    let known = |local: LocalId| {
        let at = results.iter().position(|result| result.local == local && result.monoid == Monoid::ArgMax)?;
        Some(Expr::Local(chains[at].held))
    };
    body.extend(map_exprs(&rest, &mut |expr| direct_casts(expr, &known)));
    kernel.body = vec![Statement::For(shared, body)];
    tidy::run(kernel);
}

/// A window in the writing.
struct Window<'k> {
    kernel: &'k mut Kernel,
    lets: Vec<(LocalId, Expr)>,
    /// One for each result.
    chains: Vec<Chain>,
}

/// What a result is after some taps.
#[derive(Clone)]
struct Chain {
    /// The value of the last tap, which results of one formula share.
    value: Expr,
    tap: LocalId,
    /// The result so far; of a position, as a float.
    held: LocalId,
    /// Of a position: the maximum that it belongs to.
    best: LocalId,
}

impl Window<'_> {
    fn tap(&mut self, tap: usize, axes: &[AxisId], lets: &[(LocalId, Expr)], results: &[Reduction]) {
        let mut rest = tap;
        let mut position = vec![0; axes.len()];
        for (at, &axis) in axes.iter().enumerate().rev() {
            let extent = self.kernel.axis(axis).extent.factor;
            (position[at], rest) = (rest % extent, rest / extent);
        }
        let here = |axis: AxisId| match axes.iter().position(|&held| held == axis) {
            Some(at) => Index::constant(position[at] as i64),
            None => Index::axis(axis),
        };
        let at = |expr: &Expr| expr_indices(expr, &|index| index.substitute(&mut |axis| here(axis), &mut Expr::clone));
        let mut bound: Vec<(LocalId, LocalId)> = Vec::new();
        let renamed = |expr: &Expr, bound: &[(LocalId, LocalId)]| {
            let local = |id: LocalId| bound.iter().find(|(old, _)| *old == id).map_or(id, |(_, new)| *new);
            substitute_locals(&at(expr), &|id| Expr::Local(local(id)))
        };
        for (local, value) in lets {
            let value = renamed(value, &bound);
            let Local { name, dtype } = self.kernel.local(*local).clone();
            bound.push((*local, self.bind(&name, dtype, value)));
        }
        let mut chains: Vec<Chain> = Vec::new();
        for (number, result) in results.iter().enumerate() {
            let value = renamed(&result.value, &bound);
            let same = chains.iter().find(|chain| chain.value == value).map(|chain| chain.tap);
            let tap_local = same.unwrap_or_else(|| self.bind("tap", DType::F32, value.clone()));
            let earlier = self.chains.get(number).cloned();
            let name = self.kernel.local(result.local).name.clone();
            chains.push(self.extend(earlier, tap, tap_local, value, result.monoid, &name));
        }
        self.chains = chains;
    }

    /// A chain with one tap more.
    fn extend(
        &mut self,
        earlier: Option<Chain>,
        number: usize,
        tap: LocalId,
        value: Expr,
        monoid: Monoid,
        name: &str,
    ) -> Chain {
        let new = Expr::Local(tap);
        let Some(Chain { held, best, .. }) = earlier else {
            let held = match monoid {
                Monoid::ArgMax => self.bind(name, DType::F32, Expr::number(0.0, DType::F32)),
                _ => tap,
            };
            return Chain { value, tap, held, best: tap };
        };
        let combined = |op| Expr::binary(op, Expr::Local(held), new.clone());
        let (combined, best) = match monoid {
            Monoid::Sum => (combined(Binary::Add), best),
            Monoid::Product => (combined(Binary::Mul), best),
            Monoid::Max => (combined(Binary::Max), best),
            Monoid::Min => (combined(Binary::Min), best),
            Monoid::ArgMax => {
                // The first of equals; NaN is above everything, and the first of them.
                let old = Expr::Local(best);
                let is_nan = Expr::compare(Comparison::Ne, new.clone(), new.clone());
                let was_number = Expr::compare(Comparison::Eq, old.clone(), old.clone());
                let first_nan = Expr::binary(Binary::And, is_nan, was_number);
                let greater = Expr::compare(Comparison::Gt, new.clone(), old.clone());
                let better = self.bind("better", DType::Bool, Expr::binary(Binary::Or, greater, first_nan));
                let best = self.bind("best", DType::F32, Expr::select(Expr::Local(better), new.clone(), old));
                let here = Expr::number(number as f64, DType::F32);
                (Expr::select(Expr::Local(better), here, Expr::Local(held)), best)
            }
        };
        Chain { value, tap, held: self.bind(name, DType::F32, combined), best }
    }

    fn bind(&mut self, name: &str, dtype: DType, value: Expr) -> LocalId {
        self.kernel.locals.push(Local { name: name.to_owned(), dtype });
        let local = LocalId(self.kernel.locals.len() as u32 - 1);
        self.lets.push((local, value));
        local
    }
}

/// Converts a position from the float that holds it, without the integer between.
fn direct_casts(expr: &Expr, known: &dyn Fn(LocalId) -> Option<Expr>) -> Expr {
    match expr {
        Expr::Cast(dtype, inner) => match **inner {
            Expr::Local(local) => match known(local) {
                Some(held) => Expr::cast(*dtype, held),
                None => expr.clone(),
            },
            _ => expr.map_operands(&mut |x| direct_casts(x, known)),
        },
        _ => expr.map_operands(&mut |x| direct_casts(x, known)),
    }
}
